"""The course: its notebooks in order, and the commands that open it or write it as web pages.

>>> local_links("[a](01.ipynb), [b](04.ipynb#x), [c](../c.py), [d](#d), ![e](e.png)", {"01.ipynb": "01.html"})
'[a](01.html), b, c, [d](#d), ![e](e.png)'
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli import doctor
from tuckerlab.errors import DataError, MissingExtraError

FIRST = "01_start_here.ipynb"
FOR_ENGINEERS = "04_"  # how the names of notebooks begin that show code and formulas; the app leaves them out

Folder = Annotated[Path | None, typer.Argument(help="The folder with the notebooks. [default: notebooks]")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, metavar="<int>", help="The port to listen on.")]
Out = Annotated[Path, typer.Option(help="The folder for the pages.")]
Profile = Annotated[str, typer.Option(help="quick (seconds a notebook), laptop (minutes), gpu, or auto: what fits.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


@dataclass(frozen=True)
class Notebook:
    """One notebook of the course: its file, its title, and the question that it answers."""

    path: Path
    title: str
    question: str


def open_lab(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course in JupyterLab."""
    found = find_folder(folder, needs="jupyterlab")
    from jupyterlab.labapp import main as jupyterlab

    jupyterlab(lab_arguments(found, browser=browser, port=port))


def open_app(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course as an app: sliders and pictures, no code. This machine alone can see it; Ctrl-C ends it."""
    course = read_course(find_folder(folder, needs="voila"))
    from tuckerlab.cli.course_server import serve

    shown = [part for part in course if not part.path.name.startswith(FOR_ENGINEERS)]
    serve(shown or course, port=port, browser=browser)


def write_course(
    folder: Folder = None, html: Out = Path("runs/course"), profile: Profile = "auto", quiet: Quiet = False
) -> int:
    """Execute the course and write it as web pages that can be mailed: one folder, nothing from the net.

    The exit code is 1 where a notebook failed.
    """
    course = read_course(find_folder(folder, needs="nbconvert"))
    from tuckerlab.cli.html_site import write_site

    failures = write_site(course, html, profile=profile, quiet=quiet)
    for failure in failures.values():
        print(f"error: {failure}", file=sys.stderr)
    print(html / "index.html")
    return int(bool(failures))


def find_folder(folder: Path | None, *, needs: str) -> Path:
    """The folder with the notebooks: the one given, or `notebooks` here or in the checkout.

    Raises DataError without one, MissingExtraError where the package is missing that opens it.
    """
    places = [folder] if folder else [Path("notebooks"), doctor.CHECKOUT / "notebooks"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"no folder {' or '.join(map(str, places))}: give the one that holds the notebooks")
    if doctor.installed_version(needs) is None:
        raise MissingExtraError(f"{needs} is not installed: {doctor.pip_command('notebooks')}")
    return found.resolve()


def read_course(folder: Path) -> list[Notebook]:
    """The notebooks of a folder in order. Raises DataError where there is none, or for one that cannot be read."""
    found = [_read(path) for path in sorted(folder.glob("*.ipynb"))]
    if not found:
        raise DataError(f"{folder}: there is no notebook in it (a file that ends in .ipynb)")
    return found


def local_links(markdown: str, addresses: Mapping[str, str]) -> str:
    """A text whose links to files go to the addresses of these; a link to any other file becomes only its words."""

    def moved(link: re.Match[str]) -> str:
        file, _, anchor = link[2].partition("#")
        if not file or re.match(r"https?:|mailto:", file):
            return link[0]
        return f"[{link[1]}]({addresses[file]}{'#' + anchor if anchor else ''})" if file in addresses else link[1]

    return re.sub(r"(?<!!)\[([^\[\]]*)\]\(([^()\s]*)\)", moved, markdown)


def without_lab(markdown: str, *, kernel: bool = True) -> str:
    """A text without what to press in JupyterLab; kernel=False: nor what to move then.

    >>> without_lab("In JupyterLab choose *Run → Run All Cells* first. Then move the sliders.")
    'Move the sliders.'
    """
    pattern = r"(?:In JupyterLab choose|Choose) \*Run → Run All Cells\*(?: first)?\.(?:\s+Then (\w)([^.]*\.))?"
    return re.sub(pattern, lambda said: (said[1].upper() + said[2]) if said[1] and kernel else "", markdown)


def lab_arguments(folder: Path, *, browser: bool, port: int | None) -> list[str]:
    """What JupyterLab is told: to begin with the first notebook, or with the folder where it is not in it.

    It asks nobody for news of its own, nor the reader whether it may.
    """
    settings = Path(__file__).parent / "templates/lab"
    arguments = [f"--ServerApp.root_dir={folder}", f"--LabApp.app_settings_dir={settings}"]
    arguments += [f"--LabApp.default_url=/lab/tree/{FIRST}"] if (folder / FIRST).is_file() else []
    arguments += [] if browser else ["--no-browser"]
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    arguments += ["--allow-root"] if is_root else []  # in containers there is often no other user
    return arguments + ([] if port is None else [f"--ServerApp.port={port}"])


def _read(path: Path) -> Notebook:
    """A notebook whose first cell begins with a heading, and goes on with **The question:** and a paragraph."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        first = next(("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"), "")
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: is not a notebook, or a damaged one") from None
    title = re.search(r"^#+\s+(.+)$", first, re.MULTILINE)
    question = re.search(r"^\*\*The question:\*\*\s*(.+?)(?:\n\s*\n|\Z)", first, re.MULTILINE | re.DOTALL)
    return Notebook(path, _plain(title[1]) if title else path.stem, _plain(question[1]) if question else "")


def _plain(markdown: str) -> str:
    words = " ".join(re.sub(r"[*`]", "", markdown).split())
    return words[:1].upper() + words[1:]
