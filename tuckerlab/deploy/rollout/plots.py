"""Pictures of roll-outs: what was simulated in, a figure out."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from tuckerlab.deploy.rollout.simulate import Timeline
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled, wrapped

BLUE, RED, GREEN, *_rest, SKY, ORANGE = PALETTE
LEAST, MOST = 6.0, 12.0
"""Points of loss that the axis of a timeline shows at least and at most."""

LOOKS = ((BLUE, "o"), (SKY, "s"), (RED, "^"), (ORANGE, "v"), (GREEN, "D"))


def rollout_timeline(story: Timeline) -> Picture:
    """One roll-out: between which bounds the loss lay after each request, the stages, and how it ended."""
    rule, points = story.rule, story.points
    figure = Picture(figsize=(10.1, 4.4))
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
    axes.fill_between(x, low, high, color=SKY, alpha=0.35, linewidth=0)
    _name_stages(axes, story, top)
    where, mark, colour = {
        "rolled back": (low[-1], "v", RED),
        "rolled out": (high[-1], "^", GREEN),
        "asked": (rule.harm, "s", QUIET),
    }[story.end.ended]
    where = min(max(where, -top / 2), top)
    axes.plot(x[-1], where, mark, color=colour, markersize=13, markeredgecolor="white", clip_on=False, zorder=5)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
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


def requests_needed(found: pd.DataFrame) -> Picture:
    """How many requests and true answers it takes to catch a loss, by its size: medians, and where 8 of 10 lie.

    `found` is what `compare_labels` has found. Where more than half of the roll-outs do not catch a loss there is no
    point.
    """
    figure = Picture(figsize=(10.1, 4.8))
    left, right = figure.subplots(1, 2)
    titles = (
        _("Requests that the new network answers until it is rolled back"),
        _("True answers that are needed for it"),
    )
    for axes, title in zip((left, right), titles, strict=True):
        styled(axes, x=_("loss of the new network, points"), y="", title=title)
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(found["loss"]))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_major_locator(LogLocator(10))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    shares = found["labelled"].unique()
    for place, ((colour, mark), share) in enumerate(zip(LOOKS, shares, strict=False)):
        rows = found[found["labelled"] == share].sort_values("loss")
        line = {"color": colour, "marker": mark, "markersize": 7, "linewidth": 2}
        shown = rows["loss"] * 1.03 ** (place - (len(shares) - 1) / 2)  # beside each other
        left.plot(shown, rows["median"], label=_arrive(share), **line)
        most = (rows["most"] * rows["stages"].map(len)).max()
        left.vlines(shown, rows["low"], rows["high"].fillna(most), color=colour, linewidth=2, alpha=0.5)
        right.plot(shown, rows["labels"].where(rows["median"].notna()), **line)
    left.set_ylim(found["low"].min() * 0.7, np.nanmax(found[["low", "high"]]) * 1.5)
    figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    caught = found[(found["labelled"] == shares[0]) & found["median"].notna()]
    if caught.empty:
        figure.headline(_("None of these losses is caught in half of the roll-outs"))
        return figure
    told = caught.loc[(caught["loss"] - 2).abs().idxmin(), ["loss", "median", "high", "labels"]].to_dict()
    figure.headline(_(
        "A {loss:g}-point loss is caught after {median:,.0f} requests (nine times in ten within {high:,.0f}) and "
        "{labels:,.0f} true answers", **told,
    ))  # fmt: skip
    return figure


def kept_promises(found: pd.DataFrame) -> Picture:
    """How roll-outs end that have no loss, and that have one that must not go through, beside what was promised."""
    from scipy.stats import binomtest  # slow to import

    fine, harmed = found[found["loss"] == 0], found[found["loss"] > 0]
    loss, promised = harmed["loss"].iloc[0], found["false_alarm"].iloc[0]
    outcomes = [
        ("rolled_back", _("rolled back"), RED),
        ("asked", _("left to a person"), "#bdbdbd"),
        ("rolled_out", _("rolled out to all"), GREEN),
    ]
    kinds = (
        (_("The new network is as good as the old one"), fine, "false_alarm", outcomes),
        (_("The new network has a {loss:g}-point loss", loss=loss), harmed, "miss", outcomes[::-1]),
    )
    figure = Picture(figsize=(10.1, 2.0 + 0.55 * len(fine)))
    worst, kept = [], True
    for axes, (title, rows, chance, order) in zip(figure.subplots(1, 2, sharey=True), kinds, strict=True):
        styled(axes, x=_("share of roll-outs, %"), y="", title=title)
        names, left = [wrapped(_arrive(share), 18) for share in rows["labelled"]], np.zeros(len(rows))
        for how, label, colour in order:
            axes.barh(names, 100 * rows[how], left=left, color=colour, height=0.6, label=label)
            left += 100 * rows[how].to_numpy()
        allowed, wrong = rows[chance].iloc[0], rows[order[0][0]]
        for place, (share, repeats) in enumerate(zip(wrong, rows["repeats"], strict=True)):
            interval = binomtest(round(share * repeats), repeats).proportion_ci(0.95, method="wilson")
            axes.plot([100 * interval.low, 100 * interval.high], [place, place], color=INK, linewidth=2)
            kept = kept and interval.low <= allowed
        worst.append(100 * wrong.max())
        axes.axvline(100 * allowed, color=INK, linestyle=":", linewidth=1.6)
        axes.annotate(
            _("promised: at most {share:g} % wrong", share=100 * allowed), (100 * allowed, -0.62), (5, 0),
            textcoords="offset points", fontsize=TEXT, color=INK, va="center",
        )  # fmt: skip
        axes.set(xlim=(0, 100), ylim=(len(names) - 0.5, -0.9))
        axes.grid(visible=False, axis="y")
    handles = figure.axes[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    said = N_(
        "At most {alarms:.1f} % cry wolf and {misses:.1f} % let a {loss:g}-point loss through; at most {promised:g} % "
        "were promised"
    )
    if not kept:
        said = N_(
            "The promise is not kept: {alarms:.1f} % cry wolf and {misses:.1f} % let a {loss:g}-point loss through; at "
            "most {promised:g} % were promised"
        )
    figure.headline(_(said, alarms=worst[0], misses=worst[1], promised=100 * promised, loss=loss))
    return figure


def _arrive(share: float) -> str:
    return _("{labelled:g} % of the labels arrive", labelled=100 * share)
