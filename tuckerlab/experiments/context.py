"""A budget of gradient evaluations, and the folder that keeps what it has bought: `Training`.

A part of a training that is in its folder is not done again: whoever needs the same part finds it there.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.config import Recipe
from tuckerlab.training.fit import fit
from tuckerlab.training.guard import Guard
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import Counts

UNFINISHED = ".training.safetensors"


@dataclass(frozen=True)
class Training:
    """What a contender gets: the arena, whose recipe says for how many epochs, and where to keep checkpoints.

    One epoch of the recipe is one gradient evaluation for each batch of images; who takes two a step has half the
    epochs. folder: where checkpoints go; None keeps none. stop, callbacks, progress, guard: as `fit` takes them; a
    comparison has no guard, for a run that goes back takes more than its budget.
    """

    arena: Arena
    folder: Path | None = None
    progress: bool | str = False
    callbacks: Sequence[Callback] = ()
    stop: threading.Event | None = None
    guard: Guard | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """Of the network, as `build` takes it."""
        return self.arena.spec

    @property
    def recipe(self) -> Recipe:
        """How all contenders train."""
        return self.arena.recipe

    @property
    def seed(self) -> int:
        """Of the network's first weights, and of the order of images."""
        return self.recipe.seed

    @property
    def steps_per_epoch(self) -> int:
        """Batches that an epoch goes through."""
        return len(self.arena.data.train_images) // self.arena.step_size

    @property
    def steps(self) -> int:
        """Gradient evaluations in all."""
        return self.recipe.epochs * self.steps_per_epoch

    def split(self, share: float) -> tuple["Training", "Training"]:
        """In two: the first gets this share of the epochs, and each at least one.

        Raises TuckerlabError where there is only one.
        """
        epochs = self.recipe.epochs
        if epochs < 2:
            raise TuckerlabError("epochs 1: what trains twice, before and after a cut, needs 2 or more")
        first = min(max(1, round(share * epochs)), epochs - 1)
        recipes = replace(self.recipe, epochs=first), replace(self.recipe, epochs=epochs - first)
        before, after = (replace(self, arena=replace(self.arena, recipe=recipe)) for recipe in recipes)
        return before, after

    def checkpoint(self, name: str) -> Path | None:
        """The file of a run: its name and length say which."""
        return self.folder and self.folder / f"{name}-{self.recipe.epochs}{UNFINISHED}"

    def fit(
        self,
        model: nn.Module,
        name: str,
        *,
        callbacks: Sequence[Callback] = (),
        counts: Callable[[nn.Module], Counts] | None = None,
        **options: Any,
    ) -> Run:
        """Trains the model for all epochs with `options` of `fit`, and changes to the recipe among them.

        counts: what is stored, for the rows of the epochs, where `count_parameters` cannot tell. Two that want the same
        run at once take turns: the second finds it done.
        """
        checkpoint = self.checkpoint(name)
        counting = [] if counts is None else [_Counting(counts)]

        def trained() -> Run:
            return fit(
                model, self.arena.data, self.recipe, device=str(self.arena.device), progress=self.progress,
                checkpoint=checkpoint, stop=self.stop, callbacks=[*callbacks, *counting, *self.callbacks],
                guard=self.guard, **options,
            )  # fmt: skip

        if checkpoint is None:
            return trained()
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock = checkpoint.with_suffix(".lock")
        with FileLock(lock):
            try:
                return trained()
            finally:  # one who waits for it may then meet a third: both would do the same, and write it atomically
                with suppress(OSError):
                    lock.unlink()

    def changed(self, run: Run, network: nn.Module, counts: Counts, answering: nn.Module | None = None) -> Run:
        """The run with a network that was made of its model afterwards: its last row is of that network.

        `answering` is the form in which the network answers, where that is another.
        """
        loss, accuracy = evaluate(answering or network, self.arena.data.to(self.arena.device))
        last = {**run.epochs[-1], "test_loss": loss, "test_accuracy": accuracy, **counts.row}
        return replace(run, made=network, epochs=[*run.epochs[:-1], last])


class _Counting(Callback):
    """Has the epochs' rows count what is stored in another way."""

    def __init__(self, counts: Callable[[nn.Module], Counts]) -> None:
        self.counts = counts

    def on_epoch(self, run: Run) -> None:
        run.epochs[-1] |= self.counts(run.model).row
