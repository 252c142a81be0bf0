"""A test that may be looked at after every request: bets against a claim, and how much money they have made.

Somebody who does not believe "the mean of these bounded numbers is at least m" bets a fraction of what they own on
each number being below m. While the claim holds the game is fair or worse, so their wealth is a supermartingale, and
by Ville's inequality it ever reaches 1/α with a probability of at most α, over all looks together (Waudby-Smith and
Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024). Wealth is spread over fixed bets, so
it depends on the counts of the numbers alone and not on their order: what arrives late needs no care.

*Harm.* The claim "the loss is tolerated" is bet against over all stages together, and afresh in each stage, so that
a fault that first shows at half of the traffic does not drown in what was good before. The mean of these fortunes is
a fortune itself: one chance of an error covers all stages.

*No harm.* The claim "the loss is `harm` or more" has to be refuted in every stage by the requests of that stage. To get
past a later stage wrongly a roll-out would first have to get past the first harmful one wrongly; so each stage may
use the whole chance of an error, and over all stages it is the same (a gatekeeping sequence).

*Labels.* Where both networks answer alike nothing is lost, whatever the label. Labels that arrive at random are a fair
sample. Where they do not, an answer that differs and has no label counts as gained when harm is to be shown, and as
lost when its absence is. That last bet is made with random labels too: where answers hardly differ it needs none.

Counts have any leading shape (one roll-out, its course, or hundreds at once): … × stages × 6, the cells of `Pair`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.errors import TuckerlabError, check_number, check_whole, is_whole

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BETS: Floats = np.geomspace(1e-3, 0.99, 16)
"""The bets, as fractions of the largest one that cannot ruin; wealth is spread over all of them evenly."""
HALVINGS = 26  # to a hundred-millionth of the range
UNKNOWN = -1


@dataclass(frozen=True)
class Rule:
    """When to go on, to hold and to roll back. A loss is how much less often the new network is right, in points.

    - `harm`: a loss of this size or more must not go through. A stage is left once its loss is shown to be below.
    - `tolerated`: a loss up to this is no reason to go back. The roll-out is rolled back once more is shown.
    - `false_alarm`: the chance of rolling back although the loss is tolerated, over all stages and all looks.
    - `miss`: the chance of going on although the loss of the stage is harm, over all stages and all looks.
    - `stages`: the shares of the requests that the new network answers, rising to 1; the old one answers them too.
    - `most`: after so many of its answers in a stage a human decides, if nothing is shown by then.
    - `random_labels`: whether labels arrive by chance alone. If not (complaints; true answers looked up where answers
      differ), an answer that differs and has no label counts against every decision.

    Raises TuckerlabError for what is out of range.
    """

    harm: float = 1.0
    tolerated: float = 0.0
    false_alarm: float = 0.05
    miss: float = 0.05
    stages: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    most: int = 20_000
    random_labels: bool = False

    def __post_init__(self) -> None:
        check_number("harm", self.harm, above=0, below=100)
        check_number("tolerated", self.tolerated, 0, below=self.harm)
        check_number("false_alarm", self.false_alarm, most=0.5, above=0)
        check_number("miss", self.miss, most=0.5, above=0)
        check_whole("most", self.most, 1)
        object.__setattr__(self, "stages", tuple(self.stages))
        if self.stages[-1:] != (1,) or not all(low < high for low, high in pairwise((0, *self.stages))):
            raise TuckerlabError(f"stages {self.stages!r}: allowed are shares that rise from above 0 to 1.0")


class Pair(IntEnum):
    """The cells of requests, by what both networks have answered; `alike` and `differing` have no label yet."""

    alike, alike_known, differing, lost, gained, both_wrong = range(6)


LABELLED = (Pair.lost, Pair.gained, Pair.both_wrong)
"""What a request on which the networks differ turns into when its label comes."""
_VALUES: Floats = np.array([1.0, -1.0, 0.0])  # what a request adds to the loss: lost, gained, neither
_LOST, _GAINED, _NEITHER, _UNSEEN = np.eye(4, 3)
# what the cells of `Pair` count as, in their order: of known labels, and where the others are as bad or good as can be
_KNOWN = np.array([_UNSEEN, _NEITHER, _UNSEEN, _LOST, _GAINED, _NEITHER])
_WORST = np.array([_NEITHER, _NEITHER, _LOST, _LOST, _GAINED, _NEITHER])
_BEST = np.array([_NEITHER, _NEITHER, _GAINED, _LOST, _GAINED, _NEITHER])


def paired(old: ArrayLike, new: ArrayLike, labels: Iterable[int | None] | None, classes: int) -> tuple[int, ...]:
    """How many requests lie in each cell of `Pair`, from the answers of both networks to the same ones, as classes.

    >>> paired(old=[1, 1, 1, 1, 1, 1, 1], new=[1, 1, 1, 2, 2, 2, 2], labels=[None, 1, 2, None, 1, 2, 3], classes=4)
    (1, 2, 1, 1, 1, 1)

    A label that is not known is None or −1. Raises TuckerlabError where the lengths differ, or an answer or a label is
    not a class.
    """
    before, now = np.asarray(old), np.asarray(new)
    told = [None] * now.size if labels is None else labels
    right = np.array([UNKNOWN if label is None else label for label in told])
    for name, given, least in (("old answers", before, 0), ("new answers", now, 0), ("labels", right, UNKNOWN)):
        if given.shape != now.shape:
            raise TuckerlabError(f"{given.size} {name} and {now.size} new answers: give one each for every request")
        if wrong := [value for value in given.tolist() if not is_whole(value) or not least <= value < classes]:
            raise TuckerlabError(f"{name}: {wrong[0]!r} is not a class; classes are 0 to {classes - 1}")
    alike, known = before == now, right != UNKNOWN
    cases = [alike & ~known, alike, ~known, before == right, now == right]
    cell = np.select(cases, [Pair.alike, Pair.alike_known, Pair.differing, Pair.lost, Pair.gained], Pair.both_wrong)
    return tuple(np.bincount(cell, minlength=len(Pair)).tolist())


def log_wealth(values: ArrayLike, counts: ArrayLike, mean: ArrayLike) -> Floats:
    """The logarithm of the wealth of each of the `BETS` against "the mean is at least `mean`", … × bets.

    `values` (… × kinds) are the numbers that can occur, the largest above `mean`, and `counts` how often each did.
    """
    values, mean = np.asarray(values, dtype=float), np.asarray(mean, dtype=float)[..., None]
    most = 1 / (values.max(-1, keepdims=True) - mean)  # a larger bet could lose more than all
    gains = np.log1p((most * (mean - values))[..., None] * BETS)
    return np.asarray((np.asarray(counts, dtype=float)[..., None, :] @ gains)[..., 0, :])


def log_mean(logs: Floats) -> Floats:
    """The logarithm of the mean over the last axis, for what is given as logarithms."""
    return np.asarray(np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1]))


def harm(counts: ArrayLike, tolerated: ArrayLike, rule: Rule) -> Floats:
    """The logarithm of the wealth against "the loss is at most `tolerated`", a fraction."""
    seen = np.asarray(counts) @ (_KNOWN if rule.random_labels else _BEST)
    stages = log_wealth(-_VALUES, seen, -np.asarray(tolerated)[..., None])
    together, afresh = log_mean(stages.sum(-2)), log_mean(log_mean(stages))
    return log_mean(np.stack([together, afresh], -1))


def no_harm(counts: ArrayLike, harm: ArrayLike, rule: Rule) -> Floats:
    """The logarithm of the wealth against "the loss is `harm` or more", a fraction, of one stage: counts are … × 6."""
    bets = [_KNOWN, _WORST] if rule.random_labels else [_WORST]
    return log_mean(np.stack([log_mean(log_wealth(_VALUES, np.asarray(counts) @ cells, harm)) for cells in bets], -1))


def decided(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether to roll back, and whether the present stage has shown that there is no harm."""
    back = harm(counts, rule.tolerated / 100, rule) >= np.log(1 / rule.false_alarm)
    return back, ~back & (no_harm(present(counts, stage), rule.harm / 100, rule) >= np.log(1 / rule.miss))


def bounds(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[Floats, Floats]:
    """Between what the loss lies, in points: below by all stages, above by the present one.

    The lower bound passes `tolerated` when harm has been shown, the upper one `harm` when no harm has.
    """
    own = present(counts, stage)
    low = crossing(lambda mean: harm(counts, -mean, rule), np.log(1 / rule.false_alarm), own.shape[:-1])
    high = crossing(lambda mean: no_harm(own, mean, rule), np.log(1 / rule.miss), own.shape[:-1])
    return -100 * low, 100 * high


def present(counts: ArrayLike, stage: ArrayLike) -> Integers:
    """The counts of the stage that each roll-out is in: … × 6."""
    return np.take_along_axis(np.asarray(counts), np.asarray(stage)[..., None, None], -2)[..., 0, :]


def crossing(rises: Callable[[Floats], Floats], level: float, shape: tuple[int, ...]) -> Floats:
    """The smallest point between -1 and 1 where a rising function has reached the level, by halving; 1 if nowhere.

    With a wealth for the function, it is the end of a confidence sequence.
    """
    low, high = np.full(shape, -1.0), np.full(shape, 1.0)
    for _halving in range(HALVINGS):
        middle = (low + high) / 2
        reached = rises(middle) >= level
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return high
