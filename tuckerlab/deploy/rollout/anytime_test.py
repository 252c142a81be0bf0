"""A test that may be looked at after every request: a bet against the claim, and how much money it has made.

>>> import numpy as np
>>> seen = np.array([30, 5, 965])             # answers lost, gained, and neither; the claim: the mean is at most 0
>>> wealth = log_mean(log_wealth((-1, 1, 0), seen, 0.0))
>>> bool(wealth >= np.log(1 / 0.05))          # had it been true, hardly anybody would have become this rich
True

Somebody who does not believe "the mean of these bounded numbers is at least m" bets a fraction of what they own on
each number being below m. While the claim holds the game is fair or worse, so their wealth is a supermartingale, and
by Ville's inequality it ever reaches 1/α with a probability of at most α: over all looks together, whenever they are
and whyever one stops (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024;
of their strategies this is the diversified one, whose wealth is spread over fixed bets). Fixed bets know nothing of
what was seen, and so the wealth depends on the counts of the numbers alone and not on their order: what arrives late
needs no care.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BETS: Floats = np.geomspace(1e-3, 0.99, 16)
"""The bets, as fractions of the largest one that cannot ruin; wealth is spread over all of them evenly."""

HALVINGS = 26  # to a hundred-millionth of the range


def log_wealth(values: ArrayLike, counts: ArrayLike, mean: ArrayLike) -> Floats:
    """The logarithm of the wealth of each of the `BETS` against "the mean is at least `mean`", … × bets.

    `values` (… × kinds) are the numbers that can occur, the largest above `mean`; `counts` (… × kinds) how often each
    did. A claim "at most" is tested with the signs of values and mean turned round.
    """
    values, mean = np.asarray(values, dtype=float), np.asarray(mean, dtype=float)[..., None]
    most = 1 / (values.max(-1, keepdims=True) - mean)  # a larger bet could lose more than all
    gains = np.log1p((most * (mean - values))[..., None] * BETS)
    return np.asarray((np.asarray(counts, dtype=float)[..., None, :] @ gains)[..., 0, :])


def log_mean(logs: Floats) -> Floats:
    """The logarithm of the mean over the last axis, for what is given as logarithms."""
    top = logs.max(-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(logs - top).mean(-1)))


def crossing(rises: Callable[[Floats], Floats], level: float, low: ArrayLike, high: ArrayLike) -> Floats:
    """The smallest point between `low` and `high` where a rising function has reached the level, by halving.

    Where it nowhere reaches it, `high`. With a wealth for the function, it is the end of a confidence sequence.
    """
    low, high = (np.array(end, dtype=float) for end in np.broadcast_arrays(low, high))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        reached = rises(middle) >= level
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return np.asarray(high)
