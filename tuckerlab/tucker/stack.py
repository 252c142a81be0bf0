"""Several weights as one padded batch, so that a step launches each of its kernels once for all of them.

>>> small = [torch.ones(2, 3), torch.ones(4, 2)]           # a core with one factor
>>> large = [torch.ones(3, 3), torch.ones(5, 3)]
>>> stack = Stack([[t.shape for t in small], [t.shape for t in large]])
>>> [part.shape for part in stack.pack([small, large])]
[torch.Size([2, 3, 3]), torch.Size([2, 5, 3])]

The weights of a network have many small parts: a step of VGG16 is about a thousand tiny kernels if it goes layer by
layer, and a GPU spends its time on launching them. In a batch the number of kernels does not depend on the layers.
Padding is zero, and zero rows and columns stay what they are in every function of `manifold`.
"""

from collections.abc import Callable, Hashable, Sequence
from math import prod
from typing import TypeVar

import torch
from torch import Tensor

Parts = Sequence[Tensor]  # of one weight: its core and its factors, or a tangent vector in the same shapes
Shapes = Sequence[Sequence[int]]

# Numbers that a batch may hold with its padding, by kind of device: a step copies it a few times, and large weights do
# not need company. Where no number stands weights go one by one; on a CPU batches were slower at any size.
ROOM = {"cuda": 2**25}


class Stack:
    """Where the parts of several weights lie in a batch: part i is padded to its largest size in each dimension.

    `shapes` are those of the parts, weight by weight. Packing and unpacking are two gathers, whatever the number of
    weights.
    """

    def __init__(self, shapes: Sequence[Shapes], device: torch.device | str = "cpu") -> None:
        self.weights, self.padded = len(shapes), padded(shapes)
        self.sizes = [prod(shape) for weight in shapes for shape in weight]
        if len(shapes) == 1:  # goes through `update` as it is
            return
        zero = sum(self.sizes)  # where a zero is put behind all numbers
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

    def pack(self, weights: Sequence[Parts]) -> list[Tensor]:
        """The parts of all weights, as one batch for each part."""
        numbers = [part.reshape(-1) for weight in weights for part in weight]
        values = torch.cat([*numbers, numbers[0].new_zeros(1)])[self.there]
        parts = torch.split(values, [self.weights * prod(size) for size in self.padded])
        return [part.view(self.weights, *size) for part, size in zip(parts, self.padded, strict=True)]

    def unpack(self, batch: Parts, into: Sequence[Parts]) -> None:
        """Copies the batch back into the parts of all weights."""
        values = torch.cat([part.reshape(-1) for part in batch])[self.back]
        targets = [part for weight in into for part in weight]
        pieces = zip(torch.split(values, self.sizes), targets, strict=True)
        torch._foreach_copy_(targets, [piece.view(target.shape) for piece, target in pieces])

    def update(
        self, function: Callable[..., list[list[Tensor]]], sources: Sequence[Sequence[Parts]], targets: Sequence[int]
    ) -> None:
        """For each weight, function(*sources) goes into those of the sources that `targets` names.

        >>> shapes = [[(2,)], [(3,)]]
        >>> ones, others = ([[torch.ones(shape) for shape in parts] for parts in shapes] for _ in range(2))
        >>> Stack(shapes).update(lambda a, b: [[a[0] + b[0]]], [ones, others], targets=[1])
        >>> others
        [[tensor([2., 2.])], [tensor([2., 2., 2.])]]

        `function` is written for one weight; a weight that is alone goes through it as it is, others as a batch.
        """
        if self.weights == 1:
            for target, values in zip(targets, function(*(source[0] for source in sources)), strict=True):
                torch._foreach_copy_(list(sources[target][0]), values)
        else:
            for target, values in zip(targets, torch.vmap(function)(*map(self.pack, sources)), strict=True):
                self.unpack(values, sources[target])


def padded(shapes: Sequence[Shapes]) -> list[torch.Size]:
    """The size of each part of a batch.

    >>> padded([[(2, 3), (4, 2)], [(3, 1), (2, 2)]])
    [torch.Size([3, 3]), torch.Size([4, 2])]
    """
    return [torch.Size(map(max, zip(*part, strict=True))) for part in zip(*shapes, strict=True)]


Item = TypeVar("Item")


def gathered(
    items: Sequence[Item], shapes: Callable[[Item], Shapes], kind: Callable[[Item], Hashable], room: int | None
) -> list[list[Item]]:
    """Groups of items of one kind whose batches hold at most `room` numbers (None: each for itself).

    >>> sizes = {"a": [(8, 8)], "b": [(8, 7)], "c": [(2, 2)]}
    >>> gathered("abc", sizes.get, lambda item: 0, room=130)
    [['a', 'b'], ['c']]
    """
    if room is None:
        return [[item] for item in items]
    groups: list[list[Item]] = []
    for item in sorted(items, key=lambda item: -sum(map(prod, shapes(item)))):
        for group in groups:
            if kind(group[0]) != kind(item):
                continue
            wanted = [shapes(member) for member in (*group, item)]
            if len(wanted) * sum(map(prod, padded(wanted))) <= room:
                group.append(item)
                break
        else:
            groups.append([item])
    return groups
