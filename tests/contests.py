"""What every rival must keep to: the same network again without training, and after an interruption."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tuckerlab import load_data
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Callback, Run

DIGITS: dict[str, Any] = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 1.0}
STEEL: dict[str, Any] = {"name": "vgg_small", "num_classes": 6, "in_channels": 1, "image_size": 64, "width": 1.0}
CIFAR: dict[str, Any] = {"name": "vgg16", "num_classes": 10, "in_channels": 3, "image_size": 32, "width": 1.0}


def small_arena(*contenders: Contender, epochs: int = 2) -> Arena:
    """Four steps an epoch."""
    data = load_data("digits").subset(train=256, test=64)
    return Arena.of(contenders, data, "vgg_small", 0.25, Recipe(epochs=epochs, batch_size=64), "cpu")


def arena_of(spec: dict[str, Any]) -> Arena:
    """For a network that is only built."""
    return Arena(spec, load_data("digits"), Recipe(), torch.device("cpu"))


class CutOff(Callback):
    """Ends everything after a step, as a power cut would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            raise KeyboardInterrupt


def answers(contender: Contender, run: Run, arena: Arena) -> torch.Tensor:
    model = contender.answering(run.network, arena).eval()
    assert all(type(part).__module__.startswith("torch.nn") for part in model.modules() if part is not model)
    with torch.no_grad():
        logits: torch.Tensor = model(arena.batch(32)[0])
    return logits


def in_a_contest(contender: Contender, folder: Path) -> Records:
    return contest([contender], small_arena(contender), folder, quiet=True)


def goes_on_after_a_cut(contender: Contender, folder: Path) -> None:
    arena = small_arena(contender, epochs=3)
    whole = contender.train(Training(arena, folder / "whole"))
    with pytest.raises(KeyboardInterrupt):
        contender.train(Training(arena, folder / "cut", callbacks=[CutOff(7)]))
    again = contender.train(Training(arena, folder / "cut"))
    assert again.evaluations == whole.evaluations
    assert torch.equal(answers(contender, whole, arena), answers(contender, again, arena))
