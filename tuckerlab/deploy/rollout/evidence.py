"""How much the counts of a roll-out speak for harm and for no harm, and between which bounds the loss lies.

>>> import numpy as np
>>> from tuckerlab.deploy.rollout.rule import Rule
>>> counts = np.zeros((4, 6)); counts[0] = 900, 70, 0, 22, 1, 7   # a stage of 1,000 requests, 100 of them labelled
>>> rule = Rule()
>>> bool(harm(counts, rule) >= np.log(1 / rule.false_alarm)), bool(no_harm(counts[0], 0, rule) > 0)
(True, False)

All functions take arrays of any leading shape: one roll-out, its course, or hundreds at once. Counts are
… × stages × 6, the cells of `tally`.

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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuckerlab.deploy.rollout.anytime_test import Floats, crossing, log_mean, log_wealth
from tuckerlab.deploy.rollout.counts import Arm, Pair
from tuckerlab.deploy.rollout.rule import Rule

Integers = NDArray[np.int64]


def harm(counts: ArrayLike, rule: Rule, tolerated: ArrayLike | None = None) -> Floats:
    """The logarithm of the wealth against "the loss is at most `tolerated`" (a fraction; None: that of the rule)."""
    mean = np.asarray(rule.tolerated / 100 if tolerated is None else tolerated, dtype=float)
    seen = np.asarray(counts) @ (_KNOWN[rule.paired] if rule.random_labels else _BEST)
    stages = log_wealth(-_values(rule), seen, -mean[..., None])
    together, afresh = log_mean(stages.sum(-2)), log_mean(log_mean(stages))
    return log_mean(np.stack([together, afresh], -1))


def no_harm(counts: ArrayLike, stage: ArrayLike, rule: Rule, harm: ArrayLike | None = None) -> Floats:
    """The logarithm of the wealth against "the loss is `harm` or more" (a fraction), of one stage: counts are … × 6."""
    mean = np.asarray(rule.harm / 100 if harm is None else harm, dtype=float)
    values = _values(rule)[np.asarray(stage)]
    bets = [_KNOWN[rule.paired]] if rule.random_labels else []
    bets += [_WORST] if rule.paired else []
    return log_mean(np.stack([log_mean(log_wealth(values, np.asarray(counts) @ cells, mean)) for cells in bets], -1))


def bounds(counts: ArrayLike, stage: ArrayLike, rule: Rule) -> tuple[Floats, Floats]:
    """Between what the loss lies, in points: below by all stages, above by the present one.

    >>> low, high = bounds(np.zeros((4, 6)), 0, Rule())
    >>> float(low), float(high)
    (-100.0, 100.0)

    The lower bound passes `tolerated` when `harm` has been shown, the upper one `harm` when `no_harm` has.
    """
    counts, stage = np.asarray(counts), np.asarray(stage)
    present = np.take_along_axis(counts, stage[..., None, None], -2)[..., 0, :]
    ends = np.full(counts.shape[:-2], -1.0), np.full(counts.shape[:-2], 1.0)
    low = crossing(lambda mean: harm(counts, rule, -mean), float(np.log(1 / rule.false_alarm)), *ends)
    high = crossing(lambda mean: no_harm(present, stage, rule, mean), float(np.log(1 / rule.miss)), *ends)
    return -100 * low, 100 * high


def answered(counts: ArrayLike, rule: Rule) -> Integers:
    """How many requests the new network has answered, in each stage.

    >>> answered([[1, 2, 3, 4, 5, 6]], Rule())
    array([21])
    """
    counts = np.asarray(counts)
    return np.asarray((counts if rule.paired else counts[..., : Arm.old_open]).sum(-1))


def _values(rule: Rule) -> Floats:
    """What a request adds to the loss, by stages: 1 where lost, −1 where gained, 0 otherwise.

    Without a shadow a request of probability p to come to the new network adds 1/p where that is wrong, one that
    comes to the old network takes away 1/(1 − p) where that is wrong: the mean is the loss again.
    """
    if rule.paired:
        return np.tile([1.0, -1.0, 0.0], (len(rule.tested), 1))
    return np.array([[1 / share, -1 / (1 - share), 0.0] for share in rule.tested])


def _cells(kinds: int, *chosen: tuple[int, ...]) -> Integers:
    """The matrix that sums cells up to the three values."""
    found = np.zeros((kinds, 3), dtype=np.int64)
    for value, cells in enumerate(chosen):
        found[list(cells), value] = 1
    return found


_SAME = (Pair.alike, Pair.alike_known, Pair.both_wrong)
_KNOWN = {
    True: _cells(len(Pair), (Pair.lost,), (Pair.gained,), (Pair.alike_known, Pair.both_wrong)),
    False: _cells(len(Arm), (Arm.new_wrong,), (Arm.old_wrong,), (Arm.new_right, Arm.old_right)),
}
_WORST = _cells(len(Pair), (Pair.lost, Pair.differing), (Pair.gained,), _SAME)
_BEST = _cells(len(Pair), (Pair.lost,), (Pair.gained, Pair.differing), _SAME)
