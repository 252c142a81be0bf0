"""The commands that show the course: in JupyterLab, as an app without code, as web pages to be mailed.

>>> lab_arguments(Path("/no/such/folder"), browser=True, port=9999)[0]
'--ServerApp.root_dir=/no/such/folder'

The signatures are those of the command line.
"""

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli import doctor
from tuckerlab.cli.course import FIRST, find_folder, parts
from tuckerlab.errors import DataError, MissingExtraError, TuckerlabError

ADDRESS = "127.0.0.1"  # this machine alone

Folder = Annotated[Path | None, typer.Argument(help="The folder with the notebooks. [default: notebooks]")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, metavar="<int>", help="The port to listen on.")]
Out = Annotated[Path | None, typer.Option(help="The folder for the pages. [default: runs/course]")]
Profile = Annotated[str, typer.Option(help="quick (seconds a notebook), laptop (minutes), gpu, or auto: what fits.")]
Executing = Annotated[
    bool, typer.Option("--execute/--no-execute", help="Execute the notebooks first, or show them as they lie.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def open_lab(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course in JupyterLab."""
    found = find_folder(folder)
    _need("jupyterlab", "JupyterLab")
    from jupyterlab.labapp import main as jupyterlab

    jupyterlab(lab_arguments(found, browser=browser, port=port))


def is_root() -> bool:
    """Whether this is the user that Jupyter refuses to serve unless told so."""
    return getattr(os, "geteuid", lambda: 1)() == 0


def lab_arguments(folder: Path, *, browser: bool, port: int | None) -> list[str]:
    """What JupyterLab is told: to begin with the first notebook, or with the folder where it is not in it."""
    arguments = [f"--ServerApp.root_dir={folder}"]
    arguments += [f"--LabApp.default_url=/lab/tree/{FIRST}.ipynb"] if (folder / f"{FIRST}.ipynb").is_file() else []
    arguments += [] if browser else ["--no-browser"]
    arguments += ["--allow-root"] if is_root() else []  # in containers there is often no other user
    return arguments + ([] if port is None else [f"--ServerApp.port={port}"])


def open_app(folder: Folder = None, browser: Browser = True, port: Port = None) -> None:
    """Open the course as an app: sliders and pictures, no code. This machine alone can see it; Ctrl-C ends it."""
    found = find_folder(folder)
    shown = [part for part in parts(found) if not part.for_engineers]
    if not shown:
        raise DataError(f"{found}: all notebooks in it are for engineers: `tuckerlab lab` opens them")
    _need("voila", "Voilà")
    from tuckerlab.cli.app import run

    run(shown, port=_free_port(port), token=secrets.token_hex(24), browser=browser)


def write_course(
    folder: Folder = None,
    html: Out = None,
    profile: Profile = "auto",
    execute: Executing = True,
    quiet: Quiet = False,
) -> int:
    """Execute the course and write it as web pages that can be mailed: one folder, nothing from the net.

    The exit code is 1 where a notebook failed.
    """
    found = find_folder(folder)
    _need("nbconvert", "nbconvert")
    from tuckerlab.cli.site import make_site

    site = make_site(found, html or Path("runs/course"), profile=profile, executing=execute, progress=not quiet)
    for failure in site.failures.values():
        print(f"error: {failure}", file=sys.stderr)
    print(site.index)
    return int(bool(site.failures))


def _free_port(wanted: int | None) -> int:
    """The port, if it can be had; without one, any that is free."""
    with socket.socket() as probe:
        try:
            if os.name != "nt":  # one that was left just now counts as free; on Windows one in use would, too
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ADDRESS, wanted or 0))
        except OSError as error:
            raise TuckerlabError(
                f"port {wanted}: cannot be listened on ({error.strerror}): give another, or leave --port out"
            ) from None
        return int(probe.getsockname()[1])


def _need(package: str, name: str) -> None:
    if doctor.installed_version(package) is None:
        raise MissingExtraError(f"{name} is not installed: {doctor.pip_command('notebooks')}")
