"""A training that goes wrong on purpose, with the safety valve and without."""

import math
from contextlib import suppress
from dataclasses import dataclass

from tuckerlab.data import ImageData
from tuckerlab.errors import DivergedError
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled
from tuckerlab.training.fit import fit
from tuckerlab.training.guard import Guard
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.rank_policy import Budget

BLUE, RED = PALETTE[0], PALETTE[1]


class Attempt(Callback):
    """One of the two: the loss of each step that was taken, those that were undone too; what was said, and when."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.alarms: list[tuple[int, str]] = []
        self.accuracy = math.nan  # where the training breaks off

    def on_start(self, run: Run) -> None:
        self.run = run

    def on_step(self, run: Run) -> None:
        self.losses.append(run.loss)
        self.note_alarms()

    def note_alarms(self) -> None:
        """What was said since the last look, at the step of now."""
        self.alarms += [(len(self.losses), event["said"]) for event in self.run.events[len(self.alarms) :]]

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
        axes.set_yscale("log")
        for attempt, colour, name in (
            (self.alone, RED, _("without the valve")), (self.guarded, BLUE, _("with the valve")),
        ):  # fmt: skip
            steps = range(1, len(attempt.losses) + 1)
            label = _("{name}: {value}", name=name, value=attempt.end)
            axes.plot(steps, attempt.losses, color=colour, linewidth=1.8, label=label)
        for number, (step, _said) in enumerate(self.guarded.alarms, start=1):
            axes.axvline(step, color=INK, linewidth=1, linestyle=":")
            axes.text(step, 1, f" {number}", transform=axes.get_xaxis_transform(), va="top", fontsize=TEXT, color=INK,
                      weight="bold")  # fmt: skip
        figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
        figure.headline(_(
            "A learning rate of {lr:g} is far too high: alone the training {alone}, with the safety valve it {guarded}",
            lr=self.lr, alone=self.alone.end, guarded=self.guarded.end,
        ))  # fmt: skip
        return figure


def diverge(data: ImageData, *, lr: float, epochs: int = 4) -> Divergence:
    """Trains LeNet-5 in Tucker format on images of 16 pixels or more, without a guard and with the usual one."""
    spec = {"name": "lenet5", "num_classes": data.num_classes, "in_channels": data.channels}
    method = Tucker(Budget(0.9))

    def attempt(guard: Guard | None) -> Attempt:
        found = Attempt()
        model = method.network(spec | {"image_size": data.image_size}, seed=0)
        with suppress(DivergedError):
            found.accuracy = fit(model, data, epochs=epochs, lr=lr, batch_size=64, ranks=method.ranks, guard=guard,
                                 callbacks=[found], progress=False).test_accuracy  # fmt: skip
        found.note_alarms()
        return found

    return Divergence(lr, attempt(None), attempt(Guard()))
