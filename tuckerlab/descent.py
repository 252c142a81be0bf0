"""Descent on a weight whose singular values fall: the Riemannian step beside ordinary gradient descent.

>>> task = planted(smallest=1e-4)
>>> riemannian(task, steps=30)[-1] < 1e-6 < ordinary(task, steps=30, lr=0.2)[-1]
True

A 1×1 convolution learns a planted one with the full batch and without momentum, in float64. Ordinary descent on core
and factors moves a direction of singular value σ at a speed of σ²: it stalls, and with the learning rate that would
help it blows up. The Riemannian step does not see σ.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuckerlab.layers import TuckerConv2d
from tuckerlab.manifold import Point
from tuckerlab.optim import TuckerSGD
from tuckerlab.tensor import mode_product

CHANNELS, RANK = 24, 9
IMAGES, SIDE = 8, 8
LR = 0.2
HOPELESS = 1e6
"""A relative squared error above which a descent has blown up."""


@dataclass(frozen=True)
class Task:
    """Inputs, the outputs of the planted weight, and the layer that all descents start from."""

    start: TuckerConv2d
    x: Tensor
    y: Tensor


def spectrum(smallest: float) -> Tensor:
    """Singular values that fall from 1 to `smallest`, in equal ratios.

    >>> spectrum(1e-8)[:3]
    tensor([1.0000, 0.1000, 0.0100], dtype=torch.float64)
    """
    return torch.logspace(0, math.log10(smallest), RANK, dtype=torch.float64)


def planted(smallest: float, seed: int = 0) -> Task:
    """A task whose planted weight has that spectrum in both channel modes; so has the layer at the start.

    >>> planted(1e-8).y.shape
    torch.Size([8, 24, 8, 8])

    The inputs are white, so that nothing else makes the descent stiff.
    """
    options: dict[str, Any] = {"kernel_size": 1, "bias": False, "dtype": torch.float64}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers = [_steep(TuckerConv2d(CHANNELS, CHANNELS, ranks=RANK, **options), smallest) for _ in range(2)]
        x = torch.linalg.qr(torch.randn(IMAGES * SIDE * SIDE, CHANNELS, dtype=torch.float64))[0]
    x = x.reshape(IMAGES, SIDE, SIDE, CHANNELS).movedim(-1, 1)
    teacher, start = layers
    return Task(start, x, teacher(x).detach())


def riemannian(task: Task, steps: int, lr: float = LR) -> list[float]:
    """The relative squared error before each step of `TuckerSGD`.

    >>> len(riemannian(planted(0.1), steps=3))
    3
    """
    layer = copy.deepcopy(task.start)
    return _losses(task, layer, TuckerSGD(layer, lr=lr), steps)


def ordinary(task: Task, steps: int, lr: float) -> list[float]:
    """The same of ordinary gradient descent on core and factors; the list ends early where that blows up.

    >>> len(ordinary(planted(1e-8), steps=300, lr=3.0))
    3
    """
    layer = copy.deepcopy(task.start)
    return _losses(task, layer, torch.optim.SGD(layer.parameters(), lr=lr), steps)


def _steep(layer: TuckerConv2d, smallest: float) -> TuckerConv2d:
    core = torch.zeros_like(layer.core)
    core[..., 0, 0] = torch.eye(RANK)
    layer.assign(Point(mode_product(core, torch.diag(spectrum(smallest)), 0), layer.factors, layer.modes))
    return layer


def _losses(task: Task, layer: TuckerConv2d, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    values: list[float] = []
    for _ in range(steps):
        loss = (layer(task.x) - task.y).square().sum() / task.y.square().sum()
        values.append(loss.item())
        if not loss.isfinite() or loss.item() > HOPELESS:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return values
