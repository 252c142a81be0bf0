"""Pictures of roll-outs: what was simulated in, a figure out, with a headline that the numbers make."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from tuckerlab.deploy.rollout.power import Caught, chance_interval
from tuckerlab.deploy.rollout.simulate import Timeline
from tuckerlab.i18n import _, text
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled, wrapped

BLUE, RED, GREEN, *_rest, SKY, ORANGE = PALETTE
BAND = "#56B4E9"
LEAST, MOST = 6.0, 12.0
"""Points of loss that the axis of a timeline shows at least and at most."""

OUTCOMES = {"rolled_back": RED, "asked": "#bdbdbd", "rolled_out": GREEN}


def rollout_timeline(story: Timeline) -> Picture:
    """One roll-out: between which bounds the loss lay after each request, the stages, and how it ended."""
    rule, points = story.rule, story.points
    figure = Picture(figsize=(10.6, 4.4))
    axes = styled(figure.subplots(), x=_("requests answered by the new network"), y=_("loss of accuracy, points"))
    x, low, high = (points[name].to_numpy() for name in ("requests", "low", "high"))
    top = float(np.clip(max(2 * rule.harm + 2, 1.3 * high[-1]), LEAST, MOST))
    axes.set_ylim(-top / 2, top)
    axes.set_xlim(0, max(1.0, x[-1]) * 1.01)
    axes.fill_between(x, low, high, color=BAND, alpha=0.35, linewidth=0)
    axes.plot(x, high, color=BLUE, linewidth=1.8)
    axes.plot(x, low, color=RED, linewidth=1.8)
    axes.axhline(rule.harm, color=BLUE, linestyle="--", linewidth=1.2)
    axes.axhline(rule.tolerated, color=RED, linestyle="--", linewidth=1.2)
    _name_stages(axes, story, top)
    where, mark, colour = {
        "rolled back": (float(low[-1]), "v", RED),
        "rolled out": (float(high[-1]), "^", GREEN),
        "asked": (rule.harm, "s", QUIET),
    }[story.ended]
    place = min(max(where, -top / 2), top)
    axes.plot(x[-1], place, mark, color=colour, markersize=13, markeredgecolor="white", clip_on=False, zorder=5)
    handles = [
        *axes.plot([], [], color=BLUE, linewidth=1.8, label=_("the loss is at most this (requests of the stage)")),
        *axes.plot([], [], color=RED, linewidth=1.8, label=_("the loss is at least this (all requests)")),
        *axes.plot(
            [], [], "--", color=BLUE, label=_("goes on when the upper line falls below this ({harm:g})", harm=rule.harm)
        ),
        *axes.plot(
            [],
            [],
            "--",
            color=RED,
            label=_("goes back when the lower line rises above this ({tolerated:g})", tolerated=rule.tolerated),
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    key = story.ended.replace(" ", "_")
    told = {"share": 100 * story.stage, "requests": story.requests, "low": float(low[-1]), "high": float(high[-1])}
    figure.headline(text(f"rollout.picture.{key}", **told, harm=rule.harm, day=int(story.days) + 1))
    return figure


def _name_stages(axes: Axes, story: Timeline, top: float) -> None:
    """Where the stages begin, and their names where there is room."""
    points, width = story.points, axes.get_xlim()[1]
    began = 0.0
    for share in dict.fromkeys(points["stage"]):
        rows = points[points["stage"] == share]
        ended = float(rows["requests"].iloc[-1])
        if began:
            axes.axvline(began, color=INK, linewidth=1)
        days = _("to day {day:.0f}", day=int(rows["days"].iloc[-1]) + 1)
        name = _("{share:g} %", share=100 * share)
        room = (ended - began) / width
        if room > 0.045:
            said = f"{name}\n{days}" if room > 0.075 else name
            axes.text((began + ended) / 2, top * 0.97, said, ha="center", va="top", fontsize=TEXT, color=INK)
        began = ended


def requests_needed(found: Sequence[Caught]) -> Picture:
    """How many requests and true answers it takes to catch a loss, by its size: medians, and where 8 of 10 lie.

    Where more than half of the roll-outs do not catch a loss there is no point.
    """
    figure = Picture(figsize=(10.6, 4.8))
    left, right = figure.subplots(1, 2)
    ways = _ways(found)
    for axes, y in ((left, "until"), (right, "labels")):
        styled(axes, x=_("loss of the new network, points"), y="", title=text(f"rollout.axis.{y}"))
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({one.loss for one in found})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_locator(LogLocator(10))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for place, ((colour, mark), (name, several)) in enumerate(zip(_LOOKS, ways.items(), strict=False)):
        loss, low, median, high, labels = (
            np.array([getattr(one, key) for one in several]) for key in ("loss", "low", "median", "high", "labels")
        )
        most = max(one.rule.most * len(one.rule.stages) for one in several)
        shown = loss * 1.03 ** (place - (len(ways) - 1) / 2)  # beside each other
        look: dict[str, Any] = {"color": colour, "marker": mark, "markersize": 7, "linewidth": 2, "label": name}
        left.plot(shown, median, **look)
        left.vlines(shown, low, np.where(np.isnan(high), most, high), color=colour, linewidth=2, alpha=0.5)
        right.plot(shown, np.where(np.isnan(median), np.nan, labels), **look)
    ends = [end for one in found for end in (one.low, one.high) if np.isfinite(end)]
    left.set_ylim(min(ends, default=10) * 0.7, max(ends, default=1000) * 1.5)
    handles = left.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    figure.headline(_needed_headline(next(iter(ways.values()))))
    return figure


def kept_promises(found: Sequence[Caught]) -> Picture:
    """How roll-outs end that have no loss, and that have one that must not go through, beside what was promised."""
    groups = [[one for one in found if one.loss == 0], [one for one in found if one.loss > 0]]
    ways = [[wrapped(name, 18) for name in _ways(group)] for group in groups]
    figure = Picture(figsize=(10.6, 2.0 + 0.55 * max(map(len, ways))))
    for axes, group, names, wrong in zip(
        figure.subplots(1, 2, sharey=True), groups, ways, ("rolled_back", "rolled_out"), strict=True
    ):
        title = (
            _("The new network is as good as the old one")
            if wrong == "rolled_back"
            else _("The new network has a {loss:g}-point loss", loss=group[0].loss)
        )
        styled(axes, x=_("share of roll-outs, %"), y="", title=title)
        order = list(OUTCOMES) if wrong == "rolled_back" else list(OUTCOMES)[::-1]
        left = np.zeros(len(group))
        for how in order:
            share = np.array([100 * getattr(one, how) for one in group])
            axes.barh(names, share, left=left, color=OUTCOMES[how], height=0.6, label=text(f"rollout.ended.{how}"))
            left += share
        for row, one in enumerate(group):
            low, high = chance_interval(getattr(one, wrong), one.repeats)
            axes.plot([100 * low, 100 * high], [row, row], color=INK, linewidth=2)
        promised = 100 * (group[0].rule.false_alarm if wrong == "rolled_back" else group[0].rule.miss)
        axes.axvline(promised, color=INK, linestyle=":", linewidth=1.6)
        axes.annotate(
            _("promised: at most {share:g} % wrong", share=promised), (promised, -0.62), (5, 0),
            textcoords="offset points", fontsize=TEXT, color=INK, va="center",
        )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.9))
        axes.grid(visible=False, axis="y")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    errors = list(zip(groups, ("rolled_back", "rolled_out"), ("false_alarm", "miss"), strict=True))
    alarms, misses = (max(getattr(one, how) for one in group) for group, how, _ in errors)
    told: dict[str, Any] = {"alarms": 100 * alarms, "misses": 100 * misses}
    told |= {"promised": 100 * found[0].rule.false_alarm, "loss": groups[1][0].loss}
    kept = all(
        chance_interval(getattr(one, how), one.repeats)[0] <= getattr(one.rule, promise)
        for group, how, promise in errors
        for one in group
    )
    figure.headline(text("rollout.picture.kept" if kept else "rollout.picture.broken", **told))
    return figure


_LOOKS = ((BLUE, "o"), (SKY, "s"), (RED, "^"), (ORANGE, "v"), (GREEN, "D"))


def _ways(found: Sequence[Caught]) -> dict[str, list[Caught]]:
    """By the share of labels that arrives, in the order given; of each the losses from the smallest."""
    shares = list(dict.fromkeys(one.traffic.labelled for one in found))
    ordered = sorted(found, key=lambda one: (shares.index(one.traffic.labelled), one.loss))
    groups = groupby(ordered, lambda one: _("{labelled:g} % of the labels arrive", labelled=100 * one.traffic.labelled))
    return {name: list(group) for name, group in groups}


def _needed_headline(first: Sequence[Caught]) -> str:
    """About the loss nearest to 2 points."""
    caught = (one for one in first if np.isfinite(one.median))
    one = min(caught, key=lambda one: abs(one.loss - 2), default=None)
    if one is None:
        return _("None of these losses is caught in half of the roll-outs")
    return _(
        "A {loss:g}-point loss is caught after {median:,.0f} requests (nine times in ten within "
        "{high:,.0f}) and {labels:,.0f} true answers",
        loss=one.loss,
        median=one.median,
        high=one.high,
        labels=one.labels,
    )
