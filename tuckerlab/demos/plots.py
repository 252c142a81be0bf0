"""Pictures of what ordinary descent on core and factors is compared in: numbers in, a figure out.

Each headline says what the numbers say; it is computed from them.
"""

from collections.abc import Mapping, Sequence
from math import nan

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from tuckerlab.demos.digits_descent import Descent
from tuckerlab.demos.rank_overestimation import TRUE_RANK, Race
from tuckerlab.i18n import _
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
        title = (
            _("true singular values all equal")
            if fall == 1
            else _("each true singular value 1/{times:g} of the one before", times=fall)
        )
        styled(axes, x=_("rank of the layer (the true rank is {rank:.0f})", rank=TRUE_RANK), y="", title=title)
        axes.set_xticks(range(len(found)), [f"{race.rank}" for race in found])
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
    panels[0].set_ylabel(_("steps to an error of 10⁻⁶"), fontsize=TEXT, color=INK)
    ordinary = _("ordinary descent, at its best learning rate")
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=9, linewidth=LINE, label=_("Riemannian step")),
        Line2D([], [], color=RED, marker="s", markersize=9, linestyle="", label=ordinary),
        Line2D([], [], color=RED, marker="X", markersize=9, linestyle="",
               label=_("not there within {steps:.0f} steps", steps=steps)),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    lost = [race for race in every if race.best is None]
    ours = [race.ours for race in every if race.ours is not None]
    said = {"lost": len(lost), "races": len(every), "steps": steps, "arrived": len(ours), "most": max(ours, default=0)}
    figure.headline(
        _(
            "The Riemannian step is there within {most:.0f} steps at every rank; ordinary descent misses {steps:.0f} "
            "steps in {lost:.0f} of {races:.0f} cases.",
            **said,
        )
        if len(ours) == len(every)
        else _(
            "Within {steps:.0f} steps the Riemannian step is there in {arrived:.0f} of {races:.0f} cases; ordinary "
            "descent is not in {lost:.0f} of them.",
            **said,
        )
    )
    return figure


def loss_descent(ours: Sequence[Descent], theirs: Sequence[Descent]) -> Picture:
    """Left the loss at the highest learning rate, right the share of steps after which it was higher, for each rate."""
    figure = Picture(figsize=(10.4, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    highest, best = theirs[-1], min(theirs, key=lambda descent: descent.losses[-1])
    styled(left, x=_("step"), y=_("loss"))
    _losses(left, ours[-1], BLUE, "-", _("Riemannian step, learning rate {lr:g}", lr=ours[-1].lr))
    _losses(left, highest, RED, "--", _("ordinary descent, {lr:g}", lr=highest.lr))
    if best is not highest:
        _losses(left, best, PINK, ":", _("ordinary descent, {lr:g} (its best)", lr=best.lr))
    _log_scale(left)
    left.legend(loc="lower left", fontsize=TEXT, frameon=False)
    styled(right, x=_("learning rate"), y=_("steps after which the loss was higher, %"))
    for shift, colour, found in ((-0.2, BLUE, ours), (0.2, RED, theirs)):
        places = [i + shift for i in range(len(found))]
        bars = right.bar(places, [100 * descent.risen for descent in found], width=0.36, color=colour)
        right.bar_label(bars, fmt="{:.0f}", fontsize=TEXT, color=INK, padding=2)
    right.set_xticks(range(len(ours)), [f"{descent.lr:g}" for descent in ours])
    right.grid(visible=False, axis="x")
    right.set_ylim(0, 120 * max(0.05, *(descent.risen for descent in (*ours, *theirs))))
    said = {
        "lr": highest.lr, "ours": ours[-1].losses[-1], "theirs": highest.losses[-1], "best": best.losses[-1],
        "risen": 100 * ours[-1].risen, "their_risen": 100 * highest.risen,
    }  # fmt: skip
    figure.headline(
        _(
            "Learning rate {lr:g}: ordinary descent ends at a loss of {theirs:.2g} and rose after "
            "{their_risen:.0f} % of its steps, ours at {ours:.2g} and after {risen:.0f} %. At its own best "
            "rate ordinary descent ends at {best:.2g}.",
            **said,
        )
    )
    return figure


def gradient_evaluations(one: Descent, two: Descent) -> Picture:
    """Left the loss against gradient evaluations, right the time of a step: our step, and the one of two gradients."""
    figure = Picture(figsize=(10.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    styled(left, x=_("gradient evaluations"), y=_("loss"))
    names = _("one gradient (ours)"), _("two gradients (published)")
    for name, descent, colour, style in ((names[0], one, BLUE, "-"), (names[1], two, RED, "--")):
        counted = [descent.gradients * step for step in range(len(descent.losses))]
        left.plot(counted, descent.losses, style, color=colour, linewidth=LINE, label=name)
    _log_scale(left)
    left.legend(loc="upper right", fontsize=TEXT, frameon=False)
    styled(right, x=_("time of a step, ms"), y="")
    times = [1e3 * one.seconds, 1e3 * two.seconds]
    bars = right.barh([1, 0], times, height=0.5, color=[BLUE, RED])
    right.bar_label(bars, fmt="{:.0f}", fontsize=TEXT, color=INK, padding=4)
    right.set_yticks([1, 0], names)
    right.set(xlim=(0, 1.3 * max(times)), ylim=(-0.6, 1.6))
    right.grid(visible=False, axis="y")
    said = {
        "steps": len(one.losses), "one": one.losses[-1], "two": two.losses[len(one.losses) - 1],
        "evaluations": one.evaluations, "more": two.gradients * len(one.losses), "times": two.seconds / one.seconds,
    }  # fmt: skip
    figure.headline(
        _(
            "After {steps:.0f} steps the loss is {one:.2g} with one gradient a step and {two:.2g} with two, "
            "for {evaluations:.0f} and {more:.0f} evaluations. A step of two takes {times:.1f} times as long.",
            **said,
        )
    )
    return figure


def _losses(axes: Axes, descent: Descent, colour: str, style: str, label: str) -> None:
    axes.plot(range(1, len(descent.losses) + 1), descent.losses, style, color=colour, linewidth=LINE, label=label)


def _log_scale(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
