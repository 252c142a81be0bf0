"""The networks of a sweep: `grid` makes a `GridPoint` of each method at each setting with each seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.methods.registry import contender, method
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance


@dataclass(frozen=True)
class GridPoint:
    """A network to be trained: a method at a tolerance, at a compression, or without a setting, with a seed."""

    method: str
    seed: int
    tolerance: float | None = None
    compression: float | None = None

    @property
    def contender(self) -> Contender:
        """What is trained."""
        policy: RankPolicy | None = None
        if self.tolerance is not None:
            policy = Tolerance(self.tolerance)
        elif self.compression is not None:
            policy = Budget(self.compression)
        return contender(self.method, policy)

    @property
    def key(self) -> str:
        """Its name in the study."""
        return f"{self.contender.slug}-seed{self.seed}"

    @property
    def place(self) -> str:
        """Where in the folder of the sweep its record lies."""
        return f"seed{self.seed}/{self.contender.slug}"


def grid(
    methods: Sequence[str], *, tolerances: Sequence[float] = (), compressions: Sequence[float] = (), seeds: int = 3
) -> list[GridPoint]:
    """Each method at each setting that it understands, for each seed; all of the first seed come first.

    Raises TuckerlabError for a method that is unknown, or understands none of the settings.
    """
    if len({*methods}) < len(methods) or not methods:
        raise TuckerlabError(f"methods {', '.join(methods) or 'none'}: give one or more, each once")
    chosen: list[dict[str, Any]] = []
    for name in methods:
        understood = method(name).policies
        settings = [{"tolerance": tau} for tau in tolerances if Tolerance in understood]
        settings += [{"compression": rate} for rate in compressions if Budget in understood]
        if understood and not settings:
            contender(name, Tolerance())  # says what it takes
        chosen += [{"method": name, **setting} for setting in settings or [{}]]
    return [GridPoint(**setting, seed=seed) for seed in range(seeds) for setting in chosen]


def values(name: str, given: str | Sequence[float] | None) -> list[float]:
    """Numbers from a list, from `0.02,0.05,0.1`, or from `0.02:0.3:8`: eight from 0.02 to 0.3, at equal distances.

    Raises TuckerlabError for what holds no number, or something else.
    """
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
        raise TuckerlabError(
            f"{name} {given!r}: give numbers such as 0.02,0.05,0.1, or start:stop:count such as 0.02:0.3:8"
        ) from None
    return list(dict.fromkeys(float(f"{value:.6g}") for value in found))  # as labels show them, each once
