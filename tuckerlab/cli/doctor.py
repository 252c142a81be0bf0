"""Is everything here that a run needs, and if not, which command mends it? (`tuckerlab doctor`)"""

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import typer

from tuckerlab import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
OK, NOTE, PROBLEM = "ok", "note", "problem"  # only a problem keeps runs from working


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do about it."""

    what: str
    found: str
    state: str = OK
    mend: str = ""


def doctor() -> None:
    """Check this installation, and say how to mend what is missing."""
    code = 0
    for what, found, state, mend in examine():
        print(f"{state:8}{what}: {found}")
        if mend:
            print(f"        {mend}")
        code |= state == PROBLEM
    raise typer.Exit(code)


def examine() -> Iterator[Finding]:
    """Look at this machine and this installation."""
    yield Finding("tuckerlab", f"{__version__} in Python {platform.python_version()}, {platform.platform()}")
    yield from packages()
    if not all(map(installed_version, ("torch", "psutil"))):
        return
    import psutil

    from tuckerlab.decision.pdf import installed_browser
    from tuckerlab.training.machine import provenance, resolve_device

    told, free = provenance(resolve_device("auto")), psutil.virtual_memory().available / 2**30
    yield Finding("device", f"{told['device']}, {told['threads']} threads, {free:.1f} GiB free; torch {told['torch']}")
    yield data_set()
    browser = installed_browser()
    without = Finding("browser", "no Chromium, Chrome or Edge: a brief is written as .html alone", NOTE)
    yield Finding("browser", browser) if browser else without


def packages() -> Iterator[Finding]:
    """What is missing or too old of the packages that every run needs, and of those of each extra."""
    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in metadata.requires("tuckerlab") or []]
    for extra in ["", *(metadata.metadata("tuckerlab").get_all("Provides-Extra") or [])]:
        what, state = (f"extra {extra}", NOTE) if extra else ("packages", PROBLEM)
        lacking = []
        for needed in asked:
            version = installed_version(needed.name)
            is_asked = needed.marker.evaluate({"extra": extra}) if needed.marker else not extra
            if is_asked and (version is None or version not in needed.specifier):
                lacking.append(f"{needed.name}{needed.specifier}")
        said = f"missing or too old: {', '.join(lacking)}"
        yield Finding(what, said, state, pip_command(extra)) if lacking else Finding(what, "complete")


def data_set() -> Finding:
    """Where CIFAR-10 is, if it is; the other data sets come with packages."""
    from tuckerlab.data import data_roots

    places = [str(root / "cifar10") for root in data_roots()]
    found = [place for place in places if any(Path(place).glob("*"))]
    mend = "put it there or set TUCKERLAB_DATA to the folder that has cifar10/ in it (see data/README.md)"
    missing = Finding("data: cifar10", f"not found; looked for {', '.join(places)}", NOTE, mend)
    return Finding("data: cifar10", found[0]) if found else missing


def pip_command(extra: str = "") -> str:
    """The command that installs what is missing, with the tested versions where the checkout is at hand."""
    extras = f"[{extra}]" if extra else ""
    if (CHECKOUT / "constraints.txt").is_file():
        return f'pip install -c constraints.txt -e ".{extras}"  (in {CHECKOUT})'
    return f'pip install "tuckerlab{extras}"'


def installed_version(name: str) -> str | None:
    """The installed version of a package, without importing it; None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
