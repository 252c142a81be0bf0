"""The step of a Tucker weight as a pure function of its numbers, taken for many weights in one padded batch.

The weights of a network have many small parts: a step of VGG16 is about a thousand tiny kernels if it goes layer by
layer, and a GPU spends its time on launching them. In a batch the number of kernels does not depend on the layers.
Padding is zero, and zero rows and columns stay what they are in every function of `manifold`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.manifold import Point, Tangent, carried, mode_roots, project, retract
from tuckerlab.tucker.weight import TuckerLayer

Parts = Sequence[Tensor]  # of one weight: its core and its factors, or a tangent vector in the same shapes
Shapes = Sequence[Sequence[int]]
State = dict[str, Tangent]  # of one weight: its momentum or moments, by name
TINY = 1e-30  # what norms are divided by at least
Direction = Callable[[Point, Tangent, State, dict[str, Any], float], tuple[Tangent, State]]

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


@dataclass(frozen=True)
class WeightStep:
    """What a step does with one weight: project the gradient, ask for a direction, retract, carry the state along.

    `direction` is the optimizer's part; `vectors` and `squares` name the state. It is called with the parameters of
    the weights of a batch, core first, and with the state of each parameter; both are changed in place.
    """

    direction: Direction
    vectors: Sequence[str]
    squares: Sequence[str]
    modes: tuple[int, ...]
    group: dict[str, Any]

    def __call__(
        self, stack: Stack, held: Sequence[Sequence[nn.Parameter]], states: Sequence[Sequence[dict[str, Any]]]
    ) -> None:
        names = (*self.vectors, *self.squares)
        count = states[0][0].get("step", torch.zeros((), device="cpu")) + 1  # on the host: nobody waits
        for parameters, own in zip(held, states, strict=True):
            own[0]["step"] = count
            for parameter, state in zip(parameters, own, strict=True):
                state.update({name: torch.zeros_like(parameter) for name in names if name not in state})
        weights = [[p.detach() for p in parameters] for parameters in held]
        gradients = [[torch.zeros_like(p) if p.grad is None else p.grad for p in parameters] for parameters in held]
        kept = [[[state[name] for state in own] for own in states] for name in names]

        def moved(weight: list[Tensor], gradient: list[Tensor], *state: list[Tensor]) -> list[list[Tensor]]:
            return self._moved(weight, gradient, dict(zip(names, state, strict=True)), float(count))

        stack.update(moved, [weights, gradients, *kept], targets=[0, *range(2, 2 + len(names))])

    def _moved(
        self, weight: list[Tensor], gradient: list[Tensor], state: dict[str, list[Tensor]], count: float
    ) -> list[list[Tensor]]:
        point = Point(weight[0], tuple(weight[1:]), self.modes)
        roots = mode_roots(point)
        tangents = {name: Tangent(parts[0], tuple(parts[1:])) for name, parts in state.items()}
        direction, tangents = self.direction(
            point, project(point, gradient[0], gradient[1:], roots), tangents, self.group, count
        )
        new = retract(point, direction, float(self.group["lr"]), roots)
        if self.group["weight_decay"] is None:  # nothing else holds the norm, so it is kept
            norm, found = point.core.norm(), new.core.norm()
            new = new._replace(core=new.core * torch.where(norm > 0, norm / found.clamp(min=TINY), 1.0))
        tangents |= {name: carried(tangents[name], new) for name in self.vectors}
        return [[new.core, *new.factors], *([tangents[name].core, *tangents[name].factors] for name in state)]


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
    for layer in sorted(layers, key=lambda layer: -sum(map(prod, _shapes(layer)))):
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
    return [layer.core.shape, *(factor.shape for factor in layer.factors)]


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
