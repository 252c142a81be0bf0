"""Optimizers that step on the manifold of Tucker tensors and adapt its ranks: `TuckerSGD`, `TuckerAdamW`, `TuckerMuon`.

Dense parameters of the same model take the steps of torch.optim; the step of a Tucker weight is in `optimizer`.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from tuckerlab.tucker.manifold import Parts, Point, Tangent, norm
from tuckerlab.tucker.optimizer import Group, Parameters, State, TuckerOptimizer, Update
from tuckerlab.tucker.param_group import Model
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.tensor import fold, unfold

TINY = 1e-30  # what norms are divided by at least
SGD_DECAY = 5e-4  # of what takes a step of SGD, where norms are kept
NOISE = 0.1  # of the gradient's norm: `polar` divides a block by this at least, so that rounding errors stay small
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # K. Jordan's quintic: the steepest at zero of those that stay near one
ITERATIONS = 5


class TuckerSGD(TuckerOptimizer):
    """SGD on the manifold, with heavy-ball or Nesterov momentum; learning rates carry over from torch.optim.SGD.

    >>> from tuckerlab import TuckerLinear
    >>> optimizer = TuckerSGD(TuckerLinear(20, 10, ranks=4), lr=0.1, momentum=0.9, nesterov=True)

    The momentum is a tangent vector, kept with momentum 0 too, since ranks grow along it. Weight decay acts on the core
    alone, which is Frobenius decay of the whole weight, since ‖W‖ = ‖C‖. At full ranks a step is exactly the dense
    network's.
    """

    vectors = ("momentum_buffer",)

    def __init__(
        self,
        model: Model,
        lr: float = 0.05,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        ranks: RankPolicy | None = None,
        adapt_every: int = 50,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(model, defaults, ranks, adapt_every)

    def _step_dense(self, parameters: Parameters, group: Group) -> None:
        sgd_step(parameters, [self.state[p] for p in parameters], group)

    def _direction(self, point: Point, gradient: Tangent, state: State, group: Group, count: float) -> Update:
        return heavy_ball(decayed(gradient, point, group), state, group)


class TuckerAdamW(TuckerOptimizer):
    """AdamW on the manifold, for networks that need Adam (transformers); dense parameters take torch's AdamW step.

    >>> from tuckerlab import TuckerLinear
    >>> optimizer = TuckerAdamW(TuckerLinear(20, 10, ranks=4), lr=1e-3, weight_decay=0.05)

    Adam scales each coordinate by its own second moment, so it needs a basis; here it is the orthonormal coordinates of
    the tangent space. Along a step both moments keep their coordinates, as the basis moves smoothly; when ranks adapt
    first moments are projected, and second moments follow the change of basis (`manifold.Transport`). Weight decay is
    decoupled and acts on the core.
    """

    vectors = ("exp_avg",)
    squares = ("exp_avg_sq",)

    def __init__(
        self,
        model: Model,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        ranks: RankPolicy | None = None,
        adapt_every: int = 50,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(model, defaults, ranks, adapt_every)

    def _step_dense(self, parameters: Parameters, group: Group) -> None:
        states = [self.state[p] for p in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                state.update(step=torch.zeros(()), **moments)
        adamw(
            list(parameters), [cast(Tensor, p.grad) for p in parameters],
            [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states], [], [s["step"] for s in states],
            amsgrad=False, beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _direction(self, point: Point, gradient: Tangent, state: State, group: Group, count: float) -> Update:
        beta1, beta2 = group["betas"]
        means, squares, direction = [], [], []
        for part, mean, square in zip(gradient, state["exp_avg"], state["exp_avg_sq"], strict=True):
            means.append(mean.lerp(part, 1 - beta1))
            squares.append((beta2 * square).addcmul(part, part, value=1 - beta2))
            scale = (squares[-1] / (1 - beta2**count)).sqrt().add(group["eps"]).clamp(min=torch.finfo(part.dtype).tiny)
            direction.append(means[-1] / (1 - beta1**count) / scale)
        return decayed(direction, point, group), {"exp_avg": tuple(means), "exp_avg_sq": tuple(squares)}


class TuckerMuon(TuckerOptimizer):
    """Muon on the manifold: a step turns all directions of a weight by about as much, however steep the loss in each.

    >>> from tuckerlab import Budget, TuckerLinear
    >>> optimizer = TuckerMuon(TuckerLinear(20, 10, ranks=4), ranks=Budget(0.6))

    The momentum is that of `TuckerSGD`. Of its orthonormal coordinates each block, Ċ (unfolded along mode 0) and every
    K̇_i, is replaced by its polar factor, which is computed on its short side: r × r, where the mode is factorized.

    weight_decay: None keeps the norm ‖W‖ of each weight, and `lr` is the length of a step relative to it: for layers
    that a norm follows (batch norm, layer norm). With a number the norm is free, the polar factors are stepped as they
    are (a step changes W by about `lr` in the spectral norm) and the decay is decoupled, as in torch.optim.Muon.

    Dense kernels and matrices take the same step, as weights of full rank. The first and the last weight (in the order
    given), biases, norms, embeddings, and all dense parameters of a param group with muon=False take a step of SGD with
    the same momentum, whose learning rate is `sgd_scale` · lr.

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

    def _check_settings(self, settings: Group) -> None:
        super()._check_settings({**settings, "weight_decay": settings["weight_decay"] or 0.0})

    def _step_dense(self, parameters: Parameters, group: Group) -> None:
        between = set(self._weights[1:-1]) if group["muon"] else set()
        others = [parameter for parameter in parameters if parameter not in between]
        for parameter in parameters:
            if parameter in between:
                self._step_batch(None, [(Point(parameter, (), ()), None)], group)
        if not others:
            return
        decay = group["weight_decay"]
        if decay:
            torch._foreach_mul_(list[Tensor](others), 1 - group["lr"] * decay)
        coupled = SGD_DECAY if decay is None else 0.0
        settings = {**group, "lr": group["sgd_scale"] * group["lr"], "weight_decay": coupled}
        sgd_step(others, [self.state[p] for p in others], settings)

    def _direction(self, point: Point, gradient: Tangent, state: State, group: Group, count: float) -> Update:
        (core, *factors), state = heavy_ball(gradient, state, group)
        least = NOISE * norm((core, *factors))
        blocks = fold(polar(unfold(core, 0), least), 0, core.shape), *(polar(factor, least) for factor in factors)
        if group["weight_decay"] is not None:
            return decayed(blocks, point, group), state
        size = point.core.norm()
        scale = torch.where(size > 0, size, 1.0) / norm(blocks).clamp(min=TINY)
        return tuple(scale * block for block in blocks), state

    def _moved(self, point: Point, gradient: Parts, state: State, group: Group, count: float) -> tuple[Point, State]:
        new, state = super()._moved(point, gradient, state, group, count)
        if group["weight_decay"] is None:  # nothing else holds the norm, so it is kept
            before, after = point.core.norm(), new.core.norm()
            new = new._replace(core=new.core * torch.where(before > 0, before / after.clamp(min=TINY), 1.0))
        return new, state


def decayed(direction: Parts, point: Point, group: Group) -> Tangent:
    """With the weight decay, in the core alone."""
    return direction[0].add(point.core, alpha=group["weight_decay"]), *direction[1:]


def heavy_ball(gradient: Tangent, state: State, group: Group) -> Update:
    """The direction of heavy-ball or Nesterov momentum, and the state after it."""

    def add(buffer: Tangent) -> Tangent:
        return tuple(part.add(old, alpha=group["momentum"]) for part, old in zip(gradient, buffer, strict=True))

    buffer = add(state["momentum_buffer"])
    return add(buffer) if group["nesterov"] else buffer, {"momentum_buffer": buffer}


def sgd_step(parameters: Parameters, states: Sequence[dict[str, Any]], group: Group) -> None:
    """torch's SGD step for dense parameters."""
    buffers: list[Tensor | None] = [state.get("momentum_buffer") for state in states]
    sgd(
        list(parameters), [cast(Tensor, p.grad) for p in parameters], buffers,
        has_sparse_grad=False, foreach=None, lr=group["lr"], momentum=group["momentum"], dampening=0.0,
        weight_decay=group["weight_decay"], nesterov=group["nesterov"], maximize=False,
    )  # fmt: skip
    if group["momentum"] != 0:
        for state, buffer in zip(states, buffers, strict=True):
            state["momentum_buffer"] = buffer


def polar(matrix: Tensor, least: Tensor | None = None) -> Tensor:
    """Nearly the polar factor U Vᵀ of a matrix U Σ Vᵀ, by five Newton-Schulz steps.

    Singular values above some hundredth of the norm become one, to within a third; smaller ones grow by the factor 485.
    The iteration X ← p(X Xᵀ) X runs on the Gram matrix of the short side: with G = X Xᵀ the next one is p(G) G p(G). It
    starts with the matrix divided by its norm, or by `least` if that is larger: a block that should be zero, since
    nothing lies outside of a factor's span, is a rounding error.
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
