"""Optimizers that step on the manifold of Tucker tensors and adapt its ranks: `TuckerSGD` and `TuckerAdamW`.

Dense parameters of the same model take the steps of torch.optim; the step of a Tucker weight is in `optimizer`.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from tuckerlab.errors import TuckerlabError, is_number
from tuckerlab.tucker.groups import Model
from tuckerlab.tucker.manifold import Point, Tangent
from tuckerlab.tucker.optimizer import Parameters, State, TuckerOptimizer
from tuckerlab.tucker.rank_policy import RankPolicy


class TuckerSGD(TuckerOptimizer):
    """SGD on the manifold, with heavy-ball or Nesterov momentum; learning rates carry over from torch.optim.SGD.

    >>> from tuckerlab import TuckerLinear
    >>> optimizer = TuckerSGD(TuckerLinear(20, 10, ranks=4), lr=0.1, momentum=0.9, nesterov=True)

    The momentum is a tangent vector: along a step it keeps its coordinates (`manifold.carried`), when ranks adapt it
    is projected (`rank_change.Transport`). It is kept with momentum 0 too, since ranks grow along it. Weight decay acts
    on the core alone, which is Frobenius decay of the whole weight, since ‖W‖ = ‖C‖. At full ranks a step is exactly
    the dense network's.
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

    def _check_group(self, group: dict[str, Any]) -> None:
        check_range("lr", group["lr"], 0.0)
        check_range("momentum", group["momentum"], 0.0, 1.0)
        check_range("weight_decay", group["weight_decay"], 0.0)
        if group["nesterov"] and group["momentum"] == 0:
            raise TuckerlabError("nesterov=True with momentum 0: give a momentum above 0")

    def _step_dense(self, parameters: Parameters, group: dict[str, Any]) -> None:
        sgd_step(parameters, [self.state[p] for p in parameters], group)

    def _direction(
        self, point: Point, gradient: Tangent, state: State, group: dict[str, Any], count: float
    ) -> tuple[Tangent, State]:
        core = gradient.core.add(point.core, alpha=group["weight_decay"])
        return heavy_ball(gradient._replace(core=core), state, group)


class TuckerAdamW(TuckerOptimizer):
    """AdamW on the manifold, for networks that need Adam (transformers); dense parameters take torch's AdamW step.

    >>> from tuckerlab import TuckerLinear
    >>> optimizer = TuckerAdamW(TuckerLinear(20, 10, ranks=4), lr=1e-3, weight_decay=0.05)

    Adam scales each coordinate by its own second moment, so it needs a basis; here it is the orthonormal coordinates of
    the tangent space. Along a step both moments keep their coordinates, as the basis moves smoothly. When ranks adapt
    the basis changes: first moments are projected like any tangent vector, and second moments follow a change of
    basis T with its entrywise square T∘T, which is exact for uncorrelated coordinates and keeps their sum
    (`rank_change.Transport.squares`). New directions start at the mean second moment. Weight decay is decoupled and
    acts on the core.
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

    def _check_group(self, group: dict[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_range(name, group[name], 0.0)
        for i, beta in enumerate(group["betas"]):
            check_range(f"betas[{i}]", beta, 0.0, 1.0)

    def _step_dense(self, parameters: Parameters, group: dict[str, Any]) -> None:
        states = [self.state[p] for p in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        adamw(
            list(parameters), [cast(Tensor, p.grad) for p in parameters],
            [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states], [], [s["step"] for s in states],
            amsgrad=False, beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _direction(
        self, point: Point, gradient: Tangent, state: State, group: dict[str, Any], count: float
    ) -> tuple[Tangent, State]:
        beta1, beta2 = group["betas"]
        means, squares, moved = [], [], []
        moments = state["exp_avg"].parts, state["exp_avg_sq"].parts
        for part, mean, square in zip(gradient.parts, *moments, strict=True):
            means.append(mean.lerp(part, 1 - beta1))
            squares.append((beta2 * square).addcmul(part, part, value=1 - beta2))
            scale = (squares[-1] / (1 - beta2**count)).sqrt().add(group["eps"]).clamp(min=torch.finfo(part.dtype).tiny)
            moved.append(means[-1] / (1 - beta1**count) / scale)
        direction = Tangent(moved[0].add(point.core, alpha=group["weight_decay"]), tuple(moved[1:]))
        return direction, {"exp_avg": Tangent.of(means), "exp_avg_sq": Tangent.of(squares)}


def heavy_ball(gradient: Tangent, state: State, group: dict[str, Any]) -> tuple[Tangent, State]:
    """The direction of heavy-ball or Nesterov momentum, and the state after it."""

    def add(buffer: Tangent) -> Tangent:
        pairs = zip(gradient.parts, buffer.parts, strict=True)
        return Tangent.of([part.add(old, alpha=group["momentum"]) for part, old in pairs])

    buffer = add(state["momentum_buffer"])
    return add(buffer) if group["nesterov"] else buffer, {"momentum_buffer": buffer}


def sgd_step(parameters: Parameters, states: Sequence[dict[str, Any]], group: dict[str, Any]) -> None:
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


def check_range(name: str, value: object, low: float, high: float = float("inf")) -> None:
    number: Any = value.item() if isinstance(value, Tensor) else value  # schedules may keep a rate as a tensor
    if not is_number(number) or not low <= number < high:
        raise TuckerlabError(f"{name} {value}: allowed are numbers from {low:g} up to, not including, {high:g}")
