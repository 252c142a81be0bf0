"""Tucker after training: the usual network is trained, then cut by a truncated HOSVD, and trained on or not.

The ranks are what the same policy chooses from the trained kernels. Fine-tuning begins the learning-rate schedule anew
(Renda, Frankle and Carbin, "Comparing rewinding and fine-tuning in neural network pruning", ICLR 2020). The share of
the two parts was not tuned here.
"""

from dataclasses import dataclass

from tuckerlab.experiments.methods.base import AtPolicy, Dense
from tuckerlab.experiments.retruncation import cut
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.run import Run

BEFORE = 2 / 3
"""The share of the budget that the dense network gets, where what is made of it is trained on."""


@dataclass(frozen=True)
class Cut(AtPolicy):
    """The dense network gets all of the training, and is cut at its end."""

    method = "cut"
    title = "cut"

    def train(self, arena: Arena) -> Run:
        run = Dense().train(arena)
        if not run.is_over:
            return run
        network = cut(run.model, self.policy)
        return arena.changed(run, network, self.counts(network, arena))


@dataclass(frozen=True)
class CutAndTuned(AtPolicy):
    """The dense network gets two thirds of the training, and what is left of it the rest."""

    method = "cut-tuned"
    title = "cut and tuned"

    def check(self, arena: Arena) -> None:
        super().check(arena)
        arena.split(BEFORE)

    def train(self, arena: Arena) -> Run:
        before, after = arena.split(BEFORE)
        run = Dense().train(before)
        return self.fit(cut(run.model, self.policy), after, after=run) if run.is_over else run
