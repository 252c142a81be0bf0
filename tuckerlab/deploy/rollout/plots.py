"""Pictures of roll-outs: what was simulated in, a figure out."""

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from tuckerlab.deploy.rollout.simulate import Timeline
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, RED, GREEN, _pink, SKY, _orange = PALETTE
LEAST, MOST = 6.0, 12.0
"""Points of loss that the axis of a timeline shows at least and at most."""


def rollout_timeline(story: Timeline) -> Picture:
    """One roll-out: between which bounds the loss lay after each request, the stages, and how it ended."""
    rule, points = story.rule, story.points
    figure = Picture(figsize=(10.1, 4.4))
    axes = styled(figure.subplots(), x=_("requests answered by the new network"), y=_("loss of accuracy, points"))
    x, low, high = (points[name].to_numpy() for name in ("requests", "low", "high"))
    top, width = float(np.clip(max(2 * rule.harm + 2, 1.3 * high[-1]), LEAST, MOST)), max(1.0, x[-1]) * 1.01
    axes.set(xlim=(0, width), ylim=(-top / 2, top))
    goes_on = _("goes on when the upper line falls below this ({harm:g})", harm=rule.harm)
    goes_back = _("goes back when the lower line rises above this ({tolerated:g})", tolerated=rule.tolerated)
    axes.plot(x, high, color=BLUE, linewidth=1.8, label=_("the loss is at most this (requests of the stage)"))
    axes.plot(x, low, color=RED, linewidth=1.8, label=_("the loss is at least this (all requests)"))
    axes.axhline(rule.harm, color=BLUE, linestyle="--", linewidth=1.2, label=goes_on)
    axes.axhline(rule.tolerated, color=RED, linestyle="--", linewidth=1.2, label=goes_back)
    figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    axes.fill_between(x, low, high, color=SKY, alpha=0.35, linewidth=0)
    began = 0.0
    for share, ended in points.groupby("stage")["requests"].max().items():
        if began:
            axes.axvline(began, color=INK, linewidth=1)
        if ended - began > 0.045 * width:  # room for its name
            said = _("{share:g} %", share=100 * float(str(share)))
            axes.text((began + ended) / 2, top * 0.97, said, ha="center", va="top", fontsize=TEXT, color=INK)
        began = ended
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


def requests_needed(found: pd.DataFrame) -> Picture:
    """How many requests it takes to catch a loss, by its size (`compare_labels`): medians, and where 8 of 10 lie."""
    figure = Picture(figsize=(10.1, 4.8))
    requests = _("requests until it is rolled back")
    axes = styled(figure.subplots(), x=_("loss of the new network, points"), y=requests)
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set(major_locator=FixedLocator(sorted(set(found["loss"]))), minor_locator=NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    top = float(np.nanmax(found[["low", "median", "high"]])) * 1.5
    axes.set_ylim(found["low"].min() * 0.7, top)
    for place, share in enumerate(found["labelled"].unique()):
        rows, colour = found[found["labelled"] == share].sort_values("loss"), PALETTE[place]
        shown = rows["loss"] * 1.03**place  # beside each other
        label = _("{labelled:g} % of the labels arrive", labelled=100 * share)
        axes.plot(shown, rows["median"], label=label, color=colour, marker="os^vD"[place], markersize=7, linewidth=2)
        axes.vlines(shown, rows["low"], rows["high"].fillna(top), color=colour, linewidth=2, alpha=0.5)
    figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    caught = found[(found["labelled"] == found["labelled"].iloc[0]) & found["median"].notna()]
    if caught.empty:
        figure.headline(_("None of these losses is caught in half of the roll-outs"))
        return figure
    told = caught.loc[(caught["loss"] - 2).abs().idxmin(), ["loss", "median", "high", "labels"]].to_dict()
    figure.headline(_(
        "A {loss:g}-point loss is caught after {median:,.0f} requests (nine times in ten within {high:,.0f}) and "
        "{labels:,.0f} true answers", **told,
    ))  # fmt: skip
    return figure
