"""Small experiments for tests of methods."""

from typing import Any

import torch

from tuckerlab import load_data
from tuckerlab.experiments.methods.base import Method
from tuckerlab.experiments.setup import Experiment, set_up
from tuckerlab.training.config import Recipe

DIGITS: dict[str, Any] = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 1.0}
STEEL: dict[str, Any] = {"name": "vgg_small", "num_classes": 6, "in_channels": 1, "image_size": 64, "width": 1.0}
CIFAR: dict[str, Any] = {"name": "vgg16", "num_classes": 10, "in_channels": 3, "image_size": 32, "width": 1.0}


def small_experiment(*methods: Method, epochs: int = 2, model: str = "vgg_small") -> Experiment:
    """Four steps an epoch."""
    data = load_data("digits").subset(train=256, test=64)
    recipe = Recipe(epochs=epochs, batch_size=64)
    return set_up(methods, data=data, recipe=recipe, model=model, width=0.25, device="cpu")


def experiment_of(spec: dict[str, Any]) -> Experiment:
    """For a network that is only built."""
    return Experiment(spec, load_data("digits"), Recipe(), torch.device("cpu"))
