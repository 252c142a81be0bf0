"""The device of a name."""

import torch

from tuckerlab.errors import TuckerlabError


def resolve_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, and the CPU elsewhere.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise TuckerlabError(f"device {name!r}: allowed are auto, cpu, cuda, cuda:0 …, mps")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= there:
        raise TuckerlabError(f"device {name!r}: this machine has {there} devices of that kind; take cpu or auto")
    return device
