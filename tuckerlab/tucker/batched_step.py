"""Many Tucker weights in one padded batch, so that a step is taken for all of them at once.

Layer by layer a step of VGG16 is about a thousand tiny kernels, and a GPU spends its time on launching them; in a batch
their number does not depend on the layers. Padding is zero, and stays zero in every function of `manifold`.
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.manifold import Parts
from tuckerlab.tucker.weight import TuckerLayer

Shapes = Sequence[Sequence[int]]

# Numbers that a batch may hold with its padding, by kind of device: a step copies it a few times, and large weights do
# not need company. Where no number stands weights go one by one; on a CPU batches were slower at any size.
ROOM = {"cuda": 2**25}


class Stack:
    """Where the parts of several weights lie in a batch: part i is padded to its largest size in each dimension."""

    def __init__(self, shapes: Sequence[Shapes], device: torch.device) -> None:
        self.weights, self.padded = len(shapes), padded(shapes)
        self.shapes = [shape for weight in shapes for shape in weight]
        zero = sum(map(prod, self.shapes))  # where a zero is put behind all numbers
        count = [self.weights * prod(size) for size in self.padded]
        places = torch.split(torch.arange(sum(count), dtype=torch.int32, device=device), count)
        grids = [place.view(self.weights, *size) for place, size in zip(places, self.padded, strict=True)]
        own = [
            grid[row][tuple(slice(size) for size in shape)].reshape(-1)
            for row, weight in enumerate(shapes)
            for grid, shape in zip(grids, weight, strict=True)
        ]
        self.back = torch.cat(own)  # where in the batch each number lies …
        self.there = torch.full((sum(count),), zero, dtype=torch.int32, device=device)  # … and what lies in each place
        self.there[self.back] = torch.arange(zero, dtype=torch.int32, device=device)

    def apply(self, function: Callable[..., Sequence[Parts]], *arguments: Sequence[Parts]) -> Iterator[Parts]:
        """The results of a function of one weight, for all weights at once; each argument is given weight by weight."""
        return map(self.unpack, torch.vmap(function)(*map(self.pack, arguments)))

    def pack(self, weights: Sequence[Parts]) -> list[Tensor]:
        """The parts of all weights, as one batch for each part."""
        numbers = [part.reshape(-1) for weight in weights for part in weight]
        values = torch.cat([*numbers, numbers[0].new_zeros(1)])[self.there]
        parts = torch.split(values, [self.weights * prod(size) for size in self.padded])
        return [part.view(self.weights, *size) for part, size in zip(parts, self.padded, strict=True)]

    def unpack(self, batch: Parts) -> list[Tensor]:
        """The parts of all weights, one weight after the other."""
        values = torch.cat([part.reshape(-1) for part in batch])[self.back]
        pieces = torch.split(values, [*map(prod, self.shapes)])
        return [piece.view(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]


Batch = tuple[Stack | None, list[TuckerLayer]]  # None: of one weight, which is taken as it is


def batches(layers: Sequence[TuckerLayer], steps: Sequence[int]) -> list[Batch]:
    """The layers in batches of one kind, which have all made the same number of `steps`; the largest come first."""
    of_kind: dict[Any, list[list[TuckerLayer]]] = {}
    for layer, made in sorted(zip(layers, steps, strict=True), key=lambda pair: -pair[0].stored_numel):
        core, room = layer.core, ROOM.get(layer.core.device.type, 0)
        if core.dtype not in (torch.float32, torch.float64):  # no Cholesky factorization in half precision
            raise TuckerlabError(f"a Tucker weight in {core.dtype}: keep it in float32, under torch.autocast")
        whole = tuple(size for mode, size in enumerate(core.shape) if mode not in layer.modes)
        groups = of_kind.setdefault((made, layer.modes, core.dim(), whole, core.dtype, core.device), [])
        together = [*groups[-1], layer] if groups else [layer]
        if groups and len(together) * sum(map(prod, padded(_shapes(together)))) <= room:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    found = [group for groups in of_kind.values() for group in groups]
    return [(Stack(_shapes(group), group[0].core.device) if len(group) > 1 else None, group) for group in found]


def _shapes(layers: Sequence[TuckerLayer]) -> list[list[torch.Size]]:
    return [[part.shape for part in layer.trained.parts] for layer in layers]


def padded(shapes: Sequence[Shapes]) -> list[torch.Size]:
    """The size of each part of a batch: in each dimension the largest of the weights."""
    return [torch.Size(map(max, zip(*part, strict=True))) for part in zip(*shapes, strict=True)]
