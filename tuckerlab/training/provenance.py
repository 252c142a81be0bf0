"""Where a number comes from: hardware, versions, commit, date."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch

from tuckerlab import __version__

OTHERS = ("--", ":/", ":(top,exclude)data/results")  # all files of the checkout but the records


def provenance(device: torch.device | str | None = None) -> dict[str, str | int]:
    """What belongs beside each measured number; `device` is where it was measured (CUDA if there is one).

    `commit` is that of the checkout this package lies in, `dirty` 1 when tracked files differ from it (recorded
    results left out: a record that has just been written changes no number of the next); "unknown" and 0 outside git.
    `threads` are those torch uses on the CPU. The date is UTC.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", *OTHERS)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "dirty": int(bool(changes)),
        "tuckerlab": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device_name(device),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }


def device_name(device: torch.device | str = "cpu") -> str:
    """The name of the processor or the graphics card, as its maker gave it."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = ["model name: " + _output("sysctl", "-n", "machdep.cpu.brand_string")]
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    return _output("git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments)


def _output(*command: str) -> str:
    """What a program prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
