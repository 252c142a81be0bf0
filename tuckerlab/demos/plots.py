"""What notebooks 01 and 04 draw: the Tucker format, and what ordinary descent on core and factors is compared in."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from tuckerlab.demos.digits_descent import Descent
from tuckerlab.demos.planted_ranks import RACE_RANK
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, TITLE, Picture, styled

BLUE, RED, PINK = PALETTE[0], PALETTE[1], PALETTE[3]
LINE = 2.2
SHARE = 0.25  # of each side of the block, in the picture of the format


def format_picture() -> Picture:
    """One large block of weights, and the core with two factors that stand for it; areas are numbers of weights."""
    figure = Picture(figsize=(8.2, 3.1))
    axes = figure.subplots()
    axes.set(xlim=(-0.05, 3.1), ylim=(-0.22, 1.2), aspect="equal")
    axes.axis("off")
    left, top = 1.35, 1 - SHARE
    end = left + SHARE + 0.08
    for x, y, width, height, colour, name, ink in (
        (0, 0, 1, 1, "#d9d9d9", _("weights"), INK),
        (left, 0, SHARE, 1, PALETTE[4], _("factor"), INK),
        (end, top, SHARE, SHARE, BLUE, _("core"), "white"),
        (end + SHARE + 0.08, top, 1, SHARE, PALETTE[4], _("factor"), INK),
    ):
        axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=INK, linewidth=1))
        axes.text(x + width / 2, y + height / 2, name, fontsize=TEXT, ha="center", va="center", color=ink,
                  rotation=90 if height > width else 0)  # fmt: skip
    axes.text(1.16, 0.5, "=", fontsize=24, ha="center", va="center", color=INK)
    axes.annotate("", (end + SHARE, top - 0.09), (end, top - 0.09), arrowprops={"arrowstyle": "<->", "color": QUIET})
    axes.text(end + SHARE / 2, top - 0.24, _("rank"), fontsize=TEXT, ha="center", va="center", color=INK)
    axes.text(0, 1.08, _("as usual"), fontsize=TITLE, color=INK, weight="bold")
    axes.text(left, 1.08, _("small from the start"), fontsize=TITLE, color=INK, weight="bold")
    kept = _("{kept:.0f} % of the numbers, at this rank", kept=100 * (2 * SHARE + SHARE**2))
    axes.text(0, -0.14, _("{value} %", value=100), fontsize=TEXT, color=INK)
    axes.text(left, -0.14, kept, fontsize=TEXT, color=INK)
    return figure


def overestimation(races: pd.DataFrame) -> Picture:
    """Steps needed against the rank of the layer, for each fall of the true singular values; crosses: not arrived."""
    steps, falls = races["steps"].max(), races["fall"].unique()
    figure = Picture(figsize=(5.2 * len(falls), 4.4))
    for axes, fall in zip(figure.subplots(1, len(falls), sharey=True, squeeze=False)[0], falls, strict=True):
        title = _("each true singular value 1/{times:g} of the one before", times=fall)
        if fall == 1:
            title = _("true singular values all equal")
        styled(axes, x=_("rank of the layer (the true rank is {rank:.0f})", rank=RACE_RANK), y="", title=title)
        found = races[races["fall"] == fall].set_index(races["rank"].astype(str)[races["fall"] == fall])
        for column, style, colour in (("ours", "o-", BLUE), ("ordinary", "s", RED)):
            needed = found[column]
            axes.plot(needed.index, needed, style, color=colour, linewidth=LINE, markersize=10)
            axes.plot(needed.index, needed.isna().map({True: 1.08 * steps}), "X", color=colour, markersize=10)
        axes.axhline(steps, color=QUIET, linewidth=1, linestyle=":")
        axes.set(ylim=(0, 1.2 * steps))
    figure.axes[0].set_ylabel(_("steps to an error of 10⁻⁶"), fontsize=TEXT, color=INK)
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=9, linewidth=LINE, label=_("Riemannian step")),
        Line2D([], [], color=RED, marker="s", markersize=9, linestyle="",
               label=_("ordinary descent, at its best learning rate")),
        Line2D([], [], color=RED, marker="X", markersize=9, linestyle="",
               label=_("not there within {steps:.0f} steps", steps=steps)),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    figure.headline(_(
        "Within {steps:.0f} steps the Riemannian step is there in {arrived:.0f} of {races:.0f} cases; ordinary "
        "descent is not in {lost:.0f} of them.",
        steps=steps, arrived=races["ours"].count(), races=len(races), lost=races["ordinary"].isna().sum(),
    ))  # fmt: skip
    return figure


def loss_descent(ours: Sequence[Descent], theirs: Sequence[Descent]) -> Picture:
    """The loss at the highest learning rate, and of ordinary descent at its best."""
    highest, best = theirs[-1], min(theirs, key=lambda descent: descent.losses[-1])
    figure = _losses(
        (ours[-1], "-", BLUE, _("Riemannian step, learning rate {lr:g}", lr=ours[-1].lr)),
        (highest, "--", RED, _("ordinary descent, {lr:g}", lr=highest.lr)),
        (best, ":", PINK, _("ordinary descent, {lr:g} (its best)", lr=best.lr)),
    )
    figure.headline(_(
        "Learning rate {lr:g}: ordinary descent ends at a loss of {theirs:.2g} and rose after {their_risen:.0f} % of "
        "its steps, ours at {ours:.2g} and after {risen:.0f} %. At its own best rate ordinary descent ends at "
        "{best:.2g}.",
        lr=highest.lr, ours=ours[-1].losses[-1], theirs=highest.losses[-1], best=best.losses[-1],
        risen=100 * ours[-1].risen, their_risen=100 * highest.risen,
    ))  # fmt: skip
    return figure


def gradient_evaluations(one: Descent, two: Descent) -> Picture:
    """The loss against gradient evaluations: our step, and the one of two gradients."""
    names = _("one gradient (ours)"), _("two gradients (published)")
    figure = _losses((one, "-", BLUE, names[0]), (two, "--", RED, names[1]))
    steps = len(one.losses)
    figure.headline(_(
        "After {steps:.0f} steps the loss is {one:.2g} with one gradient a step and {two:.2g} with two, for "
        "{evaluations:.0f} and {more:.0f} evaluations. A step of two takes {times:.1f} times as long.",
        steps=steps, one=one.losses[-1], two=two.losses[steps - 1], evaluations=steps, more=two.gradients * steps,
        times=two.seconds / one.seconds,
    ))  # fmt: skip
    return figure


def _losses(*curves: tuple[Descent, str, str, str]) -> Picture:
    """Descents against gradient evaluations, each with its style, colour and name."""
    figure = Picture(figsize=(8.8, 4.2))
    axes = styled(figure.subplots(), x=_("gradient evaluations"), y=_("loss"))
    for descent, style, colour, label in curves:
        counted = [descent.gradients * step for step in range(len(descent.losses))]
        axes.plot(counted, descent.losses, style, color=colour, linewidth=LINE, label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    figure.legend(loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    return figure
