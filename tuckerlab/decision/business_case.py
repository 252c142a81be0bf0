"""What it costs and what it saves: ranges of assumptions times measured shares, drawn many times.

Each assumption is drawn once and used in all lines, so that they move together; what was measured is drawn within its
spread. The draws are the same in every call: two cases differ by what was changed alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.decision.assumptions import DEFAULT, KINDS, Assumptions, Range
from tuckerlab.i18n import N_

DRAWS = 20_000
FEW = 2_000  # where many quantiles are asked for, or what is told in two digits
DAYS, MONTHS, WEEKS = 365, 12, 365.25 / 7  # of a year
MS_PER_HOUR = 3.6e6
MB_PER_GB = WATTS_PER_KILOWATT = 1e3
CLEAR, REACH = 0.01, 100  # so few cases are an answer; so many times more or less is beyond any number of the user's
Array = NDArray[np.float64]
RATIOS = {
    "accuracy": N_("Change in accuracy, points"),
    "time_1": N_("Time of one answer, share"),
    "time_128": N_("Time in batches, share"),
    "file": N_("File, share"),
    "memory": N_("Memory, share"),
    "training": N_("Training time, share"),
}
NAMES = {key: kind.name for key, kind in KINDS.items()} | RATIOS
"""What people call the assumptions, and the small network's shares of the full one.

The change in accuracy is in points, the times are of an image alone and in a batch of 128, the memory is that of the
weights, and the training time that of a step.
"""

ONCE = {
    "people": N_("Work until it runs everywhere"),
    "computing": N_("Trainings of the PoC"),
    "validation": N_("Other costs of checking"),
}
YEARLY = {
    "alone": N_("Servers, images one at a time"),
    "batches": N_("Servers, images in batches"),
    "devices": N_("Smaller devices"),
    "memory": N_("Memory of servers"),
    "energy": N_("Power of servers of your own"),
    "downloads": N_("Updates sent to devices"),
    "retraining": N_("Retrainings"),
    "upkeep": N_("Keeping it up"),
    "accuracy": N_("Accuracy that is lost"),
}


def amounts(a: Mapping[str, Array]) -> dict[str, Array]:
    """The lines of the account, positive where they save; NaN without a share that they need."""
    # server hours of a year, of images that come alone and in batches: paid for, and saved
    paid = a["answers_a_day"] * DAYS / MS_PER_HOUR / a["busy"]
    alone = paid * a["alone"] * a["ms_1"] * (1 - a["time_1"])
    batches = paid * (1 - a["alone"]) * a["ms_128"] * (1 - a["time_128"])
    kilowatts = a["watts"] / WATTS_PER_KILOWATT
    # a smaller device is enough where the network became quicker by as much as that device is slower
    is_enough = np.heaviside(a["smaller_device"] - a["time_1"], 1)
    lost = np.minimum(a["accuracy"], 0) / 100  # a gain is no money: who would pay for it?
    return {
        "people": -a["people_days"] * a["day_rate"],
        "computing": -a["poc_hours"] * a["training_hour"],
        "validation": -a["validation"],
        "alone": alone * a["server_hour"],
        "batches": batches * a["server_hour"],
        "devices": a["devices"] / a["device_years"] * a["device_difference"] * is_enough,
        "memory": a["copies"] * a["memory_mb"] / MB_PER_GB * a["gb_month"] * MONTHS * (1 - a["memory"]),
        "energy": (alone + batches) * a["busy"] * kilowatts * a["kwh"],
        "downloads": a["devices"] * a["updates"] * a["file_mb"] / MB_PER_GB * a["download_gb"] * (1 - a["file"]),
        "retraining": a["retrainings"] * a["training_hours"] * a["training_hour"] * (1 - a["training"]),
        "upkeep": -a["upkeep_days"] * a["day_rate"],
        "accuracy": a["answers_a_day"] * DAYS * lost * a["wrong_answer"],
    }


class Account:
    """The lines, what is paid once and every year, and both as cash; what a measurement lacks for is in `gaps`."""

    def __init__(self, values: Mapping[str, ArrayLike]) -> None:
        told = {key: np.asarray(value, dtype=float) for key, value in values.items()}
        lines = amounts(dict.fromkeys(RATIOS, np.asarray(np.nan)) | told)
        self.lines = {key: line for key, line in lines.items() if not np.isnan(line).any()}
        self.gaps = tuple(key for key in lines if key not in self.lines)
        once, yearly = (sum(self.lines[key] for key in part if key in self.lines) for part in (ONCE, YEARLY))
        self.once, self.yearly = np.asarray(once), np.asarray(yearly)
        self.start, self.discount = told["weeks"] / WEEKS, told["discount"]

    def cash(self, years: ArrayLike) -> Array:
        """All that was paid and saved until then, in today's money: costs at once, savings daily after the start."""
        running = np.maximum(_worth(years, self.discount) - _worth(self.start, self.discount), 0)
        return np.asarray(self.once + self.yearly * running)

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


class Money:
    """The outcome: `yearly` what a year saves net, `worth` all over the years in today's money, of it `once` costs.

    `payback` is in years from the first day of the PoC; `pays` the share of the draws in which it comes within the
    years that are looked at; `lines` the amounts line by line, `gaps` the lines that a measurement is missing for.
    What was `measured`, as far as it was, are RATIOS and assumptions: these take the place of defaults, not of what was
    entered.
    """

    def __init__(self, assumptions: Assumptions, measured: Mapping[str, Range]) -> None:
        known = {key: it for key, it in measured.items() if key in KINDS}
        self.assumptions = replace(assumptions, given={**known, **assumptions.given})
        self.ranges = {**measured, **self.assumptions.ranges}
        self.draws = {key: drawn(key, it) for key, it in self.ranges.items()}
        account = Account(self.draws)
        worth = account.cash(assumptions.years)
        self.once, self.yearly, self.worth = Spread.of(account.once), Spread.of(account.yearly), Spread.of(worth)
        self.payback, self.pays = Spread.of(account.payback), float((worth >= 0).mean())
        self.lines, self.gaps = {key: Spread.of(line) for key, line in account.lines.items()}, account.gaps
        self._few: dict[str, ArrayLike] = {key: draws[:FEW] for key, draws in self.draws.items()}

    def worth_with(self, **values: float) -> float:
        """What it is worth over the years in the middle of the draws, with some numbers held at these."""
        return float(np.median(Account(self._few | values).cash(self.assumptions.years)))

    def fan(self, years: Array, shares: Sequence[float]) -> Array:
        """The cash that such shares of the draws lie below, a row for each share and a column for each year."""
        return np.asarray(np.quantile(Account(self._few).cash(years[:, None]), shares, axis=1))


def drawn(key: str, value: Range) -> Array:
    """Draws of one number from a triangular distribution; each key has its own part of one stream of chance."""
    if value.low == value.high:
        return np.full(DRAWS, float(value.likely))
    place = list(NAMES).index(key)
    chance = np.random.Generator(np.random.PCG64(0).advance(place * DRAWS))
    return chance.triangular(value.low, value.likely, value.high, DRAWS)


@lru_cache(maxsize=1)  # of one case the picture and the judgement ask
def tornado(money: Money) -> dict[str, tuple[float, float]]:
    """The worth at the low and at the high end of all that moves it, measured shares too; what moves it most first."""
    ranges = money.ranges.items()
    ends = {key: (money.worth_with(**{key: it.low}), money.worth_with(**{key: it.high})) for key, it in ranges}
    moving = [(key, (low, high)) for key, (low, high) in ends.items() if low != high]
    return dict(sorted(moving, key=lambda bar: -abs(bar[1][1] - bar[1][0])))


def turning_point(money: Money, key: str, reach: float = REACH) -> float | None:
    """The value of an assumption at which half of the draws pay back, all others as they are; None without one."""
    from scipy.optimize import brentq

    kind, likely = KINDS[key], money.assumptions[key].likely
    low, high = max(likely / reach, kind.least), min(likely * reach, kind.most)
    if (money.worth_with(**{key: low}) >= 0) == (money.worth_with(**{key: high}) >= 0):
        return None
    return float(brentq(lambda value: money.worth_with(**{key: value}), low, high, rtol=1e-4))


def settled(money: Money) -> bool:
    """Whether it pays in nearly all cases or in nearly none, and no default would turn that, whatever it was."""
    if CLEAR <= money.pays <= 1 - CLEAR:
        return False
    defaults = [key for key, it in money.assumptions.ranges.items() if it.origin == DEFAULT]
    return all(turning_point(money, key) is None for key in defaults)
