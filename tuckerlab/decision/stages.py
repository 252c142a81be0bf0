"""The stages of a PoC: how long each takes and who works how many days in it.

>>> [stage.key for stage in STAGES]
['reproduce', 'audit', 'shadow', 'canary', 'rollout']
>>> total_days()
Range(low=24.0, likely=40.0, high=72.0)

One table for two readers: the plan shows it row by row, and the money counts its days as a one-off cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tuckerlab.i18n import text


class Range(NamedTuple):
    """A number that nobody knows exactly: `likely`, and the `low` and `high` it should lie between.

    >>> Range(1, 2, 4).times(0.5)
    Range(low=0.5, likely=1.0, high=2.0)
    """

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """So many times as much, at both ends and in the middle."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)


@dataclass(frozen=True)
class Stage:
    """One stage: the likely weeks from its start to its end, and the likely days of work of each role."""

    key: str
    weeks: float
    days: Mapping[str, float]

    @property
    def name(self) -> str:
        """What people call it."""
        return text(f"plan.stage.{self.key}")


STAGES = (
    Stage("reproduce", 2, {"engineer": 8, "expert": 2}),
    Stage("audit", 1, {"engineer": 4, "expert": 3}),
    Stage("shadow", 3, {"engineer": 5, "operations": 3}),
    Stage("canary", 4, {"engineer": 4, "operations": 3, "owner": 1}),
    Stage("rollout", 2, {"engineer": 3, "operations": 3, "owner": 1}),
)
"""Orders of magnitude for one network and one team. Whoever enters other totals scales all stages."""

SPREAD = Range(0.6, 1.0, 1.8)
"""Projects end a little early, or much later."""


def total_days() -> Range:
    """The days of work of all stages and roles."""
    return SPREAD.times(sum(days for stage in STAGES for days in stage.days.values()))


def total_weeks() -> Range:
    """The weeks from the first day to the end of the roll-out, one stage after the other.

    >>> total_weeks().likely
    12.0
    """
    return SPREAD.times(sum(stage.weeks for stage in STAGES))
