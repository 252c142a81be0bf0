"""The machine that something is computed on: its devices and threads, and what belongs beside a measured number."""

import ctypes
import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch

from tuckerlab import __version__
from tuckerlab.errors import check_choice

OTHERS = ("--", ":/", ":(top,exclude)data/results")  # all files of the checkout but the records
SOFT = 1  # omp_pause_soft of OpenMP 5: settings stay


def resolve_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, and the CPU elsewhere."""
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    there = ["auto", "cpu", *(["cuda", *cards] if cards else []), *["mps"] * torch.backends.mps.is_available()]
    check_choice("device", name, there)
    return torch.device(name if name != "auto" else "cuda" if cards else "cpu")


def release_workers() -> None:
    """Ends the OpenMP workers that the calling thread has had; its next operation gets new ones.

    Each Python thread has its own team of workers. GNU's OpenMP lets workers spin between two operations only while all
    teams together are no more than the cores. With two teams they sleep and are woken for every small operation, and
    training takes up to three times as long. So whoever hands the work to another thread lets go of his own team first.
    Without OpenMP 5 this does nothing.
    """
    pause = None if os.name == "nt" else getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is not None:
        pause(SOFT)


def provenance(device: torch.device | str) -> dict[str, str | int]:
    """What belongs beside each measured number; `device` is where it was measured.

    `commit` is that of the checkout this package lies in, `dirty` 1 when tracked files differ from it (recorded
    results left out: a record that has just been written changes no number of the next); "unknown" and 0 outside git.
    `threads` are those torch uses on the CPU. The date is UTC.
    """
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", *OTHERS)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "dirty": int(bool(changes)),
        "tuckerlab": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": _device_name(torch.device(device)),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }


def _device_name(device: torch.device) -> str:
    """The name of the processor or the graphics card, as its maker gave it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    info = Path("/proc/cpuinfo")  # of Linux
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    """What git prints; nothing where it is missing or fails."""
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
