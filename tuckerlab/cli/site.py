"""The course as a folder of web pages that can be mailed: executed, each panel as a picture, nothing from the net.

>>> is_free(Path("no/such/folder"))
True

    make_site(Path("notebooks"), Path("runs/course"), profile="quick")

leaves `index.html` and one page for each notebook. A page is made of the executed notebook: widgets need a kernel, so
of a panel its picture stays (the `text/html` that each puts beside its widgets); code is folded.
"""

import datetime
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tuckerlab.cli.course import Part, parts
from tuckerlab.cli.execute_notebook import execute
from tuckerlab.cli.fragment import fragment, has_outputs, where_it_stopped
from tuckerlab.cli.notebook_helpers import profile_settings
from tuckerlab.cli.pages import GENERATOR, index_page, part_page
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import text


@dataclass(frozen=True)
class Site:
    """Where the pages lie, and by name of the notebook what went wrong."""

    index: Path
    failures: dict[str, str] = field(default_factory=dict)


def make_site(
    folder: Path,
    out: Path,
    *,
    profile: str = "auto",
    executing: bool = True,
    runs: Path = Path("runs"),
    progress: bool = True,
) -> Site:
    """Execute the notebooks of a folder and write them to `out` as pages.

    A notebook that fails is shown as far as it came, and the others go on. Nothing is written before all are done, so
    whatever stops this leaves an older site as it was. Raises TuckerlabError for a folder `out` with other things in it
    and for a profile that does not exist, DataError where there are no notebooks.
    """
    course = parts(folder)
    profile_settings(profile)
    if not is_free(out):
        raise TuckerlabError(f"{out}: there is something else in this folder: give an empty one, or one made by this")
    failures: dict[str, str] = {}
    notebooks: list[Any] = []
    with tempfile.TemporaryDirectory() as scratch:

        def work(part: Part) -> None:
            source = part.path
            if executing:
                parameters = {"profile": profile, "out": str(runs.resolve()), "attended": False}
                source, failure = _execute(part, Path(scratch), parameters)
                failures.update({part.name: failure} if failure else {})
            notebooks.append(nbformat.read(source, as_version=4))  # type: ignore[no-untyped-call]

        _with_progress(course, work, shown=progress and executing)
    foot = text("site.made", date=datetime.date.today().isoformat(), profile=profile) if executing else ""
    _write(out, _pages(course, notebooks, failures, executing, foot))
    return Site(out / "index.html", failures)


def is_free(out: Path) -> bool:
    """Whether pages can be written to a folder: it is not there, or empty, or has pages of an earlier call."""
    if not out.exists():
        return True
    if not out.is_dir():
        raise DataError(f"{out}: is a file: give a folder")
    index = out / "index.html"
    return not any(out.iterdir()) or (index.is_file() and _is_ours(index))


def _execute(part: Part, scratch: Path, parameters: dict[str, Any]) -> tuple[Path, str]:
    """Where the executed notebook lies, and what went wrong, if anything did."""
    target, name = scratch / part.path.name, part.path.name
    try:
        done = execute(part.path, scratch, **_declared(part.path, parameters))
    except Exception as error:  # whatever it is, the other notebooks are worth showing
        said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        if not target.is_file():
            return part.path, text("site.not_started", name=name, said=said)
        return target, text("site.failed", name=name, cell=where_it_stopped(target), said=said)
    errors = done.widget_errors
    return done.path, text("site.widget_failed", name=name, said=errors[0]) if errors else ""


def _declared(path: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of the parameters that a notebook declares."""
    import papermill

    declared = papermill.inspect_notebook(path)
    return {name: value for name, value in parameters.items() if name in declared}


def _pages(
    course: list[Part], notebooks: list[Any], failures: dict[str, str], executing: bool, foot: str
) -> dict[str, str]:
    """Names and contents of the pages; the list comes first."""
    links = [f"{part.name}.html" for part in course]
    pages = {"index.html": index_page(course, links, text("site.intro"), failures, foot)}
    for before, part, notebook, after in zip([None, *course], course, notebooks, [*course[1:], None], strict=False):
        notes = [failures[part.name]] if part.name in failures else []
        if not executing and not has_outputs(notebook):
            notes.append(text("site.no_outputs"))
        body = fragment(notebook, part.path.parent, {part.name for part in course})
        pages[f"{part.name}.html"] = part_page(part, body, before, after, notes, foot)
    return pages


def _write(out: Path, pages: dict[str, str]) -> None:
    """Each page is there whole or as it was; pages of an earlier call that are no longer of the course go."""
    for name, page in pages.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(page, encoding="utf-8")
    for path in out.glob("*.html"):
        if path.name not in pages and _is_ours(path):
            path.unlink()


def _is_ours(page: Path) -> bool:
    return GENERATOR in page.read_text(encoding="utf-8", errors="replace")[:2000]


def _with_progress(course: list[Part], work: Callable[[Part], None], *, shown: bool) -> None:
    console = Console(stderr=True, quiet=not shown)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        for number, part in enumerate(course, start=1):
            said = text("site.progress", number=number, of=len(course), name=part.name)
            task, start = bar.add_task(said, total=None), time.monotonic()
            work(part)
            bar.remove_task(task)
            console.print(text("site.progress_done", said=said, seconds=time.monotonic() - start), highlight=False)
