"""Which trials are given up: those that a smaller network is far ahead of, once ranks have come down.

>>> hopeless(None).__class__.__name__, hopeless(0.15).margin
('NopPruner', 0.15)

The usual rule, worse than the median of all, would give up every small network: they are never as good as large ones.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from tuckerlab.ranks import RAMP

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
        epoch, which stores no more. The dense network is what others are compared with, and is never given up.
        """

        def __init__(self, margin: float) -> None:
            self.margin = margin

        def prune(self, study: Study, trial: FrozenTrial) -> bool:
            now, reported = trial.user_attrs.get("now"), trial.intermediate_values
            last = sorted(reported)[-LOOKS:]
            if now is None or len(last) < LOOKS or last[0] < RAMP * now["epochs"]:
                return False
            if trial.user_attrs.get("method") == "dense":
                return False
            others = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
            return any(
                other.number != trial.number
                and other.user_attrs.get("now", {}).get("parameters", float("inf")) <= now["parameters"]
                and all(other.intermediate_values.get(e, 0.0) - reported[e] > self.margin for e in last)
                for other in others
            )

    return Hopeless
