"""What answers and labels say, as six counts, and how much these speak for harm and for no harm.

>>> paired(old=[3, 3, 5, 7], new=[3, 5, 3, 7], labels=[3, 3, None, None], classes=10)
Tally(cells=(1, 1, 1, 1, 0, 0))
>>> counts = np.zeros((4, 6)); counts[0] = 900, 70, 0, 22, 1, 7   # a stage of 1,000 requests, 100 of them labelled
>>> rule = Rule()
>>> bool(harm(counts, rule) >= np.log(1 / rule.false_alarm)), bool(no_harm(counts[0], rule) > 0)
(True, False)

Where both networks answer alike nothing is lost, whatever the label turns out to be; only where they differ is a label
needed at all. The functions of evidence take arrays of any leading shape: one roll-out, its course, or hundreds at
once. Counts are … × stages × 6, the cells of `Pair`.

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
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.deploy.rollout.anytime_test import Floats, crossing, log_mean, log_wealth
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.errors import TuckerlabError, is_whole

Answers = Sequence[int] | NDArray[np.integer]
Labels = Sequence[int | None] | NDArray[np.integer] | None
Integers = NDArray[np.int64]

UNKNOWN = -1


class Pair(IntEnum):
    """The cells of requests, by what both networks have answered; `differing` and `alike` have no label yet."""

    alike, alike_known, differing, lost, gained, both_wrong = range(6)


LABELLED = (Pair.lost, Pair.gained, Pair.both_wrong)
"""What a request on which the networks differ turns into when its label comes."""


@dataclass(frozen=True)
class Tally:
    """How many requests lie in each cell of `Pair`."""

    cells: tuple[int, ...]


def paired(old: Answers, new: Answers, labels: Labels, classes: int) -> Tally:
    """The answers of both networks to the same requests, as classes; a label that is not known is None or −1.

    Raises TuckerlabError where the lengths differ, or an answer or a label is not a class.
    """
    before, now = _checked("old answers", old, classes), _checked("new answers", new, classes)
    if len(before) != len(now):
        raise TuckerlabError(f"{len(before)} old and {len(now)} new answers: both networks answer each request")
    given = [UNKNOWN] * len(now) if labels is None else [UNKNOWN if label is None else label for label in labels]
    right = _checked("labels", given, classes, least=UNKNOWN)
    if len(right) != len(now):
        raise TuckerlabError(f"{len(right)} labels for {len(now)} requests: give one each, None where it is not known")
    known, differ = right != UNKNOWN, before != now
    cell = np.where(differ, Pair.differing, np.where(known, Pair.alike_known, Pair.alike))
    cell[differ & known] = Pair.both_wrong
    cell[differ & known & (before == right)] = Pair.lost
    cell[differ & known & (now == right)] = Pair.gained
    return Tally(tuple(np.bincount(cell, minlength=len(Pair)).tolist()))


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

    >>> low, high = bounds(np.zeros((4, 6)), 0, Rule())
    >>> float(low), float(high)
    (-100.0, 100.0)

    The lower bound passes `tolerated` when `harm` has been shown, the upper one `harm` when `no_harm` has.
    """
    counts = np.asarray(counts)
    ends = np.full(counts.shape[:-2], -1.0), np.full(counts.shape[:-2], 1.0)
    low = crossing(lambda mean: harm(counts, rule, -mean), float(np.log(1 / rule.false_alarm)), *ends)
    high = crossing(lambda mean: no_harm(present(counts, stage), rule, mean), float(np.log(1 / rule.miss)), *ends)
    return -100 * low, 100 * high


def decided(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether to roll back, and whether the present stage has shown that there is no harm.

    >>> [bool(one) for one in decided([[0, 700, 0, 0, 1, 0]] + 3 * [[0] * 6], 0, Rule())]
    [False, True]
    """
    counts = np.asarray(counts)
    back = harm(counts, rule) >= np.log(1 / rule.false_alarm)
    return back, ~back & (no_harm(present(counts, stage), rule) >= np.log(1 / rule.miss))


def present(counts: Integers, stage: ArrayLike) -> Integers:
    """The counts of the stage that each roll-out is in: … × 6."""
    return np.take_along_axis(counts, np.asarray(stage)[..., None, None], -2)[..., 0, :]


def _checked(name: str, given: Answers, classes: int, least: int = 0) -> Integers:
    if not is_whole(classes) or classes < 2:
        raise TuckerlabError(f"classes {classes!r}: a whole number from 2")
    found = np.asarray(given)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise TuckerlabError(f"{name} of type {found.dtype}, {found.ndim} dimensions: give one list of whole numbers")
    wrong = found[(found < least) | (found >= classes)]
    if wrong.size:
        unknown = ", and None or -1 where it is not known" if least else ""
        raise TuckerlabError(f"{name}: {wrong[0]} is not a class; classes are 0 to {classes - 1}{unknown}")
    return found.astype(np.int64)


def _cells(lost: Sequence[Pair], gained: Sequence[Pair], neither: Sequence[Pair]) -> Integers:
    """The matrix that sums cells up to the three values."""
    found = np.zeros((len(Pair), 3), dtype=np.int64)
    for value, cells in enumerate((lost, gained, neither)):
        found[list(cells), value] = 1
    return found


_VALUES: Floats = np.array([1.0, -1.0, 0.0])  # what a request adds to the loss: lost, gained, neither
_SAME = (Pair.alike, Pair.alike_known, Pair.both_wrong)
_KNOWN = _cells((Pair.lost,), (Pair.gained,), (Pair.alike_known, Pair.both_wrong))
_WORST = _cells((Pair.lost, Pair.differing), (Pair.gained,), _SAME)
_BEST = _cells((Pair.lost,), (Pair.gained, Pair.differing), _SAME)
