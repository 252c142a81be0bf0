"""Small experiments for tests of methods and of what compares them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tuckerlab import load_data
from tuckerlab.experiments import measuring, run, setup
from tuckerlab.experiments.methods.base import Method
from tuckerlab.experiments.setup import Experiment, set_up
from tuckerlab.training.config import Recipe

DIGITS: dict[str, Any] = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 1.0}
SMALL: dict[str, Any] = {
    "dataset": "digits", "model": "vgg_small", "width": 0.25, "batch_size": 64, "device": "cpu", "quiet": True
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_digits() -> Iterator[None]:
    """Four steps an epoch, no times and no pictures in files: they are the matter of the tests of a proof."""
    digits = load_data("digits").subset(train=256, test=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load_data", lambda name, **how: digits)
        for name in ("interleave", "latencies"):
            patch.setattr(measuring, name, lambda functions, *_, **__: dict.fromkeys(functions, np.array([1.0, 2.0])))
        patch.setattr(run, "save_figures", lambda records, folder: None)
        yield


def small_experiment(*methods: Method, epochs: int = 2) -> Experiment:
    data = load_data("digits").subset(train=256, test=64)
    recipe = Recipe(epochs=epochs, batch_size=64)
    return set_up(methods, data=data, recipe=recipe, width=0.25, model="vgg_small", device="cpu")


def experiment_of(spec: dict[str, Any]) -> Experiment:
    return Experiment(spec, load_data("digits"), Recipe(), torch.device("cpu"))
