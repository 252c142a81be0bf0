"""Chains of small layers merged back where they do not pay: layer by layer, by measurement.

A Tucker layer can be a chain of small layers (1×1 → k×k → 1×1, or two linear layers), which stores little and computes
little but is several calls; or the core takes up one factor or both, which saves a call or two. Which is faster depends
on shapes, machine and runtime, so it is timed where the network will run, on the input that the layer really gets.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.plain_layers import forms, numbers, ordinary, widths
from tuckerlab.tucker.replace import check_replaceable, replaced
from tuckerlab.tucker.weight import CHANNELS, TuckerLayer

MARGIN = 0.2

Timer = Callable[[Mapping[str, nn.Module], Tensor], Mapping[str, float]]
"""From the forms of a layer, by name, and the input of that layer to the milliseconds that each form takes."""


@dataclass(frozen=True)
class Decision:
    """What became of a Tucker layer: its form (the channels that run through it), numbers stored, times, and why.

    reason: "smallest": the chain has stayed; "larger": a longer chain would store more numbers than this form;
    "slower": the form with the fewest numbers, which stores `smallest`, is slower by more than its size is worth.
    times_ms: of each form that came into question, the fewest numbers first; empty where nothing was timed.
    """

    layer: str
    form: str
    stored: int
    smallest: int
    dense: int
    times_ms: Mapping[str, float]
    reason: Literal["smallest", "larger", "slower"]

    def __str__(self) -> str:
        what = f"{self.layer or 'the layer'}: {self.form}, {self.stored:,} numbers"
        if self.reason == "smallest":
            return f"{what} (dense {self.dense:,})"
        if self.reason == "larger":
            return f"{what}: a longer chain would be larger"
        times = f"{next(iter(self.times_ms.values())):.2g} ms against {self.times_ms[self.form]:.2g} ms"
        return f"{what} instead of {self.smallest:,}: the chain is slower ({times})"


def merge(
    model: nn.Module, example: Tensor, timer: Timer, *, margin: float = MARGIN, seconds: float = math.inf
) -> tuple[nn.Module, list[Decision]]:
    """A copy with torch.nn modules only, in eval mode, each Tucker layer in the form that pays; and the decisions.

    The forms in question store no more than the dense layer (`plain_layers.forms`). From the one with the fewest
    numbers on, a larger form is taken if it is faster by the factor 1 + margin, and by that factor again for each
    further doubling of the numbers. At 0.2, a layer with twice the numbers must be 1.2 times as fast, one with sixteen
    times the numbers 2.07 times. So noise does not decide, and a file does not grow for a little speed. With margin=inf
    nothing is timed and the smallest form stays, as in `to_plain`.

    example: a batch as the network will get it; one image, if the time of single answers is what counts. seconds: after
    so many nothing more is timed, and the layers that are left, those with the least to compute, keep their smallest
    form. Raises TuckerlabError for a margin below 0.
    """
    if not margin >= 0:
        raise TuckerlabError(f"margin {margin}: allowed are numbers from 0 on, and inf for the smallest form")
    plain = copy.deepcopy(model).eval()
    layers = {name: layer for name, layer in plain.named_modules() if isinstance(layer, TuckerLayer)}
    check_replaceable(plain, layers)
    times = {} if margin == math.inf else _times(plain, list(layers.values()), example, timer, seconds)
    decisions = []
    for name, layer in layers.items():
        possible, own = forms(layer), times.get(layer, {})
        chosen = possible[0]
        for apart in possible[1:] if own else []:
            growth = numbers(layer, apart) / numbers(layer, chosen)
            speedup = own[widths(layer, chosen)] / own[widths(layer, apart)]
            if speedup >= math.pow(1 + margin, max(1.0, math.log2(growth))):
                chosen = apart
        is_matrix = math.prod(layer.shape[2:]) == 1  # its chain is two layers: the core has nothing else to do
        full = sum(mode in CHANNELS for mode in layer.modes) - (is_matrix and set(CHANNELS) <= set(layer.modes))
        stored, smallest = numbers(layer, chosen), numbers(layer, possible[0])
        reason: Literal["smallest", "larger", "slower"] = "smallest" if len(chosen) >= full else "larger"
        reason = reason if chosen == possible[0] else "slower"
        form = widths(layer, chosen)
        decisions.append(Decision(name, form, stored, smallest, layer.dense_numel, dict(own), reason))
        plain = replaced(plain, layer, ordinary(layer, chosen).eval())
    vars(plain).pop("spec", None)  # it would rebuild another network
    return plain, decisions


def _times(
    model: nn.Module, layers: Sequence[TuckerLayer], example: Tensor, timer: Timer, seconds: float
) -> dict[TuckerLayer, Mapping[str, float]]:
    """The times of each layer's forms, while there is time: most to compute first, and layers that are alike once."""
    inputs: dict[nn.Module, Tensor] = {}  # of several calls the first

    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs.setdefault(layer, given[0].clone())

    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    with torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()
    began = time.perf_counter()
    known: dict[object, Mapping[str, float]] = {}
    found = {}
    cost = {layer: layer.dense_numel * inputs[layer].numel() / layer.shape[1] for layer in layers if layer in inputs}
    for layer in sorted(cost, key=lambda layer: -cost[layer]):
        kind = type(layer), layer.extra_repr(), layer.modes, layer.bias is None, layer.core.dtype, inputs[layer].shape
        if kind not in known and len(forms(layer)) > 1 and time.perf_counter() - began < seconds:
            built = {widths(layer, apart): ordinary(layer, apart).eval() for apart in forms(layer)}
            known[kind] = timer(built, inputs[layer])
        if kind in known:
            found[layer] = known[kind]
    return found
