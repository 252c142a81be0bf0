"""The published rank-adaptive scheme: two gradient evaluations a step, and a truncation after every step.

"Geometry-aware training of factorized layers in tensor Tucker format" (arXiv 2305.19059), algorithm 1. It is the
reference that the step of `TuckerSGD` is compared with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Method, Tucker
from tuckerlab.experiments.methods.tucker_variants import stepped_by
from tuckerlab.experiments.setup import Experiment
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Run
from tuckerlab.tucker.manifold import Point, full_precision, mode_roots, project, truncated
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy, Spectrum
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD
from tuckerlab.tucker.tensor import multi_mode_product
from tuckerlab.tucker.weight import TuckerLayer


class TwoGradient(TuckerSGD):
    """K-step in every mode, core step in the basis that old and new factors span together, truncation.

    The first gradient gives ∇_{K_i}L = ∂L/∂U_i R_i⁻ᵀ in all modes at once. The new basis is that of U_i beside
    K_i − lr ∇_{K_i}L, up to twice as wide; in it the core takes a plain gradient step with the second gradient, and is
    truncated to what `ranks` chooses. `momentum` is that of the dense parameters, which step with the second gradient.
    """

    evaluations: ClassVar[int] = 2

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; the gradients of the present point must be there, and `closure` evaluates them anew."""
        if closure is None:
            raise TuckerlabError("a step takes two gradients: give step() a closure that evaluates loss and gradients")
        self._notice_replaced()
        self._check_gradients()
        moving = [held for held in self._counted()[0] if held.layer.core.grad is not None]
        layers = [held.layer for held in moving]
        ranks = [layer.ranks for layer in layers]
        with torch.no_grad(), full_precision(self._parameters()):
            for layer in layers:
                layer.assign(_augmented(layer))
        self._notice_replaced()
        loss = closure()
        self._check_gradients()
        with torch.no_grad(), full_precision(self._parameters()):
            for index, group in enumerate(self.param_groups):
                self._step_dense(self._moving_dense(index), group)
            for held in moving:
                core, group = held.layer.core, self.param_groups[held.group]
                core.sub_(cast(Tensor, core.grad).add(core, alpha=group["weight_decay"]), alpha=group["lr"])
            self.steps += 1
            spectra, bases = zip(*map(Spectrum.of, layers), strict=True)
            if not isinstance(self.ranks, Fixed):
                ranks = self.ranks.choose(spectra, step=self.steps, other=self._counted()[1])
            for layer, basis, chosen in zip(layers, bases, ranks, strict=True):
                layer.assign(truncated(layer.point, chosen, basis))
        self._notice_replaced()
        return loss


def _augmented(layer: TuckerLayer) -> Point:
    """The same weight in the basis of [U_i, ∇_{K_i}L], of up to twice the rank."""
    point = layer.point
    gradient = [torch.zeros_like(part) if part.grad is None else part.grad for part in point.parts]
    tangent = project(point, gradient, mode_roots(point))
    bases = [torch.linalg.qr(torch.cat(pair, dim=1))[0] for pair in zip(point.factors, tangent[1:], strict=True)]
    inside = [basis.mT @ factor for basis, factor in zip(bases, point.factors, strict=True)]
    return Point(multi_mode_product(point.core, inside, point.modes), tuple(bases), point.modes)


@dataclass(frozen=True)
class TwoGradients(Method):
    """The Tucker network, trained by the published scheme: half as many steps for the same gradient evaluations."""

    policy: RankPolicy
    name = "two-gradients"
    adapts = True

    def built(self, spec: dict[str, Any]) -> nn.Module:
        return Tucker(self.policy).built(spec)

    def check(self, experiment: Experiment) -> None:
        super().check(experiment)
        if experiment.recipe.epochs % TwoGradient.evaluations:
            said = f"takes half of the epochs; give an even number, not {experiment.recipe.epochs}"
            raise TuckerlabError(f"{self.label}: {said}")

    def train(self, experiment: Experiment) -> Run:
        return super().train(experiment.split(1 / TwoGradient.evaluations)[0])

    def recipe(self, recipe: Recipe) -> Recipe:
        return stepped_by("sgd", recipe)

    @staticmethod
    def make_optimizer(recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        ranks = None if recipe.ranks is None else recipe.ranks.over(total_steps)
        return TwoGradient(model, recipe.rate, recipe.momentum, recipe.decay or 0.0, recipe.momentum > 0, ranks=ranks)
