"""Training: `fit` runs one loop for dense and Tucker networks, and can be watched, stopped and resumed."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import auto

from tuckerlab.data import ImageData
from tuckerlab.errors import check_choice
from tuckerlab.training import processes
from tuckerlab.training.config import Recipe
from tuckerlab.training.guard import Guard
from tuckerlab.training.guarded_trainer import GuardedTrainer
from tuckerlab.training.machine import resolve_device
from tuckerlab.training.run import Callback, Run
from tuckerlab.training.trainer import Trainer
from tuckerlab.tucker.optimizer import TuckerOptimizer


def fit(
    model: nn.Module,
    data: ImageData,
    recipe: Recipe | None = None,
    *,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    progress: bool | str = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = True,
    stop: threading.Event | None = None,
    after: Run | None = None,
    make_optimizer: Callable[[Recipe, nn.Module, int], TuckerOptimizer] = Recipe.make_optimizer,
    guard: Guard | None = None,
    **changes: Any,
) -> Run:
    """Trains `model` on `data` in place, and returns the run with the rows of its record.

        data = load_data("digits")
        model = tuckerize(build("vgg_small", in_channels=1, image_size=8))
        run = fit(model, data, epochs=5, lr=0.1, ranks=Tolerance(0.1))

    `recipe`, and `changes` to it by field name (epochs=…, lr=…, ranks=…), are the settings: see `Recipe`.
    progress: a bar, with this text before it if it is a string; where no bar can move, a line an epoch. stop: an event
    that another thread sets; the run ends after the step at hand. checkpoint: a file that is written after each epoch,
    every `checkpoint_seconds`, and when the run is stopped; if it is there already the run goes on from it
    (resume=False: begins anew). after: a run that the model has behind it, whose rows the new rows follow. guard: rules
    that go back where something breaks (see `Guard`); what they have done is in `events` of the run.

    Raises DivergedError when the loss or a gradient is not finite (the last checkpoint stays, and is good; a guard
    raises it only where there is nothing good to go back to), CheckpointError for a checkpoint of other settings,
    TuckerlabError for a setting out of range.

    Under torchrun, or in a process group, the batch is shared by the processes, and the network is that of one process
    up to rounding: see `tuckerlab.training.processes`. All call `fit` alike, with the same first weights, and have the
    callbacks called; process 0 shows progress and writes checkpoints, which all must see. TuckerlabError where they
    differ.
    """
    for name in changes:
        check_choice("setting", name, (field.name for field in fields(Recipe)))
    recipe, place = replace(recipe or Recipe(), **changes), None if checkpoint is None else Path(checkpoint)
    settings = model, data, recipe, resolve_device(device), place, after, make_optimizer
    trainer = Trainer(*settings) if guard is None else GuardedTrainer(guard, *settings)
    if place is not None and place.exists() and resume:
        trainer.load()
    trainer.compare()
    run = trainer.run
    for callback in callbacks:
        callback.on_start(run)
    # the caller's random numbers stay what they were
    with torch.random.fork_rng(devices=[trainer.device] if trainer.device.type == "cuda" else []):
        text = progress if isinstance(progress, str) else "training"
        shown = bool(progress) and not processes.number()
        with progress_bar(shown=shown, total=run.total_steps, initial=run.step, desc=text, unit="step") as bar:
            saved = time.monotonic()
            while run.state == "running":
                is_further = trainer.step()
                for callback in callbacks:
                    callback.on_step(run)
                if is_further and run.step % run.steps_per_epoch == 0 and trainer.end_epoch():
                    for callback in callbacks:
                        callback.on_epoch(run)
                    bar.set_postfix_str(_caption(run))
                    if shown and bar.disable:
                        epochs = f"epoch {run.epochs[-1]['epoch']} of {run.epochs_before + run.total_epochs}"
                        print(f"{text} {epochs}: {_caption(run)}", file=sys.stderr, flush=True)
                if run.state == "running" and stop is not None and any(processes.of_all(stop.is_set())):
                    run.state = "stopped"
                ended = run.state != "running" or run.step % run.steps_per_epoch == 0
                if ended or time.monotonic() - saved > checkpoint_seconds:
                    trainer.save()
                    saved = time.monotonic()
                bar.update(run.step - bar.n)
    processes.of_all(None)  # the checkpoint is there for all
    return run


def progress_bar(*, shown: bool, **options: Any) -> Any:
    """A bar of tqdm with these options; where it is not to be shown, or could not move, its `disable` is true."""
    can_move = sys.stderr.isatty() or auto.notebook_tqdm is not auto.std_tqdm
    return auto.tqdm(disable=not (shown and can_move), **options)


def _caption(run: Run) -> str:
    last = run.epochs[-1]
    text = f"loss {last['train_loss']:.3f}, test accuracy {100 * last['test_accuracy']:.1f} %"
    return f"{text}, c.r. {100 * last['conv_compression']:.1f} %" if last["conv_compression"] > 0 else text
