"""The panels on geometry: two descents to a planted weight whose singular values fall, and how a true rank is found."""

from collections.abc import Sequence
from functools import lru_cache

import ipywidgets
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tuckerlab.demos.planted_ranks import CYCLE_RANK, TAU, Path, follow
from tuckerlab.demos.planted_weight import LR, RANK, ordinary, planted, riemannian, spectrum
from tuckerlab.i18n import _
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, labelled, watch
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, RED = PALETTE[:2]
STEPS = 150  # as many as one core takes in half a second
RATES = (0.05, LR, 0.5, 1.0, 3.0)
BLOWN = 1e3  # where a curve that blew up ends in the picture
LOWEST = 10**-8.7  # of the axis of singular values
CYCLES = (1, 2, 5, 10, 20, 50)
FIRST = (2, 20)  # the ranks to start from: too small, and too large
ROUNDING = 1e-13  # smaller errors are drawn here


class GeometryPanel(Panel):
    """Move how far the singular values fall, and see ordinary gradient descent stall or blow up beside ours."""

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self.exponent = choice(
            _("Smallest singular value"),
            _("A weight is made of directions; its singular values say how strong each one is. The largest is 1 here."),
            4, [(_("1/{count:,.0f}", count=10**power) if power else _("1 (all equal)"), power) for power in range(9)],
        )  # fmt: skip
        self.stops = self.exponent, (0, 2, 4, 8)
        self.lr = labelled(
            ipywidgets.Dropdown, _("Learning rate of ordinary descent"),
            _("How long the steps of ordinary descent are. The Riemannian step keeps 0.2."),
            value=LR, options=[(f"{lr:g}", lr) for lr in RATES],
        )  # fmt: skip
        self.sentence = Line()
        self.terms = Line(_(
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
            ours, theirs = _errors(smallest, self.steps), _errors(smallest, self.steps, self.lr.value)
            self.left = ours[-1] / ours[0], theirs[-1] / theirs[0]  # shares of the first error
            self.sentence.say(_said(self.steps, len(theirs), *map(_percent, self.left)))
            self.picture.show(draw_descents(spectrum(smallest).tolist(), ours, theirs))


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share > 1e-5 else "<0.001"


def _said(steps: int, end: int, ours: str, theirs: str) -> str:
    if end < steps:
        return _(
            "Ordinary descent blew up at step {end}: its steps were too long. After {steps} steps the Riemannian step "
            "has {ours} % of its first error left.",
            end=end, steps=steps, ours=ours,
        )  # fmt: skip
    return _(
        "After {steps} steps ordinary descent has {theirs} % of its first error left; the Riemannian step has "
        "{ours} %.",
        steps=steps, ours=ours, theirs=theirs,
    )  # fmt: skip


@lru_cache
def _errors(smallest: float, steps: int, lr: float | None = None) -> list[float]:
    """Of ordinary descent at a learning rate; without one, of ours."""
    task = planted(spectrum(smallest))
    return riemannian(task, steps) if lr is None else ordinary(task, steps, lr)


def draw_descents(values: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> Picture:
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
    right.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_locator=NullLocator())
    for axes in (left, right):
        axes.yaxis.set(major_locator=LogLocator(numticks=8), minor_locator=NullLocator())
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


class CyclePanel(Panel):
    """Move how often the ranks adapt, and see whether a layer that starts too small finds the true rank."""

    def __init__(self) -> None:
        super().__init__()
        self.each_step = _paths(1)
        self.every = choice(
            _("Steps between two adaptations"),
            _("After so many steps the layer is cut to the tolerance, and then grows by new directions, on trial until "
              "the next time."),
            20, [(str(every) if every > 1 else _("1 (every step)"), every) for every in CYCLES],
        )  # fmt: skip
        self.stops = self.every, (1, 5, 20)
        self.sentence = Line()
        self.terms = Line(_(
            "The true rank is {true:.0f}. Both layers live under a tolerance of {tau:.0%}: what makes up less of the "
            "weight is cut off. A new direction starts from nothing, so after one step it is still smaller than that.",
            true=CYCLE_RANK, tau=TAU,
        ))  # fmt: skip
        self.picture = PictureBox(_(
            "Left: the rank that the tolerance keeps, step by step, from a rank that is too small and from one that is "
            "too large. Right: the error of the weight on a logarithmic axis. Cut at every step, and in the chosen "
            "cycle."
        ))  # fmt: skip
        self.children = [self.every, self.sentence, self.picture, self.terms, self.alert]
        watch(self._show, self.every)
        self._show()

    def _show(self, change: object = None) -> None:
        with self.reporting():
            self.chosen = _paths(self.every.value)
            self.sentence.say(_(
                "From rank {first:.0f}, adapted every {every:.0f} steps, the layer comes to rank {rank:.0f}; cut at "
                "every step it ends at rank {cut:.0f}. The true rank is {true:.0f}.",
                first=FIRST[0], every=self.every.value, rank=self.chosen[0].found, cut=self.each_step[0].found,
                true=CYCLE_RANK,
            ))  # fmt: skip
            self.picture.show(draw_paths(self.each_step, self.chosen))


@lru_cache
def _paths(every: int) -> tuple[Path, ...]:
    return tuple(follow(every, first) for first in FIRST)


def draw_paths(each_step: Sequence[Path], chosen: Sequence[Path]) -> Picture:
    """Left the rank within the tolerance before each step, right the error; of each the path from below comes first."""
    figure = Picture(figsize=(10.1, 4.3), layout="none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.24, "top": 0.97, "wspace": 0.18}
    left, right = figure.subplots(1, 2, gridspec_kw=margins)
    styled(left, x=_("step"), y=_("rank within the tolerance"))
    styled(right, x=_("step"), y=_("error (squared, relative)"))
    groups = [(RED, _("cut at every step"), each_step)]
    if chosen[0].every != 1:
        groups.append((BLUE, _("cycle of {count:.0f} steps", count=chosen[0].every), chosen))
    for colour, name, paths in groups:
        below, above = _("{name}, from too small a rank", name=name), _("{name}, from too large a rank", name=name)
        for label, style, path in zip((below, above), ("-", "--"), paths, strict=True):
            left.plot(path.ranks, style, color=colour, linewidth=2.2, drawstyle="steps-post")
            errors = [max(loss, ROUNDING) for loss in path.losses]
            right.plot(errors, style, color=colour, linewidth=2.2, label=label)
    left.axhline(CYCLE_RANK, color=INK, linewidth=1, linestyle=":")
    left.text(1, CYCLE_RANK, _("true rank {rank:.0f}", rank=CYCLE_RANK), transform=left.get_yaxis_transform(),
              ha="right", va="bottom", fontsize=TEXT, color=INK)  # fmt: skip
    left.set_ylim(bottom=0)
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(yscale="log", ylim=(ROUNDING / 10, 100))
    figure.legend(loc="lower center", ncols=2, fontsize=TEXT, frameon=False)
    return figure
