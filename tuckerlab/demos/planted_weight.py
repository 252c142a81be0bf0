"""Descent on a weight whose singular values fall: the Riemannian step beside ordinary gradient descent.

A linear layer learns a planted one with the full batch and without momentum, in float64. Ordinary descent on core
and factors moves a direction of singular value σ at a speed of σ²: it stalls, and with the learning rate that would
help it blows up. The Riemannian step does not see σ.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuckerlab.tucker.layers import TuckerLinear
from tuckerlab.tucker.manifold import Point
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD

SIZE, RANK = 24, 9
LR = 0.2
HOPELESS = 1e6  # a loss above which a descent has blown up


@dataclass(frozen=True)
class Task:
    """Inputs, the outputs of the planted weight, and the layer that all descents start from."""

    start: TuckerLinear
    x: Tensor
    y: Tensor

    def error(self, layer: TuckerLinear) -> Tensor:
        """The squared error of a layer's outputs, relative."""
        error: Tensor = (layer(self.x) - self.y).square().sum() / self.y.square().sum()
        return error


def spectrum(smallest: float) -> Tensor:
    """Singular values that fall from 1 to `smallest`, in equal ratios."""
    return torch.logspace(0, math.log10(smallest), RANK, dtype=torch.float64)


def planted(values: Tensor, rank: int | None = None, seed: int = 0) -> Task:
    """A layer is to learn a weight with these singular values in both modes from white inputs.

    It has them too at the start, but for a fresh one of a `rank` of its own. The loss is the error of the weight.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        ranks = len(values), len(values) if rank is None else rank
        teacher, start = (TuckerLinear(SIZE, SIZE, ranks=rank, bias=False, dtype=torch.float64) for rank in ranks)
        for layer in (teacher, start) if rank is None else (teacher,):
            layer.assign(Point(torch.diag(values).to(layer.core), layer.factors, layer.modes))
        x = torch.linalg.qr(torch.randn(SIZE, SIZE, dtype=torch.float64))[0]
    return Task(start, x, teacher(x).detach())


def riemannian(task: Task, steps: int, lr: float = LR, until: float = 0.0) -> list[float]:
    """The errors of `TuckerSGD`."""
    layer = copy.deepcopy(task.start)
    return losses(lambda: task.error(layer), TuckerSGD(layer, lr=lr), steps, until)


def ordinary(task: Task, steps: int, lr: float, until: float = 0.0) -> list[float]:
    """The errors of ordinary gradient descent on core and factors."""
    layer = copy.deepcopy(task.start)
    return losses(lambda: task.error(layer), torch.optim.SGD(layer.parameters(), lr=lr), steps, until)


def losses(
    loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, steps: int, until: float = 0.0,
    watch: Callable[[], object] = lambda: None,
) -> list[float]:  # fmt: skip
    """The loss before each step; ends early below `until`, or where the descent blows up."""

    def evaluate_gradient() -> float:
        optimizer.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        return found.item()

    again: Any = evaluate_gradient if getattr(optimizer, "evaluations", 1) > 1 else None  # in a step
    values: list[float] = []
    for _ in range(steps):
        values.append(evaluate_gradient())
        watch()
        if not math.isfinite(values[-1]) or values[-1] > HOPELESS or values[-1] < until:
            break
        optimizer.step(again)
    return values
