"""What a network costs on this machine: the time of its answers and steps, several in turn, and memory to the byte.

A time belongs to the machine and the hour it was measured on; a ratio out of one `interleave` travels further.
"""

import copy
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tuckerlab.training.metrics import eval_mode


@dataclass(frozen=True)
class Timing:
    """Times of repeated calls, warm-up left out."""

    samples_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median, which an interruption by another program does not move."""
        return float(np.median(self.samples_ms))

    @property
    def iqr_ms(self) -> float:
        """The interquartile range: the middle half of the calls lies within it."""
        low, high = np.percentile(self.samples_ms, (25, 75))
        return float(high - low)

    def ratio(self, other: "Timing") -> float:
        """How many times as long as `other`: the median over the rounds of one `interleave`, so drift cancels."""
        return float(np.median(np.divide(self.samples_ms, other.samples_ms)))


def interleave(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 20,
    warmup: int = 3,
    before: Callable[[str], object] | None = None,
) -> dict[str, Timing]:
    """Time several functions in turn, so that a machine that slows down slows all of them.

    The order changes from round to round: whoever comes after a large one finds the caches full. before: is called with
    the name of a function right before each of its timed calls, and is not timed itself.
    """
    for _ in range(warmup):
        for function in functions.values():
            function()
    samples: dict[str, list[float]] = {name: [] for name in functions}
    order, chance = list(functions), random.Random(0)
    for _ in range(repeats):
        chance.shuffle(order)
        for name in order:
            if before is not None:
                before(name)
            _synchronize()
            start = time.perf_counter()
            functions[name]()
            _synchronize()
            samples[name].append(1e3 * (time.perf_counter() - start))
    return {name: Timing(tuple(times)) for name, times in samples.items()}


def latencies(models: Mapping[str, nn.Module], example: Tensor, *, repeats: int, warmup: int = 3) -> dict[str, Timing]:
    """Times from a batch to its answer, the networks in turn, in eval mode and without autograd."""
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(eval_mode(model))
        stack.enter_context(torch.inference_mode())
        answers = {name: partial(model, example) for name, model in models.items()}
        return interleave(answers, repeats=repeats, warmup=warmup)


class Memory(NamedTuple):
    """Bytes that one training step holds, by what they are for.

    `weights` are the parameters and buffers; `activations` is what the forward pass saves for the backward pass, the
    batch included.
    """

    weights: int
    gradients: int
    optimizer_state: int
    activations: int


def training_memory(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[nn.Module], Tensor]) -> Memory:
    """Measures one forward and backward pass of a copy of the model in train mode, and what `optimizer` holds by now.

    Storage counts once, whatever number of tensors look into it, and whole, even if they see a part of it.
    """
    model = copy.deepcopy(model).train()
    model.zero_grad()
    weights = _storages([*model.parameters(), *model.buffers()])
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.random.fork_rng():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss(model)
        activations = [size for key, size in _storages(saved).items() if key not in weights]
        saved.clear()
        value.backward()  # type: ignore[no-untyped-call]
    gradients = _storages(parameter.grad for parameter in model.parameters())
    state = _storages(tree_leaves(list(optimizer.state.values())))
    return Memory(*(sum(sizes) for sizes in (weights.values(), gradients.values(), state.values(), activations)))


def _storages(values: Iterable[Any]) -> dict[tuple[torch.device, int], int]:
    """Bytes of each storage behind the tensors among `values`, by device and address."""
    storages = [(tensor.device, tensor.untyped_storage()) for tensor in values if isinstance(tensor, Tensor)]
    return {(device, storage.data_ptr()): storage.nbytes() for device, storage in storages}


def _synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
