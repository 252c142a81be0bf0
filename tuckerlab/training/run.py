"""A training run as others see it, while it goes and afterwards: `Run`, and the `Callback` that watches it."""

import math
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from tuckerlab.tucker.optimizer import TuckerOptimizer

GUARDED = "stopped by guard"
ENDED = ("finished", "stopped early", GUARDED)  # early: in records of former versions
KEPT = {"state", "step", "evaluations", "seconds", "epochs", "ranks", "events", "origin"}  # in a checkpoint


@dataclass
class Run:
    """A model and its optimizer on their way, and the rows of the record so far."""

    model: nn.Module
    optimizer: TuckerOptimizer
    total_epochs: int
    steps_per_epoch: int
    state: str = "running"  # then "stopped", or one of `ENDED`
    step: int = 0
    loss: float = math.nan  # of the last step that was looked at: each on a CPU, some on a GPU
    evaluations: int = 0  # of the gradient
    seconds: float = 0.0  # of training alone: evaluation and checkpoints are not counted
    epochs: list[dict[str, Any]] = field(default_factory=list)
    ranks: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # what a guard has done
    origin: dict[str, Any] = field(default_factory=dict)  # where and with what it began (`provenance`)
    made: nn.Module | None = None  # of the model when it was trained, where something was
    epochs_before: int = 0  # of the run that this one follows, and its steps
    steps_before: int = 0

    @property
    def total_steps(self) -> int:
        return self.total_epochs * self.steps_per_epoch

    @property
    def network(self) -> nn.Module:
        """The outcome: what was made of the model, or the model itself."""
        return self.model if self.made is None else self.made

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def test_accuracy(self) -> float:
        """Test accuracy after the last epoch, as a fraction of 1; NaN before the first."""
        return float(self.epochs[-1]["test_accuracy"]) if self.epochs else math.nan

    def moment(self) -> dict[str, int]:
        """Epoch and step, those of the run before counted."""
        epoch = self.epochs_before + self.step // self.steps_per_epoch
        return {"epoch": epoch, "step": self.steps_before + self.step}

    def follow(self, run: "Run") -> None:
        """Goes on where another run has ended: what that one has spent and written down counts here too."""
        self.evaluations, self.seconds, self.origin = run.evaluations, run.seconds, run.origin
        self.epochs, self.ranks, self.events = [*run.epochs], [*run.ranks], [*run.events]
        self.epochs_before, self.steps_before = run.moment().values()

    def progress(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in KEPT}

    def resume(self, progress: dict[str, Any]) -> None:
        """Takes up a saved progress; a run that was stopped runs again."""
        vars(self).update({name: copy(progress[name]) for name in KEPT & progress.keys()})
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
