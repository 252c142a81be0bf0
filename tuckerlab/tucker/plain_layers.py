"""One Tucker layer as ordinary layers of torch.nn: a chain of up to three, or the dense layer.

>>> layer = TuckerConv2d(64, 32, 3, ranks=(8, 16), padding=1)
>>> for apart in forms(layer):
...     print(numbers(layer, apart), widths(layer, apart))
2432 64 → 16 → 8 → 32
4864 64 → 8 → 32
5632 64 → 16 → 32
18432 64 → 32

A factor of a channel mode is a layer of its own ("apart") or is multiplied into the core. Factors of spatial modes are
always multiplied in: no ordinary layer holds them apart.
"""

from collections.abc import Collection
from math import prod
from typing import TypeGuard

import torch
from torch import Tensor, nn

from tuckerlab.tucker.layers import TuckerConv, TuckerConv2d as TuckerConv2d
from tuckerlab.tucker.tensor import mode_product
from tuckerlab.tucker.weight import CHANNELS, TuckerLayer

Apart = tuple[int, ...]
"""The channel modes (0: out, 1: in) whose factors stay layers of their own; () is the dense layer."""


def numbers(layer: TuckerLayer, apart: Collection[int]) -> int:
    """The numbers that a form stores for the weight, bias left out.

    >>> numbers(TuckerConv2d(64, 32, 3, ranks=(8, 16)), apart=())
    18432
    """
    sizes = dict(zip(layer.modes, layer.ranks, strict=True))
    core = prod(sizes[mode] if mode in apart else size for mode, size in enumerate(layer.shape))
    return core + sum(layer.shape[mode] * sizes[mode] for mode in apart)


def widths(layer: TuckerLayer, apart: Collection[int]) -> str:
    """The channels that run through a form, from its input to its output.

    >>> widths(TuckerConv2d(64, 32, 3, ranks=(8, 16)), apart=(0, 1))
    '64 → 16 → 8 → 32'
    """
    sizes = dict(zip(layer.modes, layer.ranks, strict=True))
    between = [sizes[mode] for mode in (1, 0) if mode in apart]
    return " → ".join(map(str, [layer.shape[1], *between, layer.shape[0]]))


def forms(layer: TuckerLayer) -> list[Apart]:
    """The forms worth having, the fewest numbers first; none stores more than the dense layer, which is the last.

    >>> forms(TuckerConv2d(64, 64, 3, ranks=(64, 64)))  # at full ranks a factor is only a cost
    [()]

    Left out is a factor that costs as many numbers as it saves, or more.
    """
    free = [mode for mode in layer.modes if mode in CHANNELS]
    possible: list[Apart] = [(), *((mode,) for mode in (1, 0) if mode in free)]
    if len(free) == 2:
        possible.append(CHANNELS)
    if _picks_pixels(layer) and 1 in free:
        # A matrix on every so many pixels takes the stride first: then few pixels are multiplied, and a strided 1×1
        # convolution of fewer than 8 channels, which oneDNN does wrong (see TuckerConv.forward), is never made.
        possible = [(), (1,)]
    kept: list[Apart] = []
    for apart in possible:
        simpler = [other for other in kept if set(other) <= set(apart)]
        same = [other for other in kept if widths(layer, other) == widths(layer, apart)]
        if not same and all(numbers(layer, apart) < numbers(layer, other) for other in simpler):
            kept.append(apart)
    return sorted(kept, key=lambda apart: numbers(layer, apart))


def ordinary(layer: TuckerLayer, apart: Apart) -> nn.Module:
    """The layers of a form, in their order: one layer, or an nn.Sequential of two or three.

    >>> ordinary(TuckerConv2d(64, 32, 3, ranks=(8, 16)), apart=(0,))
    Sequential(
      (0): Conv2d(64, 8, kernel_size=(3, 3), stride=(1, 1), bias=False)
      (1): Conv2d(8, 32, kernel_size=(1, 1), stride=(1, 1))
    )
    """
    core, ends = layer.core.detach(), dict[int, Tensor]()
    for factor, mode in zip(layer.factors, layer.modes, strict=True):
        if mode in apart:
            ends[mode] = factor.detach()
        else:
            core = mode_product(core, factor.detach(), mode)
    parts = []
    if _picks_pixels(layer) and 1 in ends:
        parts.append(_pointwise(layer, ends[1].mT, last=False, stride=layer.stride))
        parts.append(_pointwise(layer, core, last=0 not in ends))
    else:
        if 1 in ends:
            parts.append(_pointwise(layer, ends[1].mT, last=False))
        parts.append(_layer_like(layer, core, last=0 not in ends))
    if 0 in ends:
        parts.append(_pointwise(layer, ends[0], last=True))
    return nn.Sequential(*parts) if len(parts) > 1 else parts[0]


def _picks_pixels(layer: TuckerLayer) -> TypeGuard[TuckerConv]:
    return isinstance(layer, TuckerConv) and layer.only_picks_pixels


def _layer_like(layer: TuckerLayer, weight: Tensor, *, last: bool) -> nn.Module:
    """The dense layer with this weight (out × in × kernel); the bias belongs to the last layer of a chain."""
    bias = layer.bias is not None and last
    if isinstance(layer, TuckerConv):
        dense: nn.Module = layer.dense_class(
            weight.shape[1], weight.shape[0], layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            bias=bias, padding_mode=layer.padding_mode, device="meta",
        )  # fmt: skip
    else:
        dense = nn.Linear(weight.shape[1], weight.shape[0], bias=bias, device="meta")
    return _filled(dense, weight, layer, bias)


def _pointwise(layer: TuckerLayer, matrix: Tensor, *, last: bool, stride: int | tuple[int, ...] = 1) -> nn.Module:
    """A matrix as a linear layer, or as a convolution with a kernel of size 1."""
    bias = layer.bias is not None and last
    if isinstance(layer, TuckerConv):
        dense: nn.Module = layer.dense_class(matrix.shape[1], matrix.shape[0], 1, stride, bias=bias, device="meta")
        matrix = matrix.reshape(*matrix.shape[:2], *[1] * len(layer.kernel_size))
    else:
        dense = nn.Linear(matrix.shape[1], matrix.shape[0], bias=bias, device="meta")
    return _filled(dense, matrix, layer, bias)


def _filled(dense: nn.Module, weight: Tensor, layer: TuckerLayer, bias: bool) -> nn.Module:
    """The dense layer with its numbers; what was frozen stays frozen."""
    dense.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format), layer.core.requires_grad)
    if layer.bias is not None and bias:
        dense.bias = nn.Parameter(layer.bias.detach().clone(), layer.bias.requires_grad)
    return dense
