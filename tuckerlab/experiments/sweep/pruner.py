"""Which trials of a sweep are given up: those that a smaller network is far ahead of, once ranks have come down.

Optuna's usual rule, worse than the median of all, would give up every small network: they are never as good as large
ones.
"""

import math

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuckerlab.tucker.rank_policy import RAMP

LOOKS = 2
"""Epochs in a row after which it holds: what has just been cut is bad for one, and recovers."""


class FarBehindPruner(BasePruner):
    """Gives up a trial whose accuracy, in each of its last epochs, is more than `margin` (a fraction of 1) below that
    of another at that epoch, which stored no more parameters then than this one does now.

    The dense network is what others are compared with, and is never given up. Methods with fewer epochs are further at
    the same one: only equally long runs compare.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to give it up now."""
        epochs, accuracies = trial.user_attrs.get("epochs", 0), trial.intermediate_values
        last = sorted(accuracies)[-LOOKS:]
        if len(last) < LOOKS or last[0] < RAMP * epochs or trial.user_attrs.get("method") == "dense":
            return False
        size = _parameters(trial, last[-1])
        return any(
            other.number != trial.number
            and other.user_attrs.get("epochs") == epochs
            and all(_parameters(other, epoch) <= size for epoch in last)
            and all(other.intermediate_values.get(epoch, 0.0) - accuracies[epoch] > self.margin for epoch in last)
            for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        )


def _parameters(trial: FrozenTrial, epoch: int) -> float:
    counts = trial.user_attrs.get("parameters", [])
    return float(counts[epoch - 1]) if epoch <= len(counts) else math.nan  # which no size is below
