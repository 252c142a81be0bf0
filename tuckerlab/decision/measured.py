"""A number with its spread and its origin: the brief shows none without.

>>> Measured.over("accuracy of the full network", [0.981, 0.985, 0.982], "run A, 3 seeds")
Measured(name='accuracy of the full network', value=0.9826666666666667, low=0.981, high=0.985, origin='run A, 3 seeds')
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measured:
    """What was measured: `value` in the middle, `low` to `high` the spread (of seeds, or the interval of a timing).

    >>> Measured("file", 100.0, 100.1, 100.1, "run A").low
    100.0
    """

    name: str
    value: float
    low: float
    high: float
    origin: str

    def __post_init__(self) -> None:
        """The mean of equal numbers may be rounded to just above them: the spread always holds the middle."""
        object.__setattr__(self, "low", min(self.low, self.value))  # these keep an end that is not a number
        object.__setattr__(self, "high", max(self.high, self.value))

    @classmethod
    def over(cls, name: str, values: Iterable[float], origin: str) -> "Measured | None":
        """The mean and the worst and best of several values; None, a visible gap, where one was not taken."""
        taken = np.asarray(list(values), dtype=float)
        if not taken.size or not np.isfinite(taken).all():
            return None
        return cls(name, float(taken.mean()), float(taken.min()), float(taken.max()), origin)

    @property
    def has_spread(self) -> bool:
        """Whether there is more than one value behind it."""
        return not math.isclose(self.low, self.high)
