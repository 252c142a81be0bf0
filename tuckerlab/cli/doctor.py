"""Is everything here that a run needs, and if not, which command mends it? (`tuckerlab doctor`)

`examine` looks and returns findings; `show` prints them. Only what a run cannot do without is a problem.
"""

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, and what to do about it."""

    what: str
    found: str
    state: Literal["ok", "note", "problem"] = "ok"
    mend: str = ""


def examine() -> list[Finding]:
    """Look at this machine and this installation."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()}, {platform.machine()}, {usable} cores"
    findings = [Finding("Python", platform.python_version()), Finding("system", system), *packages(), *versions()]
    if installed_version("psutil"):
        findings.append(_memory())
    if installed_version("torch"):
        findings += [_device(), data_set()]
    return [*findings, _browser()]


def packages() -> list[Finding]:
    """The packages that every run needs, and for each extra which of its packages are missing or too old."""
    from packaging.requirements import Requirement

    try:
        declared = metadata.metadata("tuckerlab")
    except metadata.PackageNotFoundError:
        return [Finding("tuckerlab", "not installed, only lying here", "problem", pip_command())]
    requirements = [Requirement(line) for line in metadata.requires("tuckerlab") or []]
    needed = [r for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})]
    findings = []
    for requirement in needed:
        version = installed_version(requirement.name)
        if version and requirement.specifier.contains(version, prereleases=True):
            findings.append(Finding(requirement.name, version))
        else:
            found = f"{version}, but {requirement.specifier} is needed" if version else "missing"
            findings.append(Finding(requirement.name, found, "problem", pip_command()))
    for extra in declared.get_all("Provides-Extra") or []:
        more = [r for r in requirements if r not in needed and r.marker and r.marker.evaluate({"extra": extra})]
        lacking = [r.name for r in more if not r.specifier.contains(installed_version(r.name) or "0", prereleases=True)]
        if lacking:
            findings.append(Finding(f"extra {extra}", f"missing: {', '.join(lacking)}", "note", pip_command(extra)))
        else:
            findings.append(Finding(f"extra {extra}", "complete"))
    return findings


def versions(constraints: Path = CHECKOUT / "constraints.txt") -> list[Finding]:
    """Which installed versions differ from those that the project is tested with; nothing without the checkout."""
    if not constraints.is_file():
        return []
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pinned = dict(line.strip().split("==") for line in lines if "==" in line and not line.startswith("#"))
    different = [
        f"{name} {version} (tested with {pin})"
        for name, pin in pinned.items()
        if (version := installed_version(name)) and version.split("+")[0] != pin
    ]
    if not different:
        return [Finding("versions", "those that the project is tested with")]
    return [Finding("versions", ", ".join(different), "note", pip_command())]


def data_set(roots: Sequence[Path] | None = None) -> Finding:
    """Where CIFAR-10 is, if it is; digits comes with scikit-learn. `roots`: where to look, else where runs look."""
    if roots is None:
        from tuckerlab.data import data_roots

        roots = list(data_roots())
    places = [Path(root) / "cifar10" for root in roots]
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return Finding("data: cifar10", str(place))
    mend = "put it there or set TUCKERLAB_DATA to the folder that has cifar10/ in it (see data/README.md)"
    return Finding("data: cifar10", f"not found; looked for {', '.join(map(str, places))}", "note", mend)


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

    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    console, table = Console(), Table("", "found", "", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.what, Text(finding.found), Text(finding.state, colours[finding.state]))
    console.print(table)
    for mend in dict.fromkeys(finding.mend for finding in findings if finding.mend):
        what = ", ".join(finding.what for finding in findings if finding.mend == mend)
        console.print(f"\n{what}:\n  {mend}", markup=False, highlight=False, soft_wrap=True)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    return Finding("memory", f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB of it free")


def _device() -> Finding:
    """What torch computes on, and with how many threads."""
    import torch

    if torch.cuda.is_available():
        name, free = torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
        return Finding("device", f"{name} (CUDA {torch.version.cuda}), {free / 2**30:.1f} GiB free")
    if torch.backends.mps.is_available():
        return Finding("device", "Apple GPU (MPS)")
    return Finding("device", f"CPU with {torch.get_num_threads()} threads; no GPU that torch can use")


def _browser() -> Finding:
    """The browser that prints a brief as PDF, and that the tests drive; nothing else needs it."""
    from tuckerlab.decision.pdf import installed_browser

    without = "no Chromium, Chrome or Edge; a brief is written as .html alone, and tests that need one are skipped"
    found = installed_browser(shutil.which)
    return Finding("browser", found) if found else Finding("browser", without, "note")
