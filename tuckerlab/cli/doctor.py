"""Is everything here that a run needs, and if not, which command mends it? (`tuckerlab doctor`)

>>> Finding("cifar10", "not found", "note", mend="set TUCKERLAB_DATA").is_problem
False

`examine` looks and returns findings; `show` prints them. Only what a run cannot do without is a problem.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = (3, 11)

Lookup = Callable[[str], str | None]
"""From the name of a package (a program) to the version that is installed (its path), or None."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, and what to do about it."""

    what: str
    found: str
    state: Literal["ok", "note", "problem"] = "ok"
    mend: str = ""

    @property
    def is_problem(self) -> bool:
        """True for what nothing works without."""
        return self.state == "problem"


def examine(roots: Sequence[Path] | None = None) -> list[Finding]:
    """Look at this machine and this installation; `roots` are the data folders (None: those of `data_roots`).

    >>> [finding.what for finding in examine()][:3]
    ['Python', 'system', 'cores']
    """
    torch_missing = installed_version("torch") is None
    return [
        python_version(sys.version_info[:3]),
        Finding("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        cores(),
        memory(),
        *packages(declared_requirements(), installed_version),
        *([] if torch_missing else [device()]),
        *pins(pinned_versions(CHECKOUT / "constraints.txt"), installed_version),
        *([] if torch_missing else data_sets(roots)),
        app(installed_version),
        browser(shutil.which),
    ]


def python_version(version: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough.

    >>> python_version((3, 9, 1)).mend
    'install Python 3.11 or later'
    """
    found = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Finding("Python", found)
    return Finding("Python", found, "problem", f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or later")


def cores() -> Finding:
    """How many cores this process may use (containers often allow fewer than there are)."""
    everywhere = os.cpu_count() or 1
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else everywhere
    return Finding("cores", f"{here}" if here == everywhere else f"{here} of {everywhere}")


def memory() -> Finding:
    """Main memory: all of it and what is free now."""
    if installed_version("psutil") is None:
        return Finding("memory", "unknown without psutil", "note")
    import psutil

    now = psutil.virtual_memory()
    return Finding("memory", f"{now.total / 2**30:.1f} GiB, {now.available / 2**30:.1f} GiB of it free")


def device() -> Finding:
    """What torch computes on, and with how many threads."""
    import torch

    if torch.cuda.is_available():
        name, free = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
        return Finding("device", f"{name} (CUDA {torch.version.cuda}), {free / 2**30:.1f} GiB free")
    if torch.backends.mps.is_available():
        return Finding("device", "Apple GPU (MPS)")
    return Finding("device", f"CPU with {torch.get_num_threads()} threads; no GPU that torch can use")


def packages(requirements: Sequence[str], version_of: Lookup) -> list[Finding]:
    """The packages that `requirements` (as in package metadata) ask for: each that a run needs, each extra.

    >>> for finding in packages(["torch>=2.11", 'papermill; extra == "notebooks"'], {"torch": "2.3"}.get):
    ...     print(finding.what, "|", finding.found, "|", finding.state)
    torch | 2.3, but >=2.11 is needed | problem
    extra notebooks | papermill missing | note
    """
    from packaging.requirements import Requirement

    if not requirements:
        return [Finding("tuckerlab", "not installed, only lying here", "problem", pip_command())]
    findings = []
    missing: dict[str, list[str]] = {}
    for requirement in map(Requirement, requirements):
        version = version_of(requirement.name)
        if extra := _extra(str(requirement.marker)):
            missing.setdefault(extra, [])
            if version is None and requirement.marker and requirement.marker.evaluate({"extra": extra}):
                missing[extra].append(requirement.name)
        elif requirement.marker and not requirement.marker.evaluate():
            continue  # needed on other systems
        elif version is None:
            findings.append(Finding(requirement.name, "missing", "problem", pip_command()))
        elif not requirement.specifier.contains(version, prereleases=True):
            found = f"{version}, but {requirement.specifier} is needed"
            findings.append(Finding(requirement.name, found, "problem", pip_command()))
        else:
            findings.append(Finding(requirement.name, version))
    for extra, names in missing.items():
        if names:
            found = f"{', '.join(names)} missing"
            findings.append(Finding(f"extra {extra}", found, "note", pip_command(extra)))
        else:
            findings.append(Finding(f"extra {extra}", "complete"))
    return findings


def pins(pinned: Mapping[str, str], version_of: Lookup) -> list[Finding]:
    """Which installed versions differ from the ones that the project is tested with.

    >>> pins({"numpy": "2.4.6", "torch": "2.13.0"}, {"numpy": "2.3.0", "torch": "2.13.0+cpu"}.get)[0].found
    'numpy 2.3.0 (tested with 2.4.6)'
    """
    if not pinned:
        return []  # installed without the checkout: nothing to compare with
    different = [
        f"{name} {version} (tested with {pin})"
        for name, pin in pinned.items()
        if (version := version_of(name)) and version.split("+")[0] != pin
    ]
    if not different:
        return [Finding("versions", "those that the project is tested with")]
    every_extra = ",".join(_extras(declared_requirements()))
    return [Finding("versions", ", ".join(different), "note", pip_command(every_extra))]


def data_sets(roots: Sequence[Path] | None = None) -> list[Finding]:
    """Which data sets are here. Only digits comes with the installation, so nothing else is a problem."""
    if roots is None:
        from tuckerlab.data import data_roots

        roots = list(data_roots())
    places = [Path(root) / "cifar10" for root in roots]
    digits = Finding("data: digits", "comes with scikit-learn")
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return [digits, Finding("data: cifar10", str(place))]
    looked = ", ".join(map(str, places))
    mend = "put it there or set TUCKERLAB_DATA to the folder that has cifar10/ in it (see data/README.md)"
    return [digits, Finding("data: cifar10", f"not found; looked for {looked}", "note", mend)]


def app(version_of: Lookup) -> Finding:
    """Whether `tuckerlab app` can run."""
    if version := version_of("voila"):
        return Finding("app", f"voila {version}")
    return Finding("app", "voila missing", "note", pip_command("notebooks"))


def browser(which: Lookup) -> Finding:
    """Where the browser is that prints a brief as PDF, and that our tests drive; nothing else needs it.

    >>> browser({"chromium": "/usr/bin/chromium"}.get).found
    '/usr/bin/chromium'
    """
    from tuckerlab.decision.pdf import installed_browser

    if found := installed_browser(which):
        return Finding("browser", found)
    without = "no Chromium, Chrome or Edge; a brief is written as .html alone, and tests that need one are skipped"
    return Finding("browser", without, "note")


def pip_command(extra: str = "") -> str:
    """The command that installs what is missing, with the tested versions where the checkout is at hand."""
    extras = f"[{extra}]" if extra else ""
    if (CHECKOUT / "constraints.txt").is_file() and (CHECKOUT / "pyproject.toml").is_file():
        return f'pip install -c constraints.txt -e ".{extras}"  (in {CHECKOUT})'
    return f'pip install "tuckerlab{extras}"'


def installed_version(name: str) -> str | None:
    """The installed version of a package, without importing it; None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def declared_requirements() -> list[str]:
    """What the installed tuckerlab says that it needs; empty where it is not installed."""
    try:
        return metadata.requires("tuckerlab") or []
    except metadata.PackageNotFoundError:
        return []


def pinned_versions(constraints: Path) -> dict[str, str]:
    """The `name==version` lines of a constraints file; empty where there is none."""
    if not constraints.is_file():
        return {}
    lines = constraints.read_text(encoding="utf-8").splitlines()
    return dict(line.strip().split("==") for line in lines if "==" in line and not line.startswith("#"))


def show(findings: Iterable[Finding]) -> None:
    """Print a table, and under it what mends each thing that is not in order."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    console, table = Console(), Table("", "found", "", box=None, pad_edge=False)
    mends: dict[str, list[str]] = {}
    for finding in findings:
        table.add_row(finding.what, Text(finding.found), Text(finding.state, colours[finding.state]))
        if finding.mend:
            mends.setdefault(finding.mend, []).append(finding.what)
    console.print(table)
    for mend, whats in mends.items():
        console.print(f"\n{', '.join(whats)}:\n  {mend}", markup=False, highlight=False, soft_wrap=True)


def _extra(marker: str) -> str:
    found = re.search(r"""extra == ["']([^"']+)["']""", marker)
    return found.group(1) if found else ""


def _extras(requirements: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, map(_extra, requirements))))
