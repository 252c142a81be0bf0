"""Pictures of roll-outs: what was simulated in, a figure out, with a headline that the numbers make."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from tuckerlab.deploy.rollout.power import Caught, chance_interval
from tuckerlab.deploy.rollout.simulate import Timeline
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled, wrapped

BLUE, RED, GREEN, *_rest, SKY, ORANGE = PALETTE
BAND = "#56B4E9"
LEAST, MOST = 6.0, 12.0
"""Points of loss that the axis of a timeline shows at least and at most."""

_LOOKS = ((BLUE, "o"), (SKY, "s"), (RED, "^"), (ORANGE, "v"), (GREEN, "D"))


def rollout_timeline(story: Timeline) -> Picture:
    """One roll-out: between which bounds the loss lay after each request, the stages, and how it ended."""
    rule, points = story.rule, story.points
    figure = Picture(figsize=(10.6, 4.4))
    axes = styled(figure.subplots(), x=_("requests answered by the new network"), y=_("loss of accuracy, points"))
    x, low, high = (points[name].to_numpy() for name in ("requests", "low", "high"))
    top = float(np.clip(max(2 * rule.harm + 2, 1.3 * high[-1]), LEAST, MOST))
    axes.set(xlim=(0, max(1.0, x[-1]) * 1.01), ylim=(-top / 2, top))
    goes_on = _("goes on when the upper line falls below this ({harm:g})", harm=rule.harm)
    goes_back = _("goes back when the lower line rises above this ({tolerated:g})", tolerated=rule.tolerated)
    handles = [
        *axes.plot(x, high, color=BLUE, linewidth=1.8, label=_("the loss is at most this (requests of the stage)")),
        *axes.plot(x, low, color=RED, linewidth=1.8, label=_("the loss is at least this (all requests)")),
        axes.axhline(rule.harm, color=BLUE, linestyle="--", linewidth=1.2, label=goes_on),
        axes.axhline(rule.tolerated, color=RED, linestyle="--", linewidth=1.2, label=goes_back),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    axes.fill_between(x, low, high, color=BAND, alpha=0.35, linewidth=0)
    _name_stages(axes, story, top)
    told = {"share": 100 * story.stage, "requests": story.requests}
    if story.ended == "rolled back":
        where, mark, colour = float(low[-1]), "v", RED
        said = _(
            "Rolled back in the {share:g} % stage after {requests:,.0f} requests: the loss is at least {low:.1f} "
            "points", **told, low=where,
        )  # fmt: skip
    elif story.ended == "rolled out":
        where, mark, colour = float(high[-1]), "^", GREEN
        said = _(
            "Rolled out to all after {requests:,.0f} checked requests, on day {day:.0f}: each stage showed a loss "
            "below {harm:g}", **told, harm=rule.harm, day=int(story.days) + 1,
        )  # fmt: skip
    else:
        where, mark, colour = rule.harm, "s", QUIET
        said = _(
            "A person decides in the {share:g} % stage after {requests:,.0f} requests: the loss may still be "
            "{high:.1f} points", **told, high=float(high[-1]),
        )  # fmt: skip
    where = min(max(where, -top / 2), top)
    axes.plot(x[-1], where, mark, color=colour, markersize=13, markeredgecolor="white", clip_on=False, zorder=5)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    figure.headline(said)
    return figure


def _name_stages(axes: Axes, story: Timeline, top: float) -> None:
    """Where the stages begin, and their names where there is room."""
    width, began = axes.get_xlim()[1], 0.0
    for share in story.points["stage"].unique():
        rows = story.points[story.points["stage"] == share]
        ended = float(rows["requests"].iloc[-1])
        if began:
            axes.axvline(began, color=INK, linewidth=1)
        said = _("{share:g} %", share=100 * share)
        if ended - began > 0.075 * width:
            said += "\n" + _("to day {day:.0f}", day=int(rows["days"].iloc[-1]) + 1)
        if ended - began > 0.045 * width:
            axes.text((began + ended) / 2, top * 0.97, said, ha="center", va="top", fontsize=TEXT, color=INK)
        began = ended


def requests_needed(found: Sequence[Caught]) -> Picture:
    """How many requests and true answers it takes to catch a loss, by its size: medians, and where 8 of 10 lie.

    Where more than half of the roll-outs do not catch a loss there is no point.
    """
    figure = Picture(figsize=(10.6, 4.8))
    left, right = figure.subplots(1, 2)
    titles = (
        _("Requests that the new network answers until it is rolled back"),
        _("True answers that are needed for it"),
    )
    for axes, title in zip((left, right), titles, strict=True):
        styled(axes, x=_("loss of the new network, points"), y="", title=title)
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({one.loss for one in found})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_major_locator(LogLocator(10))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    ways = _by_labels(found)
    for place, ((colour, mark), (name, several)) in enumerate(zip(_LOOKS, ways.items(), strict=False)):
        loss, low, median, high, labels = (
            np.array([getattr(one, key) for one in several]) for key in ("loss", "low", "median", "high", "labels")
        )
        most = max(one.rule.most * len(one.rule.stages) for one in several)
        shown = loss * 1.03 ** (place - (len(ways) - 1) / 2)  # beside each other
        left.plot(shown, median, color=colour, marker=mark, markersize=7, linewidth=2, label=name)
        left.vlines(shown, low, np.where(np.isnan(high), most, high), color=colour, linewidth=2, alpha=0.5)
        needed = np.where(np.isnan(median), np.nan, labels)
        right.plot(shown, needed, color=colour, marker=mark, markersize=7, linewidth=2)
    ends = [end for one in found for end in (one.low, one.high) if np.isfinite(end)]
    left.set_ylim(min(ends, default=10) * 0.7, max(ends, default=1000) * 1.5)
    figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    caught = [one for one in next(iter(ways.values())) if np.isfinite(one.median)]
    if not caught:
        figure.headline(_("None of these losses is caught in half of the roll-outs"))
        return figure
    told = min(caught, key=lambda one: abs(one.loss - 2))
    figure.headline(_(
        "A {loss:g}-point loss is caught after {median:,.0f} requests (nine times in ten within {high:,.0f}) and "
        "{labels:,.0f} true answers", loss=told.loss, median=told.median, high=told.high, labels=told.labels,
    ))  # fmt: skip
    return figure


def kept_promises(found: Sequence[Caught]) -> Picture:
    """How roll-outs end that have no loss, and that have one that must not go through, beside what was promised."""
    fine, harmed = [one for one in found if one.loss == 0], [one for one in found if one.loss > 0]
    rule, loss = found[0].rule, harmed[0].loss
    outcomes = [
        ("rolled_back", _("rolled back"), RED),
        ("asked", _("left to a person"), "#bdbdbd"),
        ("rolled_out", _("rolled out to all"), GREEN),
    ]
    kinds = (
        (_("The new network is as good as the old one"), fine, rule.false_alarm, outcomes),
        (_("The new network has a {loss:g}-point loss", loss=loss), harmed, rule.miss, outcomes[::-1]),
    )
    figure = Picture(figsize=(10.6, 2.0 + 0.55 * max(len(_by_labels(fine)), len(_by_labels(harmed)))))
    worst, kept = [], True
    for axes, (title, group, promised, order) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
        styled(axes, x=_("share of roll-outs, %"), y="", title=title)
        names, left = [wrapped(name, 18) for name in _by_labels(group)], np.zeros(len(group))
        for how, label, colour in order:
            share = np.array([100 * getattr(one, how) for one in group])
            axes.barh(names, share, left=left, color=colour, height=0.6, label=label)
            left += share
        wrong = [getattr(one, order[0][0]) for one in group]
        for row, (share, one) in enumerate(zip(wrong, group, strict=True)):
            low, high = chance_interval(share, one.repeats)
            axes.plot([100 * low, 100 * high], [row, row], color=INK, linewidth=2)
            kept = kept and low <= promised
        worst.append(100 * max(wrong))
        axes.axvline(100 * promised, color=INK, linestyle=":", linewidth=1.6)
        axes.annotate(
            _("promised: at most {share:g} % wrong", share=100 * promised), (100 * promised, -0.62), (5, 0),
            textcoords="offset points", fontsize=TEXT, color=INK, va="center",
        )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.9))
        axes.grid(visible=False, axis="y")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    told = {"alarms": worst[0], "misses": worst[1], "promised": 100 * rule.false_alarm, "loss": loss}
    figure.headline(
        _(
            "At most {alarms:.1f} % cry wolf and {misses:.1f} % let a {loss:g}-point loss through; at most "
            "{promised:g} % were promised", **told,
        )
        if kept
        else _(
            "The promise is not kept: {alarms:.1f} % cry wolf and {misses:.1f} % let a {loss:g}-point loss through; at "
            "most {promised:g} % were promised", **told,
        )
    )  # fmt: skip
    return figure


def _by_labels(found: Sequence[Caught]) -> dict[str, list[Caught]]:
    """By the share of labels that arrives, in the order given; of each the losses from the smallest."""
    shares = list(dict.fromkeys(one.labelled for one in found))
    ordered = sorted(found, key=lambda one: (shares.index(one.labelled), one.loss))
    groups = groupby(ordered, lambda one: one.labelled)
    return {_("{labelled:g} % of the labels arrive", labelled=100 * share): list(group) for share, group in groups}
