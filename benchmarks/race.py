"""Seconds of training until a Tucker network is as accurate as the dense one: part of `make bench-gpu`.

    python benchmarks/run.py --race

The dense network trains once, with the headline's recipe. Then a Tucker network without 95 % of its convolution weights
trains with longer and longer schedules, each from the beginning, until one is as accurate on the test images: one seed,
and a schedule chosen by those images, so a first answer and no statistics.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from tuckerlab import Budget, fit
from tuckerlab.data import ImageData
from tuckerlab.experiments.headline import RECIPES
from tuckerlab.experiments.methods.base import Dense, Method, Tucker

EPOCHS = (8, 12, 16, 24, 32, 40)
Add = Callable[..., None]


def race(add: Add, data: ImageData, device: torch.device, width: float) -> None:
    """Runs it, and adds every time and accuracy with `add(what, value, unit)`."""
    spec = {"name": "vgg16", "num_classes": 10, "in_channels": 3, "image_size": 32, "width": width}
    recipe = RECIPES["cuda" if device.type == "cuda" else "cpu"]

    def run(method: Method, epochs: int) -> tuple[float, float]:
        model, shorter = method.network(spec, seed=0), replace(recipe, epochs=epochs, ranks=method.ranks)
        found = fit(model, data, shorter, device=str(device), progress=f"{method.label}, {epochs} epochs")
        add(f"race: accuracy, {method.label}, {epochs} epochs", 100 * found.test_accuracy, "%")
        add(f"race: training, {method.label}, {epochs} epochs", found.seconds, "s")
        return found.test_accuracy, found.seconds

    goal, dense_seconds = run(Dense(), recipe.epochs)
    best = math.inf
    for epochs in [epochs for epochs in EPOCHS if epochs <= recipe.epochs]:
        accuracy, seconds = run(Tucker(Budget(0.95)), epochs)
        if accuracy >= goal:
            best = seconds
            break
    add("race: seconds to the dense accuracy at 95 % (inf: not reached)", best, "s", limit=60)
    add("race: Tucker / dense seconds", best / dense_seconds, "x")
