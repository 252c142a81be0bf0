"""Descent on a weight whose singular values fall: the Riemannian step beside ordinary gradient descent.

A linear layer learns a planted one with the full batch and without momentum, in float64. Ordinary descent on core
and factors moves a direction of singular value σ at a speed of σ²: it stalls, and with the learning rate that would
help it blows up. The Riemannian step does not see σ.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tuckerlab.tucker.layers import TuckerLinear
from tuckerlab.tucker.manifold import Point
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD

SIZE, RANK = 24, 9
LR = 0.2
HOPELESS = 1e6  # a relative squared error above which a descent has blown up


@dataclass(frozen=True)
class Task:
    """Inputs, the outputs of the planted weight, and the layer that all descents start from."""

    start: TuckerLinear
    x: Tensor
    y: Tensor


def spectrum(smallest: float) -> Tensor:
    """Singular values that fall from 1 to `smallest`, in equal ratios."""
    return torch.logspace(0, math.log10(smallest), RANK, dtype=torch.float64)


def planted(smallest: float, seed: int = 0) -> Task:
    """A task whose planted weight has that spectrum in both modes; so has the layer at the start."""
    with seeded(seed):
        teacher, start = (with_values(new_layer(RANK), spectrum(smallest)) for _ in range(2))
        return taught(teacher, start)


def task_of(true_rank: int, fall: float, rank: int, seed: int) -> Task:
    """A weight whose singular values fall by the factor `fall`, and a fresh layer of another rank to learn it."""
    with seeded(seed):
        values = fall ** -torch.arange(true_rank, dtype=torch.float64)
        return taught(with_values(new_layer(true_rank), values), new_layer(rank))


def taught(teacher: TuckerLinear, start: TuckerLinear) -> Task:
    """The task to learn one layer's answers with another, on white inputs: the loss is the error of the weight."""
    x = torch.linalg.qr(torch.randn(SIZE, SIZE, dtype=torch.float64))[0]
    return Task(start, x, teacher(x).detach())


def new_layer(rank: int) -> TuckerLinear:
    """A new random linear layer of that rank, in float64."""
    return TuckerLinear(SIZE, SIZE, ranks=rank, bias=False, dtype=torch.float64)


def with_values(layer: TuckerLinear, values: Tensor) -> TuckerLinear:
    """The layer with these singular values in both modes."""
    layer.assign(Point(torch.diag(values).to(layer.core), layer.factors, layer.modes))
    return layer


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of a seed, on the CPU; those of the caller stay what they were."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def riemannian(task: Task, steps: int, lr: float = LR, until: float = 0.0) -> list[float]:
    """The `losses` of `TuckerSGD`."""
    layer = copy.deepcopy(task.start)
    return losses(task, layer, TuckerSGD(layer, lr=lr), steps, until)


def ordinary(task: Task, steps: int, lr: float, until: float = 0.0) -> list[float]:
    """The `losses` of ordinary gradient descent on core and factors."""
    layer = copy.deepcopy(task.start)
    return losses(task, layer, torch.optim.SGD(layer.parameters(), lr=lr), steps, until)


def losses(
    task: Task, layer: TuckerLinear, optimizer: torch.optim.Optimizer, steps: int, until: float = 0.0,
    watch: Callable[[], object] = lambda: None,
) -> list[float]:  # fmt: skip
    """The relative squared error before each step; ends early below `until`, or where the descent blows up."""
    values: list[float] = []
    for _ in range(steps):
        loss = (layer(task.x) - task.y).square().sum() / task.y.square().sum()
        values.append(loss.item())
        watch()
        if not loss.isfinite() or loss.item() > HOPELESS or loss.item() < until:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return values
