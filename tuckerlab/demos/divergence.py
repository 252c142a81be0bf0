"""A training that goes wrong on purpose, with the safety valve and without."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch

from tuckerlab.data import ImageData
from tuckerlab.errors import DivergedError
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.i18n import _, ngettext
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled
from tuckerlab.training.fit import fit
from tuckerlab.training.guard import Guard
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.rank_policy import Budget

BLUE, RED = PALETTE[0], PALETTE[1]


@dataclass(frozen=True)
class Attempt:
    """One of the two: the loss of each step that was taken, those that were undone too; what was said, and when.

    accuracy: on the test split at the end, a fraction of 1; NaN where the training broke off.
    """

    losses: tuple[float, ...]
    alarms: tuple[tuple[int, str], ...]
    accuracy: float

    @property
    def end(self) -> str:
        """How it ended, as people say it."""
        if math.isnan(self.accuracy):
            return _("breaks off")
        return _("reaches {accuracy:.0f} %", accuracy=100 * self.accuracy)


@dataclass(frozen=True)
class Divergence:
    """The same training twice, at a learning rate that is far too high: without a guard and with one."""

    lr: float
    alone: Attempt
    guarded: Attempt

    @property
    def said(self) -> list[str]:
        """What the valve did, in words, with the numbers that the picture has."""
        return [f"{number}. {said}" for number, (step, said) in enumerate(self.guarded.alarms, start=1)]

    @property
    def picture(self) -> Picture:
        """The losses of both, and where the valve acted."""
        figure = Picture(figsize=(9.5, 4.2))
        axes = styled(figure.subplots(), x=_("training steps, those undone too"), y=_("training loss"))
        for attempt, colour, name in (
            (self.alone, RED, _("without the valve")), (self.guarded, BLUE, _("with the valve")),
        ):  # fmt: skip
            label = f"{name}: {attempt.end}"
            axes.plot(range(1, len(attempt.losses) + 1), attempt.losses, color=colour, linewidth=1.8, label=label)
        steps = [step for step, said in self.guarded.alarms]
        heights = [_last_number(self.guarded.losses[:step]) for step in steps]
        label = ngettext("the valve acts ({count:.0f} time)", "the valve acts ({count:.0f} times)", count=len(steps))
        axes.plot(steps, heights, "v", color=INK, markersize=10, label=label, zorder=3)
        for number, at in enumerate(zip(steps, heights, strict=True), start=1):
            axes.annotate(f"{number}", at, (9, 3), textcoords="offset points", fontsize=TEXT, color=INK, weight="bold")
        axes.set_yscale("log")
        figure.legend(loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
        ends = {"alone": self.alone.end, "guarded": self.guarded.end}
        figure.headline(
            _(
                "A learning rate of {lr:g} is far too high: alone the training {alone}, with the safety valve it "
                "{guarded}",
                lr=self.lr,
                **ends,
            )
        )
        return figure


def diverge(data: ImageData, *, lr: float, epochs: int = 4, guard: Guard | None = None) -> Divergence:
    """Trains LeNet-5 in Tucker format at a learning rate, without a guard and with one.

    Images have 16 pixels a side or more. The usual guard holds a tenth of the training images out, to look at.
    """
    spec = {"name": "lenet5", "num_classes": data.num_classes, "in_channels": data.channels}
    contender = Tucker(Budget(0.9))

    def attempt(guard: Guard | None) -> Attempt:
        model = contender.network(spec | {"image_size": data.image_size}, seed=0)
        trace, accuracy = _Trace(), math.nan
        with suppress(DivergedError):
            accuracy = fit(model, data, epochs=epochs, lr=lr, batch_size=64, ranks=contender.ranks, guard=guard,
                           callbacks=[trace], progress=False).test_accuracy  # fmt: skip
        return Attempt(tuple(trace.losses), trace.alarms, accuracy)

    with torch.random.fork_rng(devices=[]):
        return Divergence(lr, attempt(None), attempt(guard or Guard()))


def _last_number(losses: Sequence[float]) -> float:
    """The last loss that can be drawn: the step of an alarm may have had none."""
    return next((loss for loss in reversed(losses) if math.isfinite(loss)), math.nan)


class _Trace(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.steps: list[int] = []  # of the alarms that were raised so far
        self.at = 0  # the step of the run that has ended last

    def on_start(self, run: Run) -> None:
        self.run = run

    def on_step(self, run: Run) -> None:
        self.losses.append(run.loss)
        for event in run.events[len(self.steps) :]:
            is_late = event["step"] == self.at  # raised at the end of the epoch that the step before has completed
            self.steps.append(len(self.losses) - is_late)
        self.at = run.step

    @property
    def alarms(self) -> tuple[tuple[int, str], ...]:
        """When and what; after the last step an epoch may have ended with one, or the training broken off."""
        said = [event["said"] for event in self.run.events]
        late = [len(self.losses)] * (len(said) - len(self.steps))
        return tuple(zip([*self.steps, *late], said, strict=True))
