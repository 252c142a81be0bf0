"""Descent on a weight whose singular values fall: the Riemannian step beside ordinary gradient descent.

>>> task = planted(smallest=1e-4)
>>> riemannian(task, steps=30)[-1] < 1e-6 < ordinary(task, steps=30, lr=0.2)[-1]
True

A linear layer learns a planted one with the full batch and without momentum, in float64. Ordinary descent on core
and factors moves a direction of singular value σ at a speed of σ²: it stalls, and with the learning rate that would
help it blows up. The Riemannian step does not see σ.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tuckerlab.tucker.layers import TuckerLinear
from tuckerlab.tucker.manifold import Point
from tuckerlab.tucker.sgd_adamw import TuckerSGD

SIZE, RANK = 24, 9
LR = 0.2
HOPELESS = 1e6
"""A relative squared error above which a descent has blown up."""


@dataclass(frozen=True)
class Task:
    """Inputs, the outputs of the planted weight, and the layer that all descents start from."""

    start: TuckerLinear
    x: Tensor
    y: Tensor


def spectrum(smallest: float) -> Tensor:
    """Singular values that fall from 1 to `smallest`, in equal ratios.

    >>> spectrum(1e-8)[:3]
    tensor([1.0000, 0.1000, 0.0100], dtype=torch.float64)
    """
    return torch.logspace(0, math.log10(smallest), RANK, dtype=torch.float64)


def planted(smallest: float, seed: int = 0) -> Task:
    """A task whose planted weight has that spectrum in both modes; so has the layer at the start.

    >>> planted(1e-8).y.shape
    torch.Size([24, 24])

    The inputs are white, so that nothing else makes the descent stiff.
    """
    with seeded(seed):
        teacher, start = (with_values(new_layer(RANK), spectrum(smallest)) for _ in range(2))
        return taught(teacher, start)


def taught(teacher: TuckerLinear, start: TuckerLinear) -> Task:
    """The task to learn one layer's answers with another, on white inputs: the loss is the error of the weight.

    >>> teacher, start = new_layer(2), new_layer(3)
    >>> task, weights = taught(teacher, start), (teacher.dense_weight(), start.dense_weight())
    >>> error = (weights[0] - weights[1]).square().sum() / weights[0].square().sum()
    >>> bool((losses(task, start, torch.optim.SGD(start.parameters()), 1)[0] - error).abs() < 1e-9)
    True
    """
    x = torch.linalg.qr(torch.randn(SIZE, SIZE, dtype=torch.float64))[0]
    return Task(start, x, teacher(x).detach())


def new_layer(rank: int) -> TuckerLinear:
    """A new random linear layer of that rank, in float64.

    >>> new_layer(3).ranks
    (3, 3)
    """
    return TuckerLinear(SIZE, SIZE, ranks=rank, bias=False, dtype=torch.float64)


def with_values(layer: TuckerLinear, values: Tensor) -> TuckerLinear:
    """The layer with these singular values in both modes.

    >>> torch.linalg.svdvals(with_values(new_layer(2), torch.tensor([3.0, 1.0])).core).tolist()
    [3.0, 1.0]
    """
    layer.assign(Point(torch.diag(values).to(layer.core), layer.factors, layer.modes))
    return layer


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of a seed, on the CPU; those of the caller stay what they were.

    >>> with seeded(0):
    ...     first = torch.rand(1)
    >>> with seeded(0):
    ...     torch.equal(torch.rand(1), first)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def riemannian(task: Task, steps: int, lr: float = LR, until: float = 0.0) -> list[float]:
    """The `losses` of `TuckerSGD`.

    >>> len(riemannian(planted(0.1), steps=3))
    3
    """
    layer = copy.deepcopy(task.start)
    return losses(task, layer, TuckerSGD(layer, lr=lr), steps, until)


def ordinary(task: Task, steps: int, lr: float, until: float = 0.0) -> list[float]:
    """The `losses` of ordinary gradient descent on core and factors.

    >>> len(ordinary(planted(1e-8), steps=300, lr=3.0))
    3
    """
    layer = copy.deepcopy(task.start)
    return losses(task, layer, torch.optim.SGD(layer.parameters(), lr=lr), steps, until)


def losses(
    task: Task, layer: TuckerLinear, optimizer: torch.optim.Optimizer, steps: int, until: float = 0.0
) -> list[float]:
    """The relative squared error before each step; the list ends early below `until`, or where the descent blows up.

    >>> task = planted(1.0)
    >>> len(losses(task, task.start, TuckerSGD(task.start, lr=0.2), steps=50, until=1e9))
    1
    """
    values: list[float] = []
    for _ in range(steps):
        loss = (layer(task.x) - task.y).square().sum() / task.y.square().sum()
        values.append(loss.item())
        if not loss.isfinite() or loss.item() > HOPELESS or loss.item() < until:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return values
