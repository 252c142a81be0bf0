"""What a guard does to a training: `GuardedTrainer` keeps the last good state, and returns to it from a broken rule.

>>> from tuckerlab import build, load_data
>>> data = load_data("digits").subset(train=160, test=64)
>>> model = build("vgg_small", in_channels=1, image_size=8, width=0.25)
>>> trainer = GuardedTrainer(Guard(), model, data, Recipe(epochs=1), torch.device("cpu"))
>>> trainer.step(), trainer.run.events
(True, [])
>>> with torch.no_grad():
...     _ = model.classifier[-1].weight.fill_(torch.nan)
>>> trainer.step(), trainer.run.step, trainer.run.events[0]["action"]
(False, 0, 'roll back')

The last good state is the end of an epoch, or the beginning: a copy of model, optimizer and schedule in memory, and in
the checkpoint where that is of a later step. It holds a second copy for the length of a rank adaptation.
"""

import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import DivergedError
from tuckerlab.i18n import text
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.config import Recipe
from tuckerlab.training.guard import STEEP, Alarm, Guard, Size, Watch, at_floor
from tuckerlab.training.run import GUARDED
from tuckerlab.training.snapshot import Snapshot
from tuckerlab.training.trainer import LOOK_EVERY, Trainer, is_finite
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy
from tuckerlab.tucker.weight import TuckerLayer

FROZEN = Fixed(steps=0)  # a schedule that is over: early stopping waits for that
BROKEN = Alarm("finite", math.nan, math.inf)
RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # what schedules keep in a param group


class Good(NamedTuple):
    """A state to return to, and the policy that was in force."""

    state: Snapshot
    step: int
    policy: RankPolicy


class GuardedTrainer(Trainer):
    """A trainer that a guard watches over; `step` and `end_epoch` answer False where they have been undone."""

    def __init__(
        self,
        guard: Guard,
        model: nn.Module,
        data: ImageData,
        recipe: Recipe,
        device: torch.device,
        checkpoint: Path | None = None,
        *more: Any,
    ) -> None:
        super().__init__(model, data, recipe, device, checkpoint, *more, hold_out=guard.accuracy is not None)
        self.settings["guard"] = repr(guard)
        self.guard, self.watch = guard, Watch(guard, untrained=math.log(len(data.classes)))
        self.policy = self.run.optimizer.ranks  # of the last adaptation that broke no rule
        self.farthest = -1  # step at which a rule was broken
        self.good = self._now()

    def step(self) -> bool:
        run, optimizer = self.run, self.run.optimizer
        adapts = (optimizer.steps + 1) % optimizer.adapt_every == 0 and not isinstance(optimizer.ranks, Fixed)
        before, sizes = (self._now(), _sizes(run.model)) if adapts else (self.good, {})
        is_looked_at = self.device.type == "cpu" or run.step % LOOK_EVERY == 0
        try:
            super().step()
        except DivergedError:
            if self.guard.finite is None:
                raise
            return self._act(BROKEN, self.good, is_cut_off=True)
        alarm = self.watch.after_step(run.loss) if is_looked_at else None
        if alarm is None and adapts and run.step < run.total_steps:  # the last one drops what was on trial
            after = _sizes(run.model)
            alarm = self.watch.after_adaptation(sizes, after, steep=self._is_steep())
            if alarm is not None and not self._act(alarm, before, ", ".join(at_floor(sizes, after, alarm.allowed))):
                return False
            self.policy = optimizer.ranks
            return True
        return alarm is None or self._act(alarm, self.good)

    def end_epoch(self) -> bool:
        run = self.run
        try:
            super().end_epoch()
        except DivergedError:
            if self.guard.finite is None:
                raise
            return self._act(BROKEN, self.good)
        if self.guard.accuracy is not None:
            progress = run.step / run.total_steps if run.state == "running" else 1.0
            images = len(self.held.test_labels)
            alarm = self.watch.after_epoch(self.held_out_accuracy(), images, progress)
            if alarm is not None and not self._act(alarm, self.good):
                return False
        if run.state == "finished" and (alarm := self.watch.after_run()) and not self._act(alarm, self.good):
            return False
        if self.watch.is_calm():
            self.good = self._now()
            if run.step > self.farthest:
                self.watch.came_further()
        return True

    def beside(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        facts: dict[str, Any] = {
            "watch": self.watch.progress(), "farthest": self.farthest, "frozen": self.run.optimizer.ranks == FROZEN
        }  # fmt: skip
        if self.good.step == self.run.step:  # the checkpoint itself
            return {"guard": facts}, {}
        good = self.good.state
        facts["good"] = {"facts": good.facts, "optimizer": good.optimizer, "frozen": self.good.policy == FROZEN}
        return {"guard": facts}, good.tensors

    def load(self) -> checkpoints.Checkpoint:
        loaded, optimizer = super().load(), self.run.optimizer
        facts, given = loaded.facts["guard"], optimizer.ranks
        self.watch.resume(facts["watch"])
        self.farthest = facts["farthest"]
        optimizer.ranks = self.policy = FROZEN if facts["frozen"] else given
        if "good" not in facts:
            self.good = self._now()
            return loaded
        good, device = facts["good"], self.device
        tensors = {name: value.to(device) for name, value in loaded.beside.items()}
        state = Snapshot(tensors, good["optimizer"], good["facts"])
        self.good = Good(state, good["facts"]["run"]["step"], FROZEN if good["frozen"] else given)
        return loaded

    # --- what is done ------------------------------------------------------------------------------------------------

    def _act(self, alarm: Alarm, before: Good, about: str = "", *, is_cut_off: bool = False) -> bool:
        """Does what the guard says, and writes it down; whether the step stands.

        before: the state to grow back to. is_cut_off: the step was not completed.
        """
        run, step = self.run, self.run.step + is_cut_off
        event: dict[str, Any] = {
            "epoch": run.epochs_before + -(-step // run.steps_per_epoch),
            "step": run.steps_before + step,
        }
        self.farthest = max(self.farthest, step)
        action = self.watch.decide(alarm)
        if action == "skip" and not (is_cut_off and is_finite(run.model)):
            action = "roll back"
        did = action
        if action == "skip":
            with warnings.catch_warnings():  # the first step of all may be the one that is left out
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
                self._move_on()
        elif action == "freeze":
            self._freeze()
        elif action in ("grow back", "roll back", "stop"):
            did = self._return(before if action == "grow back" else self.good, action, alarm.rule)
        if action:
            measured = {"measured": alarm.measured, "allowed": alarm.allowed}
            why = text(f"guard.why.{alarm.rule}", **measured, about=about)
            back = run.steps_before + run.step
            done = text(f"guard.did.{did.replace(' ', '_')}", back=back, factor=self.guard.slower)
            event |= {"rule": alarm.rule, "action": action, **measured}
            run.events.append({**event, "said": text("guard.said", step=event["step"], why=why, did=done)})
            if run.state == GUARDED and not run.epochs:
                raise DivergedError(f"{run.events[-1]['said']} Nothing was learned by then; try a lower learning rate")
        return action in ("", "note", "skip", "freeze")

    def _return(self, good: Good, action: str, rule: str) -> str:
        """Returns to a state, without the cause as far as that is known; says by its name what was done."""
        run, was = self.run, self.run.optimizer.ranks
        kept = {name: getattr(run, name) for name in ("evaluations", "seconds", "events")}
        good.state.put_back(run.model, run.optimizer)
        self.take_up(good.state.facts)
        vars(run).update(kept)  # what was spent is spent
        run.optimizer.ranks = self.policy = good.policy
        self.watch.went_back()
        if action == "stop":
            run.state = GUARDED
            return action
        if was != good.policy:  # somebody has exchanged it since
            return f"{action}.policy"
        if action == "grow back":
            self._freeze()
            return action
        if is_frozen := self.watch.broken[rule] > 1 and not isinstance(was, Fixed):
            self._freeze()
        self._slow_down()
        self.good = self._now()  # slower from the start, should it come to that again
        return f"{action}.freeze" if is_frozen else action

    def _freeze(self) -> None:
        self.run.optimizer.ranks = self.policy = FROZEN
        self.good = self.good._replace(policy=FROZEN)

    def _slow_down(self) -> None:
        for group in self.run.optimizer.param_groups:
            group.update({name: group[name] * self.guard.slower for name in RATES if name in group})
        self.schedule.base_lrs = [rate * self.guard.slower for rate in self.schedule.base_lrs]
        self.schedule._last_lr = [group["lr"] for group in self.run.optimizer.param_groups]

    def _now(self) -> Good:
        state = Snapshot.of(self.run.model, self.run.optimizer, self.facts()).copied()
        return Good(state, self.run.step, self.policy)

    def _is_steep(self) -> bool:
        """Whether the schedule of the ranks was meant to cut much in the cycle that has ended."""
        optimizer = self.run.optimizer
        steps, before = optimizer.steps, optimizer.steps - optimizer.adapt_every
        progress = optimizer.ranks.progress
        return progress(steps) - (progress(before) if before > 0 else 0.0) > STEEP


def _sizes(model: nn.Module) -> dict[str, Size]:
    layers = ((name, module) for name, module in model.named_modules() if isinstance(module, TuckerLayer))
    return {name: Size(layer.ranks, layer.stored_numel) for name, layer in layers}
