"""Muon on the manifold of Tucker tensors: `TuckerMuon`, whose steps are orthogonalised, and `polar`, which does it.

>>> from tuckerlab import TuckerLinear
>>> model = torch.nn.Sequential(TuckerLinear(20, 10, ranks=4), torch.nn.BatchNorm1d(10), torch.nn.Linear(10, 2))
>>> optimizer = TuckerMuon(model, lr=0.03)
>>> model(torch.randn(8, 20)).square().mean().backward(); optimizer.step()
"""

from typing import Any

import torch
from torch import Tensor

from tuckerlab.groups import Model
from tuckerlab.manifold import Point, Tangent
from tuckerlab.optim import adamw_step, check_range, heavy_ball
from tuckerlab.optimizer import Parameters, TuckerOptimizer
from tuckerlab.ranks import RankPolicy
from tuckerlab.stack import Stack
from tuckerlab.step import State, WeightStep
from tuckerlab.tensor import fold, unfold

A, B, C = 3.4445, -4.7750, 2.0315  # K. Jordan's quintic: the steepest at zero that stays near one
ITERATIONS = 5


class TuckerMuon(TuckerOptimizer):
    """Muon on the manifold: each step turns all directions of a weight by as much, however steep the loss is there."""

    vectors = ("momentum_buffer",)

    def __init__(
        self,
        model: Model,
        lr: float = 0.03,
        momentum: float = 0.9,
        weight_decay: float | None = None,
        nesterov: bool = True,
        *,
        adamw_scale: float = 0.1,
        ranks: RankPolicy | None = None,
        adapt_every: int = 50,
    ) -> None:
        check_range("lr", lr, 0.0)
        check_range("momentum", momentum, 0.0, 1.0)
        if weight_decay is not None:
            check_range("weight_decay", weight_decay, 0.0)
        check_range("adamw_scale", adamw_scale, 0.0)
        defaults = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov,
            "adamw_scale": adamw_scale,
        }  # fmt: skip
        super().__init__(model, defaults, ranks, adapt_every)

    def _step_dense(self, parameters: Parameters, group: dict[str, Any]) -> None:
        hidden = self._hidden()
        step = WeightStep(self._direction, self.vectors, (), (), group)
        for p in parameters:
            if p in hidden:
                step(Stack([[p.shape]], p.device), [[p]], [[self.state[p]]])
        others = [p for p in parameters if p not in hidden]
        adamw_step(
            others, [self.state[p] for p in others], lr=group["adamw_scale"] * group["lr"],
            betas=(0.9, 0.95), eps=1e-8, weight_decay=group["weight_decay"] or 0.0,
        )  # fmt: skip

    def _hidden(self) -> set[Tensor]:
        """The dense matrices and kernels, but for the first and the last weight of the model."""
        weights = [p for group in self.param_groups for p in group["params"] if p.dim() > 1]
        factors = {p for layer in self._held for p in layer.factors}
        weights = [p for p in weights if p not in factors]
        return set(weights[1:-1]) - {layer.core for layer in self._held}

    def _direction(
        self, point: Point, gradient: Tangent, state: State, group: dict[str, Any], count: float
    ) -> tuple[Tangent, State]:
        moved, state = heavy_ball(gradient, state, group)
        core = fold(polar(unfold(moved.core, 0)), 0, moved.core.shape)
        direction = Tangent(core, tuple(polar(factor) for factor in moved.factors))
        if group["weight_decay"] is None:
            scale = point.core.flatten().norm() / direction.norm().clamp(min=torch.finfo(core.dtype).tiny)
            return Tangent(scale * direction.core, tuple(scale * factor for factor in direction.factors)), state
        return direction._replace(core=direction.core.add(point.core, alpha=group["weight_decay"])), state


def polar(matrix: Tensor) -> Tensor:
    """The polar factor U Vᵀ of a matrix U Σ Vᵀ, to within a third in each singular value, by five Newton-Schulz steps.

    >>> U, V = torch.linalg.qr(torch.randn(6, 3))[0], torch.linalg.qr(torch.randn(3, 3))[0]
    >>> values = torch.linalg.svdvals(polar(U @ torch.diag(torch.tensor([1.0, 0.1, 0.02])) @ V))
    >>> bool((values - 1).abs().max() < 0.34)
    True
    """
    if matrix.shape[0] > matrix.shape[1]:
        return polar(matrix.mT).mT
    gram = matrix @ matrix.mT
    square = gram.diagonal().sum().clamp(min=torch.finfo(gram.dtype).tiny)
    gram = gram / square
    result = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    for _ in range(ITERATIONS):
        factor = B * gram + C * gram @ gram
        factor.diagonal().add_(A)
        result = factor @ result
        gram = factor @ gram @ factor
    return result @ matrix / square.sqrt()
