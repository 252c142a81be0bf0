"""The course as web pages: whole without the net, without a kernel, and honest about what failed."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from lessons import PANEL, lesson
from nbformat import v4

from tuckerlab.cli import main as cli, site
from tuckerlab.cli.course import parts
from tuckerlab.cli.fragment import fragment
from tuckerlab.cli.pages import GENERATOR, part_page
from tuckerlab.cli.site import is_free, make_site
from tuckerlab.errors import DataError, TuckerlabError

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def loaded(html: str) -> list[str]:
    """Everything that a browser would fetch, or run."""
    soup = BeautifulSoup(html, features="html.parser")
    sources = [str(tag.get("src") or tag.get("srcset") or tag.get("data")) for tag in soup.find_all(src=True)]
    links = [str(tag["href"]) for tag in soup.find_all("link", href=True)]
    styles = re.findall(r"url\(([^)]*)\)|@import", html)
    return [found for found in [*sources, *links, *styles] if not found.startswith("data:")] + soup.find_all("script")


def output(data: dict[str, object], kind: str = "display_data") -> nbformat.NotebookNode:
    return v4.new_output(kind, data=data)


def cell(*outputs: nbformat.NotebookNode, source: str = "source_code()") -> nbformat.NotebookNode:
    return v4.new_code_cell(source, outputs=list(outputs))


def body(*cells: nbformat.NotebookNode, folder: Path = Path()) -> str:
    return fragment(v4.new_notebook(cells=list(cells)), folder, {"01_first", "02_second"})


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[site.Site, Path]:
    """A site of three made-up notebooks, the second of which fails."""
    base = tmp_path_factory.mktemp("course")
    folder = base / "notebooks"
    first = "# First *steps*\n\n**The question:** is it worth it?\n\nThen [the second](02_second.ipynb)."
    lesson(folder / "01_first.ipynb", first, PANEL, "print(profile, attended, out)", parameters=True)
    lesson(
        folder / "02_second.ipynb",
        "# Second",
        "fine = 1",
        "print('before')\nint('no <number>')",
        "print('never' + ' reached')",
    )
    lesson(folder / "03_third.ipynb", "# Third", "6 * 7")
    made = make_site(folder, base / "site", profile="quick", runs=base / "runs", progress=False)
    return made, base / "site"


class TestSite:
    def test_there_is_a_page_for_each_and_one_for_all(self, executed: tuple[site.Site, Path]) -> None:
        made, out = executed
        assert sorted(path.name for path in out.iterdir()) == [
            "01_first.html",
            "02_second.html",
            "03_third.html",
            "index.html",
        ]
        index = BeautifulSoup(made.index.read_text(encoding="utf-8"), features="html.parser")
        assert [a["href"] for a in index.select("ol a")] == ["01_first.html", "02_second.html", "03_third.html"]
        assert "First steps" in index.text
        assert "Is it worth it?" in index.text
        assert "profile quick" in index.text

    def test_the_notebook_got_the_parameters_that_it_declares(self, executed: tuple[site.Site, Path]) -> None:
        page = (executed[1] / "01_first.html").read_text(encoding="utf-8")
        assert re.search(r"quick False \S+runs", page)

    def test_a_panel_leaves_its_picture_and_no_widget(self, executed: tuple[site.Site, Path]) -> None:
        page = (executed[1] / "01_first.html").read_text(encoding="utf-8")
        assert "what the panel shows" in page
        assert "widget-view" not in page
        assert "widget-state" not in page

    def test_a_failure_is_said_and_the_rest_goes_on(self, executed: tuple[site.Site, Path]) -> None:
        made, out = executed
        said = (
            "02_second.ipynb stopped at code cell 2: ValueError: invalid literal for int() with base 10: 'no <number>'"
        )
        assert made.failures == {"02_second": said}
        for name in ("index.html", "02_second.html"):
            shown = BeautifulSoup((out / name).read_text(encoding="utf-8"), features="html.parser")
            assert said in shown.text
        page = (out / "02_second.html").read_text(encoding="utf-8")
        assert "before" in page
        assert "never reached" not in page
        assert "Traceback" not in page
        assert "papermill" not in page
        assert "42" in (out / "03_third.html").read_text(encoding="utf-8")

    def test_the_pages_are_linked_both_ways(self, executed: tuple[site.Site, Path]) -> None:
        page = BeautifulSoup((executed[1] / "02_second.html").read_text(encoding="utf-8"), features="html.parser")
        links = [a["href"] for a in page.select("nav")[0].find_all("a")]
        assert links == ["01_first.html", "index.html", "03_third.html"]

    def test_nothing_is_loaded_and_the_browser_is_told_so(self, executed: tuple[site.Site, Path]) -> None:
        for path in executed[1].iterdir():
            page = path.read_text(encoding="utf-8")
            assert loaded(page) == [], path.name
            assert "default-src 'none'" in page
            assert 'name="viewport"' in page

    def test_the_check_above_can_fail(self) -> None:
        assert len(loaded('<script src="https:&#47;&#47;x"></script><img src="a.png"><link href="b.css">')) == 4

    def test_code_is_folded(self, executed: tuple[site.Site, Path]) -> None:
        page = BeautifulSoup((executed[1] / "03_third.html").read_text(encoding="utf-8"), features="html.parser")
        (folded,) = page.select("details.code")
        assert "6 * 7" in folded.text
        assert "open" not in folded.attrs


def test_the_command_names_what_failed_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First", "import os", "os._exit(3)")
    assert cli.main(["course", "--quiet", "--profile", "quick"]) == 1
    said = capsys.readouterr()
    assert "error: 01_first.ipynb stopped at code cell 2: Kernel died" in said.err
    assert said.out.strip() == str(Path("runs/course/index.html"))


def test_without_executing_pages_say_that_they_have_no_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First", "1 + 1")
    lesson(tmp_path / "notebooks" / "02_second.ipynb", "# Second", cell(output({"text/plain": "2"})))
    out = tmp_path / "site"
    assert cli.main(["course", str(tmp_path / "notebooks"), "--no-execute", "--html", str(out)]) == 0
    assert "was not executed" in (out / "01_first.html").read_text(encoding="utf-8")
    assert "was not executed" not in (out / "02_second.html").read_text(encoding="utf-8")
    assert "Executed on" not in (out / "index.html").read_text(encoding="utf-8")


class TestFolder:
    def test_a_site_is_made_anew_and_old_parts_go(self, tmp_path: Path) -> None:
        old = lesson(tmp_path / "notebooks" / "02_old.ipynb", "# Old")
        lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First")
        out = tmp_path / "site"
        make_site(tmp_path / "notebooks", out, executing=False)
        old.unlink()
        (out / "mine.html").write_text("a page of somebody else", encoding="utf-8")
        make_site(tmp_path / "notebooks", out, executing=False)
        assert sorted(path.name for path in out.iterdir()) == ["01_first.html", "index.html", "mine.html"]

    @pytest.mark.parametrize("name", ["thesis.txt", "index.html"])
    def test_a_folder_with_other_things_is_refused_and_left_alone(
        self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First")
        out = tmp_path / "out"
        out.mkdir()
        (out / name).write_text("mine", encoding="utf-8")
        assert cli.main(["course", str(tmp_path / "notebooks"), "--no-execute", "--html", str(out)]) == 2
        assert "something else" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == [name]
        assert (out / name).read_text(encoding="utf-8") == "mine"

    def test_an_empty_folder_is_free_and_a_file_is_not(self, tmp_path: Path) -> None:
        assert is_free(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="is a file"):
            is_free(tmp_path / "file")

    def test_what_stops_it_leaves_the_old_site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First")
        out = tmp_path / "site"
        make_site(tmp_path / "notebooks", out, executing=False)
        before = {path.name: path.read_bytes() for path in out.iterdir()}

        def stopped(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(site, "execute", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_site(tmp_path / "notebooks", out, profile="quick", progress=False)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    @pytest.mark.parametrize(("profile", "word"), [("slow", "quick"), ("", "quick")])
    def test_an_unknown_profile_is_refused_before_anything_runs(self, profile: str, word: str, tmp_path: Path) -> None:
        lesson(tmp_path / "notebooks" / "01_first.ipynb", "# First", "1 / 0")
        with pytest.raises(TuckerlabError, match=word):
            make_site(tmp_path / "notebooks", tmp_path / "site", profile=profile)
        assert not (tmp_path / "site").exists()


class TestFragment:
    @pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
    def test_pictures_have_alternative_text(self, kind: str) -> None:
        html = body(v4.new_markdown_cell("## The <curve>"), cell(output({kind: PIXEL})))
        (image,) = BeautifulSoup(html, features="html.parser").find_all("img")
        assert image["alt"] == "Picture: The <curve>"
        assert image["src"] == f"data:{kind};base64,{PIXEL}"

    def test_a_picture_keeps_the_text_that_it_has(self) -> None:
        described = v4.new_output("display_data", data={"image/png": PIXEL}, metadata={"image/png": {"alt": "a dot"}})
        html = '<img alt="mine" src="data:image/png;base64,AA==">'
        images = BeautifulSoup(body(cell(described), cell(output({"text/html": html}))), features="html.parser")
        assert [image["alt"] for image in images.find_all("img")] == ["a dot", "mine"]

    def test_a_widget_without_a_picture_is_a_note_and_a_progress_bar_is_nothing(self) -> None:
        view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
        slider = output({**view, "text/plain": "IntSlider(value=0)"})
        bar = output({**view, "text/plain": "  0%|          | 0/9 [00:00<?, ?it/s]"})
        html = body(cell(slider), cell(bar))
        assert "IntSlider" not in html
        assert "0/9" not in html
        assert html.count("needs a running notebook") == 1

    def test_scripts_and_warnings_go(self) -> None:
        script = output({"text/html": "<p>kept</p><script>alert(1)</script><iframe src='x'></iframe>"})
        warning = v4.new_output("stream", name="stderr", text="DeprecationWarning")
        alone = output({"application/javascript": "alert(2)"})
        html = body(cell(script, warning, alone))
        assert "kept" in html
        assert not re.search("alert|iframe|Deprecation", html)

    def test_pictures_of_the_folder_come_along_and_others_become_their_text(self, tmp_path: Path) -> None:
        (tmp_path / "dot.png").write_bytes(b"dot")
        (tmp_path / "secret.txt").write_bytes(b"secret")
        net = "https:" + "//example.org/x.png"
        text = f"![here](dot.png) ![gone](gone.png) ![net]({net}) ![text](secret.txt)"
        html = body(v4.new_markdown_cell(text), folder=tmp_path)
        assert 'src="data:image/png;base64,ZG90"' in html
        assert loaded(html) == []
        for word in ("gone", "net", "text"):
            assert word in BeautifulSoup(html, features="html.parser").text

    def test_links_go_to_pages_or_into_the_world_or_nowhere(self) -> None:
        text = (
            "[a](02_second.ipynb#part) [b](99_other.ipynb) [c](../setup.py) [d](https:" + "//arxiv.org/abs/1) [e](#f)"
        )
        links = BeautifulSoup(body(v4.new_markdown_cell(text)), features="html.parser").find_all("a")
        assert [(a.text, a["href"]) for a in links] == [
            ("a", "02_second.html#part"),
            ("d", "https:" + "//arxiv.org/abs/1"),
            ("e", "#f"),
        ]


def test_titles_are_escaped(tmp_path: Path) -> None:
    (part,) = parts(lesson(tmp_path / "01_a.ipynb", "# A <script> & more").parent)
    page = part_page(part, "", None, None, ["<b>"])
    assert "<script>" not in page
    assert "&lt;b&gt;" in page
    assert GENERATOR in page


@pytest.mark.parametrize("content", ["not json", "[]", '{"cells": 3}'])
def test_a_damaged_notebook_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "01_bad.ipynb").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"01_bad\.ipynb"):
        parts(tmp_path)
