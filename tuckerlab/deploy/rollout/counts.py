"""What answers and labels say, as six counts, and how much these speak for harm and for no harm.

Where both networks answer alike nothing is lost, whatever the label turns out to be; only where they differ is a label
needed at all. The functions below take counts of any leading shape (one roll-out, its course, or hundreds at once):
… × stages × 6, the cells of `Pair`.

*Harm.* The claim "the loss is tolerated" is bet against over all stages together, and afresh in each stage, so that
a fault that first shows at half of the traffic does not drown in what was good before. The mean of these fortunes is
a fortune itself: one chance of an error covers all stages.

*No harm.* The claim "the loss is `harm` or more" has to be refuted in every stage by the requests of that stage. To get
past a later stage wrongly a roll-out would first have to get past the first harmful one wrongly; so each stage may
use the whole chance of an error, and over all stages it is the same (a gatekeeping sequence).

*Labels.* Where they arrive at random, labelled requests are a fair sample. Besides, a loss is at most the share of
answers that differ, label or no label: answers that differ and have no label count as lost in a second bet against
harm, and as gained in one against no harm where labels are not random. The second bet needs no assumption, and alone
decides where labels never come, if answers hardly differ.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.deploy.rollout.anytime_test import Floats, crossing, log_mean, log_wealth
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.errors import TuckerlabError

Answers = Sequence[int] | NDArray[np.integer]
Labels = Sequence[int | None] | NDArray[np.integer] | None
Integers = NDArray[np.int64]

UNKNOWN = -1


class Pair(IntEnum):
    """The cells of requests, by what both networks have answered; `differing` and `alike` have no label yet."""

    alike, alike_known, differing, lost, gained, both_wrong = range(6)


LABELLED = (Pair.lost, Pair.gained, Pair.both_wrong)
"""What a request on which the networks differ turns into when its label comes."""


def paired(old: Answers, new: Answers, labels: Labels, classes: int) -> tuple[int, ...]:
    """How many requests lie in each cell of `Pair`, from the answers of both networks to the same ones, as classes.

    >>> paired(old=[3, 3, 5, 7], new=[3, 5, 3, 7], labels=[3, 3, None, None], classes=10)
    (1, 1, 1, 1, 0, 0)

    A label that is not known is None or −1. Raises TuckerlabError where the lengths differ, or an answer or a label is
    not a class.
    """
    before, now = _checked("old answers", old, classes), _checked("new answers", new, classes)
    given = [UNKNOWN] * len(now) if labels is None else [UNKNOWN if label is None else label for label in labels]
    right = _checked("labels", given, classes, least=UNKNOWN)
    if not len(before) == len(now) == len(right):
        raise TuckerlabError(
            f"{len(before)} old and {len(now)} new answers, {len(right)} labels: give one each for every request, and "
            "None for a label that is not known"
        )
    known, differ = right != UNKNOWN, before != now
    cell = np.where(differ, Pair.differing, np.where(known, Pair.alike_known, Pair.alike))
    cell[differ & known] = Pair.both_wrong
    cell[differ & known & (before == right)] = Pair.lost
    cell[differ & known & (now == right)] = Pair.gained
    return tuple(np.bincount(cell, minlength=len(Pair)).tolist())


def harm(counts: ArrayLike, rule: Rule, tolerated: ArrayLike | None = None) -> Floats:
    """The logarithm of the wealth against "the loss is at most `tolerated`" (a fraction; None: that of the rule)."""
    mean = np.asarray(rule.tolerated / 100 if tolerated is None else tolerated, dtype=float)
    seen = np.asarray(counts) @ (_KNOWN if rule.random_labels else _BEST)
    stages = log_wealth(-_VALUES, seen, -mean[..., None])
    together, afresh = log_mean(stages.sum(-2)), log_mean(log_mean(stages))
    return log_mean(np.stack([together, afresh], -1))


def no_harm(counts: ArrayLike, rule: Rule, harm: ArrayLike | None = None) -> Floats:
    """The logarithm of the wealth against "the loss is `harm` or more" (a fraction), of one stage: counts are … × 6."""
    mean = np.asarray(rule.harm / 100 if harm is None else harm, dtype=float)
    bets = [_KNOWN, _WORST] if rule.random_labels else [_WORST]
    return log_mean(np.stack([log_mean(log_wealth(_VALUES, np.asarray(counts) @ cells, mean)) for cells in bets], -1))


def bounds(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[Floats, Floats]:
    """Between what the loss lies, in points: below by all stages, above by the present one.

    The lower bound passes `tolerated` when `harm` has been shown, the upper one `harm` when `no_harm` has.
    """
    counts = np.asarray(counts)
    ends = np.full(counts.shape[:-2], -1.0), np.full(counts.shape[:-2], 1.0)
    low = crossing(lambda mean: harm(counts, rule, -mean), float(np.log(1 / rule.false_alarm)), *ends)
    high = crossing(lambda mean: no_harm(present(counts, stage), rule, mean), float(np.log(1 / rule.miss)), *ends)
    return -100 * low, 100 * high


def decided(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether to roll back, and whether the present stage has shown that there is no harm."""
    counts = np.asarray(counts)
    back = harm(counts, rule) >= np.log(1 / rule.false_alarm)
    return back, ~back & (no_harm(present(counts, stage), rule) >= np.log(1 / rule.miss))


def present(counts: Integers, stage: ArrayLike) -> Integers:
    """The counts of the stage that each roll-out is in: … × 6."""
    return np.take_along_axis(counts, np.asarray(stage)[..., None, None], -2)[..., 0, :]


def _checked(name: str, given: Answers, classes: int, least: int = 0) -> Integers:
    found = np.asarray(given)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise TuckerlabError(f"{name} of type {found.dtype}, {found.ndim} dimensions: give one list of whole numbers")
    if (wrong := found[(found < least) | (found >= classes)]).size:
        raise TuckerlabError(f"{name}: {wrong[0]} is not a class; classes are 0 to {classes - 1}")
    return found.astype(np.int64)


def _cells(*of_value: tuple[Pair, ...]) -> Integers:
    """The matrix (cells × values) that sums cells up to the three `_VALUES`."""
    return np.array([[cell in cells for cells in of_value] for cell in Pair], dtype=np.int64)


_VALUES: Floats = np.array([1.0, -1.0, 0.0])  # what a request adds to the loss: lost, gained, neither
_SAME = (Pair.alike, Pair.alike_known, Pair.both_wrong)
_KNOWN = _cells((Pair.lost,), (Pair.gained,), (Pair.alike_known, Pair.both_wrong))
_WORST = _cells((Pair.lost, Pair.differing), (Pair.gained,), _SAME)
_BEST = _cells((Pair.lost,), (Pair.gained, Pair.differing), _SAME)
