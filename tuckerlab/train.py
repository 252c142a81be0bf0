"""Training: `fit` runs one loop for dense and Tucker networks, and can be watched, stopped and resumed.

>>> from tuckerlab import Tolerance, build, load_data, tuckerize
>>> data = load_data("digits").subset(train=256, test=64)
>>> model = tuckerize(build("vgg_small", in_channels=1, image_size=8, width=0.25))
>>> run = fit(model, data, epochs=2, lr=0.1, ranks=Tolerance(0.1), progress=False)
>>> run.state, len(run.epochs), run.step
('finished', 2, 8)

Every random number comes from the seed and the number of the step, never from a state that is carried along. So a run
that was killed goes on from its checkpoint to the same weights, bit for bit on a CPU, as one that was not.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from tuckerlab import checkpoint as checkpoints
from tuckerlab.augment import default_augmentation, epoch_order
from tuckerlab.datasets import ImageData
from tuckerlab.device import resolve_device
from tuckerlab.errors import CheckpointError, DivergedError, TuckerlabError
from tuckerlab.evaluate import evaluate
from tuckerlab.measure import count_parameters
from tuckerlab.optimizer import TuckerOptimizer
from tuckerlab.provenance import provenance
from tuckerlab.recipe import Recipe
from tuckerlab.run import Callback, Run
from tuckerlab.weight import TuckerLayer

HELD_OUT = 0.1  # the share of the training images that early stopping looks at
LOOK_EVERY = 20  # steps between two looks at the loss on a GPU, where each look waits for the device


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
    **changes: Any,
) -> Run:
    """Trains `model` on `data` in place, and returns the run with the rows of its record.

    >>> from tuckerlab import build, load_data
    >>> data = load_data("digits").subset(train=128, test=64)
    >>> fit(build("vgg_small", in_channels=1, image_size=8), data, epochs=1, progress=False).state
    'finished'

    `recipe`, and `changes` to it by field name (epochs=…, lr=…, ranks=…), are the settings: see `Recipe`.
    progress: a bar, with this text before it if it is a string. stop: an event that another thread sets; the run ends
    after the step at hand. checkpoint: a file that is written after each epoch, every `checkpoint_seconds`, and when
    the run is stopped; if it is there already the run goes on from it (resume=False: begins anew). after: a run that
    the model has behind it; the rows of the new one follow on its rows. make_optimizer: what makes the optimizer from
    the recipe, the model and the number of steps.

    Raises DivergedError when the loss or a gradient is not finite (the last checkpoint stays, and is good),
    CheckpointError for a checkpoint of other settings, TuckerlabError for a setting out of range.
    """
    known = [field.name for field in fields(Recipe)]
    if unknown := [name for name in changes if name not in known]:
        raise TuckerlabError(f"unknown setting {unknown[0]!r}: known are {', '.join(known)}")
    recipe = replace(recipe or Recipe(), **changes)
    place = None if checkpoint is None else Path(checkpoint)
    trainer = _Trainer(model, data, recipe, resolve_device(device), place, after, make_optimizer)
    if trainer.checkpoint is not None and trainer.checkpoint.exists() and resume:
        trainer.load()
    run = trainer.run
    for callback in callbacks:
        callback.on_start(run)
    # the caller's random numbers stay what they were
    with torch.random.fork_rng(devices=[trainer.device] if trainer.device.type == "cuda" else []):
        text = progress if isinstance(progress, str) else "training"
        with tqdm(total=run.total_steps, initial=run.step, desc=text, disable=not progress, unit="step") as bar:
            saved = time.monotonic()
            while run.state == "running":
                trainer.step()
                for callback in callbacks:
                    callback.on_step(run)
                if run.step % run.steps_per_epoch == 0:
                    trainer.end_epoch()
                    for callback in callbacks:
                        callback.on_epoch(run)
                    bar.set_postfix_str(_caption(run))
                if run.state == "running" and stop is not None and stop.is_set():
                    run.state = "stopped"
                ended = run.state != "running" or run.step % run.steps_per_epoch == 0
                if ended or time.monotonic() - saved > checkpoint_seconds:
                    trainer.save()
                    saved = time.monotonic()
                bar.update()
    return run


class _Trainer:
    """The state of a run between two steps, and what may be done with it."""

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        recipe: Recipe,
        device: torch.device,
        checkpoint: Path | None,
        after: Run | None,
        make_optimizer: Callable[[Recipe, nn.Module, int], TuckerOptimizer],
    ) -> None:
        self.settings = {**recipe.settings(), "data": data.fingerprint}
        if recipe.patience is not None:
            held = data.hold_out(HELD_OUT, recipe.seed)
            self.held = held.to(device)
            data = replace(data, train_images=held.train_images, train_labels=held.train_labels)
        self.data, self.recipe, self.device, self.checkpoint = data.to(device), recipe, device, checkpoint
        self.format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        model.to(device)
        self.images = len(data.train_images)
        self.batch = min(recipe.batch_size, self.images)
        per_epoch = self.images // self.batch  # a shorter last batch is left out: batch norm needs full ones
        optimizer = make_optimizer(recipe, model, recipe.epochs * per_epoch)
        self.run = Run(model, optimizer, recipe.epochs, per_epoch, origin=provenance(device))
        if after is not None:
            self.run.follow(after)
        self.schedule = recipe.make_schedule(optimizer, self.run.total_steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self.augment = default_augmentation(data) if recipe.augmentation else None
        self.loss, self.correct = torch.zeros((), device=device), torch.zeros((), device=device)
        self.order: tuple[int, Tensor] | None = None
        if after is None:
            self._add_ranks()  # where the ranks started

    def step(self) -> None:
        """One optimizer step on the next batch."""
        run, began = self.run, time.perf_counter()
        torch.manual_seed(_mix(self.recipe.seed, run.step))
        images, labels = self._next_batch()
        inputs = self.data.normalize(images).contiguous(memory_format=self.format)
        run.model.train()

        def evaluate_gradient() -> tuple[Tensor, Tensor]:
            with self.recipe.autocast(self.device):
                logits = run.model(inputs)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
            run.optimizer.zero_grad()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            run.evaluations += 1
            return loss, logits

        loss, logits = evaluate_gradient()
        if self.device.type == "cpu" or run.step % LOOK_EVERY == 0:
            run.loss = loss.item()
            if not math.isfinite(run.loss):
                self._diverged(f"the loss is {run.loss}")
        again = {"closure": lambda: evaluate_gradient()[0].item()} if run.optimizer.evaluations > 1 else {}
        try:
            self.scaler.step(run.optimizer, **again)
            if run.step + 1 == run.total_steps:
                run.optimizer.adapt(grow=False)  # directions that are still on trial go
        except DivergedError as error:
            self._diverged(str(error))
        self.scaler.update()
        self.schedule.step()
        self.loss += loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        run.step += 1
        run.seconds += time.perf_counter() - began

    def end_epoch(self) -> None:
        """Adds the rows of the epoch that has ended, and ends the run where it is to end."""
        run = self.run
        if self.device.type == "cuda":  # the steps are only launched so far
            began = time.perf_counter()
            torch.cuda.synchronize(self.device)
            run.seconds += time.perf_counter() - began
        epoch = run.epochs_before + run.step // run.steps_per_epoch
        if not math.isfinite(self.loss.item()) or not _is_finite(run.model):
            self._diverged(f"the loss of epoch {epoch} or a weight is not finite")
        if self.recipe.patience is not None and self._has_final_ranks():
            run.held_out.append(evaluate(run.model, self.held, channels_last=self.recipe.channels_last).accuracy)
            if len(run.held_out) - 1 - run.held_out.index(max(run.held_out)) >= self.recipe.patience:
                run.state = "stopped early"
                run.optimizer.adapt(grow=False)
        if run.step >= run.total_steps:
            run.state = "finished"
        seen = run.steps_per_epoch * self.batch
        test = evaluate(run.model, self.data, channels_last=self.recipe.channels_last)
        run.epochs.append({
            "epoch": epoch, "step": run.steps_before + run.step, "lr": float(self.schedule.get_last_lr()[0]),
            "train_loss": self.loss.item() / seen, "train_accuracy": self.correct.item() / seen,
            "test_loss": test.loss, "test_accuracy": test.accuracy, "seconds": run.seconds,
            **count_parameters(run.model).row,
        })  # fmt: skip
        self._add_ranks()
        self.loss.zero_()
        self.correct.zero_()

    def save(self) -> None:
        """Writes the checkpoint, if there is to be one."""
        if self.checkpoint is None or not math.isfinite(self.loss.item()) or not _is_finite(self.run.model):
            return
        facts = {
            "settings": self.settings, "run": self.run.progress(), "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(), "loss": self.loss.item(), "correct": self.correct.item(),
        }  # fmt: skip
        checkpoints.save(self.checkpoint, self.run.model, optimizer=self.run.optimizer, facts=facts)

    def load(self) -> None:
        """Takes up the run of the checkpoint."""
        run = self.run
        facts = checkpoints.load(self.checkpoint or "", run.model, optimizer=run.optimizer, accept=self._accept).facts
        run.resume(facts["run"])
        self.loss.fill_(facts["loss"])
        self.correct.fill_(facts["correct"])
        self.schedule.load_state_dict(facts["schedule"])
        self.scaler.load_state_dict(facts["scaler"])

    def _accept(self, facts: dict[str, Any]) -> None:
        """CheckpointError unless the checkpoint is of a run with these settings and data."""
        settings = facts.get("settings")
        if settings is None:
            raise CheckpointError(f"{self.checkpoint}: not a checkpoint of a training run; give another path")
        ours = self.settings
        other = [f"{k} {settings.get(k)!r} there, {ours[k]!r} here" for k in ours if settings.get(k) != ours[k]]
        if other:
            raise CheckpointError(
                f"{self.checkpoint}: of a run with other settings: {'; '.join(other)}; give another path, or begin "
                "anew (resume=False)"
            )

    def _add_ranks(self) -> None:
        run = self.run
        epoch, step = run.epochs_before + run.step // run.steps_per_epoch, run.steps_before + run.step
        run.ranks.extend(
            {"epoch": epoch, "step": step, "layer": name, "mode": mode, "size": layer.shape[mode], "rank": rank}
            for name, layer in run.model.named_modules()
            if isinstance(layer, TuckerLayer)
            for mode, rank in zip(layer.modes, layer.ranks, strict=True)
        )

    def _has_final_ranks(self) -> bool:
        """Whether the schedule of the ranks is over: a run that stops before has not become as small as was asked."""
        return self.recipe.ranks is None or self.run.optimizer.ranks.progress(self.run.step) == 1

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(self.run.step, self.run.steps_per_epoch)
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, epoch_order(self.images, self.recipe.seed, epoch).to(self.device)
        chosen = self.order[1][position * self.batch : (position + 1) * self.batch]
        images = self.data.train_images[chosen]
        return self.augment(images) if self.augment else images, self.data.train_labels[chosen]

    def _diverged(self, what: str) -> None:
        run = self.run
        kept = "no checkpoint was asked for" if self.checkpoint is None else "no checkpoint was written before"
        if self.checkpoint is not None and self.checkpoint.exists():
            kept = f"the last good checkpoint is kept in {self.checkpoint}"
        at = min(run.step + 1, run.total_steps)
        raise DivergedError(
            f"training diverged at step {at} of {run.total_steps}: {what}; {kept}; try a learning rate of "
            f"{self.recipe.lr / 3:.2g}, or more warm-up"
        )


def _is_finite(model: nn.Module) -> bool:
    return all(bool(value.isfinite().all()) for value in model.state_dict().values())


def _mix(seed: int, step: int) -> int:
    """A seed for one step: distinct for all pairs that occur."""
    return (seed * 1_000_003 + step) % 2**63


def _caption(run: Run) -> str:
    last = run.epochs[-1]
    text = f"loss {last['train_loss']:.3f}, test accuracy {100 * last['test_accuracy']:.1f} %"
    return f"{text}, c.r. {100 * last['conv_compression']:.1f} %" if last["conv_compression"] > 0 else text
