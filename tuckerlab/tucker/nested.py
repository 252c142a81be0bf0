"""Nested ranks: one training, in which every smaller network is the leading part of a larger one."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.tucker.rank_policy import Budget, Smallest, Spectrum
from tuckerlab.tucker.tensor import check_fraction, numbers_at
from tuckerlab.tucker.weight import TuckerLayer

SIZES = 8  # beside the smallest
GOLDEN = (5**0.5 - 1) / 2
WAYS = 1000  # steps on the way from the largest to the smallest size, at which a network can be cut


@dataclass(frozen=True)
class Nested(Budget):
    """One training for every size: cut to any compression from `compression` to `smallest`, the network is good.

    >>> [Nested(0.5, smallest=0.95).turn(step) for step in range(6)]
    [1.0, 0.0, 1.0, 0.5, 1.0, 0.125]

    Each step trains one size, and leaves what is behind it in each mode as it was: every other step the smallest, which
    comes down over `steps` as a budget does, in between one of eight larger ones. Directions that a weight keeps longer
    come first; those of the smallest size are the truncated HOSVD of what they make up alone. `tuckerlab.cut` gives the
    network of a size. Layers in eval mode, such as those of a frozen part, compute with all of their ranks. Ordered
    like this are the units of ordered dropout (FjORD, Horváth and others, NeurIPS 2021) and of Matryoshka networks;
    here they are the directions of a tensor, on its manifold.
    """

    compression: float = 0.5
    smallest: float = field(default=0.95, kw_only=True)
    grows: ClassVar[int] = 0
    sees_values: ClassVar[bool] = True  # they order the directions
    is_nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "smallest", check_fraction("smallest", self.smallest))
        if self.smallest <= self.compression:
            raise RankError(
                f"Nested({self.compression}, smallest={self.smallest}): allowed is a smallest size that removes more "
                f"than the largest, such as smallest={(1 + self.compression) / 2:g}"
            )

    def smallest_of(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> Smallest:
        """As the budget of the smallest size chooses, among the directions of the one before."""
        limits: dict[str, Any] = {"min_rank": self.min_rank, "max_rank": self.max_rank, "multiple": self.multiple}
        budget, before = Budget(self.smallest, steps=self.steps, **limits), list[Spectrum]()
        for spectrum in spectra:
            pairs = zip(spectrum.values, spectrum.smallest or spectrum.ranks, strict=True)
            before.append(spectrum._replace(values=tuple(values[:rank] for values, rank in pairs)))
        return budget.choose(before, step, other)

    def turn(self, step: int) -> float:
        """By multiples of the golden ratio, so that no size waits long, and a run that was cut off goes on alike."""
        return 1.0 if step % 2 == 0 else int(step // 2 * GOLDEN % 1 * SIZES) / SIZES


def is_nested(model: nn.Module) -> bool:
    """Whether a network is good at each of its sizes."""
    return any(isinstance(module, TuckerLayer) and module.smallest for module in model.modules())


def refresh_statistics(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Batch norms learn anew from batches of images, at all ranks: in training they have seen those of all sizes.

    TuckerlabError without a batch, as of an iterator that was used up: they would know nothing.
    """
    batches = iter(images)
    if (first := next(batches, None)) is None:
        raise TuckerlabError("images hold no batch: give a list of batches, or a DataLoader")
    layers = {module: module.active for module in model.modules() if isinstance(module, TuckerLayer)}
    for layer in layers:
        layer.active = None
    update_bn(chain([first], batches), model, next(model.parameters()).device)
    for layer, active in layers.items():
        layer.active = active


def leading_network(model: nn.Module, compression: float) -> nn.Module:
    """A copy of the leading part of a nested network: its largest size that removes so much, as `Budget` counts it."""
    model = copy.deepcopy(model)
    layers = [module for module in model.modules() if isinstance(module, TuckerLayer)]
    other = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.modules.conv._ConvNd))
    total = sum(layer.dense_numel for layer in layers) + other

    def removed(way: int) -> float:
        stored = sum(numbers_at(layer.shape, layer.modes, layer.ranks_at(way / WAYS)) for layer in layers)
        return 1 - (stored + other) / total

    way = next((way for way in range(WAYS) if removed(way) >= compression), WAYS)
    if removed(way) < compression:
        raise RankError(
            f"compression {compression:g}: the smallest size that this network was trained at removes "
            f"{removed(way):.4g}; cut it to that at most, or train it with Nested(smallest=…)"
        )
    for layer in layers:
        layer.assign(layer.point.leading(layer.ranks_at(way / WAYS)))
    return model
