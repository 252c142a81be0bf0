"""Ranks that were set too large: how many steps each descent needs when the layer has more ranks than its true weight.

The true weight has rank 4 and singular values that fall from one to the next by the factor `fall`; the layer starts
fresh, at random. Both descents try the same learning rates (full batch, no momentum), and each is judged by its best.
Ordinary descent makes a superfluous direction small by making core and factors small together. The smaller they are
the more slowly they go on, so the error falls like a power of the steps, no longer by a constant factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tuckerlab.demos.planted_weight import LR, new_layer, ordinary, riemannian, seeded, taught, with_values

TRUE_RANK = 4
RATES = (0.1, LR, 0.4, 0.8)
TARGET = 1e-6
"""The relative squared error that counts as arrived."""
STEPS = 150


@dataclass(frozen=True)
class Race:
    """Steps to `TARGET` of a layer of `rank`: None where `steps` did not suffice at any of the rates."""

    rank: int
    fall: float
    steps: int
    ours: int | None
    same: int | None
    """Ordinary descent with the learning rate that is best for us."""
    best: int | None
    """Ordinary descent with its own best learning rate."""
    left: float
    """The least error of ordinary descent after all steps, at any rate."""


def race(rank: int, fall: float, steps: int = STEPS, seed: int = 0) -> Race:
    """Both descents to a weight of rank 4, from a fresh layer of that `rank`."""
    with seeded(seed):
        values = fall ** -torch.arange(TRUE_RANK, dtype=torch.float64)
        task = taught(with_values(new_layer(TRUE_RANK), values), new_layer(rank))
    ours = {lr: arrived(riemannian(task, steps, lr, until=TARGET)) for lr in RATES}
    errors = {lr: ordinary(task, steps, lr, until=TARGET) for lr in RATES}
    theirs = {lr: arrived(losses) for lr, losses in errors.items()}
    lr = min(RATES, key=lambda lr: _order(ours[lr]))
    left = min(losses[-1] for losses in errors.values())
    return Race(rank, fall, steps, ours[lr], theirs[lr], min(theirs.values(), key=_order), left)


def races(ranks: Sequence[int], fall: float, steps: int = STEPS, seed: int = 0) -> list[Race]:
    """A race for each rank of the layer."""
    return [race(rank, fall, steps, seed) for rank in ranks]


def arrived(losses: Sequence[float]) -> int | None:
    """The number of steps to a loss below `TARGET`."""
    return next((step for step, loss in enumerate(losses) if loss < TARGET), None)


def _order(steps: int | None) -> float:
    return float("inf") if steps is None else steps
