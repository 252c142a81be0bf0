"""What the outcome hangs on: each assumption moved alone, and where the case turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tuckerlab.decision.assumptions import DEFAULT, KINDS
from tuckerlab.decision.business_case import FEW, Array, Money, account, drawn, ranges

TURNING = ("answers_a_day", "ms_1", "server_hour", "devices", "people_days", "day_rate", "wrong_answer")
"""The assumptions that a turning point can be told of: the account is a straight line in each of them."""
CLEAR, REACH = 0.01, 100  # so few cases are an answer; so many times more or less is beyond any number of the user's
ENOUGH = 500  # draws that tell whether most cases pay


@dataclass(frozen=True)
class Bar:
    """The worth in the middle of the draws, with one assumption held at its low or high end, and with none held."""

    key: str
    low: float
    high: float
    worth_low: float
    worth_high: float
    middle: float

    @property
    def swing(self) -> float:
        """How far the outcome moves."""
        worths = self.worth_low, self.worth_high, self.middle
        return max(worths) - min(worths)


@lru_cache(maxsize=4)
def tornado(money: Money) -> tuple[Bar, ...]:
    """A bar for all that moves the outcome, measured shares too; the longest first."""
    few = drawn(money.assumptions, money.basis, FEW)
    middle, bars = _worth(money, few), []
    for key, (low, _likely, high) in ranges(money.assumptions, money.basis).items():
        if low < high:
            least, most = (_worth(money, few | {key: np.full(1, end)}) for end in (low, high))
            bars.append(Bar(key, low, high, least, most, middle))
    return tuple(sorted((bar for bar in bars if bar.swing > 0), key=lambda bar: -bar.swing))


def settled(money: Money) -> bool:
    """Whether it pays in nearly all cases or in nearly none, and no default would change that, whatever it was.

    That is: with any one of them a hundred times larger or smaller, as far as it may be, most cases still end alike.
    """
    if CLEAR <= money.pays <= 1 - CLEAR:
        return False
    few, pays = drawn(money.assumptions, money.basis, ENOUGH), money.pays > CLEAR
    ends = (
        {one.key: np.full(1, end)}
        for one in money.assumptions if one.origin == DEFAULT
        for end in (max(one.likely / REACH, KINDS[one.key].least), min(one.likely * REACH, KINDS[one.key].most))
    )  # fmt: skip
    return all((_worth(money, few | end) >= 0) is pays for end in ends)


def _worth(money: Money, values: Mapping[str, Array]) -> float:
    return float(np.median(account(values).cash(money.assumptions.years)))


@dataclass(frozen=True)
class Turn:
    """Where the case turns: the `value` of an assumption, or None where there is none within its limits."""

    key: str
    value: float | None
    pays_above: bool


def turns(money: Money, keys: Sequence[str] = TURNING) -> tuple[Turn, ...]:
    """The values of some of TURNING, nearest to the likely ones, from which half of the draws pay back, or do not.

    Each draw is a straight line in the assumption, so the value at which it turns is known, and they are only counted.
    """
    few = drawn(money.assumptions, money.basis, FEW)
    return tuple(_turn(money, few, key) for key in keys)


def _turn(money: Money, few: Mapping[str, Array], key: str) -> Turn:
    nothing, one = (account({**few, key: np.full(1, at)}).cash(money.assumptions.years) for at in (0.0, 1.0))
    slope = one - nothing
    moves = slope != 0
    at, step = -nothing[moves] / slope[moves], np.sign(slope[moves])
    order = np.argsort(at)
    first = (step < 0).sum() + (nothing[~moves] >= 0).sum()  # draws that pay below all of these values
    paying = 2 * np.append(first, first + np.cumsum(step[order])) >= len(slope)
    crossings = at[order][paying[1:] != paying[:-1]]
    kind, likely = KINDS[key], money.assumptions[key].likely
    within = crossings[(crossings >= kind.least) & (crossings <= kind.most)]
    value = min(within, key=lambda found: abs(found - likely), default=None)
    return Turn(key, None if value is None else float(value), bool(np.median(slope) > 0))
