"""The loss after every step on real images: a small network on handwritten digits, with the full batch.

With the full batch and without momentum nothing but the step itself can make the loss rise. All descents start from the
same network, fresh and random; biases and the like take plain gradient steps in each.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuckerlab.data import load_data
from tuckerlab.demos.planted_weight import seeded
from tuckerlab.training.models import build
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.rank_policy import RankPolicy, Tolerance
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD

IMAGES = 128
WIDTH = 0.25
TAU = 0.1
CYCLE = 10
"""Steps between two adaptations of ours, where ranks adapt."""
HOPELESS = 1e3


@dataclass(frozen=True)
class Descent:
    """The loss before each step, gradient evaluations and (median) seconds a step, and what is stored in the end."""

    lr: float
    losses: tuple[float, ...]
    gradients: int
    seconds: float
    stored: int

    @property
    def rises(self) -> int:
        """The number of steps after which the loss was higher."""
        return sum(after > before for before, after in pairwise(self.losses))

    @property
    def risen(self) -> float:
        """The share of the steps after which the loss was higher."""
        return self.rises / max(1, len(self.losses) - 1)

    @property
    def largest_rise(self) -> float:
        """The largest increase of the loss in one step; 0 where it never rose."""
        return max([0.0, *(after - before for before, after in pairwise(self.losses))])

    @property
    def evaluations(self) -> int:
        """Gradient evaluations in all."""
        return self.gradients * len(self.losses)


def riemannian(steps: int, lr: float, seed: int = 0, ranks: RankPolicy | None = None) -> Descent:
    """The descent of `TuckerSGD`; with `ranks` that adapt, in a cycle of 10 steps."""
    model = network(seed)
    return _descent(model, TuckerSGD(model, lr=lr, ranks=ranks, adapt_every=CYCLE), steps, lr)


def ordinary(steps: int, lr: float, seed: int = 0) -> Descent:
    """Ordinary gradient descent on core and factors, at fixed ranks."""
    model = network(seed)
    return _descent(model, torch.optim.SGD(model.parameters(), lr=lr), steps, lr)


def one_gradient(steps: int, lr: float, seed: int = 0) -> Descent:
    """Ours under a tolerance of 10 % and without growth, to stand beside `two_gradients`."""
    return riemannian(steps, lr, seed, Tolerance(TAU, growth=0, steps=0))


def two_gradients(steps: int, lr: float, seed: int = 0) -> Descent:
    """The published scheme under the same tolerance: two gradients and a truncation a step."""
    from tuckerlab.experiments.methods.two_gradient import TwoGradient

    model = network(seed)
    optimizer = TwoGradient(model, lr=lr, momentum=0.0, ranks=Tolerance(TAU, growth=0, steps=0))
    return _descent(model, optimizer, steps, lr, twice=True)


def table(ours: Sequence[Descent], theirs: Sequence[Descent]) -> pd.DataFrame:
    """The descents side by side, a row for each learning rate."""
    columns: dict[tuple[str, str], list[float]] = {}
    for name, found in (("ours", ours), ("ordinary", theirs)):
        columns["rises", name] = [one.rises for one in found]
        columns["largest rise", name] = [one.largest_rise for one in found]
        columns["last loss", name] = [one.losses[-1] for one in found]
    rows = pd.Index([one.lr for one in ours], name="learning rate")
    return pd.DataFrame(columns, index=rows)[["rises", "largest rise", "last loss"]]


def network(seed: int = 0) -> nn.Module:
    """A small VGG in Tucker format, fresh, at 70 % of each mode."""
    with seeded(seed):
        return tuckerize(build("vgg_small", in_channels=1, image_size=8, width=WIDTH))


@cache
def _batch() -> tuple[Tensor, Tensor]:
    data = load_data("digits").subset(train=IMAGES, test=10)
    return data.normalize(data.train_images), data.train_labels


def _descent(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, lr: float, twice: bool = False) -> Descent:
    x, y = _batch()

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    step: Callable[[], object] = (lambda: optimizer.step(evaluate)) if twice else optimizer.step  # type: ignore[arg-type]
    losses, seconds = [], []
    for _ in range(steps):
        began = time.perf_counter()
        loss = evaluate().item()
        losses.append(loss)
        if not math.isfinite(loss) or loss > HOPELESS:
            break
        step()
        seconds.append(time.perf_counter() - began)
    return Descent(
        lr, tuple(losses), 2 if twice else 1, statistics.median(seconds), count_parameters(model).total_stored
    )
