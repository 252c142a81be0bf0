"""A training run as others see it, while it goes and afterwards: `Run`, and the `Callback` that watches it.

>>> class Print(Callback):
...     def on_epoch(self, run):
...         print(f"epoch {run.epochs[-1]['epoch']}: {run.test_accuracy:.1%}")
"""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from tuckerlab.optimizer import TuckerOptimizer


@dataclass
class Run:
    """A model and its optimizer on their way, and the rows of the record so far."""

    model: nn.Module
    optimizer: TuckerOptimizer
    total_epochs: int
    steps_per_epoch: int
    state: str = "running"  # then "finished", "stopped" or "stopped early"
    step: int = 0
    loss: float = math.nan  # of the last step that was looked at: each on a CPU, some on a GPU
    seconds: float = 0.0  # of training alone: evaluation and checkpoints are not counted
    epochs: list[dict[str, Any]] = field(default_factory=list)
    ranks: list[dict[str, Any]] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)  # accuracies that early stopping looks at
    origin: dict[str, Any] = field(default_factory=dict)  # where and with what it began (`provenance`)

    @property
    def total_steps(self) -> int:
        """Optimizer steps in the whole run."""
        return self.total_epochs * self.steps_per_epoch

    @property
    def test_accuracy(self) -> float:
        """Test accuracy after the last epoch, as a fraction of 1; NaN before the first."""
        return float(self.epochs[-1]["test_accuracy"]) if self.epochs else math.nan

    def progress(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: plain JSON."""
        names = ("state", "step", "seconds", "epochs", "ranks", "held_out", "origin")
        return {name: getattr(self, name) for name in names}

    def resume(self, progress: dict[str, Any]) -> None:
        """Takes up a saved progress; a run that was stopped runs again."""
        for name, value in progress.items():
            setattr(self, name, value)
        if self.state == "stopped":
            self.state = "running"


class Callback:
    """What `fit` calls while it trains; override what you need."""

    def on_start(self, run: Run) -> None:
        """Before the first step, and again before the first step of a run that is resumed."""

    def on_step(self, run: Run) -> None:
        """After every optimizer step."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch, when its rows are there."""
