"""Is everything here that a run needs, and if not, which command mends it? (`tuckerlab doctor`)

`examine` looks and returns findings; `show` prints them. Only what a run cannot do without is a problem.
"""

import platform
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
OK, NOTE, PROBLEM = "ok", "note", "problem"  # only a problem keeps runs from working


class Finding(NamedTuple):
    """One line of the report: what was looked at, what was found, and what to do about it."""

    what: str
    found: str
    state: str = OK
    mend: str = ""


def examine() -> list[Finding]:
    """Look at this machine and this installation."""
    findings = [Finding("Python", f"{platform.python_version()}, {platform.platform()}"), *packages()]
    if all(map(installed_version, ("torch", "psutil"))):
        findings += [*_memory_and_device(), data_set()]
    return [*findings, _browser()]


def packages() -> list[Finding]:
    """What is missing or too old of the packages that every run needs, and of those of each extra."""
    from packaging.requirements import Requirement

    try:
        extras = metadata.metadata("tuckerlab").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return [Finding("tuckerlab", "not installed, only lying here", PROBLEM, pip_command())]
    left = [Requirement(line) for line in metadata.requires("tuckerlab") or []]
    findings = []
    for extra in ["", *extras]:
        asked = [r for r in left if not r.marker or r.marker.evaluate({"extra": extra})]
        left = [r for r in left if r not in asked]
        what, state = (f"extra {extra}", NOTE) if extra else ("packages", PROBLEM)
        lacking = [f"{r.name}{r.specifier}" for r in asked if not _fits(r)]
        if lacking:
            findings.append(Finding(what, f"missing or too old: {', '.join(lacking)}", state, pip_command(extra)))
        else:
            findings.append(Finding(what, "complete"))
    return findings


def _fits(asked: "Requirement") -> bool:
    version = installed_version(asked.name)
    return version is not None and asked.specifier.contains(version, prereleases=True)


def data_set() -> Finding:
    """Where CIFAR-10 is, if it is; the other data sets come with packages."""
    from tuckerlab.data import data_roots

    places = [root / "cifar10" for root in data_roots()]
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return Finding("data: cifar10", str(place))
    mend = "put it there or set TUCKERLAB_DATA to the folder that has cifar10/ in it (see data/README.md)"
    return Finding("data: cifar10", f"not found; looked for {', '.join(map(str, places))}", NOTE, mend)


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


def show(findings: Sequence[Finding]) -> None:
    """Print a table, and under it what mends each thing that is not in order."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {OK: "green", NOTE: "yellow", PROBLEM: "red"}
    console, table = Console(), Table("", "found", "", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.what, Text(finding.found), Text(finding.state, colours[finding.state]))
    console.print(table)
    for mend in dict.fromkeys(finding.mend for finding in findings if finding.mend):
        what = ", ".join(finding.what for finding in findings if finding.mend == mend)
        console.print(f"\n{what}:\n  {mend}", markup=False, highlight=False, soft_wrap=True)


def _memory_and_device() -> list[Finding]:
    import psutil
    import torch

    memory = psutil.virtual_memory()
    device = f"CPU with {torch.get_num_threads()} threads; no GPU that torch can use"
    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[0] / 2**30:.1f} GiB free"
    elif torch.backends.mps.is_available():
        device = "Apple GPU (MPS)"
    return [
        Finding("memory", f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB of it free"),
        Finding("device", f"{device}; torch {torch.__version__}"),
    ]


def _browser() -> Finding:
    """The browser that prints a brief as PDF, and that the tests drive; nothing else needs it."""
    from tuckerlab.decision.pdf import installed_browser

    without = "no Chromium, Chrome or Edge; a brief is written as .html alone, and tests that need one are skipped"
    found = installed_browser(shutil.which)
    return Finding("browser", found) if found else Finding("browser", without, NOTE)
