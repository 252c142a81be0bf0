"""The course: its notebooks in order, and the commands that open it or write it as web pages.

A cell with the tag `lab` is for JupyterLab alone; one with the tag `engineer` is left out of the app.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote

import typer

from tuckerlab.cli.doctor import CHECKOUT
from tuckerlab.errors import DataError
from tuckerlab.i18n import ENGLISH, language, languages

FIRST = "01_start_here.ipynb"
QUESTION = r"^(?:The question|この章の問い)[:：] ?(.)(.+?)(\n\n|\Z)"  # at the head of each notebook
SETTINGS = Path(__file__).parent / "templates" / "lab"  # JupyterLab asks nobody for news, nor the reader whether it may

Folder = Annotated[Path | None, typer.Argument(help="The folder with the notebooks. [default: notebooks]")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, metavar="<int>", help="The port to listen on.")]
Out = Annotated[Path, typer.Option(help="The folder for the pages.")]
Profile = Annotated[
    str,
    typer.Option(help="recorded (trains nothing), quick (small networks), laptop (minutes), gpu, or auto: what fits."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


class Part(NamedTuple):
    """A notebook of the course: its file, its title, and the question that it answers."""

    path: Path
    title: str
    question: str

    def address(self, pattern: str) -> str:
        """Where its page is, such as in "{}.html"."""
        return pattern.format(quote(self.path.stem))


def open_lab(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course in JupyterLab."""
    found = in_language(find_folder(folder))
    from jupyterlab.labapp import main as jupyterlab

    arguments = [f"--ServerApp.root_dir={found}", f"--LabApp.app_settings_dir={SETTINGS}"]
    arguments += [f"--LabApp.default_url=/lab/tree/{FIRST}"] if (found / FIRST).is_file() else []
    arguments += [] if browser else ["--no-browser"]
    arguments += [f"--ServerApp.port={port}"] if port else []
    arguments += ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # all there is in some containers
    jupyterlab(arguments)


def open_app(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course as an app: sliders and pictures, no code. This machine alone can see it; Ctrl-C ends it."""
    found = find_folder(folder)
    courses = {found.name if found.name in languages() else ENGLISH: read_course(found)}
    courses |= {spoken: read_course(found / spoken) for spoken in languages() if (found / spoken).is_dir()}
    from tuckerlab.cli.course_server import serve

    serve(courses, port=port, browser=browser)


def write_course(
    folder: Folder = None, html: Out = Path("runs/course"), profile: Profile = "recorded", quiet: Quiet = False
) -> int:
    """Execute the course and write it as web pages that can be mailed: one folder, nothing from the net.

    The exit code is 1 where a notebook failed.
    """
    course = read_course(in_language(find_folder(folder)))
    from tuckerlab.cli.html_site import write_site

    problems = write_site(course, html, profile=profile, quiet=quiet)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(html / "index.html")
    return int(bool(problems))


def find_folder(folder: Path | None) -> Path:
    """The folder with the notebooks: the one given, or `notebooks` here or in the checkout. DataError without one."""
    places = [folder] if folder else [Path("notebooks"), CHECKOUT / "notebooks"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"no folder {' or '.join(map(str, places))}: give the one that holds the notebooks")
    return found.resolve()


def in_language(folder: Path) -> Path:
    """The folder of the notebooks in the language that is spoken: other languages have their own, such as `ja`."""
    return own if (own := folder / language()).is_dir() else folder


def read_course(folder: Path) -> list[Part]:
    """The notebooks of a folder in order. Raises DataError where there is none, or for one that cannot be read."""
    course = [_read(path) for path in sorted(folder.glob("*.ipynb"))]
    if not course:
        raise DataError(f"{folder}: there is no notebook in it (a file that ends in .ipynb)")
    return course


def _read(path: Path) -> Part:
    """A notebook whose first cell begins with a heading, and goes on with **The question:** and a paragraph."""
    try:
        text = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]).replace("*", "")
    except (ValueError, LookupError, TypeError):
        raise DataError(f"{path}: is not a notebook, or a damaged one") from None
    title, question = re.match(r"# (.+)", text), re.search(QUESTION, text, re.M | re.S)
    return Part(path, title[1] if title else path.stem, question[1].upper() + question[2] if question else "")
