"""Time: of an answer, and of several rivals in the same run.

A time belongs to the machine and the hour it was measured on; a ratio out of one `interleave` travels further.
"""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.training.eval_mode import undisturbed


@dataclass(frozen=True)
class Timing:
    """Times of repeated calls; `batch` is the number of images in a call, where that has a meaning.

    >>> print(Timing((1.0, 1.2, 9.0, 1.1, 1.3)))
    1.2 ms ± 0.2 (5 runs)
    """

    samples_ms: tuple[float, ...] = field(repr=False)
    batch: int | None = None

    @property
    def median_ms(self) -> float:
        """The median, which an interruption by another program does not move."""
        return float(np.median(self.samples_ms))

    @property
    def iqr_ms(self) -> float:
        """The interquartile range: the middle half of the calls lies within it."""
        low, high = np.percentile(self.samples_ms, (25, 75))
        return float(high - low)

    @property
    def runs(self) -> int:
        """Calls that were timed, warm-up left out."""
        return len(self.samples_ms)

    def ratio(self, other: "Timing") -> float:
        """How many times as long as `other`: the median over the rounds of `interleave`, so drift cancels."""
        if self.runs != other.runs:
            raise TuckerlabError(f"{self.runs} runs against {other.runs}: a ratio needs timings of one `interleave`")
        return float(np.median(np.divide(self.samples_ms, other.samples_ms)))

    def __str__(self) -> str:
        return f"{self.median_ms:.3g} ms ± {self.iqr_ms:.2g} ({self.runs} runs)"


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
    if repeats < 1:
        raise TuckerlabError(f"repeats={repeats}: at least 1 is needed")
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
            samples[name].append(_milliseconds(functions[name]))
    return {name: Timing(tuple(times)) for name, times in samples.items()}


def latencies(
    models: Mapping[str, nn.Module], example: Tensor, *, repeats: int = 20, warmup: int = 3
) -> dict[str, Timing]:
    """Times from a batch to its answer, the networks in turn, in eval mode and without autograd.

    Each call waits for the device that holds the models and the example.
    """
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(undisturbed(model, training=False))
        stack.enter_context(torch.inference_mode())
        functions = {name: partial(model, example) for name, model in models.items()}
        times = interleave(functions, repeats=repeats, warmup=warmup)
    return {name: replace(timing, batch=len(example)) for name, timing in times.items()}


def _milliseconds(function: Callable[[], object]) -> float:
    _synchronize()
    start = time.perf_counter()
    function()
    _synchronize()
    return 1e3 * (time.perf_counter() - start)


def _synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
