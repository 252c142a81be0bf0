"""The course as a folder of web pages that can be mailed: executed, without code, nothing loaded from the net.

    write_site(read_course(Path("notebooks")), Path("runs/course"), profile="quick")

leaves `index.html` and one page for each notebook. nbconvert makes a page of an executed notebook; widgets need a
kernel, so of a panel its picture stays (the `text/html` that each puts beside its widgets).
"""

import datetime
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell, new_notebook
from tqdm import tqdm
from traitlets.config import Config

from tuckerlab import __version__
from tuckerlab.cli.course import Notebook, local_links, without_lab
from tuckerlab.cli.execute_notebook import PAPERMILL_CELLS, execute
from tuckerlab.cli.notebook_helpers import profile_settings
from tuckerlab.errors import TuckerlabError

TITLE = "Train networks small from the start"
INTRO = (
    "The course, part by part, with the question that each answers. These pages show what one run of it gave: where "
    "the text moves a slider, they have some of its places to choose from, or the one where it began."
)


def write_site(
    course: Sequence[Notebook], out: Path, *, profile: str = "auto", runs: Path = Path("runs"), quiet: bool = False
) -> dict[str, str]:
    """Execute the notebooks and write them to `out` as pages; returns by name of a notebook what went wrong.

    A notebook that fails is shown as far as it came, and the others go on. Nothing is written before all are done, so
    whatever stops this leaves an older site as it was. Raises TuckerlabError for a folder `out` with other things in it
    and for a profile that does not exist.
    """
    profile_settings(profile)  # refuses one that does not exist
    _check_free(out)
    parameters = {"profile": profile, "out": str(runs.resolve()), "attended": False}
    foot = f"*Executed on {datetime.date.today()}, profile {profile} · tuckerlab {__version__}*"
    links = {notebook.path.name: f"{notebook.path.stem}.html" for notebook in course}
    problems: dict[str, str] = {}
    pages: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for place, notebook in enumerate(tqdm(course, "notebooks", disable=quiet)):
            name, around = notebook.path.name, neighbours(course, place, links, "index.html")
            if problem := _execute(notebook.path, scratch, parameters):
                problems[name] = f"{name}: {problem}"
            content: Any = nbformat.read(Path(scratch) / name, as_version=4)  # type: ignore[no-untyped-call]
            for cell in content.cells:
                if cell.cell_type == "markdown":
                    cell.source = without_lab(local_links(cell.source, links), kernel=False)
            before, after = (f'<nav aria-label="{said}">{around}</nav>' for said in ("Parts of the course", "Go on"))
            content.cells = [*_texts(before, _note(problems.get(name))), *content.cells, *_texts(after, foot)]
            pages[links[name]] = _page(content, notebook.title, notebook.path.parent)
    pages["index.html"] = index_page(course, links, INTRO, foot, problems)
    out.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        (out / name).write_text(page, encoding="utf-8")
    return problems


def index_page(
    course: Sequence[Notebook], links: Mapping[str, str], intro: str, foot: str = "", problems: Mapping[str, str] = {}
) -> str:
    """The page that lists the notebooks, each with a link (by name of its file), its question, and what went wrong."""
    texts = [f"# {TITLE}\n\n{intro}"]
    for notebook in course:
        name = notebook.path.name
        link = f"{name.partition('_')[0]} [{escape(notebook.title)}]({links[name]})"
        texts += [f"## {link}\n\n{escape(notebook.question)}", _note(problems.get(name))]
    return _page(new_notebook(cells=_texts(*texts, foot)), TITLE)  # type: ignore[no-untyped-call]


def _check_free(out: Path) -> None:
    """Pages may go to a folder that is not there, or empty, or has pages of an earlier call."""
    if out.exists() and not out.is_dir():
        raise TuckerlabError(f"{out}: is a file: give a folder")
    index = out / "index.html"
    ours = index.is_file() and 'content="tuckerlab"' in index.read_text(encoding="utf-8", errors="replace")
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise TuckerlabError(f"{out}: there is something else in this folder: give an empty one, or one made by this")


def neighbours(course: Sequence[Notebook], place: int, links: Mapping[str, str], index: str) -> str:
    """Links to the page before, the list, and the page after, as HTML."""
    before = [(links[n.path.name], f"← {n.title}") for n in course[max(place - 1, 0) : place]]
    after = [(links[n.path.name], f"{n.title} →") for n in course[place + 1 : place + 2]]
    there = [*before, (index, "All parts"), *after]
    return " · ".join(f'<a href="{escape(link)}">{escape(title)}</a>' for link, title in there)


def _execute(source: Path, scratch: str, parameters: dict[str, Any]) -> str:
    """Leaves the executed notebook in `scratch`; returns what went wrong, if anything did."""
    try:
        errors = execute(source, scratch, **parameters).widget_errors
    except Exception as error:  # whatever it is, the other notebooks are worth showing
        return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"an error inside a widget: {errors[0]}" if errors else ""


def _note(problem: str | None) -> str:
    return f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""


def _texts(*markdown: str) -> list[Any]:
    return [new_markdown_cell(text) for text in markdown if text]  # type: ignore[no-untyped-call]


def _page(notebook: Any, title: str, folder: Path = Path()) -> str:
    """A notebook as a whole page: without code, scripts, and what only papermill has added; pictures inside."""
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = PAPERMILL_CELLS
    config.NbConvertBase.display_data_priority = [
        "text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain",
    ]  # fmt: skip
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        config=config,
        extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        template_name="course",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        embed_images=True,
    )
    notebook.metadata.pop("widgets", None)
    html: str = exporter.from_notebook_node(notebook, {"metadata": {"path": str(folder)}, "title": title})[0]
    return html
