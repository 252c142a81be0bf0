"""Tucker after training: the usual network is trained, then cut by a truncated HOSVD, and trained on or not.

>>> from tuckerlab import Budget
>>> Cut(Budget(0.9)).label, CutAndTuned(Budget(0.9)).label
('cut 90 %', 'cut and tuned 90 %')

The ranks are what the same policy chooses from the trained kernels. Fine-tuning begins the learning-rate schedule anew
(Renda, Frankle and Carbin, "Comparing rewinding and fine-tuning in neural network pruning", ICLR 2020). The share of
the two parts was not tuned here.
"""

from dataclasses import dataclass

from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, Dense, setting
from tuckerlab.experiments.retruncation import cut
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.run import Run
from tuckerlab.tucker.rank_policy import RankPolicy

BEFORE = 2 / 3
"""The share of the budget that the dense network gets, where what is made of it is trained on."""


@dataclass(frozen=True)
class Cut(Contender):
    """The dense network gets all of the training, and is cut at its end."""

    policy: RankPolicy
    method = "cut"

    @property
    def label(self) -> str:
        return f"cut {setting(self.policy)}"

    def check(self, arena: Arena) -> None:
        arena.check(self.policy)

    def train(self, training: Training) -> Run:
        run = Dense().train(training)
        if not run.is_over:
            return run
        network = cut(run.model, self.policy)
        return training.changed(run, network, self.counts(network, training.arena))


@dataclass(frozen=True)
class CutAndTuned(Cut):
    """The dense network gets two thirds of the training, and what is left of it the rest."""

    method = "cut-tuned"

    @property
    def label(self) -> str:
        return f"cut and tuned {setting(self.policy)}"

    def check(self, arena: Arena) -> None:
        super().check(arena)
        Training(arena).split(BEFORE)

    def train(self, training: Training) -> Run:
        before, after = training.split(BEFORE)
        run = Dense().train(before)
        return after.fit(cut(run.model, self.policy), self.slug, after=run) if run.is_over else run
