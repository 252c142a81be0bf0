"""Many Tucker weights in one padded batch, so that a step is taken for all of them at once.

The weights of a network have many small parts: a step of VGG16 is about a thousand tiny kernels if it goes layer by
layer, and a GPU spends its time on launching them. In a batch the number of kernels does not depend on the layers.
Padding is zero, and zero rows and columns stay what they are in every function of `manifold`.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.manifold import Point, Tangent, leading
from tuckerlab.tucker.weight import TuckerLayer

Parts = Sequence[Tensor]  # of one weight: its core and its factors, or a tangent vector in the same shapes
Shapes = Sequence[Sequence[int]]

# Numbers that a batch may hold with its padding, by kind of device: a step copies it a few times, and large weights do
# not need company. Where no number stands weights go one by one; on a CPU batches were slower at any size.
ROOM = {"cuda": 2**25}


class Stack:
    """Where the parts of several weights lie in a batch: part i is padded to its largest size in each dimension.

    `shapes` are those of the parts, weight by weight. Packing and unpacking are two gathers, whatever the number of
    weights. A weight that is alone is packed as it is, without a dimension for the batch.
    """

    def __init__(self, shapes: Sequence[Shapes], device: torch.device | str = "cpu") -> None:
        self.weights, self.padded = len(shapes), padded(shapes)
        self.sizes = [prod(shape) for weight in shapes for shape in weight]
        if self.weights == 1:
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
        if self.weights == 1:
            return list(weights[0])
        numbers = [part.reshape(-1) for weight in weights for part in weight]
        values = torch.cat([*numbers, numbers[0].new_zeros(1)])[self.there]
        parts = torch.split(values, [self.weights * prod(size) for size in self.padded])
        return [part.view(self.weights, *size) for part, size in zip(parts, self.padded, strict=True)]

    def unpack(self, batch: Parts, into: Sequence[Parts]) -> None:
        """Copies the batch back into the parts of all weights."""
        targets, pieces = [part for weight in into for part in weight], batch
        if self.weights > 1:
            values = torch.cat([part.reshape(-1) for part in batch])[self.back]
            split = zip(torch.split(values, self.sizes), targets, strict=True)
            pieces = [piece.view(target.shape) for piece, target in split]
        torch._foreach_copy_(targets, list(pieces))


def step_batch(
    stack: Stack,
    weights: Sequence[Parts],
    states: Sequence[Sequence[dict[str, Any]]],
    names: Sequence[str],
    modes: tuple[int, ...],
    active: Sequence[tuple[int, ...] | None],
    moved: Callable[[Point, Parts, dict[str, Tangent], float], tuple[Point, dict[str, Tangent]]],
) -> None:
    """One step of all weights of a batch, in place: gather, `moved`, scatter.

    states: of each part of each weight, what the optimizer keeps, among it the tangents called `names`. active: the
    ranks of each weight that take the step, where they are not all. moved: the point and its tangents after a step,
    from those before, the gradient of core and factors, and the number of the step.
    """
    count = states[0][0].get("step", torch.zeros((), device="cpu")) + 1  # on the host: nobody waits
    for parts, own in zip(weights, states, strict=True):
        own[0]["step"] = count
        for part, state in zip(parts, own, strict=True):
            state.update({name: torch.zeros_like(part) for name in names if name not in state})

    def taking_part(tensors: Sequence[Parts]) -> list[list[Tensor]]:
        return [leading(parts, modes, ranks) for parts, ranks in zip(tensors, active, strict=True)]

    values = taking_part([[p.detach() for p in parts] for parts in weights])
    gradients = taking_part([[torch.zeros_like(p) if p.grad is None else p.grad for p in parts] for parts in weights])
    kept = [taking_part([[state[name] for state in own] for own in states]) for name in names]

    def step(weight: Parts, gradient: Parts, *state: Parts) -> list[list[Tensor]]:
        point, tangents = Point(weight[0], tuple(weight[1:]), modes), map(Tangent.of, state)
        new, after = moved(point, gradient, dict(zip(names, tangents, strict=True)), float(count))
        return [list(new.parts), *(list(after[name].parts) for name in names)]

    mapped = step if stack.weights == 1 else torch.vmap(step)
    results = mapped(*map(stack.pack, (values, gradients, *kept)))
    for result, targets in zip(results, (values, *kept), strict=True):
        stack.unpack(result, into=targets)


Batch = tuple[Stack, list[TuckerLayer]]


def batches(layers: Sequence[TuckerLayer], steps: Sequence[int]) -> list[Batch]:
    """The layers in batches of one kind, which have all made the same number of `steps`.

    Raises TuckerlabError for weights in half precision, which no Cholesky factorization can bear.
    """
    for layer in layers:
        if layer.core.dtype not in (torch.float32, torch.float64):
            raise TuckerlabError(
                f"a Tucker weight in {layer.core.dtype}: allowed are float32 and float64; keep the parameters in "
                "float32 and use torch.autocast for mixed precision"
            )
    room = ROOM.get(layers[0].core.device.type) if layers else None
    made = dict(zip(layers, steps, strict=True))
    if room is None:
        return [(Stack([_shapes(layer)]), [layer]) for layer in layers]
    groups: list[list[TuckerLayer]] = []
    for layer in sorted(layers, key=lambda layer: -layer.stored_numel):
        for group in groups:
            wanted = [_shapes(member) for member in (*group, layer)]
            alike = (made[group[0]], *_kind(group[0])) == (made[layer], *_kind(layer))
            if alike and len(wanted) * sum(map(prod, padded(wanted))) <= room:
                group.append(layer)
                break
        else:
            groups.append([layer])
    return [(Stack([_shapes(layer) for layer in group], group[0].core.device), group) for group in groups]


def _shapes(layer: TuckerLayer) -> list[torch.Size]:
    return [part.shape for part in layer.trained.parts]


def _kind(layer: TuckerLayer) -> tuple[Any, ...]:
    core = layer.core
    whole = tuple(size for mode, size in enumerate(core.shape) if mode not in layer.modes)
    return layer.modes, core.dim(), whole, core.dtype, core.device


def padded(shapes: Sequence[Shapes]) -> list[torch.Size]:
    """The size of each part of a batch.

    >>> padded([[(2, 3), (4, 2)], [(3, 1), (2, 2)]])
    [torch.Size([3, 3]), torch.Size([4, 2])]
    """
    return [torch.Size(map(max, zip(*part, strict=True))) for part in zip(*shapes, strict=True)]
