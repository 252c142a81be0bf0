"""The geometry panel: how far the singular values fall, and what two descents to a planted weight make of it."""

from collections.abc import Sequence
from functools import lru_cache

import ipywidgets
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tuckerlab.demos.planted_weight import LR, RANK, ordinary, planted, riemannian, spectrum
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, labelled, watch
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

STEPS = 150  # as many as one core takes in half a second
RATES = (0.05, LR, 0.5, 1.0, 3.0)
BLUE, RED = PALETTE[0], PALETTE[1]
BLOWN = 1e3  # where a curve that blew up ends in the picture
LOWEST = 10**-8.7  # of the axis of singular values


class GeometryPanel(Panel):
    """Move how far the singular values fall, and see ordinary gradient descent stall or blow up beside ours."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self.exponent = choice(
            _("Smallest singular value"),
            _("A weight is made of directions; its singular values say how strong each one is. The largest is 1 here."),
            4, [(ngettext("1 (all equal)", "1/{count:,.0f}", count=10**power), power) for power in range(9)],
        )  # fmt: skip
        self.lr = labelled(
            ipywidgets.Dropdown, _("Learning rate of ordinary descent"),
            _("How long the steps of ordinary descent are. The Riemannian step keeps 0.2."),
            value=LR, options=[(f"{lr:g}", lr) for lr in RATES],
        )  # fmt: skip
        self.sentence, self.terms = Line(), Line()
        self.terms.say(_(
            "Both methods look for the same small weight, stored as a core and factors (the thin matrices beside it), "
            "from the same start. A step is one correction of all its numbers. Ordinary descent corrects weak "
            "directions more slowly the weaker they are; the Riemannian step takes the shape of the factors into "
            "account and corrects all at one speed."
        ))  # fmt: skip
        self.picture = PictureBox(_(
            "Left: the singular values of the weight, falling from 1. Right: the error left after each step, "
            "with ordinary descent and with the Riemannian step, on logarithmic axes."
        ))  # fmt: skip
        self.children = [self.exponent, self.lr, self.sentence, self.picture, self.terms, self.alert]
        watch(self._show, self.exponent, self.lr)
        self._show()

    def _show(self, change: object = None) -> None:
        with self.reporting():
            smallest = 10.0**-self.exponent.value
            ours, theirs = _riemannian(smallest, self.steps), _ordinary(smallest, self.lr.value, self.steps)
            self.left = ours[-1] / ours[0], theirs[-1] / theirs[0]  # shares of the first error
            self.sentence.say(_said(self.steps, len(theirs), *(100 * share for share in self.left)))
            self.picture.show(draw(spectrum(smallest).tolist(), ours, theirs))


def _said(steps: int, end: int, ours: float, theirs: float) -> str:
    if end < steps:
        return _(
            "Ordinary descent blew up at step {end}: its steps were too long. After {steps} steps the Riemannian step "
            "has {ours:.2g} % of its first error left.",
            end=end, steps=steps, ours=ours,
        )  # fmt: skip
    return _(
        "After {steps} steps ordinary descent has {theirs:.2g} % of its first error left; the Riemannian step has "
        "{ours:.2g} %.",
        steps=steps, ours=ours, theirs=theirs,
    )  # fmt: skip


@lru_cache
def _riemannian(smallest: float, steps: int) -> list[float]:
    return riemannian(planted(smallest), steps)


@lru_cache
def _ordinary(smallest: float, lr: float, steps: int) -> list[float]:
    return ordinary(planted(smallest), steps, lr)


def draw(values: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> Picture:
    """Left the singular values, right both losses by step; a curve of `theirs` that is shorter has blown up."""
    figure = Picture(figsize=(10.1, 4.1), layout="none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.14, "top": 0.925, "wspace": 0.16}
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.75), gridspec_kw=margins)
    styled(left, x=_("direction"), y="", title=_("singular value: strength of each direction"))
    left.set(yscale="log", ylim=(LOWEST, 3.0), xlim=(0.2, RANK + 0.8))
    left.bar(range(1, len(values) + 1), [value - LOWEST for value in values], bottom=LOWEST, width=0.6, color=QUIET)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(visible=False, axis="x")
    styled(right, x=_("step"), y="", title=_("error at each step (squared, relative)"))
    right.set(xscale="log", yscale="log", xlim=(1, 1.15 * len(ours)), ylim=(1e-18, 1e5))
    right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.xaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
    for losses, style, colour, label in (
        (theirs, "--", RED, _("ordinary descent")), (ours, "-", BLUE, _("Riemannian step")),
    ):  # fmt: skip
        shown = [min(loss, BLOWN) for loss in losses]
        right.plot(range(1, len(losses) + 1), shown, style, color=colour, linewidth=2.5, label=label)
    if len(theirs) < len(ours):
        last = len(theirs), min(theirs[-1], BLOWN)
        right.plot(*last, "X", color=RED, markersize=13, clip_on=False)
        said = _("blew up at step {steps:.0f}", steps=len(theirs))
        right.annotate(said, last, (13, -3), textcoords="offset points", va="center", fontsize=TEXT, color=INK)
    right.legend(loc="lower left", fontsize=TEXT, frameon=False)
    return figure
