"""What the money needs from the runs, and nothing else of them.

>>> basis = Basis(time_1=Measured("time", 0.5, 0.4, 0.6, "run A"))
>>> list(basis.measured), basis.accuracy is None
(['time_1'], True)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuckerlab.decision.measured import Measured


@dataclass(frozen=True)
class Basis:
    """The small network beside the full one: shares of the full one's, None where they were not measured.

    `accuracy` is no share but the change in points; `time_1` and `time_128` are of an image alone and in a batch of
    128, `file` of the checkpoint, `memory` of the weights, `training` of the time that a training step takes. `full` is
    what was measured of the full network itself, by the assumptions whose defaults it replaces: see `full_network`.
    """

    accuracy: Measured | None = None
    time_1: Measured | None = None
    time_128: Measured | None = None
    file: Measured | None = None
    memory: Measured | None = None
    training: Measured | None = None
    full: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, Measured]:
        """The shares that there are."""
        found = {name: getattr(self, name) for name in RATIOS}
        return {name: ratio for name, ratio in found.items() if ratio is not None}


WEIGHT_BYTES = 4
BATCH = 128


def full_network(numbers: Mapping[str, Measured | None]) -> dict[str, Measured]:
    """`full`, from the numbers of a full network by the names and in the units of `tuckerlab.decision.numbers`.

    >>> full_network({"time_128": Measured("time_128", 64.0, 32.0, 128.0, "run A"), "file": None})["ms_128"].value
    0.5
    """
    scales = {"ms_1": ("time_1", 1.0), "ms_128": ("time_128", 1 / BATCH), "file_mb": ("file", 1e-3)}
    scales["memory_mb"] = ("parameters", WEIGHT_BYTES / 1e6)
    found = {key: (numbers.get(name), scale) for key, (name, scale) in scales.items()}
    return {
        key: Measured(key, scale * it.value, scale * it.low, scale * it.high, it.origin)
        for key, (it, scale) in found.items()
        if it is not None
    }


RATIOS = ("accuracy", "time_1", "time_128", "file", "memory", "training")
