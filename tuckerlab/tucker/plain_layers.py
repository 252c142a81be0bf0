"""One Tucker layer as ordinary layers of torch.nn: a chain of up to three, or the dense layer.

A factor of a channel mode is a layer of its own ("apart") or is multiplied into the core. Factors of spatial modes are
always multiplied in: no ordinary layer holds them apart.
"""

from collections.abc import Collection
from math import prod
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from tuckerlab.tucker.layers import TuckerConv
from tuckerlab.tucker.tensor import mode_product
from tuckerlab.tucker.weight import CHANNELS, TuckerLayer

Apart = tuple[int, ...]
"""The channel modes (0: out, 1: in) whose factors stay layers of their own; () is the dense layer."""


def numbers(layer: TuckerLayer, apart: Collection[int]) -> int:
    """The numbers that a form stores for the weight, bias left out."""
    sizes = dict(zip(layer.modes, layer.ranks, strict=True))
    core = prod(sizes[mode] if mode in apart else size for mode, size in enumerate(layer.shape))
    return core + sum(layer.shape[mode] * sizes[mode] for mode in apart)


def widths(layer: TuckerLayer, apart: Collection[int]) -> str:
    """The channels that run through a form, from its input to its output: "64 → 16 → 8 → 32"."""
    sizes = dict(zip(layer.modes, layer.ranks, strict=True))
    between = [sizes[mode] for mode in (1, 0) if mode in apart]
    return " → ".join(map(str, [layer.shape[1], *between, layer.shape[0]]))


def forms(layer: TuckerLayer) -> list[Apart]:
    """The forms worth having, the fewest numbers first; none stores more than the dense layer, which is the last.

    >>> from tuckerlab import TuckerConv2d
    >>> layer = TuckerConv2d(64, 32, 3, ranks=(8, 16), padding=1)
    >>> for apart in forms(layer):
    ...     print(numbers(layer, apart), widths(layer, apart))
    2432 64 → 16 → 8 → 32
    4864 64 → 8 → 32
    5632 64 → 16 → 32
    18432 64 → 32

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
    """The layers of a form, in their order: one layer, or an nn.Sequential of two or three."""
    core, ends = layer.core.detach(), dict[int, Tensor]()
    for factor, mode in zip(layer.factors, layer.modes, strict=True):
        if mode in apart:
            ends[mode] = factor.detach()
        else:
            core = mode_product(core, factor.detach(), mode)
    first: dict[str, Any] = {"kernel_size": 1}  # options of the convolutions, if they are that
    middle, last = dict(first), dict(first)
    if isinstance(layer, TuckerConv):
        if _picks_pixels(layer) and 1 in ends:
            first["stride"] = layer.stride
        else:
            names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
            middle = {name: getattr(layer, name) for name in names}
    parts = [_part(layer, ends[1].mT, first, last=False)] if 1 in ends else []
    parts.append(_part(layer, core, middle, last=0 not in ends))
    if 0 in ends:
        parts.append(_part(layer, ends[0], last, last=True))
    return nn.Sequential(*parts) if len(parts) > 1 else parts[0]


def _picks_pixels(layer: TuckerLayer) -> TypeGuard[TuckerConv]:
    return isinstance(layer, TuckerConv) and layer.only_picks_pixels


def _part(layer: TuckerLayer, weight: Tensor, options: dict[str, Any], *, last: bool) -> nn.Module:
    """A linear layer or a convolution with this weight; the last of a chain has the bias. What was frozen stays so."""
    bias = layer.bias if last else None
    size: dict[str, Any] = {"bias": bias is not None, "device": "meta"}
    if isinstance(layer, TuckerConv):
        dense: Any = layer.dense_class(weight.shape[1], weight.shape[0], **options, **size)
        weight = weight.reshape(dense.weight.shape)
    else:
        dense = nn.Linear(weight.shape[1], weight.shape[0], **size)
    dense.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format), layer.core.requires_grad)
    if bias is not None:
        dense.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    module: nn.Module = dense
    return module
