"""Ranks that are not those of the planted weight: set too large for good, or found while the layer learns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from tuckerlab.demos.planted_weight import LR, losses, ordinary, planted, riemannian
from tuckerlab.tucker.rank_policy import Spectrum, Tolerance
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD
from tuckerlab.tucker.weight import TuckerLayer

# --- ranks that were set too large ------------------------------------------------------------------------------------

RACE_RANK = 4  # of the true weight
RATES = (0.1, LR, 0.4, 0.8)
TARGET = 1e-6  # the relative squared error that counts as arrived


def races(ranks: Sequence[int], falls: Sequence[float], steps: int = 150, seed: int = 0) -> pd.DataFrame:
    """Steps of both descents to `TARGET` from a layer of each rank, each at its best rate; NaN: not within `steps`.

    `left` is the least error that ordinary descent has left.
    """
    rows = []
    for fall in falls:
        for rank in ranks:
            task = planted(fall ** -torch.arange(RACE_RANK, dtype=torch.float64), rank, seed)
            ours = [riemannian(task, steps, lr, until=TARGET) for lr in RATES]
            theirs = [ordinary(task, steps, lr, until=TARGET) for lr in RATES]
            left = min(errors[-1] for errors in theirs)
            rows.append((fall, rank, steps, steps_to_target(ours), steps_to_target(theirs), left))
    return pd.DataFrame(rows, columns=["fall", "rank", "steps", "ours", "ordinary", "left"])


def steps_to_target(descents: Sequence[Sequence[float]]) -> float:
    """The steps of the first to be below `TARGET`; NaN where none is."""
    return min((len(errors) - 1 for errors in descents if errors[-1] < TARGET), default=math.nan)


# --- ranks that are found while training ------------------------------------------------------------------------------

CYCLE_RANK = 8  # of the true weight
TAU, GROWTH = 0.1, 0.25


@dataclass(frozen=True)
class Path:
    """`every`: steps between two adaptations. Before each step, the rank within the tolerance, and the error."""

    every: int
    ranks: tuple[int, ...]
    losses: tuple[float, ...]
    found: int  # the rank in the end


def follow(every: int, first: int, steps: int = 160, seed: int = 0) -> Path:
    """A layer that starts at rank `first`, and is cut to a tolerance and grown every so many steps."""
    task = planted((10**0.1) ** -torch.arange(CYCLE_RANK, dtype=torch.float64), first, seed)
    layer, policy = task.start, Tolerance(TAU, growth=GROWTH, steps=0)
    optimizer = TuckerSGD(layer, lr=0.1, ranks=policy, adapt_every=every)
    ranks: list[int] = []
    errors = losses(lambda: task.error(layer), optimizer, steps, watch=lambda: ranks.append(_within(layer, policy)))
    optimizer.adapt(grow=False)
    return Path(every, tuple(ranks), tuple(errors), max(layer.ranks))


@torch.no_grad()
def _within(layer: TuckerLayer, policy: Tolerance) -> int:
    """The rank that the policy would keep now: without the directions that are on trial and have not grown yet."""
    return max(policy.choose([Spectrum.of(layer)[0]])[0])
