"""The two other common formats, CP and tensor-train, at fixed ranks: chains of plain convolutions, by plain SGD.

CP: in → r by 1×1, one depthwise convolution for each side of the kernel, r → out by 1×1 (Lebedev, Ganin, Rakhuba,
Oseledets and Lempitsky, "Speeding-up convolutional neural networks using fine-tuned CP-decomposition", ICLR 2015).
Tensor-train: the same without the depthwise (Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 2011).
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import floor, prod, sqrt
from typing import Any

from torch import nn

from tuckerlab.errors import RankError
from tuckerlab.experiments.methods.base import TITLES, AtCompression
from tuckerlab.experiments.setup import Experiment, on_meta
from tuckerlab.tucker.convert import materialize, replaced
from tuckerlab.tucker.layers import TuckerConv2d
from tuckerlab.tucker.weight import TuckerLayer

SHARES = 10_000  # in these parts of a layer's weights its ranks are looked for


@dataclass(frozen=True)
class Tensorized(AtCompression):
    """In CP ("cp") or tensor-train ("tt") format, small from the start: the layers that Tucker factorizes.

    Each keeps the same share of its weights, rounded down to whole ranks; counted is what `Budget` counts.
    """

    form: str

    @property
    def name(self) -> str:
        return self.form

    def built(self, spec: dict[str, Any]) -> nn.Module:
        network = on_meta(spec)
        vars(network).pop("spec")  # it would rebuild another network
        for layer, ranks in chosen_ranks(network, self.compression, self.form).items():
            network = replaced(network, layer, random_chain(layer, ranks, self.form))
        return materialize(network)

    def check(self, experiment: Experiment) -> None:
        chosen_ranks(on_meta(experiment.spec), self.compression, self.form)


def chosen_ranks(network: nn.Module, compression: float, form: str) -> dict[TuckerLayer, tuple[int, ...]]:
    """The ranks of each Tucker layer in another format that meet a compression; RankError where rank 1 does not."""
    layers = [layer for layer in network.modules() if isinstance(layer, TuckerLayer)]
    other = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd))
    total = other + sum(layer.dense_numel for layer in layers)

    def ranks(parts: int) -> dict[TuckerLayer, tuple[int, ...]]:
        return {layer: ranks_at(parts / SHARES, ordered_shape(layer, form), form) for layer in layers}

    def left(parts: int) -> int:
        return other + sum(stored(own, ordered_shape(layer, form), form) for layer, own in ranks(parts).items())

    room = (1 - compression) * total
    too_many = bisect_left(range(SHARES + 1), True, key=lambda parts: left(parts) > room)
    if too_many == 0:
        raise RankError(
            f"compression {compression:g} in {TITLES[form]} format cannot be met: with every rank at 1, {left(0)} of "
            f"{total} weights remain, so at most {1 - left(0) / total:.4g} can be removed here"
        )
    return ranks(too_many - 1)


def ordered_shape(layer: TuckerLayer, form: str) -> tuple[int, ...]:
    """Sizes of the tensor that is factorized: CP (out, in, …), tensor-train (in, …, out); no sides of length 1."""
    out, into, *sides = layer.shape
    sides = [side for side in sides if side > 1]
    return (out, into, *sides) if form == "cp" else (into, *sides, out)


def ranks_at(share: float, shape: Sequence[int], form: str) -> tuple[int, ...]:
    """Equal ranks between neighbours that keep a share of a tensor's numbers, at most those of its unfoldings."""
    room = share * prod(shape)
    linear, square = (sum(shape), 0) if form == "cp" else (shape[0] + shape[-1], sum(shape[1:-1]))
    # square · r² + linear · r ≤ room
    largest = room / linear if not square else (sqrt(linear**2 + 4 * square * room) - linear) / (2 * square)
    rank, bonds = max(1, floor(largest)), range(1, len(shape))
    return tuple(rank if form == "cp" else min(rank, prod(shape[:i]), prod(shape[i:])) for i in bonds)


def stored(ranks: Sequence[int], shape: Sequence[int], form: str) -> int:
    """Numbers in the factors."""
    if form == "cp":
        return ranks[0] * sum(shape)
    return sum(a * size * b for a, size, b in zip((1, *ranks), shape, (*ranks, 1), strict=True))


def random_chain(layer: TuckerLayer, ranks: Sequence[int], form: str) -> nn.Sequential:
    """New plain layers in place of one: normal factors, of a product as large as the dense layer begins with."""
    (out, into, *sides), bias = layer.shape, layer.bias is not None
    if isinstance(layer, TuckerConv2d):
        short = {axis for axis, side in enumerate(sides) if side == 1}  # their strides go first
        parts: list[Any] = [_along(layer, short, into, ranks[0])]
        for axis, before, after in zip(sorted({0, 1} - short), ranks[:-1], ranks[1:], strict=True):
            parts.append(_along(layer, {axis}, before, after, groups=before if form == "cp" else 1))
        parts.append(nn.Conv2d(ranks[-1], out, 1, bias=bias))
    else:
        parts = [nn.Linear(into, ranks[0], bias=False), nn.Linear(ranks[0], out, bias=bias)]
    # Each number of the product is a sum over so many products of one number of each part
    terms, fan_in = ranks[0] if form == "cp" else prod(ranks), prod(layer.shape[1:])
    for part in parts:
        nn.init.normal_(part.weight, std=(1 / (3 * fan_in * terms)) ** (0.5 / len(parts)))
    if bias:
        nn.init.uniform_(parts[-1].bias, -(fan_in**-0.5), fan_in**-0.5)
    return nn.Sequential(*parts)


def _along(layer: TuckerConv2d, axes: Collection[int], into: int, out: int, groups: int = 1) -> nn.Conv2d:
    """A convolution with the layer's kernel and strides along some axes, pointwise along the others."""

    def pick(values: Any, elsewhere: int) -> Any:
        return tuple(value if axis in axes else elsewhere for axis, value in enumerate(values))

    sizes = pick(layer.kernel_size, 1), pick(layer.stride, 1), pick(layer.padding, 0)
    return nn.Conv2d(into, out, *sizes, groups=groups, bias=False)
