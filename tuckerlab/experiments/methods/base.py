"""A method makes one network of a comparison: how it is trained, in which form it answers, what is counted of it.

The others are in the files beside this one. Each gets the same number of gradient evaluations and spends them as it
likes: on one network, or on a dense one first and then on what it has made of it.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import nn

from tuckerlab.experiments.setup import Experiment, on_meta
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.models import build
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import materialize
from tuckerlab.tucker.model_size import Counts
from tuckerlab.tucker.nested import Nested
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance
from tuckerlab.tucker.tensor import check_fraction

ADAMW: dict[str, Any] = {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.05}
"""What differs from a recipe of SGD; not tuned."""

TITLES = {
    "channels": "channels", "cp": "CP", "cut": "cut", "cut-tuned": "cut and tuned", "dense": "dense",
    "factors-adamw": "factors AdamW", "factors-muon": "factors Muon", "factors-sgd": "factors SGD", "matrix": "matrix",
    "nested": "any size", "pruning": "pruned", "tt": "TT", "tucker": "Tucker", "two-gradients": "two gradients",
}  # fmt: skip
"""Names of methods in labels, before their settings."""


class Method:
    """A way from images to a network. Say `name` and `policy`, and override what is different."""

    policy: RankPolicy | None  # what chooses its ranks; None: it has none
    adapts: ClassVar[bool] = False  # whether its ranks follow the policy while it trains
    modes: ClassVar[str | tuple[int, ...]] = "channels"  # that are factorized

    @property
    def name(self) -> str:
        """What records and colours go by."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """The name that people see."""
        return f"{TITLES[self.name]} {setting(self.policy)}"

    @property
    def ranks(self) -> RankPolicy | None:
        """How ranks go on while it trains; None without any."""
        return self.policy if self.adapts else None

    @property
    def slug(self) -> str:
        """The label in file names."""
        return in_file_names(self.label)

    @property
    def identity(self) -> str:
        """All of its settings, as they stand in records and decide on the names of runs and folders."""
        return repr(self)

    def recipe(self, recipe: Recipe) -> Recipe:
        """How its networks are trained, where not as all are."""
        return recipe

    @staticmethod
    def make_optimizer(recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        """What its networks are trained with, for so many steps."""
        return recipe.make_optimizer(model, total_steps)

    def check(self, experiment: Experiment) -> None:
        """Raises TuckerlabError, before anything is trained, for what cannot be had in this experiment."""
        replace(experiment.recipe, ranks=self.policy).make_optimizer(on_meta(experiment.spec, modes=self.modes), 1)

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        """A new network from the seed: what its training begins with."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.built(spec)

    def built(self, spec: dict[str, Any]) -> nn.Module:
        """A new network of the specification, with torch's random numbers as they are."""
        return build(**spec)

    def train(self, experiment: Experiment) -> Run:
        """Spends the budget of the experiment; what was done before is found in its folder and not done again."""
        return self.fit(self.network(experiment.spec, experiment.recipe.seed), experiment)

    def fit(self, model: nn.Module, experiment: Experiment, **options: Any) -> Run:
        """Trains a network of this method, with its own recipe, ranks, optimizer and way of counting."""
        experiment = replace(experiment, recipe=self.recipe(experiment.recipe))
        options |= {"ranks": self.ranks, "make_optimizer": self.make_optimizer}
        return experiment.fit(model, self.slug, counts=lambda model: self.counts(model, experiment), **options)

    def counts(self, model: nn.Module, experiment: Experiment) -> Counts:
        """The numbers stored, against those of the dense network."""
        return experiment.counts(model)

    def file_bytes(self, model: nn.Module) -> int:
        """The size of the network's file."""
        return checkpoint_bytes(model)


@dataclass(frozen=True)
class OneRun(Method):
    """Trained in one run."""

    epochs: int | None = field(default=None, kw_only=True, repr=False)  # in equal time; None: as many as the others
    adamw: bool = field(default=False, kw_only=True, repr=False)  # as some images are learned better by it
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        return f"{self.kind}-adamw" if self.adamw else self.kind

    @property
    def label(self) -> str:
        name = f"{TITLES[self.kind]} {setting(self.policy)}".strip()
        return name + (" AdamW" if self.adamw else "") + (", equal time" if self.epochs else "")

    @property
    def identity(self) -> str:
        return f"WithAdamW(of={self!r})" if self.adamw else repr(self)  # as in the first records

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, epochs=self.epochs or recipe.epochs, **(ADAMW if self.adamw else {}))


@dataclass(frozen=True)
class Dense(OneRun):
    """The network as usual."""

    policy = None
    kind = "dense"


@dataclass(frozen=True)
class Tucker(OneRun):
    """In Tucker format, small from the start: its dense weights never exist."""

    policy: RankPolicy
    start: float | None = field(default=None, repr=False)  # largest rank, as a share of the widest layer
    adapts = True
    kind = "tucker"

    def built(self, spec: dict[str, Any]) -> nn.Module:
        return materialize(on_meta(spec, self.start))


@dataclass(frozen=True)
class AtCompression(Method):
    """Without a share of its convolution weights; RankError for one outside 0 … 1 (1 excluded)."""

    compression: float
    policy = None

    def __post_init__(self) -> None:
        check_fraction(self.name, self.compression)

    @property
    def label(self) -> str:
        return f"{TITLES[self.name]} {setting(Budget(self.compression))}"


def in_file_names(label: str) -> str:
    """A label as the name of a file: "Tucker 90 %" is tucker-90."""
    return label.lower().replace(" %", "").replace(" τ", "").replace(",", "").replace(" ", "-")


def setting(policy: RankPolicy | None) -> str:
    """A policy in a label: "95 %" of a budget, "τ 0.1" of a tolerance, "50 to 95 %" of one training for all sizes."""
    if policy is None:
        return ""
    if isinstance(policy, Nested):
        return f"{100 * policy.compression:g} to {100 * policy.smallest:g} %"
    if isinstance(policy, Budget):
        return f"{100 * policy.compression:g} %"
    return f"τ {policy.tau:g}" if isinstance(policy, Tolerance) else str(policy)
