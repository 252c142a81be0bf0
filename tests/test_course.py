"""The course as web pages and as an app: whole without the net, no code, this machine alone, with a token."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from lessons import PANEL, lesson

from tuckerlab.cli import html_site, main as cli
from tuckerlab.cli.course import read_course
from tuckerlab.cli.html_site import write_site
from tuckerlab.errors import DataError, TuckerlabError

PATIENCE = 120  # seconds that nothing here needs; a machine may be busy
FIRST = (
    "# First *steps*\n\n**The question:** is it worth it?\n\nThen [the second](02_second.ipynb), [code](../setup.py)."
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """What went wrong, and the pages of three made-up notebooks, the second of which fails."""
    base = tmp_path_factory.mktemp("course")
    folder = lesson(
        base / "notebooks" / "01_first.ipynb", FIRST, PANEL, "print(profile, attended, out)", parameters=True
    ).parent
    lesson(folder / "02_second.ipynb", "# Second", "print('before')\nint('no <number>')", "print('nev' + 'er')")
    lesson(folder / "03_third.ipynb", "# Third", "import sys\nprint('a warn' + 'ing', file=sys.stderr)\n6 * 7")
    out = base / "site"
    problems = write_site(read_course(folder), out, profile="quick", runs=base / "runs", quiet=True)
    return problems, {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()}


class TestPages:
    def test_there_is_a_page_for_each_and_one_for_all(self, made: tuple[dict[str, str], dict[str, str]]) -> None:
        pages = made[1]
        links = ["01_first.html", "02_second.html", "03_third.html"]
        assert sorted(pages) == [*links, "index.html"]
        assert re.findall(r'href="(\w+\.html)"', pages["index.html"]) == links
        assert "First steps" in pages["index.html"]
        assert "Is it worth it?" in pages["index.html"]
        around = [(links[0], "← First steps"), ("index.html", "All parts"), (links[2], "Third →")]
        assert re.findall(r'href="(\w+\.html)">([^<]*)<', pages["02_second.html"]) == around * 2

    def test_a_page_has_results_and_no_code(self, made: tuple[dict[str, str], dict[str, str]]) -> None:
        first, third = made[1]["01_first.html"], made[1]["03_third.html"]
        assert "what the panel shows" in first
        assert re.search(r"quick False \S+runs", first)
        assert 'href="02_second.html">the second' in first
        for unwanted in ("setup.py", "ipywidgets", "widget-view", "widget-state", "papermill"):
            assert unwanted not in first
        assert "42" in third
        assert "6 * 7" not in third
        assert "a warning" not in third

    def test_nothing_is_loaded_and_the_browser_is_told_so(self, made: tuple[dict[str, str], dict[str, str]]) -> None:
        for page in made[1].values():
            assert "default-src 'none'" in page
            assert not re.search(
                r"<script|@import|url\(|(?:src|srcset)=[\"'](?!data:)|<link[^>]* href=\"(?!data:)", page
            )

    def test_a_failure_is_said_and_the_rest_goes_on(self, made: tuple[dict[str, str], dict[str, str]]) -> None:
        problems, pages = made
        assert list(problems) == ["02_second.ipynb"]
        assert "'no <number>'" in problems["02_second.ipynb"]
        for name in ("index.html", "02_second.html"):
            assert "no &lt;number&gt;" in pages[name]
        assert "before" in pages["02_second.html"]
        assert "never" not in pages["02_second.html"]
        assert "Traceback" not in pages["02_second.html"]

    def test_what_stops_it_leaves_the_old_site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        notebooks = read_course(lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First").parent)

        out = tmp_path / "site"
        write_site(notebooks, out, profile="quick", quiet=True)
        before = {path.name: path.read_bytes() for path in out.iterdir()}

        def stopped(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(html_site, "execute", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_site(notebooks, out, profile="quick", quiet=True)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    @pytest.mark.parametrize("name", ["thesis.txt", "index.html"])
    def test_a_folder_with_other_things_is_left_alone(self, name: str, tmp_path: Path) -> None:
        notebooks = read_course(lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First").parent)
        out = tmp_path / "out"
        out.mkdir()
        (out / name).write_text("mine", encoding="utf-8")
        with pytest.raises(TuckerlabError, match=re.escape(str(out))):
            write_site(notebooks, out, profile="quick", quiet=True)
        assert [path.read_text(encoding="utf-8") for path in out.iterdir()] == ["mine"]

    def test_the_command_names_a_notebook_whose_kernel_died(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First", "import os", "os._exit(3)")
        assert cli.main(["course", "--quiet", "--profile", "quick"]) == 1
        printed = capsys.readouterr()
        assert "error: 01_first.ipynb: Kernel died" in printed.err
        assert printed.out.strip() == str(Path("runs/course/index.html"))


class Served:
    """A running app and its address."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tuckerlab.cli.main", "app", str(folder), "--no-browser"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which tests in the background ignore
        )  # fmt: skip
        assert self.process.stdout is not None
        address = next(word for word in self.process.stdout.readline().split() if word.startswith("http"))
        self.port, self.token = int(urlsplit(address).port or 0), address.partition("token=")[2]

    def ask(self, path: str, *, token: bool = True, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and text of an answer."""
        if token:
            headers["Authorization"] = f"token {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("app") / "notebooks"
    lesson(folder / "01_first.ipynb", FIRST, PANEL, "print('attended', attended)", parameters=True)
    failing = "from tuckerlab.errors import TuckerlabError\nraise TuckerlabError('ranks <9>: ' + 'too many')"
    lesson(folder / "02_second.ipynb", "# Second", failing, "print('la' + 'ter')")
    lesson(folder / "04_geometry.ipynb", "# Geometry", "1")
    app = Served(folder)
    try:
        yield app
    finally:
        app.process.send_signal(signal.SIGINT)
        _, errors = app.process.communicate(timeout=PATIENCE)
        assert "KeyboardInterrupt" not in errors  # Ctrl-C ends it without a traceback


@pytest.fixture(scope="module")
def page(served: Served) -> str:
    status, page = served.ask("/voila/render/01_first.ipynb")
    assert status == 200
    return page


class TestApp:
    def test_the_address_with_the_token_opens_the_list(self, served: Served) -> None:
        status, page = served.ask(f"/?token={served.token}", token=False)
        assert status == 200
        links = re.findall(r'href="(/voila/render/[^"]+)"', page)
        assert links == ["/voila/render/01_first.ipynb", "/voila/render/02_second.ipynb"]
        assert "Is it worth it?" in page

    @pytest.mark.parametrize("path", ["/", "/voila/render/01_first.ipynb", "/?token=wrong"])
    def test_without_the_token_a_page_is_the_login(self, path: str, served: Served) -> None:
        status, page = served.ask(path, token=False)
        assert status == 302
        assert "First" not in page

    def test_without_the_token_nobody_gets_at_a_kernel(self, served: Served, page: str) -> None:
        found = re.search(r'"kernelId": ?"([\w-]+)"', page)
        assert found is not None
        kernel = f"/api/kernels/{found[1]}"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        assert served.ask(kernel, token=False)[0] == 403
        assert served.ask(kernel, token=False, method="DELETE")[0] == 403
        assert served.ask(f"{kernel}/channels", token=False, **upgrade)[0] == 403
        assert json.loads(served.ask(kernel)[1])["id"] == found[1]

    def test_a_page_shows_the_widget_and_no_source(self, page: str) -> None:
        assert "what the panel shows" in page
        assert "widget-view+json" in page
        assert "attended True" in page
        assert 'href="/"' in page
        assert 'href="02_second.ipynb"' in page
        for unwanted in ("ipywidgets.HTML", "print(", "errors_in_one_line", "profile =", "setup.py"):
            assert unwanted not in page

    def test_an_error_shows_no_source(self, served: Served) -> None:
        page = served.ask("/voila/render/02_second.ipynb")[1]
        assert "This part could not be shown" in page
        assert "ranks &lt;9&gt;: too many" in page
        for unwanted in ("raise TuckerlabError", "Traceback", "later"):
            assert unwanted not in page

    def test_no_source_is_served(self, served: Served) -> None:
        for path in ("/voila/files/01_first.ipynb", "/voila/api/contents/01_first.ipynb", "/files/01_first.ipynb"):
            status, answer = served.ask(path)
            assert status in (403, 404) or json.loads(answer)["content"] is None, path

    def test_it_listens_on_this_machine_alone(self, served: Served) -> None:
        listening = [c.laddr.ip for c in psutil.Process(served.process.pid).net_connections() if c.status == "LISTEN"]
        assert set(listening) == {"127.0.0.1"}

    def test_a_closed_page_ends_its_kernel(self, served: Served) -> None:
        """As the page does it: with the cookies that a browser has, and no other sign of who asks."""
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", f"/voila/render/02_second.ipynb?token={served.token}")
            answer = connection.getresponse()
            cookies = dict(value.split(";")[0].split("=", 1) for value in answer.headers.get_all("Set-Cookie", []))
            kernel = re.findall(r'"kernelId": ?"([\w-]+)"', answer.read().decode())[0]
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        closing = f"/voila/api/shutdown/{kernel}?_xsrf={cookies['_xsrf']}"
        assert served.ask(closing, token=False, method="POST", Cookie=cookie)[0] == 204
        assert served.ask(f"/api/kernels/{kernel}")[0] == 404


@pytest.mark.parametrize(("name", "content"), [("01_a.ipynb", "[]"), ("01_a.ipynb", "not json"), ("a.txt", "")])
def test_a_damaged_notebook_or_none_is_named(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        read_course(tmp_path)
