"""What `fit` does step by step: `Trainer`, the state of a run between two steps.

Every random number comes from the seed and the number of the step, never from a state that is carried along.
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import __version__
from tuckerlab.data import ImageData
from tuckerlab.errors import CheckpointError, DivergedError, TuckerlabError
from tuckerlab.training import checkpoint as checkpoints, processes
from tuckerlab.training.augment import default_augmentation, epoch_order
from tuckerlab.training.config import Recipe
from tuckerlab.training.machine import provenance
from tuckerlab.training.metrics import Result, check_logits, evaluate
from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.nested import refresh_statistics
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.weight import TuckerLayer

LOOK_EVERY = 20  # steps between two looks at the loss on a GPU, where each look waits for the device


class Trainer:
    """The state of a run between two steps, and what may be done with it."""

    def __init__(
        self,
        model: nn.Module,
        data: ImageData,
        recipe: Recipe,
        device: torch.device,
        checkpoint: Path | None = None,
        after: Run | None = None,
        make_optimizer: Callable[[Recipe, nn.Module, int], TuckerOptimizer] = Recipe.make_optimizer,
    ) -> None:
        self.settings = {**recipe.settings(), "data": data.fingerprint, "guard": None}
        self.data, self.recipe, self.device, self.checkpoint = data.to(device), recipe, device, checkpoint
        model.to(device)
        self.images = len(data.train_images)
        self.batch = min(recipe.batch_size, self.images)  # of all processes together
        if self.batch % processes.count():
            raise TuckerlabError(
                f"batch_size {self.batch}: {processes.count()} processes share it, so allowed are multiples of that"
            )
        per_epoch = self.images // self.batch  # a shorter last batch is left out: batch norm needs full ones
        optimizer = make_optimizer(recipe, model, recipe.epochs * per_epoch)
        self.run = Run(model, optimizer, recipe.epochs, per_epoch, origin=provenance(device))
        if after is None:
            self._add_ranks()  # where the ranks started
        else:
            self.run.follow(after)
        self.schedule = recipe.make_schedule(optimizer, self.run.total_steps)
        self.augment = default_augmentation(data) if recipe.augmentation else None
        self.weights = self.data.class_weights if recipe.class_weights else None
        self.loss = torch.zeros((), device=device)  # the sum over the images of this epoch

    @property
    def is_looked_at(self) -> bool:
        """Whether the loss of the next step is."""
        return self.device.type == "cpu" or self.run.step % LOOK_EVERY == 0

    def step(self) -> bool:
        """One optimizer step on the next batch; whether the run has come further: a guard may undo it."""
        run, began = self.run, time.perf_counter()
        seed = self.recipe.seed * 1_000_003 + run.step  # distinct for all pairs that occur
        torch.manual_seed(seed % 2**63)
        epoch, position = divmod(run.step, run.steps_per_epoch)
        order = epoch_order(self.images, self.recipe.seed, epoch)
        chosen = order[position * self.batch : (position + 1) * self.batch].to(self.device)
        images, labels = self.data.train_images[chosen], self.data.train_labels[chosen]
        images = processes.share(self.augment(images) if self.augment else images)
        counted = self.batch if self.weights is None else self.weights[labels].sum()
        labels = processes.share(labels)
        inputs = self.data.normalize(images).contiguous(memory_format=torch.channels_last)
        run.model.train()
        if processes.number():  # other images are dropped out of by other numbers
            torch.manual_seed((seed + processes.number() * 2**40) % 2**63)

        def evaluate_gradient() -> Tensor:
            with self.recipe.autocast(self.device), processes.shared_batch_norm():
                logits = run.model(inputs)
            check_logits(logits, len(labels), self.data.num_classes)
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits.float(), labels, self.weights, label_smoothing=smoothing, reduction="sum")
            loss = loss / counted
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            run.evaluations += 1
            gradients = [p.grad for p in run.model.parameters() if p.grad is not None]
            processes.add([loss := loss.detach(), *gradients])
            return loss

        loss = evaluate_gradient()
        if self.is_looked_at:
            run.loss = loss.item()
            if not math.isfinite(run.loss):
                return self._diverged(f"the loss is {run.loss}", run.step + 1)
        again = {"closure": lambda: evaluate_gradient().item()} if run.optimizer.evaluations > 1 else {}
        try:
            run.optimizer.step(**again)
            if run.step + 1 == run.total_steps:
                run.optimizer.adapt(grow=False)  # directions that are still on trial go
        except DivergedError as error:
            return self._diverged(str(error), run.step + 1)
        if run.optimizer.steps % run.optimizer.adapt_every == 0:
            self.compare()
        self.schedule.step()
        run.step += 1
        self.loss += loss * self.batch
        run.seconds += time.perf_counter() - began
        return True

    def end_epoch(self) -> bool:
        """Adds the rows of the epoch that has ended, and ends the run where it is to end; whether they stand."""
        run = self.run
        if self.device.type == "cuda":  # the steps are only launched so far
            began = time.perf_counter()
            torch.cuda.synchronize(self.device)
            run.seconds += time.perf_counter() - began
        if not all(processes.of_all(self._is_finite())):
            return self._diverged(f"the loss of epoch {run.moment()['epoch']} or a weight is not finite", run.step)
        if run.step >= run.total_steps:
            run.state = "finished"
        if run.optimizer.ranks.is_nested:
            refresh_statistics(run.model, self.data.sample())
        seconds = run.seconds - (run.epochs[-1]["seconds"] if run.epochs else 0.0)
        test = self.tested(self.data)
        run.epochs.append({
            **run.moment(), "lr": float(self.schedule.get_last_lr()[0]),
            "train_loss": self.loss.item() / (run.steps_per_epoch * self.batch),
            "test_loss": test.loss, "test_accuracy": test.accuracy, "seconds": run.seconds,
            "step_ms": 1e3 * seconds / run.steps_per_epoch, **count_parameters(run.model).row,
        })  # fmt: skip
        self._add_ranks()
        self.loss.zero_()
        return True

    def tested(self, data: ImageData) -> Result:
        """Loss and accuracy on the test split of some data, each process on its share."""
        own = evaluate(self.run.model, data, slice(processes.number(), None, processes.count()))
        images = len(processes.share(data.test_labels))
        loss, right = map(sum, zip(*processes.of_all((own.loss * images, own.accuracy * images)), strict=True))
        return Result(loss / len(data.test_labels), round(right) / len(data.test_labels))

    def compare(self) -> None:
        """TuckerlabError where processes differ in what decides the outcome, or in what has come out so far."""
        facts = {"tuckerlab": __version__, "torch": str(torch.__version__), **self.settings}
        processes.check_same({**facts, "step": self.run.step, "weights": processes.digest(self.run.model)})

    def save(self) -> None:
        """Writes the checkpoint, if there is to be one; process 0 does it."""
        if processes.number() or self.checkpoint is None or not self._is_finite():
            return
        facts, beside = self.beside()
        facts |= {"settings": self.settings, **self.facts()}
        checkpoints.save(self.checkpoint, self.run.model, optimizer=self.run.optimizer, facts=facts, beside=beside)

    def load(self) -> checkpoints.Checkpoint:
        """Takes up the run of the checkpoint."""
        run = self.run
        loaded = checkpoints.load(self.checkpoint or "", run.model, optimizer=run.optimizer, accept=self._accept)
        self.take_up(loaded.facts)
        return loaded

    def facts(self) -> dict[str, Any]:
        """What there is to know of this moment beside model and optimizer: plain JSON."""
        return {"run": self.run.progress(), "schedule": self.schedule.state_dict(), "loss": self.loss.item()}

    def take_up(self, facts: dict[str, Any]) -> None:
        """Goes on from such facts."""
        self.run.resume(facts["run"])
        self.loss.fill_(facts["loss"])
        self.schedule.load_state_dict(deepcopy(facts["schedule"]))

    def beside(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What else a checkpoint keeps: facts, and tensors by name."""
        return {}, {}

    def _accept(self, facts: dict[str, Any]) -> None:
        """CheckpointError unless the checkpoint is of a run with these settings and data."""
        settings, ours = facts.get("settings"), self.settings
        if settings is None:
            raise CheckpointError(f"{self.checkpoint}: not a checkpoint of a training run; give another path")
        other = [f"{k} {settings.get(k)!r} there, {ours[k]!r} here" for k in ours if settings.get(k) != ours[k]]
        if other:
            raise CheckpointError(
                f"{self.checkpoint}: of a run with other settings: {'; '.join(other)}; give another path, or begin "
                "anew (resume=False)"
            )

    def _add_ranks(self) -> None:
        self.run.ranks.extend(
            {**self.run.moment(), "layer": name, "mode": mode, "size": layer.shape[mode], "rank": rank}
            for name, layer in self.run.model.named_modules()
            if isinstance(layer, TuckerLayer)
            for mode, rank in zip(layer.modes, layer.ranks, strict=True)
        )

    def _is_finite(self) -> bool:
        values = [self.loss, *self.run.model.state_dict().values()]
        return all(bool(value.isfinite().all()) for value in values)

    def _diverged(self, what: str, step: int) -> bool:
        """DivergedError; a guard may go back instead."""
        is_kept = self.checkpoint is not None and self.checkpoint.exists()
        kept = f"; the last good checkpoint is kept in {self.checkpoint}" if is_kept else ""
        raise DivergedError(
            f"training diverged at step {step} of {self.run.total_steps}: {what}{kept}; try a learning rate of "
            f"{self.recipe.rate / 3:.2g}, or more warm-up"
        )
