"""How ranks are chosen: `Fixed`, `Tolerance` on the error, and `Budget` on all parameters together.

A policy sees the singular values of every core and answers with ranks. Given to `tuckerize` it sets the first ranks,
given to an optimizer it sets how they go on: at each adaptation the cores are truncated to `choose`, then grown by
`larger`, and the new directions have until the next adaptation to prove themselves.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, prod
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from tuckerlab.errors import RankError, check_number, check_whole
from tuckerlab.tucker.tensor import check_fraction, feasible_ranks, left_singular, numbers_at, tolerance_ranks, unfold
from tuckerlab.tucker.weight import TuckerLayer

Smallest = Sequence[tuple[int, ...] | None]
RAMP = 0.6  # the share of a run over which a schedule comes down, where the length of the run is known …
RAMP_STEPS = 1000  # … and its length in steps where it is not


class Spectrum(NamedTuple):
    """What a policy knows of a layer: shape of the dense weight, factorized modes, falling singular values per mode."""

    shape: tuple[int, ...]
    modes: tuple[int, ...]
    values: tuple[Tensor, ...]
    smallest: tuple[int, ...] | None = None  # ranks of a nested weight's smallest size, whose directions come first

    @classmethod
    def of(cls, layer: TuckerLayer) -> tuple[Self, list[Tensor]]:
        """Of a layer, and its core's singular vectors; in a nested weight those of the smallest size stay first."""
        core, vectors, values = layer.core.detach(), list[Tensor](), list[Tensor]()
        smallest = layer.point.leading(layer.smallest or layer.ranks).core.detach()
        for mode in layer.modes:
            basis, value = left_singular(unfold(smallest, mode))
            if layer.smallest and smallest.shape[mode] < core.shape[mode]:
                others, rest = left_singular(unfold(core, mode)[smallest.shape[mode] :])
                basis = torch.block_diag(basis, others)  # type: ignore[no-untyped-call]
                value = torch.cat([value, rest]).cummin(0).values
            vectors.append(basis)
            values.append(value.cpu())
        return cls(layer.shape, layer.modes, tuple(values), layer.smallest), vectors

    @classmethod
    def flat(cls, layer: TuckerLayer) -> Self:
        """For questions in which the singular values do not matter."""
        return cls(layer.shape, layer.modes, tuple(torch.ones(rank) for rank in layer.ranks), layer.smallest)

    @property
    def ranks(self) -> tuple[int, ...]:
        """The present ranks: a truncation can only lower them."""
        return tuple(len(values) for values in self.values)

    @property
    def energies(self) -> list[Tensor]:
        """σ²/‖C‖² for each direction of each mode: the share of the weight's energy that it carries."""
        squares = [values.double().square() for values in self.values]
        return [square / square.sum().clamp(min=1e-300) for square in squares]

    def stored(self, ranks: Sequence[int]) -> int:
        """Numbers stored at these ranks: core and factors."""
        return numbers_at(self.shape, self.modes, ranks)

    def freed(self, i: int) -> int:
        """Numbers that go with one direction of the i-th factorized mode, at the present ranks."""
        return self.stored(self.ranks) - self.stored([rank - (j == i) for j, rank in enumerate(self.ranks)])


@dataclass(frozen=True, kw_only=True)
class RankPolicy:
    """What all policies share.

    growth: at each adaptation every mode grows by this fraction of its rank (at least 1); 0 switches growth off.
    min_rank, max_rank: limits in every mode. multiple: ranks are rounded up to it where there is room (8 suits a GPU).
    steps: optimizer steps over which the policy comes down to its target; None is 60 % of the run under `fit`, which
    knows its length, and 1 000 steps in a loop of your own; 0 is at once.
    """

    growth: float = 0.0
    min_rank: int = 1
    max_rank: int | None = None
    multiple: int = 1
    steps: int | None = None
    grows: ClassVar[int] = 1  # the most that growth may be
    sees_values: ClassVar[bool] = False  # whether values may change ranks that meet the target
    is_nested: ClassVar[bool] = False  # whether a network of many sizes is trained, see `Nested`

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}: growth", self.growth, 0, self.grows, error=RankError)
        for name, least in (("min_rank", 1), ("max_rank", self.min_rank), ("multiple", 1), ("steps", 0)):
            value = getattr(self, name)
            if value is not None or name in ("min_rank", "multiple"):
                object.__setattr__(self, name, check_whole(name, value, least, error=RankError))  # an int, not numpy's

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        """Ranks for each layer at a step (None: the last), none above the present; `other`: weights that stay dense."""
        raise NotImplementedError

    def settled(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> bool:
        """Whether the present ranks remain, whatever the singular values: then nobody has to compute these."""
        is_open = self.growth > 0 or self.sees_values
        return not is_open and self.choose(spectra, step, other) == [spectrum.ranks for spectrum in spectra]

    def smallest_of(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> Smallest:
        """For each layer the ranks of the smallest size that is trained, where that is not all."""
        return [None] * len(spectra)

    def turn(self, step: int) -> float:
        """The size that a step trains, from the largest (0) to the smallest (1)."""
        return 0.0

    def over(self, total_steps: int) -> Self:
        """The same policy with its schedule fitted to a run of `total_steps`, unless `steps` was given."""
        return self if self.steps is not None else replace(self, steps=int(RAMP * total_steps))

    def larger(self, shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int]) -> tuple[int, ...]:
        """The ranks to grow to from `ranks`."""
        if self.growth == 0:
            return tuple(ranks)
        wanted = (self._rounded(rank + max(1, ceil(self.growth * rank))) for rank in ranks)
        top = [min(shape[mode], self.max_rank or shape[mode]) for mode in modes]
        return tuple(max(rank, min(new, t)) for rank, new, t in zip(ranks, wanted, top, strict=True))

    def progress(self, step: int | None) -> float:
        """How far the schedule is, from 0 to 1."""
        steps = RAMP_STEPS if self.steps is None else self.steps
        return 1.0 if step is None or step >= steps else step / steps

    def _rounded(self, rank: int) -> int:
        return ceil(rank / self.multiple) * self.multiple

    def _limited(self, spectrum: Spectrum, ranks: Sequence[int]) -> tuple[int, ...]:
        """Ranks within the limits, rounded, no larger than the present ones, and such that a tensor can have them."""
        tops = [min(present, self.max_rank or present) for present in spectrum.ranks]
        limited = [min(self._rounded(max(rank, self.min_rank)), top) for rank, top in zip(ranks, tops, strict=True)]
        return feasible_ranks(spectrum.shape, spectrum.modes, limited)


@dataclass(frozen=True)
class Fixed(RankPolicy):
    """Ranks that are a fraction of each mode's size, or, without a fraction, the present ones for good.

    >>> Fixed(0.5).choose([Spectrum((8, 6), (0, 1), (torch.ones(6), torch.ones(6)))])
    [(3, 3)]
    """

    fraction: float | None = None
    grows: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fraction is not None:
            check_number("Fixed: fraction", self.fraction, most=1, above=0, error=RankError)

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        if self.fraction is None:
            return [spectrum.ranks for spectrum in spectra]
        return [self._limited(s, [max(1, round(self.fraction * s.shape[m])) for m in s.modes]) for s in spectra]


@dataclass(frozen=True)
class Tolerance(RankPolicy):
    """The smallest ranks whose truncation changes each weight by at most `tau` · ‖W‖.

    >>> Tolerance(0.2, growth=0.0, min_rank=2)
    Tolerance(growth=0.0, min_rank=2, max_rank=None, multiple=1, steps=None, tau=0.2)

    A weight with d factorized modes may discard tau/√d in each, so that the error of all modes together is at most
    tau (see `tuckerlab.tucker.tensor.tolerance_ranks`). The tolerance rises from 0 to tau over `steps`.
    """

    tau: float = 0.1
    growth: float = field(default=0.25, kw_only=True)
    sees_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tau", check_fraction("tolerance", self.tau))

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        tau = self.tau * self.progress(step)
        return [self._limited(s, tolerance_ranks(s.values, tau)) for s in spectra]


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
        object.__setattr__(self, "compression", check_fraction("budget", self.compression))

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        target = self.target(step)
        total = sum(prod(spectrum.shape) for spectrum in spectra) + other
        room = (1 - target) * total
        turns = removal_order(self.scores(spectra))
        directions = sum(len(turn) for layer in turns for turn in layer)

        def ranks_after(removed: int) -> list[tuple[int, ...]]:
            kept = [[int((turn >= removed).sum()) for turn in layer] for layer in turns]
            return [self._limited(spectrum, ranks) for spectrum, ranks in zip(spectra, kept, strict=True)]

        def stored_after(removed: int) -> int:
            return other + sum(s.stored(r) for s, r in zip(spectra, ranks_after(removed), strict=True))

        removed = bisect_left(range(directions), True, key=lambda n: stored_after(n) <= room)
        if removed == directions and (least := stored_after(removed)) > room:
            raise RankError(
                f"budget {target:.4g} cannot be met: with every rank at its minimum {least} of {total} weights remain, "
                f"so at most {1 - least / total:.4g} can be removed here ({other} are frozen or in dense convolutions)"
            )
        return ranks_after(removed)

    def target(self, step: int | None) -> float:
        """The share of the weights that is to be gone at an optimizer step."""
        return self.compression * (1 - (1 - self.progress(step)) ** 3)

    def scores(self, spectra: Sequence[Spectrum]) -> list[list[Tensor]]:
        """For each direction of each mode of each layer what it is worth."""
        return [[energy / s.freed(i) for i, energy in enumerate(s.energies)] for s in spectra]


def removal_order(scores: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """For each direction of each mode of each layer the turn at which it goes: the lowest score first."""
    flat = [score for layer in scores for score in layer]
    if not flat:
        return []
    # of equal scores the one goes first that has more before it in its mode: equal modes shrink together
    places = torch.cat([torch.arange(len(score), 0, -1) for score in flat]).argsort(stable=True)
    order = places[torch.cat(flat)[places].argsort(stable=True)]
    turns = iter(torch.split(order.argsort(), [len(score) for score in flat]))
    return [[next(turns) for _ in layer] for layer in scores]
