"""What `fit` does step by step: `Trainer`, the state of a run between two steps.

Every random number comes from the seed and the number of the step, never from a state that is carried along.
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from tuckerlab.data import ImageData
from tuckerlab.errors import CheckpointError, DivergedError
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.augment import default_augmentation, epoch_order
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import check_logits, check_network, evaluate
from tuckerlab.training.provenance import provenance
from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.nested import Nested
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.weight import TuckerLayer

HELD_OUT = 0.1  # the share of the training images that early stopping and a guard look at
LOOK_EVERY = 20  # steps between two looks at the loss on a GPU, where each look waits for the device


class Trainer:
    """The state of a run between two steps, and what may be done with it. hold_out: whether images are held out."""

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        recipe: Recipe,
        device: torch.device,
        checkpoint: Path | None = None,
        after: Run | None = None,
        make_optimizer: Callable[[Recipe, nn.Module, int], TuckerOptimizer] = Recipe.make_optimizer,
        *,
        hold_out: bool = False,
    ) -> None:
        self.settings = {**recipe.settings(), "data": data.fingerprint, "guard": None}
        if recipe.patience is not None or hold_out:
            held = data.hold_out(HELD_OUT, recipe.seed)
            self.held = held.to(device)
            data = replace(data, train_images=held.train_images, train_labels=held.train_labels)
        self.data, self.recipe, self.device, self.checkpoint = data.to(device), recipe, device, checkpoint
        self.format = torch.channels_last if recipe.channels_last else torch.contiguous_format
        model.to(device)
        check_network(model, self.data)
        self.images = len(data.train_images)
        self.batch = min(recipe.batch_size, self.images)
        per_epoch = self.images // self.batch  # a shorter last batch is left out: batch norm needs full ones
        optimizer = make_optimizer(recipe, model, recipe.epochs * per_epoch)
        self.run = Run(model, optimizer, recipe.epochs, per_epoch, origin=provenance(device))
        if after is not None:
            self.run.follow(after)
        self.schedule = recipe.make_schedule(optimizer, self.run.total_steps)
        self.scaler = self._new_scaler()
        self.augment = default_augmentation(data) if recipe.augmentation else None
        self.weights = self.data.class_weights if recipe.class_weights else None
        self.loss, self.correct = torch.zeros((), device=device), torch.zeros((), device=device)
        self.seen = 0  # images of this epoch that are counted in them
        self.times: list[float] = []  # of this epoch's steps, in seconds, since the run began or went on
        self.order: tuple[int, Tensor] | None = None
        if after is None:
            self._add_ranks()  # where the ranks started

    def step(self) -> bool:
        """One optimizer step on the next batch; whether the run has come further."""
        run, began = self.run, time.perf_counter()
        torch.manual_seed(_mix(self.recipe.seed, run.step))
        images, labels = self._next_batch()
        inputs = self.data.normalize(images).contiguous(memory_format=self.format)
        run.model.train()

        def evaluate_gradient() -> tuple[Tensor, Tensor]:
            with self.recipe.autocast(self.device):
                logits = run.model(inputs)
            check_logits(logits, len(labels), len(self.data.classes))
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits.float(), labels, self.weights, label_smoothing=smoothing)
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
            self._move_on()
        except DivergedError as error:
            self._diverged(str(error))
        self.scaler.update()
        self.loss += loss.detach() * len(labels)
        self.correct += (logits.detach().argmax(1) == labels).sum()
        self.seen += len(labels)
        self.times.append(time.perf_counter() - began)
        run.seconds += self.times[-1]
        return True

    def end_epoch(self) -> bool:
        """Adds the rows of the epoch that has ended, and ends the run where it is to end; whether they stand."""
        run = self.run
        if self.device.type == "cuda":  # the steps are only launched so far
            began = time.perf_counter()
            torch.cuda.synchronize(self.device)
            waited = time.perf_counter() - began
            run.seconds += waited
            if self.times:  # none of them has waited for the device
                self.times = [(sum(self.times) + waited) / len(self.times)]
        epoch = run.epochs_before + run.step // run.steps_per_epoch
        if not math.isfinite(self.loss.item()) or not is_finite(run.model):
            self._diverged(f"the loss of epoch {epoch} or a weight is not finite")
        if self.recipe.patience is not None and self._has_final_ranks():
            run.held_out.append(self.held_out_accuracy())
            if len(run.held_out) - 1 - run.held_out.index(max(run.held_out)) >= self.recipe.patience:
                run.state = "stopped early"
                run.optimizer.adapt(grow=False)
        if run.step >= run.total_steps:
            run.state = "finished"
        seen = self.seen or math.nan  # a guard may have left out every batch
        test = evaluate(run.model, self.data, channels_last=self.recipe.channels_last)
        run.epochs.append({
            "epoch": epoch, "step": run.steps_before + run.step, "lr": float(self.schedule.get_last_lr()[0]),
            "train_loss": self.loss.item() / seen, "train_accuracy": self.correct.item() / seen,
            "test_loss": test.loss, "test_accuracy": test.accuracy, "seconds": run.seconds,
            "step_ms": 1e3 * median(self.times) if self.times else math.nan, **count_parameters(run.model).row,
        })  # fmt: skip
        self._add_ranks()
        self.loss.zero_()
        self.correct.zero_()
        self.seen = 0
        self.times.clear()
        return True

    def held_out_accuracy(self) -> float:
        """On the images that were held out of the training split."""
        return evaluate(self.run.model, self.held, channels_last=self.recipe.channels_last).accuracy

    def save(self) -> None:
        """Writes the checkpoint, if there is to be one."""
        run = self.run
        if self.checkpoint is None or not math.isfinite(self.loss.item()) or not is_finite(run.model):
            return
        facts, beside = self.beside()
        facts |= {"settings": self.settings, **self.facts()}
        checkpoints.save(self.checkpoint, run.model, optimizer=run.optimizer, facts=facts, beside=beside)

    def load(self) -> checkpoints.Checkpoint:
        """Takes up the run of the checkpoint."""
        run = self.run
        loaded = checkpoints.load(self.checkpoint or "", run.model, optimizer=run.optimizer, accept=self._accept)
        self.take_up(loaded.facts)
        return loaded

    def facts(self) -> dict[str, Any]:
        """What there is to know of this moment beside model and optimizer: plain JSON."""
        return {
            "run": self.run.progress(), "schedule": deepcopy(self.schedule.state_dict()),
            "scaler": self.scaler.state_dict(), "loss": self.loss.item(), "correct": self.correct.item(),
            "seen": self.seen,
        }  # fmt: skip

    def take_up(self, facts: dict[str, Any]) -> None:
        """Goes on from such facts."""
        self.run.resume(facts["run"])
        self.loss.fill_(facts["loss"])
        self.correct.fill_(facts["correct"])
        self.seen = facts.get("seen", self.run.step % self.run.steps_per_epoch * self.batch)  # older files lack it
        self.schedule.load_state_dict(deepcopy(facts["schedule"]))
        self.scaler = self._new_scaler()  # one that was left in mid-step keeps more than its state
        self.scaler.load_state_dict(facts["scaler"])

    def beside(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What else a checkpoint keeps: facts, and tensors by name."""
        return {}, {}

    def _new_scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device.type, enabled=self.recipe.precision == "fp16")

    def _move_on(self) -> None:
        """To the next step of the schedule."""
        run = self.run
        if run.step + 1 == run.total_steps:
            run.optimizer.adapt(grow=False)  # directions that are still on trial go
            if isinstance(run.optimizer.ranks, Nested):  # the largest size has statistics of all sizes
                update_bn(self.data.sample(), run.model)
        self.schedule.step()
        run.step += 1

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
            f"{self.recipe.rate / 3:.2g}, or more warm-up"
        )


def is_finite(model: nn.Module) -> bool:
    """Whether all weights and buffers are."""
    return all(bool(value.isfinite().all()) for value in model.state_dict().values())


def _mix(seed: int, step: int) -> int:
    """A seed for one step: distinct for all pairs that occur."""
    return (seed * 1_000_003 + step) % 2**63
