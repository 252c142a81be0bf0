"""One network of a comparison: how it is trained, in which form it answers, and what is counted of it.

>>> Dense().method, Tucker(Budget(0.95)).label
('dense', 'Tucker 95 %')

The rivals are contenders too, one file each in `tuckerlab.experiments.methods`. Each gets the same number of gradient
evaluations and spends them as it likes: on one network, or on a dense one first and then on what it has made of it.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import nn

from tuckerlab.experiments.context import Training
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.models import build
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.model_size import Counts
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

ADAMW: dict[str, Any] = {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.05}
"""What differs from a recipe of SGD; not tuned."""


class Contender:
    """A way from images to a network. Override `train`, and what is different of the rest."""

    method: ClassVar[str]
    """What records and colours go by."""

    @property
    def label(self) -> str:
        """The name that people see."""
        raise NotImplementedError

    @property
    def ranks(self) -> RankPolicy | None:
        """How ranks go on while it trains; None without any."""
        return None

    @property
    def slug(self) -> str:
        """The label in file names."""
        return in_file_names(self.label)

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        """A new network from the seed: what its training begins with."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(**spec)

    def check(self, arena: Arena) -> None:
        """Raises TuckerlabError, before anything is trained, for what cannot be had in this arena."""
        arena.check(self.ranks)

    def train(self, training: Training) -> Run:
        """Spends the training's budget; what was done before is found in its folder and not done again."""
        raise NotImplementedError

    def answering(self, model: nn.Module, arena: Arena) -> nn.Module:
        """The form in which the network answers once it is trained: torch.nn modules only."""
        return to_plain(model)

    def counts(self, model: nn.Module, arena: Arena) -> Counts:
        """The numbers stored, against those of the dense network."""
        return arena.counts(model)

    def mask_bytes(self, model: nn.Module) -> int:
        """What training keeps beside weights, gradients and optimizer."""
        return 0

    def file_bytes(self, model: nn.Module, arena: Arena) -> int:
        """The size of the network's file."""
        return checkpoint_bytes(model)

    def recipe(self, recipe: Recipe) -> Recipe:
        """How its networks are trained, where not as all are."""
        return recipe

    def optimizer(self, recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        """What its networks are trained with."""
        return recipe.make_optimizer(model, total_steps)


@dataclass(frozen=True)
class Dense(Contender):
    """The network as usual.

    >>> Dense().slug
    'dense'
    """

    method = "dense"

    @property
    def label(self) -> str:
        return "dense"

    def train(self, training: Training) -> Run:
        return training.fit(self.network(training.spec, training.seed), self.slug)


@dataclass(frozen=True)
class Tucker(Contender):
    """In Tucker format, small from the start: its dense weights never exist.

    start: the largest rank at the first step, as a share of the widest layer; None: ranks as `tuckerize` takes them.

    >>> Tucker(Budget(0.95)).slug, Tucker(Tolerance(0.1)).label
    ('tucker-95', 'Tucker τ 0.1')
    """

    policy: RankPolicy
    start: float | None = None
    method = "tucker"

    @property
    def label(self) -> str:
        return f"Tucker {setting(self.policy)}"

    @property
    def ranks(self) -> RankPolicy:
        return self.policy

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        """A new network from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return materialize(on_meta(spec, self.start))

    def train(self, training: Training) -> Run:
        return training.fit(self.network(training.spec, training.seed), self.slug, ranks=self.policy)


@dataclass(frozen=True)
class Varied(Contender):
    """Another contender in all but what a subclass changes."""

    of: Contender

    @property
    def method(self) -> str:  # type: ignore[override]
        return self.of.method

    @property
    def ranks(self) -> RankPolicy | None:
        return self.of.ranks

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        return self.of.network(spec, seed)

    def check(self, arena: Arena) -> None:
        self.of.check(arena)

    def answering(self, model: nn.Module, arena: Arena) -> nn.Module:
        return self.of.answering(model, arena)

    def counts(self, model: nn.Module, arena: Arena) -> Counts:
        return self.of.counts(model, arena)

    def mask_bytes(self, model: nn.Module) -> int:
        return self.of.mask_bytes(model)

    def file_bytes(self, model: nn.Module, arena: Arena) -> int:
        return self.of.file_bytes(model, arena)

    def recipe(self, recipe: Recipe) -> Recipe:
        return self.of.recipe(recipe)

    def optimizer(self, recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        return self.of.optimizer(recipe, model, total_steps)


@dataclass(frozen=True)
class EqualTime(Varied):
    """A contender with steps shorter than the dense network's, which trains for as many epochs as take equal time.

    >>> contender = EqualTime(Tucker(Budget(0.95)), epochs=24)
    >>> contender.label, contender.slug, contender.recipe(Recipe(epochs=12)).epochs
    ('Tucker 95 %, equal time', 'tucker-95-equal-time', 24)
    """

    epochs: int

    @property
    def label(self) -> str:
        return f"{self.of.label}, equal time"

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(self.of.recipe(recipe), epochs=self.epochs)

    def train(self, training: Training) -> Run:
        return self.of.train(training.of(self.epochs))


@dataclass(frozen=True)
class WithAdamW(Varied):
    """A contender whose weights are stepped by AdamW, those in Tucker format on the manifold.

    Some images are learned better with AdamW, whatever the format of the weights. Beside a rival that uses it stand the
    dense network and ours with the same optimizer, so that nobody takes the one for the other.

    >>> WithAdamW(Dense()).label, WithAdamW(Tucker(Budget(0.9))).method
    ('dense AdamW', 'tucker-adamw')
    """

    @property
    def method(self) -> str:  # type: ignore[override]
        return f"{self.of.method}-adamw"

    @property
    def label(self) -> str:
        return f"{self.of.label} AdamW"

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, **ADAMW)

    def optimizer(self, recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        return replace(recipe, optimizer="adamw").make_optimizer(model, total_steps)

    def train(self, training: Training) -> Run:
        arena = replace(training.arena, recipe=self.recipe(training.recipe))
        return self.of.train(replace(training, arena=arena, prefix="adamw-"))


def in_file_names(label: str) -> str:
    """A label as the name of a file.

    >>> in_file_names("Tucker 90 %")
    'tucker-90'
    """
    return label.lower().replace(" %", "").replace(" τ", "").replace(",", "").replace(" ", "-")


def setting(policy: RankPolicy) -> str:
    """A policy in a label.

    >>> setting(Budget(0.95)), setting(Tolerance(0.1))
    ('95 %', 'τ 0.1')
    """
    if isinstance(policy, Budget):
        return f"{100 * policy.compression:g} %"
    return f"τ {policy.tau:g}" if isinstance(policy, Tolerance) else str(policy)
