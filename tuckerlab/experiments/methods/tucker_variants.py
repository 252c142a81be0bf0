"""What is close to Tucker format trained on its manifold: by other steps, in one mode alone, or after the training."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from tuckerlab.errors import RankError
from tuckerlab.experiments.methods.base import ADAMW, Dense, Method, Tucker
from tuckerlab.experiments.retruncation import cut
from tuckerlab.experiments.setup import Experiment, on_meta
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import materialize, to_plain
from tuckerlab.tucker.nested import Nested
from tuckerlab.tucker.rank_policy import Budget, RankPolicy

BEFORE = 2 / 3
"""The share of the budget that the dense network gets, where what is made of it is trained on; not tuned."""


@dataclass(frozen=True)
class Factors(Method):
    """Core and factors, each stepped as a weight of its own by SGD, AdamW or Muon, at the ranks that Tucker has found.

    They are a gift of a whole training from the same seed, since a plain network has no way to find them.
    """

    policy: RankPolicy
    optimizer_name: str = "sgd"

    @property
    def name(self) -> str:
        return f"factors-{self.optimizer_name}"

    def recipe(self, recipe: Recipe) -> Recipe:
        return stepped_by(self.optimizer_name, recipe)

    def train(self, experiment: Experiment) -> Run:
        found = Tucker(self.policy).train(replace(experiment, callbacks=()))
        if not found.is_over:
            return found
        return self.fit(to_plain(anew(found.model, experiment.recipe.seed)), experiment)


def stepped_by(optimizer: str, recipe: Recipe) -> Recipe:
    """The recipe for a network that is to learn with this optimizer."""
    if optimizer == "adamw":
        return replace(recipe, **ADAMW)
    if optimizer == recipe.optimizer:
        return recipe
    return replace(recipe, optimizer=optimizer, lr=None, weight_decay=None)


def anew(model: nn.Module, seed: int) -> nn.Module:
    """A copy on the CPU with new first weights from the seed: a Tucker network at the same ranks."""
    model = copy.deepcopy(model).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in model.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return model


@dataclass(frozen=True)
class Matrix(Method):
    """Each kernel a matrix out × (in·kh·kw) of low rank, small from the start: Tucker format in the output mode alone.

    After Schotthöfer, Zangrando, Kusch, Ceruti and Tudisco, "Low-rank lottery tickets" (NeurIPS 2022).
    """

    policy: RankPolicy
    name = "matrix"
    adapts = True
    modes = (0,)

    def built(self, spec: dict[str, Any]) -> nn.Module:
        network = on_meta(spec, modes=self.modes)
        vars(network).pop("spec")  # a checkpoint would rebuild another network from it
        return materialize(network)


@dataclass(frozen=True)
class Cut(Method):
    """The dense network gets all of the experiment, and is cut at its end by a truncated HOSVD."""

    policy: RankPolicy
    name = "cut"

    def train(self, experiment: Experiment) -> Run:
        run = Dense().train(experiment)
        return ended_as(cut(run.model, self.policy), run, experiment) if run.is_over else run


def ended_as(made: nn.Module, run: Run, experiment: Experiment) -> Run:
    """The run with what was made of its network at its end."""
    loss, accuracy = evaluate(made, experiment.data.to(experiment.device))
    last = {**run.epochs[-1], "test_loss": loss, "test_accuracy": accuracy, **experiment.counts(made).row}
    return replace(run, made=made, epochs=[*run.epochs[:-1], last])


@dataclass(frozen=True)
class CutNested(Method):
    """One training for every size, and of it the network of one, cut with batch norms that know it."""

    policy: Budget
    trained: Nested = field(default_factory=Nested)
    name = "nested"

    def check(self, experiment: Experiment) -> None:
        Tucker(self.trained).check(experiment)
        least, most = self.trained.compression, self.trained.smallest
        if not least <= self.policy.compression <= most:
            raise RankError(
                f"compression {self.policy.compression:g}: one training has sizes from {least:g} to {most:g}"
            )

    def train(self, experiment: Experiment) -> Run:
        run = Tucker(self.trained).train(experiment)
        if not run.is_over:
            return run
        small = cut(run.model, self.policy, experiment.data.to(experiment.device).sample())
        return replace(ended_as(small, run, experiment), ranks=[])  # those on the way are of the largest size


@dataclass(frozen=True)
class CutAndTuned(Method):
    """The dense network gets two thirds of the experiment, and what is cut of it the rest.

    The learning-rate schedule begins anew (Renda, Frankle and Carbin, "Comparing rewinding and fine-tuning in neural
    network pruning", ICLR 2020).
    """

    policy: RankPolicy
    name = "cut-tuned"

    def check(self, experiment: Experiment) -> None:
        super().check(experiment)
        experiment.split(BEFORE)

    def train(self, experiment: Experiment) -> Run:
        return dense_first(self, experiment, lambda dense: cut(dense, self.policy))


def dense_first(method: Method, experiment: Experiment, change: Callable[[nn.Module], nn.Module]) -> Run:
    """Trains the dense network for its share of the experiment, and for the rest what is made of it."""
    before, after = experiment.split(BEFORE)
    run = Dense().train(before)
    return method.fit(change(run.model), after, after=run) if run.is_over else run
