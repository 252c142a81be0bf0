"""The course as web pages and as an app: whole without the net, no code, this machine alone, with a token."""

import contextlib
import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import nbformat
import psutil
import pytest
from browser import a_server, page as page
from nbformat import v4
from playwright.sync_api import Page, expect

from tuckerlab.cli import main as cli
from tuckerlab.cli.course import read_course
from tuckerlab.cli.html_site import write_site
from tuckerlab.errors import DataError, TuckerlabError

FIRST = "# First *steps*\n\n**The question:** is it worth it?\n\nThen [the second](02_second.ipynb)."
FIRST += "\n\n<details><summary>More</summary>\n\nfolded away\n\n</details>"
PARAMETERS = 'profile = "auto"\nout = "../runs"\nattended = True'
# A widget with the HTML that stays of it, as every panel has one; what is only in the source must not be in a page.
PANEL = """import ipywidgets, tuckerlab.panels.widgets as parts
panel = parts.Panel([ipywidgets.HTML("what the panel " + "shows"), ipywidgets.IntSlider(description="slide")])
panel"""
FAILING = "from tuckerlab.errors import TuckerlabError\nraise TuckerlabError('ranks <9>: ' + 'too many')"


def lesson(path: Path, text: str, *cells: str, **tagged: str) -> Path:
    """Writes a notebook of a text, cells with one tag each, and further cells; gives its folder."""
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    notebook.cells = [v4.new_markdown_cell(text)]
    notebook.cells += [v4.new_code_cell(code, metadata={"tags": [tag]}) for tag, code in tagged.items()]
    notebook.cells += map(v4.new_code_cell, cells)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path.parent


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three notebooks, the second of which fails."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    tagged = {"parameters": PARAMETERS, "engineer": "print('for eng' + 'ineers')", "lab": "print('run ' + 'all')"}
    lesson(folder / "01_first.ipynb", FIRST, PANEL, "print(profile, attended, out)", **tagged)
    lesson(folder / "02_second.ipynb", "# Second", "print('before')", FAILING, "print('nev' + 'er')")
    return lesson(folder / "03_third.ipynb", "# Third", "import sys\nprint('a warn' + 'ing', file=sys.stderr)\n6 * 7")


@pytest.fixture(scope="module")
def pages(notebooks: Path) -> dict[str, str]:
    out = notebooks.parent / "site"
    write_site(read_course(notebooks), out, profile="quick", runs=out.parent / "runs", quiet=True)
    return {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()}


def test_pages_have_results_links_and_failures_and_neither_code_nor_anything_to_load(pages: dict[str, str]) -> None:
    links = ["01_first.html", "02_second.html", "03_third.html"]
    assert sorted(pages) == [*links, "index.html"]
    assert re.findall(r'href="(\w+\.html)"', pages["index.html"]) == links
    assert "Is it worth it?" in pages["index.html"]
    around = [(links[0], "← First steps"), ("index.html", "All parts"), (links[2], "Third →")]
    assert re.findall(r'href="(\w+\.html)">([^<]*)<', pages["02_second.html"]) == around * 2
    first, second, third = (pages[link] for link in links)
    assert re.search(r"what the panel shows.*quick False \S+runs", first, re.DOTALL)
    assert 'href="02_second.html">the second' in first
    assert not re.search("run all|for engineers|ipywidgets|widget-view|widget-state|papermill", first)
    assert re.search(r"More</summary>\s*<p>folded away</p>\s*</details>", first)
    assert "42" in third
    assert not re.search(r"6 \* 7|a warning", third)
    assert re.search("before.*ranks &lt;9&gt;: too many", second, re.DOTALL)  # and the rest goes on
    assert not re.search("never|Traceback", second)
    loading = r"<script|@import|url\(|(?:src|srcset)=[\"'](?!data:)|<link[^>]* href=\"(?!data:)"
    for html in pages.values():
        assert "default-src 'none'" in html
        assert not re.search(loading, html)


@pytest.mark.parametrize("name", ["thesis.txt", "index.html"])
def test_a_folder_with_other_things_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(TuckerlabError, match=re.escape(str(tmp_path))):
        write_site([], tmp_path, profile="quick", quiet=True)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["mine"]


def test_the_command_names_a_notebook_whose_kernel_died(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First", "import os", "os._exit(3)")
    assert cli.main(["course", "--quiet", "--profile", "quick"]) == 1
    printed = capsys.readouterr()
    assert "error: 01_first.ipynb: Kernel died" in printed.err
    assert printed.out.strip() == str(Path("runs/course/index.html"))


@pytest.fixture(scope="module")
def app(notebooks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SplitResult]:
    with a_server("app", tmp_path_factory.mktemp("app"), notebooks) as printed:
        yield urlsplit(printed)


def ask(app: SplitResult, path: str, *, token: bool = True, method: str = "GET", **headers: str) -> tuple[int, str]:
    if token:
        headers["Authorization"] = f"token {app.query.partition('=')[2]}"
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", app.port, timeout=120)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")


def test_the_address_with_the_token_opens_the_list_no_other_does_and_no_source_is_served(app: SplitResult) -> None:
    status, page = ask(app, f"/?{app.query}", token=False)
    assert status == 200
    links = re.findall(r'href="(/voila/render/[^"]+)"', page)
    assert links == [f"/voila/render/{name}.ipynb" for name in ("01_first", "02_second", "03_third")]
    assert "Is it worth it?" in page
    for path in ("/", "/?token=wrong", links[0]):
        status, page = ask(app, path, token=False)
        assert status == 302
        assert "First" not in page
    for path in ("/voila/files/01_first.ipynb", "/voila/api/contents/01_first.ipynb", "/files/01_first.ipynb"):
        status, answer = ask(app, path)
        assert status in (403, 404) or '"content": null' in answer, path
    open_ports = [c.laddr for c in psutil.net_connections() if c.status == "LISTEN"]
    assert {ip for ip, port in open_ports if port == app.port} == {"127.0.0.1"}  # this machine alone


def test_a_page_shows_the_widget_or_the_error_and_no_source(app: SplitResult, page: Page) -> None:
    status, html = ask(app, "/voila/render/01_first.ipynb")
    assert status == 200
    assert not re.search(r"ipywidgets\.HTML|print\(|profile =|for engineers|run all", html)
    found: Any = re.search(r'"kernelId": ?"([\w-]+)"', html)
    kernel = f"/api/kernels/{found[1]}"
    assert ask(app, kernel)[0] == 200
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    sockets = ((path, upgrade) for path in (f"{kernel}/channels", f"/voila/execution/{found[1]}"))
    for path, options in ((kernel, {}), (kernel, {"method": "DELETE"}), *sockets):
        assert ask(app, path, token=False, **options)[0] == 403
    page.goto(app.geturl())
    page.get_by_role("link", name="First").click()
    for wanted in ("what the panel shows", "auto True ../runs", "slide"):
        page.get_by_text(wanted).wait_for()
    assert page.get_by_text(re.compile("for engineers|run all")).count() == 0
    page.get_by_role("link", name="Second →").first.click()
    page.get_by_text("never").wait_for()  # what stands below the error
    assert page.get_by_role("alert").all_text_contents() == ["TuckerlabError: ranks <9>: too many"]
    page.get_by_role("link", name="Third →").first.click()
    page.get_by_text("42").wait_for()
    expect(page.get_by_text("a warning")).to_be_hidden()


@pytest.mark.parametrize(("name", "content"), [("01_a.ipynb", "[]"), ("01_a.ipynb", "not json"), ("a.txt", "")])
def test_a_damaged_notebook_or_none_is_named(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        read_course(tmp_path)
