"""Pictures of what ordinary descent on core and factors is compared in: numbers in, a figure out.

>>> from tuckerlab.demos.rank_overestimation import Race
>>> picture = overestimation({1.0: [Race(4, 1.0, 200, ours=19, same=22, best=22, left=1e-7)]})
>>> len(picture.axes)
1

Each headline says what the numbers say; it is computed from them.
"""

from collections.abc import Mapping, Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from tuckerlab.demos.digits_descent import Descent
from tuckerlab.demos.rank_overestimation import TRUE_RANK, Race
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, RED, PINK = PALETTE[0], PALETTE[1], PALETTE[3]
LINE = 2.2


def overestimation(races: Mapping[float, Sequence[Race]]) -> Picture:
    """Steps needed against the rank of the layer, for each fall of the true singular values; crosses: not arrived."""
    every = [race for found in races.values() for race in found]
    steps = max(race.steps for race in every)
    figure = Picture(figsize=(5.2 * len(races), 4.4))
    panels = figure.subplots(1, len(races), sharey=True, squeeze=False)[0]
    for axes, (fall, found) in zip(panels, races.items(), strict=True):
        title = text("descents.equal") if fall == 1 else text("descents.falling", times=fall)
        styled(axes, x=text("descents.axis.rank", rank=TRUE_RANK), y="", title=title)
        axes.set_xticks(range(len(found)), [text("descents.rate", lr=race.rank) for race in found])
        axes.plot([nan if race.ours is None else race.ours for race in found], "-", color=BLUE, linewidth=LINE)
        axes.axhline(steps, color=QUIET, linewidth=1, linestyle=":")
        for colour, marker, needed in (
            (BLUE, "o", [race.ours for race in found]),
            (RED, "s", [race.best for race in found]),
        ):
            for place, value in enumerate(needed):
                height, shape = (1.08 * steps, "X") if value is None else (value, marker)
                axes.plot(place, height, shape, color=colour, markersize=10)
        axes.set(ylim=(0, 1.2 * steps), xlim=(-0.5, len(found) - 0.5))
    panels[0].set_ylabel(text("descents.axis.needed"), fontsize=TEXT, color=INK)
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=9, linewidth=LINE, label=text("descents.ours")),
        Line2D([], [], color=RED, marker="s", markersize=9, linestyle="", label=text("descents.theirs")),
        Line2D([], [], color=RED, marker="X", markersize=9, linestyle="", label=text("descents.missed", steps=steps)),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    lost = [race for race in every if race.best is None]
    ours = [race.ours for race in every if race.ours is not None]
    key = "all" if len(ours) == len(every) else "some"
    said = {"count": len(lost), "races": len(every), "steps": steps, "arrived": len(ours), "most": max(ours, default=0)}
    figure.headline(text(f"descents.overestimation.{key}", **said))
    return figure


def loss_descent(ours: Sequence[Descent], theirs: Sequence[Descent]) -> Picture:
    """Left the loss at the highest learning rate, right the share of steps after which it was higher, for each rate."""
    figure = Picture(figsize=(10.4, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    highest, best = theirs[-1], min(theirs, key=lambda descent: descent.losses[-1])
    styled(left, x=text("descents.axis.step"), y=text("descents.axis.loss"))
    _losses(left, ours[-1], BLUE, "-", text("descents.ours_rate", lr=ours[-1].lr))
    _losses(left, highest, RED, "--", text("descents.theirs_rate", lr=highest.lr))
    if best is not highest:
        _losses(left, best, PINK, ":", text("descents.theirs_best", lr=best.lr))
    left.set_yscale("log")
    _plain_ticks(left)
    left.legend(loc="lower left", fontsize=TEXT, frameon=False)
    styled(right, x=text("descents.axis.lr"), y=text("descents.axis.risen"))
    for shift, colour, found in ((-0.2, BLUE, ours), (0.2, RED, theirs)):
        places = [i + shift for i in range(len(found))]
        bars = right.bar(places, [100 * descent.risen for descent in found], width=0.36, color=colour)
        labels = [text("descents.percent", value=100 * descent.risen) for descent in found]
        right.bar_label(bars, labels, fontsize=TEXT, color=INK, padding=2)
    right.set_xticks(range(len(ours)), [text("descents.rate", lr=descent.lr) for descent in ours])
    right.grid(visible=False, axis="x")
    right.set_ylim(0, 120 * max(0.05, *(descent.risen for descent in (*ours, *theirs))))
    said = {
        "lr": highest.lr, "ours": ours[-1].losses[-1], "theirs": highest.losses[-1], "best": best.losses[-1],
        "risen": 100 * ours[-1].risen, "their_risen": 100 * highest.risen,
    }  # fmt: skip
    figure.headline(text("descents.loss_descent", **said))
    return figure


def gradient_evaluations(one: Descent, two: Descent) -> Picture:
    """Left the loss against gradient evaluations, right the time of a step: our step, and the one of two gradients."""
    figure = Picture(figsize=(10.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    styled(left, x=text("descents.axis.evaluations"), y=text("descents.axis.loss"))
    for name, descent, colour, style in (("one", one, BLUE, "-"), ("two", two, RED, "--")):
        counted = [descent.gradients * step for step in range(len(descent.losses))]
        left.plot(counted, descent.losses, style, color=colour, linewidth=LINE, label=text(f"descents.{name}"))
    left.set_yscale("log")
    _plain_ticks(left)
    left.legend(loc="upper right", fontsize=TEXT, frameon=False)
    styled(right, x=text("descents.axis.milliseconds"), y="")
    times = [1e3 * one.seconds, 1e3 * two.seconds]
    bars = right.barh([1, 0], times, height=0.5, color=[BLUE, RED])
    labels = [text("descents.milliseconds", value=value) for value in times]
    right.bar_label(bars, labels, fontsize=TEXT, color=INK, padding=4)
    right.set_yticks([1, 0], [text("descents.one"), text("descents.two")])
    right.set(xlim=(0, 1.3 * max(times)), ylim=(-0.6, 1.6))
    right.grid(visible=False, axis="y")
    said = {
        "steps": len(one.losses), "one": one.losses[-1], "two": two.losses[len(one.losses) - 1],
        "evaluations": one.evaluations, "more": two.gradients * len(one.losses), "times": two.seconds / one.seconds,
    }  # fmt: skip
    figure.headline(text("descents.gradient_evaluations", **said))
    return figure


def _losses(axes: Axes, descent: Descent, colour: str, style: str, label: str) -> None:
    axes.plot(range(1, len(descent.losses) + 1), descent.losses, style, color=colour, linewidth=LINE, label=label)


def _plain_ticks(axes: Axes) -> None:
    low, high = axes.get_ylim()
    values = [
        value
        for value in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100)
        if low <= value <= high
    ]
    axes.set_yticks(values, [text("descents.rate", lr=value) for value in values])
    axes.yaxis.set_minor_locator(NullLocator())
