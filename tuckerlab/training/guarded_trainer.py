"""What a guard does to a training: `GuardedTrainer` keeps the last good state, and returns to it from a broken rule."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import DivergedError
from tuckerlab.i18n import N_, _
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.config import Recipe
from tuckerlab.training.guard import Alarm, Guard, Watch
from tuckerlab.training.run import GUARDED
from tuckerlab.training.trainer import Trainer
from tuckerlab.tucker.rank_policy import Fixed
from tuckerlab.tucker.weight import TuckerLayer

HELD_OUT = 0.1  # the share of the training images that the accuracy is watched on
FROZEN = Fixed(steps=0)
WHY = {
    "finite": N_("a number in the calculation was no longer finite"),
    "loss": N_("the middle of the last 8 losses rose to {measured:.2g}, where at most {allowed:.2g} is allowed"),
    "accuracy": N_("{measured:.1%} of the images held out were right, where at least {allowed:.1%} is allowed"),
    "cut": N_("{measured:.0%} of the numbers were cut at once, where at most {allowed:.0%} is allowed"),
}
RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # what schedules keep in a param group
STEEP = 0.05  # of a schedule in one cycle: one in fewer than 20 cycles is meant to cut much at once


class GuardedTrainer(Trainer):
    """A trainer that a guard watches over; `step` and `end_epoch` answer False where they have been undone."""

    def __init__(
        self, guard: Guard, model: nn.Module, data: ImageData, recipe: Recipe, device: torch.device, *more: Any
    ) -> None:
        kept = data
        if guard.accuracy is not None:
            held = data.hold_out(HELD_OUT, recipe.seed)
            self.held = held.to(device)
            kept = replace(data, train_images=held.train_images, train_labels=held.train_labels)
        super().__init__(model, kept, recipe, device, *more)
        # as former versions wrote it, which had one more setting: what they have begun is resumed
        named = repr(guard).replace("slower", "reference=None, slower")
        self.settings |= {"data": data.fingerprint, "guard": named}
        self.guard, self.watch = guard, Watch(guard, untrained=math.log(data.num_classes))
        self.policy = self.run.optimizer.ranks  # of the last adaptation that broke no rule
        self.farthest = -1  # step at which a rule was broken
        self._keep()

    def step(self) -> bool:
        run, optimizer, is_looked_at = self.run, self.run.optimizer, self.is_looked_at
        adapts = (optimizer.steps + 1) % optimizer.adapt_every == 0 and not isinstance(optimizer.ranks, Fixed)
        before = _stored(run.model) if adapts else 0
        if not super().step():
            return False
        alarm = self.watch.after_step(run.loss) if is_looked_at else None
        if alarm is None and adapts and run.step < run.total_steps:  # the last one drops what was on trial
            alarm = None if self._is_steep() else self.watch.after_adaptation(before, _stored(run.model))
            if alarm is None:
                self.policy = optimizer.ranks
        return alarm is None or self._act(alarm, run.step)

    def end_epoch(self) -> bool:
        run = self.run
        if not super().end_epoch():
            return False
        if self.guard.accuracy is not None:
            accuracy = self.tested(self.held).accuracy
            alarm = self.watch.after_epoch(accuracy, len(self.held.test_labels), run.step / run.total_steps)
            if alarm is not None:
                return self._act(alarm, run.step)
        if self.watch.is_calm():
            self._keep()
            if run.step > self.farthest:
                self.watch.broken = {}
        return True

    def beside(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        good, is_frozen = self.good, self.run.optimizer.ranks == FROZEN
        watched = {name: value for name, value in vars(self.watch).items() if name != "guard"}
        facts: dict[str, Any] = {"watch": watched, "farthest": self.farthest, "frozen": is_frozen}
        if good.facts["run"]["step"] == self.run.step:  # the checkpoint itself
            return {"guard": facts}, {}
        facts["good"] = {"facts": good.facts, "optimizer": good.optimizer, "frozen": self.good_policy == FROZEN}
        return {"guard": facts}, good.tensors

    def load(self) -> checkpoints.Checkpoint:
        loaded, optimizer = super().load(), self.run.optimizer
        facts, given = loaded.facts["guard"], optimizer.ranks
        vars(self.watch).update(facts["watch"])
        self.farthest = facts["farthest"]
        optimizer.ranks = self.policy = FROZEN if facts["frozen"] else given
        self._keep()
        if good := facts.get("good"):
            tensors = {name: value.to(self.device) for name, value in loaded.beside.items()}
            self.good = checkpoints.Snapshot(tensors, good["optimizer"], good["facts"])
            self.good_policy = FROZEN if good["frozen"] else given
        return loaded

    def _diverged(self, what: str, step: int) -> bool:
        alarm = self.watch.after_step(math.nan)
        return super()._diverged(what, step) if alarm is None else self._act(alarm, step)

    def _act(self, alarm: Alarm, step: int) -> bool:
        """Returns to the last good state and goes on from there or ends, and writes it down; False: it is undone."""
        run = self.run
        at = {"epoch": run.epochs_before + -(-step // run.steps_per_epoch), "step": run.steps_before + step}
        self.farthest = max(self.farthest, step)
        measured = {"measured": alarm.measured, "allowed": alarm.allowed}
        action = self.watch.decide(alarm)
        did = _(self._return(action, alarm.rule), back=run.moment()["step"], factor=self.guard.slower)
        why = _(WHY[alarm.rule], **measured)
        said = _("Step {step:,.0f}: {why}; {did}.", step=at["step"], why=why, did=did)
        run.events.append({**at, "rule": alarm.rule, "action": action, **measured, "said": said})
        if run.state == GUARDED and not run.epochs:
            raise DivergedError(f"{said} Nothing was learned by then; try a lower learning rate")
        return False

    def _return(self, action: str, rule: str) -> str:
        """Returns to the last good state, without the cause as far as that is known; the message of what was done."""
        run, was = self.run, self.run.optimizer.ranks
        spent = run.evaluations, run.seconds, run.events
        self.good.put_back(run.model, run.optimizer)
        self.take_up(self.good.facts)
        run.evaluations, run.seconds, run.events = spent
        run.optimizer.ranks = self.policy = self.good_policy
        self.watch.went_back()
        if action == "stop":
            run.state = GUARDED
            return N_("the training was ended with the network of step {back:,.0f}")
        if was != self.good_policy:  # somebody has exchanged it since
            return N_("went back to step {back:,.0f} and returned to the setting before")
        did = N_("went back to step {back:,.0f} and lowered the learning rate to {factor:.0%} of what it was")
        if not isinstance(was, Fixed) and (rule == "cut" or self.watch.broken[rule] > 1):
            run.optimizer.ranks = self.policy = FROZEN
            did = N_(
                "went back to step {back:,.0f}, lowered the learning rate to {factor:.0%} of what it was, and stopped "
                "cutting"
            )
        for group in run.optimizer.param_groups:
            group.update({name: group[name] * self.guard.slower for name in RATES if name in group})
        self.schedule.base_lrs = [rate * self.guard.slower for rate in self.schedule.base_lrs]
        self.schedule._last_lr = [group["lr"] for group in run.optimizer.param_groups]
        self._keep()  # slower from the start, should it come to that again
        return did

    def _keep(self) -> None:
        """Makes this moment the last good one, with the policy that is in force."""
        self.good = checkpoints.Snapshot.of(self.run.model, self.run.optimizer, self.facts()).copied()
        self.good_policy = self.policy

    def _is_steep(self) -> bool:
        """Whether the schedule of the ranks was meant to cut much in the cycle that has ended."""
        steps, every, ranks = self.run.optimizer.steps, self.run.optimizer.adapt_every, self.run.optimizer.ranks
        return ranks.progress(steps) - (ranks.progress(steps - every) if steps > every else 0.0) > STEEP


def _stored(model: nn.Module) -> int:
    """Numbers in all Tucker layers."""
    return sum(module.stored_numel for module in model.modules() if isinstance(module, TuckerLayer))
