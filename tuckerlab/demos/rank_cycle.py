"""Ranks that hardly ever grow, and ranks that move both ways: truncation at every step against a cycle.

A planted weight of rank 8 is learned from a layer of another rank, under one tolerance. At every adaptation the layer
is truncated to the tolerance and grown by new directions. Truncated again after one step (the published order), a new
direction is as large as one step: below the tolerance, unless steps are long, it goes before it has learned anything.
"""

from dataclasses import dataclass

import torch

from tuckerlab.demos.planted_weight import losses, new_layer, seeded, taught, with_values
from tuckerlab.tucker.rank_policy import Spectrum, Tolerance
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD
from tuckerlab.tucker.weight import TuckerLayer

TRUE_RANK = 8
FALL = 10**0.1
"""From one singular value of the planted weight to the next."""
TAU, GROWTH, LR = 0.1, 0.25, 0.1
STEPS = 160


@dataclass(frozen=True)
class Path:
    """`every`: steps between two adaptations. Before each step, the rank within the tolerance, and the error."""

    every: int
    ranks: tuple[int, ...]
    losses: tuple[float, ...]
    found: int
    """The rank in the end."""


def follow(every: int, first: int, steps: int = STEPS, seed: int = 0, tau: float = TAU, lr: float = LR) -> Path:
    """A layer that starts at rank `first` and adapts every so many steps."""
    with seeded(seed):
        values = FALL ** -torch.arange(TRUE_RANK, dtype=torch.float64)
        task = taught(with_values(new_layer(TRUE_RANK), values), new_layer(first))
    layer, policy = task.start, Tolerance(tau, growth=GROWTH, steps=0)
    optimizer = TuckerSGD(layer, lr=lr, ranks=policy, adapt_every=every)
    ranks: list[int] = []
    errors = losses(task, layer, optimizer, steps, watch=lambda: ranks.append(_within(layer, policy)))
    optimizer.adapt(grow=False)
    return Path(every, tuple(ranks), tuple(errors), max(layer.ranks))


@torch.no_grad()
def _within(layer: TuckerLayer, policy: Tolerance) -> int:
    """The rank that the policy would keep now: without the directions that are on trial and have not grown yet."""
    return max(policy.choose([Spectrum.of(layer)[0]])[0])
