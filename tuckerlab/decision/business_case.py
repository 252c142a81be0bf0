"""What it costs and what it saves: ranges of assumptions times measured shares, drawn many times.

Each assumption is drawn once and used in all lines, so that they move together; what was measured is drawn within its
spread. The draws are the same in every call: two cases differ by what was changed alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.decision.assumptions import KINDS, Assumptions, Range
from tuckerlab.decision.measurements import Measured
from tuckerlab.i18n import N_, _

DRAWS = 20_000
FEW = 2_000  # where many quantiles are asked for, or what is told in two digits
DAYS, MONTHS, WEEKS = 365, 12, 365.25 / 7  # of a year
MS_PER_HOUR = 3.6e6
MB_PER_GB = WATTS_PER_KILOWATT = 1e3
Array = NDArray[np.float64]
RATIOS = {
    "accuracy": N_("Change in accuracy, points"),
    "time_1": N_("Time of an answer, one at a time, against the full network’s"),
    "time_128": N_("Time of an answer in batches, against the full network’s"),
    "file": N_("File, against the full network’s"),
    "memory": N_("Memory, against the full network’s"),
    "training": N_("Training time, against the full network’s"),
}
"""What people call the measurements of `Basis`."""


@dataclass(frozen=True)
class Basis:
    """What the business case needs of the runs, as far as it was measured.

    `measured` are the small network's shares of the full one's, by RATIOS: the change in accuracy is in points, the
    times are of an image alone and in a batch of 128, the memory is that of the weights, and the training time that of
    a step. `full` is what was measured of the full network, by the assumptions whose defaults it replaces.
    """

    measured: Mapping[str, Measured] = field(default_factory=dict)
    full: Mapping[str, Measured] = field(default_factory=dict)


# --- the lines of the account ----------------------------------------------------------------------------------------


class Values:
    """Numbers, or draws that go together, by the names of assumptions and measured shares."""

    def __init__(self, values: Mapping[str, ArrayLike]) -> None:
        vars(self).update({name: np.asarray(value, dtype=float) for name, value in values.items()})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Array: ...


@dataclass(frozen=True)
class Line:
    """An amount a year, or once, from assumptions `a` and measured shares by their names; positive where it saves.

    Without one of the measurements that it `needs` it is a gap: it counts nothing, and is named. Prices and amounts are
    multiplied, nothing else: who can read a spreadsheet can check it here.
    """

    key: str
    title: str
    needs: tuple[str, ...]
    amount: Callable[[Values], Array]

    @property
    def name(self) -> str:
        return _(self.title)


def alone_hours(a: Values) -> Array:
    """Server hours that a year of images one at a time is paid for: servers stand idle between them."""
    return a.answers_a_day * DAYS * a.alone * a.ms_1 / MS_PER_HOUR / a.busy


def batch_hours(a: Values) -> Array:
    """Server hours that a year of images in batches is paid for."""
    return a.answers_a_day * DAYS * (1 - a.alone) * a.ms_128 / MS_PER_HOUR / a.busy


def hours_at_work(a: Values) -> Array:
    """The hours of computing that a year saves."""
    return a.busy * (alone_hours(a) * (1 - a.time_1) + batch_hours(a) * (1 - a.time_128))


# fmt: off
ONCE = (
    Line("people", N_("Work until it runs everywhere"), (), lambda a: -a.people_days * a.day_rate),
    Line("computing", N_("Trainings of the PoC"), (), lambda a: -a.poc_hours * a.training_hour),
    Line("validation", N_("Other costs of checking"), (), lambda a: -a.validation),
)
YEARLY = (
    Line("alone", N_("Servers, images one at a time"), ("time_1",),
         lambda a: alone_hours(a) * a.server_hour * (1 - a.time_1)),
    Line("batches", N_("Servers, images in batches"), ("time_128",),
         lambda a: batch_hours(a) * a.server_hour * (1 - a.time_128)),
    # a smaller device is enough where the network became quicker by as much as that device is slower
    Line("devices", N_("Smaller devices"), ("time_1",),
         lambda a: a.devices / a.device_years * a.device_difference * (a.time_1 <= a.smaller_device)),
    Line("memory", N_("Memory of servers"), ("memory",),
         lambda a: a.copies * a.memory_mb / MB_PER_GB * a.gb_month * MONTHS * (1 - a.memory)),
    Line("energy", N_("Power of servers of your own"), ("time_1", "time_128"),
         lambda a: hours_at_work(a) * a.watts / WATTS_PER_KILOWATT * a.kwh),
    Line("downloads", N_("Updates sent to devices"), ("file",),
         lambda a: a.devices * a.updates * a.file_mb / MB_PER_GB * a.download_gb * (1 - a.file)),
    Line("retraining", N_("Retrainings"), ("training",),
         lambda a: a.retrainings * a.training_hours * a.training_hour * (1 - a.training)),
    Line("upkeep", N_("Keeping it up"), (), lambda a: -a.upkeep_days * a.day_rate),
    # a gain is no money: who would pay for it? A loss, in points, is
    Line("accuracy", N_("Accuracy that is lost"), ("accuracy",),
         lambda a: a.answers_a_day * DAYS * np.minimum(a.accuracy, 0) / 100 * a.wrong_answer),
)
# fmt: on
LINES = {line.key: line for line in (*ONCE, *YEARLY)}


# --- the case --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Case:
    """The account of some draws: what is paid once, what comes back every year, and how both make cash over time."""

    lines: Mapping[str, Array]
    once: Array
    yearly: Array
    start: Array
    discount: Array

    def cash(self, years: ArrayLike) -> Array:
        """All that was paid and saved until then, in today's money: costs at once, savings daily after the start."""
        running = np.maximum(_worth(years, self.discount) - _worth(self.start, self.discount), 0)
        return np.asarray(self.once + self.yearly * running)

    def fan(self, years: Array, shares: Sequence[float]) -> Array:
        """The cash that such shares of the draws lie below, a row for each share and a column for each year."""
        few = Case({}, *(values[..., :FEW] for values in (self.once, self.yearly, self.start, self.discount)))
        return np.asarray(np.quantile(few.cash(years[:, None]), shares, axis=1))

    @property
    def payback(self) -> Array:
        """Years until the cash is back at nothing; infinite where it never is."""
        rate = np.log1p(self.discount)
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = -self.once / self.yearly + _worth(self.start, self.discount)
            years = np.where(rate > 0, -np.log1p(-needed * rate) / rate, needed)
        return np.where((self.yearly > 0) & (needed * rate < 1), years, np.inf)


def _worth(years: ArrayLike, discount: Array) -> Array:
    """What one unit of money a year, paid day by day until then, is worth today."""
    rate = np.log1p(discount)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rate > 0, -np.expm1(-rate * np.asarray(years)) / rate, years)


def account(values: Mapping[str, ArrayLike]) -> Case:
    """The account of numbers, or of arrays that go together, by the names of assumptions and measured shares."""
    a = Values(values)
    lines = {key: line.amount(a) for key, line in LINES.items() if set(line.needs) <= values.keys()}
    once, yearly = (np.asarray(sum(lines[it.key] for it in part if it.key in lines)) for part in (ONCE, YEARLY))
    return Case(lines, once, yearly, a.weeks / WEEKS, a.discount)


@dataclass(frozen=True)
class Spread:
    """The middle of many draws, the range that holds 90 % of them, and their mean, which adds up over lines."""

    median: float
    low: float
    high: float
    mean: float

    @classmethod
    def of(cls, values: Array) -> "Spread":
        """Of draws, which may be infinite."""
        low, median, high = np.quantile(values, (0.05, 0.5, 0.95), method="closest_observation")
        return cls(float(median), float(low), float(high), float(values.mean()))

    def __neg__(self) -> "Spread":
        return Spread(-self.median, -self.high, -self.low, -self.mean)


@dataclass(frozen=True, eq=False)
class Money:
    """The outcome: `yearly` what a year saves net, `worth` all over the years in today's money, of it `once` costs.

    `payback` is in years from the first day of the PoC; `pays` the share of the draws in which it comes within the
    years that are looked at; `lines` the amounts line by line, `gaps` the lines that a measurement is missing for.
    """

    assumptions: Assumptions
    basis: Basis
    case: Case
    once: Spread
    yearly: Spread
    worth: Spread
    payback: Spread
    pays: float
    lines: Mapping[str, Spread]
    gaps: tuple[str, ...]


def money(assumptions: Assumptions, basis: Basis) -> Money:
    """Draws the case. What was measured of the full network takes the place of defaults, not of what was entered."""
    assumptions = assumptions.measured(basis.full)
    case = account(drawn(assumptions, basis))
    worth = case.cash(assumptions.years)
    once, yearly, all_years, payback = map(Spread.of, (case.once, case.yearly, worth, case.payback))
    lines = {key: Spread.of(amounts) for key, amounts in case.lines.items()}
    gaps = tuple(line.key for line in YEARLY if line.key not in lines)
    pays = float((worth >= 0).mean())
    return Money(assumptions, basis, case, once, yearly, all_years, payback, pays, lines, gaps)


def ranges(assumptions: Assumptions, basis: Basis) -> dict[str, Range]:
    """All that is drawn: the assumptions, and the spread of what was measured."""
    told = {assumption.key: assumption.range for assumption in assumptions}
    return told | {key: Range(found.low, found.value, found.high) for key, found in basis.measured.items()}


def drawn(assumptions: Assumptions, basis: Basis, draws: int = DRAWS) -> dict[str, Array]:
    """Each of them drawn once, from a triangular distribution; of fewer draws the first."""
    return {key: triangular(value, _shares()[key][:draws]) for key, value in ranges(assumptions, basis).items()}


@lru_cache
def _shares() -> dict[str, Array]:
    keys = (*KINDS, *RATIOS)
    return dict(zip(keys, np.random.default_rng(0).random((len(keys), DRAWS)), strict=True))


def triangular(value: Range, share: Array) -> Array:
    """The numbers that such shares of a triangular distribution lie below."""
    low, likely, high = value
    if low == high:
        return np.full(share.shape, float(likely))
    rising, falling = share * (high - low), (1 - share) * (high - low)
    below = low + np.sqrt(rising * (likely - low))
    return np.where(rising < likely - low, below, high - np.sqrt(falling * (high - likely)))
