"""The step of a Tucker weight as a pure function of its numbers, taken for many weights at once.

>>> from tuckerlab import TuckerLinear
>>> layers = [TuckerLinear(20, 10, ranks=2), TuckerLinear(10, 10, ranks=3)]
>>> [len(members) for _, members in batches(layers, steps=[0, 0])]  # on a CPU one by one, on a GPU together
[1, 1]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.manifold import Point, Tangent, carried, mode_roots, project, retract
from tuckerlab.tucker.stack import ROOM, Stack, gathered
from tuckerlab.tucker.weight import TuckerLayer

Batch = tuple[Stack, list[TuckerLayer]]
State = dict[str, Tangent]  # of one weight: its momentum or moments, by name
TINY = 1e-30  # what norms are divided by at least
Direction = Callable[[Point, Tangent, State, dict[str, Any], float], tuple[Tangent, State]]


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
    if not layers:
        return []
    made, room = dict(zip(layers, steps, strict=True)), ROOM.get(layers[0].core.device.type)
    groups = gathered(layers, _shapes, lambda layer: (made[layer], *_kind(layer)), room)
    return [(Stack([_shapes(layer) for layer in group], group[0].core.device), group) for group in groups]


def _shapes(layer: TuckerLayer) -> list[torch.Size]:
    return [layer.core.shape, *(factor.shape for factor in layer.factors)]


def _kind(layer: TuckerLayer) -> tuple[Any, ...]:
    core = layer.core
    whole = tuple(size for mode, size in enumerate(core.shape) if mode not in layer.modes)
    return layer.modes, core.dim(), whole, core.dtype, core.device
