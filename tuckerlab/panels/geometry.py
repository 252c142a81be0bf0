"""The geometry panel: how far the singular values fall, and what two descents to a planted weight make of it."""

import math
from collections.abc import Sequence
from functools import lru_cache

import ipywidgets
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from tuckerlab.demos.planted_weight import LR, RANK, ordinary, planted, riemannian, spectrum
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, labelled, watch
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

STEPS = 150  # as many as one core takes in half a second
RATES = (0.05, LR, 0.5, 1.0, 3.0)
ALIKE = 10.0  # errors within this factor of each other count as alike

BLUE, RED = PALETTE[0], PALETTE[1]
LOSSES = (1e-18, 1e5)
BLOWN = 1e3  # where a curve that blew up ends in the picture
LOWEST = 10**-8.7  # of the axis of singular values
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PERCENT = 1e-4  # the least share that is said in per cent

SAYS = {
    "slower": N_(
        "After {steps} steps ordinary descent still has {theirs} of its first error; the Riemannian step has {ours}."
    ),
    "diverged": N_(
        "Ordinary descent blew up at step {end}: its steps were too long. After {steps} steps the Riemannian step has "
        "{ours} of its first error left."
    ),
    "ahead": N_(
        "Here ordinary descent is ahead: after {steps} steps it has {theirs} of its first error left, the Riemannian "
        "step {ours}."
    ),
    "alike": N_(
        "Here both do alike: after {steps} steps ordinary descent has {theirs} of its first error left, the Riemannian "
        "step {ours}."
    ),
}
"""By the verdict."""


class GeometryPanel(Panel):
    """Move how far the singular values fall, and see ordinary gradient descent stall or blow up beside ours.

    `ours` and `theirs` are the losses of the Riemannian step and of ordinary descent: fewer where that blew up.
    """

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

    @property
    def left(self) -> tuple[float, float]:
        """The shares of the first error that are left: with the Riemannian step, and with ordinary descent."""
        return self.ours[-1] / self.ours[0], self.theirs[-1] / self.theirs[0]

    @property
    def verdict(self) -> str:
        """How ordinary descent fares: "diverged", "slower", "ahead" or "alike"."""
        if len(self.theirs) < self.steps:
            return "diverged"
        ours, theirs = self.left
        return "slower" if theirs > ALIKE * ours else "ahead" if ours > ALIKE * theirs else "alike"

    def _show(self, change: object = None) -> None:
        with self.reporting():
            self.ours = _riemannian(self.exponent.value, self.steps)
            self.theirs = _ordinary(self.exponent.value, self.lr.value, self.steps)
            ours, theirs = (share(value) for value in self.left)
            told = {"steps": self.steps, "ours": ours, "theirs": theirs, "end": len(self.theirs)}
            self.sentence.say(_(SAYS[self.verdict], **told))
            self.picture.show(draw(spectrum(10.0**-self.exponent.value).tolist(), self.ours, self.theirs))


@lru_cache
def _riemannian(exponent: int, steps: int) -> tuple[float, ...]:
    return tuple(riemannian(planted(10.0**-exponent), steps))


@lru_cache
def _ordinary(exponent: int, lr: float, steps: int) -> tuple[float, ...]:
    return tuple(ordinary(planted(10.0**-exponent), steps, lr))


def share(value: float) -> str:
    """A share of the first error, in per cent or as a power of ten."""
    if value >= PERCENT:
        return _("{value:.2g} %", value=100 * value)
    exponent = str(round(math.log10(value))) if value else "-∞"
    return f"10{exponent.translate(SUPERSCRIPT)}"


def draw(values: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> Picture:
    """Left the singular values, right both losses by step; a curve of `theirs` that is shorter has blown up."""
    figure = Picture(figsize=(10.1, 4.1))
    figure.set_layout_engine("none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.14, "top": 0.925, "wspace": 0.16}
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.75), gridspec_kw=margins)
    styled(left, x=_("direction"), y="", title=_("singular value: strength of each direction"))
    left.set(yscale="log", ylim=(LOWEST, 3.0), xlim=(0.2, RANK + 0.8))
    left.bar(range(1, len(values) + 1), [value - LOWEST for value in values], bottom=LOWEST, width=0.6, color=QUIET)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(visible=False, axis="x")
    _powers(left, range(-8, 1, 2))

    styled(right, x=_("step"), y="", title=_("error at each step (squared, relative)"))
    right.set(xscale="log", yscale="log", xlim=(1, 1.15 * len(ours)), ylim=LOSSES)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= len(ours)]
    right.set_xticks(ticks, [str(tick) for tick in ticks])
    right.xaxis.set_minor_locator(NullLocator())
    _powers(right, range(-18, 4, 3))
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


def _powers(axes: Axes, exponents: range) -> None:
    """Ticks at powers of ten."""
    axes.set_yticks([10.0**n for n in exponents], [f"$10^{{{n}}}$" if n else "1" for n in exponents])
    axes.yaxis.set_minor_locator(NullLocator())
