"""The course as a folder of web pages that can be mailed: executed, without code, nothing loaded from the net."""

import datetime
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbformat.v4 import new_markdown_cell, new_notebook
from tqdm import tqdm
from traitlets.config import Config

from tuckerlab import __version__
from tuckerlab.cli.course import Part
from tuckerlab.cli.notebook_helpers import execute, profile_settings
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _, day, language

TITLE = N_("Train networks small from the start")
INTRO = N_(
    "The course, part by part, with the question that each answers. These pages show what one run of it gave: where "
    "the text moves a slider, they have some of its places to choose from, or the one where it began."
)
HIDDEN = {"lab", "engineer", "injected-parameters", "papermill-error-cell-tag"}  # tags of cells that no page shows
PAGE = "{}.html"
Links = Sequence[tuple[str, str]]  # each a title and where it leads
OURS = 'content="tuckerlab"'  # in each of our pages


def write_site(
    course: Sequence[Part], out: Path, *, profile: str = "recorded", runs: Path = Path("runs"), quiet: bool = False
) -> list[str]:
    """Execute the notebooks and write them to `out` as pages, all in the end; returns what went wrong."""
    profile_settings(profile)  # refuses one that does not exist
    index = out / "index.html"
    is_ours = index.is_file() and OURS in index.read_text(encoding="utf-8", errors="replace")
    if out.is_dir() and any(out.iterdir()) and not is_ours:
        raise TuckerlabError(f"{out}: there is something else in this folder: give an empty one, or one made by this")
    executed = _(
        "Executed on {date}, profile {profile}, tuckerlab {version}.",
        date=day(str(datetime.date.today())), profile=profile, version=__version__,
    )  # fmt: skip
    pages, problems = {index: index_page(course, PAGE, f"{_(INTRO)} {executed}")}, []
    with tempfile.TemporaryDirectory() as scratch:
        for part in tqdm(course, "notebooks", disable=quiet):
            told = {"profile": profile, "out": str(runs.resolve()), "attended": profile == "recorded"}
            problem = _execute(part.path, Path(scratch), **told)
            notebook: Any = nbformat.read(Path(scratch) / part.path.name, as_version=4)  # type: ignore[no-untyped-call]
            add_links(notebook, course, part, PAGE, "index.html")
            for cell in notebook.cells:
                cell.source = cell.source.replace(".ipynb)", ".html)")
            if problem:
                problems.append(f"{part.path.name}: {problem}")
                notebook.cells[1:1] = _texts(f'<p class="problem" role="alert">{escape(problem)}</p>')
            pages[out / f"{part.path.stem}.html"] = _page(notebook, part.title, part.path.parent)
    out.mkdir(parents=True, exist_ok=True)
    for path, page in pages.items():
        path.write_text(page, encoding="utf-8")
    return problems


def index_page(course: Sequence[Part], address: str, intro: str, others: Links = ()) -> str:
    """The page that lists the parts, each with a link and its question; `others` lead to it in other languages."""
    texts = [bar(_("Languages"), others)] if others else []
    texts.append(f"# {_(TITLE)}\n\n{intro}")
    for part in course:
        number, link = part.path.name.partition("_")[0], part.address(address)
        texts.append(f"## {number} [{escape(part.title)}]({link})\n\n{escape(part.question)}")
    return _page(new_notebook(cells=_texts(*texts)), _(TITLE))  # type: ignore[no-untyped-call]


def add_links(notebook: Any, course: Sequence[Part], part: Part, address: str, start: str, others: Links = ()) -> None:
    """Puts links to the parts around this one above and below its cells, of which those with a hidden tag go.

    `others` lead to the same part in other languages.
    """
    place = course.index(part)
    links = [(f"← {it.title}", it.address(address)) for it in course[max(place - 1, 0) : place]]
    links += [(_("All parts"), start)]
    links += [(f"{it.title} →", it.address(address)) for it in course[place + 1 : place + 2]]
    above, below = _texts(bar(_("Parts of the course"), [*links, *others]), bar(_("Go on"), links))
    shown = [cell for cell in notebook.cells if not HIDDEN & set(cell.metadata.get("tags", ()))]
    notebook.cells = [above, *shown, below]


def bar(said: str, links: Links) -> str:
    """Links beside each other, and what they are for."""
    inside = " · ".join(f'<a href="{link}">{escape(title)}</a>' for title, link in links)
    return f'<nav aria-label="{said}">{inside}</nav>'


def _execute(source: Path, scratch: Path, **parameters: Any) -> str:
    """Leaves the executed notebook in `scratch`; returns what went wrong, if anything did."""
    try:
        errors = execute(source, scratch, **parameters).widget_errors
    except Exception as error:  # whatever it is, the other notebooks are worth showing
        return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"an error inside a widget: {errors[0]}" if errors else ""


def _texts(*markdown: str) -> list[Any]:
    return [new_markdown_cell(text) for text in markdown]  # type: ignore[no-untyped-call]


def _page(notebook: Any, title: str, folder: Path = Path()) -> str:
    """A notebook as a whole page: without code and scripts, pictures inside."""
    config = Config()
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
        language_code=language(),
    )
    notebook.metadata.pop("widgets", None)
    told = {"title": title, "problem": _("This part could not be shown, nor what follows it.")}
    html: str = exporter.from_notebook_node(notebook, {"metadata": {"path": str(folder)}, **told})[0]
    return html
