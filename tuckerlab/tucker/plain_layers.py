"""One Tucker layer as ordinary layers of torch.nn: a chain of up to three, or the dense layer.

A factor of a channel mode is a layer of its own ("apart") or is multiplied into the core. Factors of spatial modes are
always multiplied in: no ordinary layer holds them apart.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.tucker.layers import TuckerConv
from tuckerlab.tucker.tensor import numbers_at
from tuckerlab.tucker.weight import TuckerLayer

Apart = tuple[int, ...]  # channel modes (0: out, 1: in) whose factors stay layers of their own; () is the dense layer


def numbers(layer: TuckerLayer, apart: Apart) -> int:
    """The numbers that a form stores for the weight, bias left out."""
    ranks = dict(zip(layer.modes, layer.ranks, strict=True))
    return numbers_at(layer.shape, apart, [ranks[mode] for mode in apart])


def smallest_form(layer: TuckerLayer) -> Apart:
    """The form of the fewest numbers, and of these of the fewest layers."""
    free = tuple(mode for mode in (1, 0) if mode in layer.modes)
    if isinstance(layer, TuckerConv) and layer.only_picks_pixels and 1 in free:
        # A matrix on every so many pixels takes the stride first: then few pixels are multiplied, and a strided 1×1
        # convolution of fewer than 8 channels, which oneDNN does wrong (see TuckerConv.forward), is never made.
        free = (1,)
    forms: list[Apart] = [(), *((mode,) for mode in free), free]
    return min(forms, key=lambda apart: (numbers(layer, apart), len(apart)))


def ordinary(layer: TuckerLayer, apart: Apart) -> nn.Module:
    """The layers of a form, in their order: one layer, or an nn.Sequential of two or three."""
    core, ends = layer.point.split(apart)
    pointwise, first, middle = dict[str, Any](), dict[str, Any](), dict[str, Any]()
    if isinstance(layer, TuckerConv):
        pointwise, own = {"kernel_size": 1}, {name: getattr(layer, name) for name in layer.arguments[2:]}
        first, middle = (own, pointwise) if layer.only_picks_pixels and 1 in ends else (pointwise, own)
    parts = [(ends[1].mT, first)] if 1 in ends else []
    parts.append((core, middle))
    if 0 in ends:
        parts.append((ends[0], pointwise))
    biases = [*[None] * (len(parts) - 1), layer.bias]
    plain = [_part(layer, *part, bias) for part, bias in zip(parts, biases, strict=True)]
    return nn.Sequential(*plain) if len(plain) > 1 else plain[0]


def _part(layer: TuckerLayer, weight: Tensor, options: dict[str, Any], bias: nn.Parameter | None) -> nn.Module:
    """A linear layer or a convolution with this weight. What was frozen stays so."""
    dense = layer.dense_class(weight.shape[1], weight.shape[0], **options, bias=bias is not None, device="meta")
    values = weight.detach().reshape(dense.weight.shape).clone(memory_format=torch.contiguous_format)
    dense.weight = nn.Parameter(values, layer.core.requires_grad)
    if bias is not None:
        dense.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    module: nn.Module = dense
    return module
