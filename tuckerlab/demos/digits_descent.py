"""The loss after every step on real images: a small network on handwritten digits, with the full batch.

With the full batch and without momentum nothing but the step itself can make the loss rise. All descents start from the
same network, fresh and random; biases and the like take plain gradient steps in each.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from tuckerlab.data import load_data
from tuckerlab.demos.planted_weight import losses
from tuckerlab.experiments.methods.two_gradient import TwoGradient
from tuckerlab.training.models import build
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.rank_policy import RankPolicy, Tolerance
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD

IMAGES = 128
WITHIN = Tolerance(0.1, growth=0, steps=0)  # what one and two gradients a step are compared under


@dataclass(frozen=True)
class Descent:
    """The loss before each step, gradient evaluations and (median) seconds a step."""

    lr: float
    losses: tuple[float, ...]
    gradients: int
    seconds: float

    @property
    def rises(self) -> int:
        """The number of steps after which the loss was higher."""
        return sum(after > before for before, after in pairwise(self.losses))

    @property
    def risen(self) -> float:
        """The share of the steps after which the loss was higher."""
        return self.rises / max(1, len(self.losses) - 1)


def riemannian(steps: int, lr: float, seed: int = 0, ranks: RankPolicy | None = None) -> Descent:
    """The descent of `TuckerSGD`; with `ranks` that adapt, in a cycle of 10 steps."""
    model = network(seed)
    return _descent(model, TuckerSGD(model, lr=lr, ranks=ranks, adapt_every=10), steps)


def ordinary(steps: int, lr: float, seed: int = 0) -> Descent:
    """Ordinary gradient descent on core and factors, at fixed ranks."""
    model = network(seed)
    return _descent(model, torch.optim.SGD(model.parameters(), lr=lr), steps)


def one_gradient(steps: int, lr: float, seed: int = 0) -> Descent:
    """Ours under a tolerance of 10 % and without growth, to stand beside `two_gradients`."""
    return riemannian(steps, lr, seed, WITHIN)


def two_gradients(steps: int, lr: float, seed: int = 0) -> Descent:
    """The published scheme under the same tolerance: two gradients and a truncation a step."""
    model = network(seed)
    return _descent(model, TwoGradient(model, lr=lr, momentum=0.0, ranks=WITHIN), steps)


def table(ours: Sequence[Descent], theirs: Sequence[Descent]) -> pd.DataFrame:
    """The descents side by side, a row for each learning rate."""
    found = {"ours": ours, "ordinary": theirs}
    columns: dict[tuple[str, str], list[float]] = {("rises", name): [d.rises for d in ds] for name, ds in found.items()}
    columns |= {("last loss", name): [d.losses[-1] for d in ds] for name, ds in found.items()}
    return pd.DataFrame(columns, index=pd.Index([descent.lr for descent in ours], name="learning rate"))


def network(seed: int = 0) -> nn.Module:
    """A small VGG in Tucker format, fresh, at 70 % of each mode."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return tuckerize(build("vgg_small", in_channels=1, image_size=8, width=0.25))


def _descent(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> Descent:
    data = load_data("digits").subset(train=IMAGES, test=10)
    x, y = data.normalize(data.train_images), data.train_labels
    moments: list[float] = []
    found = losses(
        lambda: F.cross_entropy(model(x), y), optimizer, steps, watch=lambda: moments.append(time.perf_counter())
    )
    seconds = statistics.median(end - began for began, end in pairwise(moments))
    gradients = getattr(optimizer, "evaluations", 1)  # in a step
    return Descent(optimizer.param_groups[0]["lr"], tuple(found), gradients, seconds)
