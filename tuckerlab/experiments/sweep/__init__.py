"""Sweeps: methods × settings × seeds as an Optuna study, by one worker or many, that can be killed at any time.

Here is what is to be trained: `grid` makes a `GridPoint` of each method at each setting with each seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuckerlab.errors import TuckerlabError, check_choice
from tuckerlab.experiments.methods import METHODS, make_method
from tuckerlab.experiments.methods.base import Method
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance


@dataclass(frozen=True)
class GridPoint:
    """A network to be trained: a method at a tolerance, at a compression, or without a setting, with a seed."""

    method: str
    seed: int
    tolerance: float | None = None
    compression: float | None = None

    def make_method(self) -> Method:
        """What is trained."""
        policy: RankPolicy | None = None if self.compression is None else Budget(self.compression)
        return make_method(self.method, policy if self.tolerance is None else Tolerance(self.tolerance))

    @property
    def place(self) -> str:
        """Where in the folder of the sweep its record lies; its name in the study."""
        return f"seed{self.seed}/{self.make_method().slug}"


def grid(
    methods: Sequence[str], tolerances: Sequence[float] = (), compressions: Sequence[float] = (), seeds: int = 3
) -> list[GridPoint]:
    """Each method at each setting that it understands, for each seed; all of the first seed come first."""
    chosen: list[GridPoint] = []
    for name in methods:
        policies = METHODS[check_choice("method", name, METHODS)].policies
        settings = [{"tolerance": tau} for tau in tolerances if Tolerance in policies]
        settings += [{"compression": rate} for rate in compressions if Budget in policies]
        chosen += [GridPoint(name, seed=0, **setting) for setting in settings or [{}]]
    return [replace(point, seed=seed) for seed in range(seeds) for point in dict.fromkeys(chosen)]


def values(name: str, given: str | Sequence[float] | None) -> list[float]:
    """Numbers from a list, from `0.02,0.05,0.1`, or from `0.02:0.3:8`: eight from 0.02 to 0.3, at equal distances."""
    if given is None:
        return []
    try:
        if isinstance(given, str) and ":" in given:
            start, stop, count = given.split(":")
            found = np.linspace(float(start), float(stop), int(count))
        else:
            found = np.array(given.split(",") if isinstance(given, str) else given, dtype=float)
        if not found.size or not np.isfinite(found).all():
            raise ValueError
    except (TypeError, ValueError):
        said = "give numbers such as 0.02,0.05,0.1, or start:stop:count such as 0.02:0.3:8"
        raise TuckerlabError(f"{name} {given!r}: {said}") from None
    return list(dict.fromkeys(float(f"{value:.6g}") for value in found))  # as labels show them, each once
