"""Ordinary gradient descent on the Tucker factors: core and factors are the weights of three plain convolutions.

The ranks are those that the Tucker network has found with all of its training, from the same seed: a gift, since a
plain network has no way to find them. It starts from the same kind of weights, random orthonormal factors.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tuckerlab.experiments.methods.base import ADAMW, AtPolicy, Tucker
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.manifold import Point
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.weight import TuckerLayer

NAMES = {"sgd": "SGD", "adamw": "AdamW", "muon": "Muon"}


def changes(optimizer: str, recipe: Recipe) -> dict[str, Any]:
    """What differs from the recipe that all share, for a network that is to learn with this optimizer."""
    if optimizer == "adamw":
        return ADAMW
    return {} if recipe.optimizer == optimizer else {"optimizer": optimizer, "lr": None, "weight_decay": None}


@dataclass(frozen=True)
class Factors(AtPolicy):
    """Core and factors, each stepped as if it were a weight of its own, by SGD, AdamW or Muon."""

    optimizer_name: str = "sgd"

    @property
    def method(self) -> str:
        return f"factors-{self.optimizer_name}"

    @property
    def title(self) -> str:  # type: ignore[override]
        return f"factors {NAMES[self.optimizer_name]}"

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, **changes(self.optimizer_name, recipe))

    def train(self, arena: Arena) -> Run:
        found = Tucker(self.policy).train(replace(arena, callbacks=()))
        if not found.is_over:
            return found
        network = to_plain(at_ranks_of(found.model, arena.spec, arena.seed))
        return self.fit(network, arena, **changes(self.optimizer_name, arena.recipe))


def at_ranks_of(model: nn.Module, spec: dict[str, Any], seed: int) -> nn.Module:
    """A new Tucker network from the seed at the ranks of a trained one; its dense weights never exist."""
    new = on_meta(spec)
    for layer, trained in zip(new.modules(), model.modules(), strict=True):
        if isinstance(layer, TuckerLayer) and isinstance(trained, TuckerLayer):
            core, factors = trained.core.to("meta"), tuple(factor.to("meta") for factor in trained.factors)
            layer.assign(Point(core, factors, layer.modes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return materialize(new)
