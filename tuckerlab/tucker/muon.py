"""Muon on the manifold of Tucker tensors: `TuckerMuon`, whose steps are orthogonalised, and `polar`, which does it."""

from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.tucker.batched_step import Stack
from tuckerlab.tucker.groups import Model
from tuckerlab.tucker.manifold import Point, Tangent
from tuckerlab.tucker.optimizer import TINY, Parameters, State, TuckerOptimizer
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.sgd_adamw import check_range, heavy_ball, sgd_step
from tuckerlab.tucker.tensor import fold, unfold

SGD_DECAY = 5e-4  # of what takes a step of SGD, where norms are kept
# So blocks below some thousandth of the gradient are not brought to full length: see `polar`.
NOISE = 0.1
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # K. Jordan's quintic: the steepest at zero of those that stay near one
ITERATIONS = 5


class TuckerMuon(TuckerOptimizer):
    """Muon on the manifold: a step turns all directions of a weight by about as much, however steep the loss in each.

    >>> from tuckerlab import Budget, TuckerLinear
    >>> optimizer = TuckerMuon(TuckerLinear(20, 10, ranks=4), ranks=Budget(0.6))

    The momentum is that of `TuckerSGD`. Of its orthonormal coordinates each block, Ċ (unfolded along mode 0) and every
    K̇_i, is replaced by its polar factor (`polar`), which is computed on its short side: r × r, where the mode is
    factorized.

    weight_decay: None keeps the norm ‖W‖ of each weight, and `lr` is the length of a step relative to it: for layers
    that a norm follows (batch norm, layer norm), where the scale of the weight has no effect. (A weight of zeros takes
    a first step of length `lr`.) With a number, for layers without, the norm is free, the polar factors are stepped as
    they are (a step changes W by about `lr` in the spectral norm) and the decay is decoupled, as in torch.optim.Muon.

    Dense kernels and matrices take the same step, as weights of full rank, one by one. The first and the last weight
    (in the order in which they were given), biases, norms and embeddings take a step of SGD with the same momentum,
    whose learning rate is `sgd_scale` · lr: it follows the same schedule. So do all dense parameters of a param group
    with muon=False.

    Source: Muon (K. Jordan and others, 2024), here in the tangent space of a Tucker tensor.
    """

    vectors = ("momentum_buffer",)

    def __init__(
        self,
        model: Model,
        lr: float = 0.03,
        momentum: float = 0.9,
        weight_decay: float | None = None,
        nesterov: bool = True,
        *,
        sgd_scale: float = 3.3,
        ranks: RankPolicy | None = None,
        adapt_every: int = 50,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(model, {**defaults, "sgd_scale": sgd_scale, "muon": True}, ranks, adapt_every)

    def _check_group(self, group: dict[str, Any]) -> None:
        check_range("lr", group["lr"], 0.0)
        check_range("momentum", group["momentum"], 0.0, 1.0)
        check_range("weight_decay", 0.0 if group["weight_decay"] is None else group["weight_decay"], 0.0)
        check_range("sgd_scale", group["sgd_scale"], 0.0)

    def _step_dense(self, parameters: Parameters, group: dict[str, Any]) -> None:
        between = {w for w in list(self._weights)[1:-1] if isinstance(w, nn.Parameter) and group["muon"]}
        for parameter in parameters:
            if parameter in between:
                self._step_batch(Stack([[parameter.shape]]), [[parameter]], (), group)
        others = [parameter for parameter in parameters if parameter not in between]
        if not others:
            return
        decay = group["weight_decay"]
        if decay:
            torch._foreach_mul_(list[Tensor](others), 1 - group["lr"] * decay)
        coupled = SGD_DECAY if decay is None else 0.0
        settings = {**group, "lr": group["sgd_scale"] * group["lr"], "weight_decay": coupled}
        sgd_step(others, [self.state[p] for p in others], settings)

    def _direction(
        self, point: Point, gradient: Tangent, state: State, group: dict[str, Any], count: float
    ) -> tuple[Tangent, State]:
        moved, state = heavy_ball(gradient, state, group)
        least = NOISE * moved.norm()
        core = fold(polar(unfold(moved.core, 0), least), 0, moved.core.shape)
        direction = Tangent(core, tuple(polar(factor, least) for factor in moved.factors))
        if group["weight_decay"] is None:
            norm = point.core.norm()
            scale = torch.where(norm > 0, norm, 1.0) / direction.norm().clamp(min=TINY)
            return Tangent(scale * core, tuple(scale * factor for factor in direction.factors)), state
        return direction._replace(core=core.add(point.core, alpha=group["weight_decay"])), state


def polar(matrix: Tensor, least: Tensor | None = None) -> Tensor:
    """Nearly the polar factor U Vᵀ of a matrix U Σ Vᵀ, by five Newton-Schulz steps.

    >>> U, V = torch.linalg.qr(torch.randn(6, 3))[0], torch.linalg.qr(torch.randn(3, 3))[0]
    >>> values = torch.linalg.svdvals(polar(U @ torch.diag(torch.tensor([1.0, 0.1, 0.01])) @ V))
    >>> bool((values - 1).abs().max() < 0.34)
    True

    Singular values above some hundredth of the norm become one, to within a third; smaller ones grow by the factor 485.
    The iteration X ← p(X Xᵀ) X runs on the Gram matrix of the short side: with G = X Xᵀ the next one is p(G) G p(G),
    and the matrix itself is only multiplied by the product of all p(G) at the end. It starts with the matrix divided by
    its norm, or by `least` if that is larger: a block that should be zero, since nothing lies outside of a factor's
    span, is a rounding error, and none of its directions means anything.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return polar(matrix.mT, least).mT
    a, b, c = COEFFICIENTS
    gram = matrix @ matrix.mT
    square = gram.diagonal().sum().clamp(min=TINY)
    if least is not None:
        square = torch.maximum(square, least**2)
    gram = gram / square
    product = a * torch.eye(len(gram), dtype=gram.dtype, device=gram.device) + b * gram + c * gram @ gram
    factor = product
    for _ in range(ITERATIONS - 1):
        gram = factor @ gram @ factor
        factor = b * gram + c * gram @ gram
        factor.diagonal().add_(a)
        product = factor @ product
    return product @ matrix / square.sqrt()
