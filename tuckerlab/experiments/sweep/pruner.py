"""Which trials are given up: those that a smaller network is far ahead of, once ranks have come down.

>>> hopeless(None).__class__.__name__, hopeless(0.15).margin
('NopPruner', 0.15)

The usual rule, worse than the median of all, would give up every small network: they are never as good as large ones.
"""

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from tuckerlab.tucker.rank_policy import RAMP

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

LOOKS = 2
"""Epochs in a row after which it holds: what has just been cut is bad for one, and recovers."""


def hopeless(margin: float | None) -> "BasePruner":
    """The rule with a margin in accuracy (a fraction of 1), or none."""
    from optuna.pruners import NopPruner

    return NopPruner() if margin is None else _rule()(margin)


@cache
def _rule() -> Any:  # a class is made where its base is loaded, which takes a second
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

    class Hopeless(BasePruner):
        """A trial whose accuracy, in each of its last epochs, is more than `margin` below that of another at that
        epoch, which stored no more then than this one does now. The dense network is what others are compared with,
        and is never given up. Methods with fewer epochs are further at the same one: only equally long runs compare.
        """

        def __init__(self, margin: float) -> None:
            self.margin = margin

        def prune(self, study: Study, trial: FrozenTrial) -> bool:
            epochs, reported = _epochs(trial), trial.intermediate_values
            last = sorted(reported)[-LOOKS:]
            if not epochs or len(last) < LOOKS or last[0] < RAMP * epochs:
                return False
            if trial.user_attrs.get("method") == "dense":
                return False
            present = _size(trial, last[-1])
            others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
            return any(
                other.number != trial.number
                and _epochs(other) == epochs
                and all(_size(other, e) <= present for e in last)
                and all(other.intermediate_values.get(e, 0.0) - reported[e] > self.margin for e in last)
                for other in others
            )

    def _epochs(trial: FrozenTrial) -> int:
        return int(trial.user_attrs.get("now", {}).get("epochs", 0))

    def _size(trial: FrozenTrial, epoch: int) -> float:
        return float(trial.user_attrs.get("sizes", {}).get(str(epoch), math.nan))  # which no size is below

    return Hopeless
