"""The app: nothing without the token, no code on a page, only this machine, and kernels that end."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lessons import PANEL, lesson

from tuckerlab.cli import main as cli
from tuckerlab.cli.serve import lab_arguments

PATIENCE = 120  # seconds that nothing here needs; a machine may be busy

pytest.importorskip("voila")


@dataclass
class Answer:
    status: int
    body: str
    headers: dict[str, str]


@dataclass
class Served:
    """A running app, and what it has printed."""

    process: subprocess.Popen[str]
    line: str

    @property
    def address(self) -> str:
        return next(word for word in self.line.split() if word.startswith("http"))

    @property
    def port(self) -> int:
        return int(urlsplit(self.address).port or 0)

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def ask(
        self, path: str, *, token: bool = True, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            authorization = {"Authorization": f"token {self.token}"} if token else {}
            connection.request(method, path, headers={**authorization, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode("utf-8", "replace"), dict(answer.getheaders()))
        finally:
            connection.close()


def serve(folder: Path, *options: str) -> Served:
    command = [sys.executable, "-m", "tuckerlab.cli.main", "app", str(folder), "--no-browser", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which tests in the background ignore
    )  # fmt: skip
    assert process.stdout is not None
    return Served(process, process.stdout.readline())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("app") / "notebooks"
    text = "# Start here\n\n**The question:** is it worth it?\n\n[next](03_broken.ipynb) [file](../setup.py)"
    lesson(folder / "01_start_here.ipynb", text, PANEL, "print('attended', attended)", parameters=True)
    failing = "from tuckerlab.errors import TuckerlabError\nraise TuckerlabError('ranks <9>: ' + 'too many')"
    lesson(folder / "03_broken.ipynb", "# Broken", failing, "print('la' + 'ter')")
    lesson(folder / "04_geometry.ipynb", "# Geometry", "1")
    app = serve(folder)
    try:
        yield app
    finally:
        app.process.terminate()
        app.process.communicate(timeout=PATIENCE)


def kernel_of(page: str) -> str:
    found = re.search(r'"kernelId": ?"([\w-]+)"', page)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def page(served: Served) -> str:
    answer = served.ask("/voila/render/01_start_here.ipynb")
    assert answer.status == 200
    return answer.body


def test_it_says_in_one_line_where_it_is(served: Served) -> None:
    address = r"http:" + r"//127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}"
    assert re.fullmatch(rf"The course is open at {address}  Ctrl-C ends it\.\n", served.line)


def test_the_address_with_the_token_opens_the_start_page(served: Served) -> None:
    answer = served.ask(f"/?token={served.token}", token=False)
    assert answer.status == 200
    assert re.findall(r'href="(/voila/render/[^"]+)"', answer.body) == [
        "/voila/render/01_start_here.ipynb",
        "/voila/render/03_broken.ipynb",
    ]
    assert "Start here" in answer.body
    assert "Is it worth it?" in answer.body


@pytest.mark.parametrize("path", ["/", "/voila/render/01_start_here.ipynb", "/?token=wrong", "/?token="])
def test_without_the_token_a_page_is_the_login(path: str, served: Served) -> None:
    answer = served.ask(path, token=False)
    assert answer.status == 302
    assert answer.headers["Location"].startswith("/login")
    assert "Start" not in answer.body


def test_without_the_token_nobody_gets_at_a_kernel(served: Served, page: str) -> None:
    kernel = kernel_of(page)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert served.ask(f"/api/kernels/{kernel}", token=False).status == 403
    assert served.ask(f"/api/kernels/{kernel}", token=False, method="DELETE").status == 403
    assert served.ask(f"/voila/api/shutdown/{kernel}", token=False, method="POST").status == 403
    assert served.ask(f"/api/kernels/{kernel}/channels", token=False, headers=upgrade).status == 403
    assert json.loads(served.ask(f"/api/kernels/{kernel}").body)["id"] == kernel


def test_the_socket_of_a_kernel_opens_with_the_token(served: Served, page: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
        lines = [
            f"GET /api/kernels/{kernel_of(page)}/channels?token={served.token} HTTP/1.1",
            f"Host: 127.0.0.1:{served.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 101")


def test_a_page_shows_the_widget_and_no_source(page: str) -> None:
    assert "what the panel shows" in page
    assert "widget-view+json" in page
    assert "attended True" in page
    for source in ("ipywidgets.HTML", "print(", "errors_in_one_line", "profile ="):
        assert source not in page


def test_a_page_has_a_way_back_and_no_dead_links(page: str) -> None:
    assert 'href="/"' in page
    assert 'href="03_broken.ipynb"' in page
    assert "setup.py" not in page


def test_an_error_is_one_readable_line(served: Served) -> None:
    answer = served.ask("/voila/render/03_broken.ipynb")
    said = answer.body.replace("\\u0026", "&")
    assert "ranks &lt;9&gt;: too many" in said
    assert "The rest of this page was left out." in said
    for unwanted in ("raise TuckerlabError", "Traceback", "later", "show_tracebacks"):
        assert unwanted not in said


@pytest.mark.parametrize(
    "path",
    [
        "/voila/render/04_geometry.ipynb",
        "/voila/render/../notebooks/04_geometry.ipynb",
        "/voila/tree",
        "/voila/api/contents",
        "/voila/files/01_start_here.ipynb",
        "/api/contents",
        "/api/kernels",
    ],
)
def test_nothing_else_is_served(path: str, served: Served) -> None:
    assert served.ask(path).status == 404


def test_what_pages_need_is_served_and_nothing_may_come_from_elsewhere(served: Served, page: str) -> None:
    assert served.ask("/voila/static/voila.js").status == 200
    policy = served.ask("/voila/render/03_broken.ipynb").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    import psutil

    listening = [c.laddr.ip for c in psutil.Process(served.process.pid).net_connections() if c.status == "LISTEN"]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_a_closed_page_ends_its_kernel(served: Served) -> None:
    """As the page does it: with the cookies that a browser has, and no other sign of who asks."""
    first = served.ask(f"/voila/render/03_broken.ipynb?token={served.token}", token=False)
    kernel = kernel_of(first.body)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    connection.request("GET", f"/voila/render/03_broken.ipynb?token={served.token}")
    answer = connection.getresponse()
    cookies = dict(value.split(";")[0].split("=", 1) for value in answer.headers.get_all("Set-Cookie", []))
    answer.read()
    connection.close()
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    closing = f"/voila/api/shutdown/{kernel}?_xsrf={cookies['_xsrf']}"
    assert served.ask(closing, token=False, method="POST", headers=cookie).status == 204
    assert served.ask(f"/api/kernels/{kernel}").status == 404


def test_forgotten_kernels_end_and_seen_ones_do_not(tmp_path: Path) -> None:
    from tuckerlab.cli import app
    from tuckerlab.cli.course import parts

    course = parts(lesson(tmp_path / "01_a.ipynb", "# A").parent)
    culling = app.settings(course, 1, "t").MappingKernelManager
    assert (culling.cull_idle_timeout, culling.cull_interval) == (120, 30)
    assert not culling.cull_connected
    assert not culling.cull_busy


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    lesson(tmp_path / "notebooks" / "01_a.ipynb", "# A")
    app = serve(tmp_path / "notebooks")
    try:
        app.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            app.process.wait(timeout=PATIENCE / 4)
        if app.process.poll() is None:  # a signal that comes while the server starts can get lost: press it again
            app.process.send_signal(signal.SIGINT)
        _, error = app.process.communicate(timeout=PATIENCE)
        assert app.process.returncode in (0, 130)
        assert "Traceback" not in error
    finally:
        app.process.kill()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson(tmp_path / "01_a.ipynb", "# A")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["app", str(tmp_path), "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith(f"error: port {port}: ")


@pytest.mark.parametrize("names", [[], ["04_geometry"]])
def test_a_folder_with_nothing_to_show_is_refused(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        lesson(tmp_path / f"{name}.ipynb", "# A")
    assert cli.main(["app", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_lab_begins_with_the_first_notebook_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuckerlab.cli.serve.is_root", lambda: False)
    root = f"--ServerApp.root_dir={tmp_path}"
    assert lab_arguments(tmp_path, browser=True, port=None) == [root]
    lesson(tmp_path / "01_start_here.ipynb", "# Start")
    first = "--LabApp.default_url=/lab/tree/01_start_here.ipynb"
    assert lab_arguments(tmp_path, browser=False, port=9) == [root, first, "--no-browser", "--ServerApp.port=9"]


def test_a_picture_has_what_the_browser_asks_for_beside_a_tooltip() -> None:
    """ipywidgets' script reads the length of the description of everything that has a tooltip."""
    from tuckerlab.panels.widgets import picture_widget

    state = picture_widget(b"", "a curve").get_state()
    assert (state["tooltip"], state["description"]) == ("a curve", "")
