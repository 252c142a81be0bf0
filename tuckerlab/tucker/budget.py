"""Ranks under a budget: all layers share a number of parameters, and the least useful directions go first.

>>> kernel = Spectrum((8, 6, 3, 3), (0, 1), (torch.tensor([5.0, 1.0, 0.1]), torch.tensor([5.0, 1.0])))
>>> Budget(0.9).choose([kernel])
[(2, 1)]
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from tuckerlab.errors import RankError
from tuckerlab.tucker.rank_policy import RankPolicy, Spectrum
from tuckerlab.tucker.tensor import check_fraction


@dataclass(frozen=True)
class Budget(RankPolicy):
    """All ranks of all layers together, so that a share `compression` of the weights is removed.

    >>> flat, steep = torch.ones(8), torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001])
    >>> layers = [Spectrum((8, 8), (0, 1), (flat, flat)), Spectrum((8, 8), (0, 1), (steep, steep))]
    >>> Budget(0.4).choose(layers)
    [(2, 2), (2, 2)]

    Directions go, over all modes of all layers, in the order of σ²/‖C‖² for each number that goes with them: the share
    of its weight's energy that a direction carries, against what it costs to keep. Counted are the weights of all
    convolutions, those that stay dense included, and of the factorized linear layers. The target rises as 1 − (1 − t)³
    over `steps` (Zhu and Gupta, "To prune, or not to prune", 2017): fast while there is much to spare, slowly at the
    end. What else was tried is in `data/results/recipe` (`benchmarks/recipe.py`).
    """

    compression: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("budget", self.compression)
        object.__setattr__(self, "compression", float(self.compression))

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        """The largest ranks that meet this step's target; RankError where none can."""
        target = self.target(step)
        total = sum(prod(spectrum.shape) for spectrum in spectra) + other
        turns = self.order(spectra)

        def ranks_after(removed: int) -> list[tuple[int, ...]]:
            return [
                self._limited(spectrum, [int((turn >= removed).sum()) for turn in layer])
                for spectrum, layer in zip(spectra, turns, strict=True)
            ]

        def stored_after(removed: int) -> int:
            return other + sum(s.stored(r) for s, r in zip(spectra, ranks_after(removed), strict=True))

        directions = sum(len(turn) for layer in turns for turn in layer)
        removed = bisect_left(range(directions), True, key=lambda n: stored_after(n) <= (1 - target) * total)
        if removed == directions and stored_after(removed) > (1 - target) * total:
            least = stored_after(removed)
            raise RankError(
                f"budget {target:.4g} cannot be met: with every rank at its minimum {least} of {total} weights remain, "
                f"so at most {1 - least / total:.4g} can be removed here ({other} are frozen or in dense convolutions)"
            )
        return ranks_after(removed)

    def settled(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> bool:
        """Where nothing grows, and what is stored meets this step's target."""
        total = sum(prod(spectrum.shape) for spectrum in spectra) + other
        stored = sum(spectrum.stored(spectrum.ranks) for spectrum in spectra) + other
        within_limits = all(self._limited(spectrum, spectrum.ranks) == spectrum.ranks for spectrum in spectra)
        return self.growth == 0 and within_limits and stored <= (1 - self.target(step)) * total

    def target(self, step: int | None) -> float:
        """The share of the weights that is to be gone at an optimizer step."""
        return self.compression * (1 - (1 - self.progress(step)) ** 3)

    def order(self, spectra: Sequence[Spectrum]) -> list[list[Tensor]]:
        """For each direction of each mode of each layer the turn at which it goes."""
        scores = energies(spectra)
        return removal_order(
            [
                [energy / spectrum.freed(i) for i, energy in enumerate(layer)]
                for spectrum, layer in zip(spectra, scores, strict=True)
            ]
        )


def energies(spectra: Sequence[Spectrum]) -> list[list[Tensor]]:
    """σ²/‖C‖² for each direction of each mode of each layer: the share of its weight's energy that it carries."""
    return [[v.double().square() / v.double().square().sum().clamp(min=1e-300) for v in s.values] for s in spectra]


def removal_order(scores: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """For each direction of each mode of each layer the turn at which it goes: the lowest score first.

    Of equal scores the one goes first that has more before it in its mode, so that equal modes shrink together.
    """
    flat = [score for layer in scores for score in layer]
    if not flat:
        return []
    places = torch.cat([torch.arange(len(score), 0, -1) for score in flat]).argsort(stable=True)
    order = places[torch.cat(flat)[places].argsort(stable=True)]
    turns = iter(torch.split(order.argsort(), [len(score) for score in flat]))
    return [[next(turns) for _ in layer] for layer in scores]
