"""The picture of the geometry panel: the singular values as chosen, and what both descents make of them.

>>> picture = GeometryPicture(steps=3)
>>> picture.png([1.0, 0.1], ours=[1.0, 1e-2, 1e-4], theirs=[1.0, 1e9])[:4]
b'\\x89PNG'
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from tuckerlab.demos.planted_weight import RANK
from tuckerlab.i18n import text
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, RED = PALETTE[0], PALETTE[1]
LOSSES = (1e-18, 1e5)
BLOWN = 1e3  # where a curve that blew up ends in the picture
SPECTRUM = (10**-8.7, 3.0)


class GeometryPicture:
    """Drawn once; `png` moves the bars and both curves, and leaves the axes where they are."""

    def __init__(self, steps: int) -> None:
        figure = Picture(figsize=(10.6, 4.1))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.75))
        self._draw_spectrum(left)
        self._draw_losses(right, steps)
        self.moving = MovingPicture(figure, [*self.bars, self.theirs, self.ours, self.end, self.ended])

    def png(self, spectrum: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> bytes:
        """The picture of these singular values and losses; a curve of `theirs` that is shorter has blown up."""
        for bar, value in zip(self.bars, spectrum, strict=False):
            bar.set_height(value - SPECTRUM[0])
        for line, losses in ((self.ours, ours), (self.theirs, theirs)):
            line.set_data(range(1, len(losses) + 1), [min(loss, BLOWN) for loss in losses])
        diverged = len(theirs) < len(ours)
        last = len(theirs), min(theirs[-1], BLOWN)
        self.end.set_data([last[0]], [last[1]])
        self.ended.xy = last
        self.ended.set_text(text("geometry.blew_up", steps=len(theirs)))
        self.end.set_visible(diverged)
        self.ended.set_visible(diverged)
        return self.moving.png()

    def _draw_spectrum(self, axes: Axes) -> None:
        styled(axes, x=text("geometry.axis.number"), y="", title=text("geometry.axis.singular"))
        axes.set_yscale("log")
        axes.set_ylim(SPECTRUM)
        self.bars = axes.bar(range(1, RANK + 1), [1.0] * RANK, bottom=SPECTRUM[0], width=0.6, color=QUIET).patches
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _powers(axes, range(-8, 1, 2))
        axes.grid(visible=False, axis="x")

    def _draw_losses(self, axes: Axes, steps: int) -> None:
        styled(axes, x=text("geometry.axis.step"), y="", title=text("geometry.axis.loss"))
        axes.set(xscale="log", yscale="log", xlim=(1, 1.15 * steps), ylim=LOSSES)
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= steps]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        _powers(axes, range(-18, 4, 3))
        [self.theirs] = axes.plot([1], [1], "--", color=RED, linewidth=2.5, label=text("geometry.theirs"))
        [self.ours] = axes.plot([1], [1], "-", color=BLUE, linewidth=2.5, label=text("geometry.ours"))
        [self.end] = axes.plot([1], [1], "X", color=RED, markersize=13, clip_on=False)
        self.ended = axes.annotate(
            "", (1, 1), (13, -3), textcoords="offset points", va="center", fontsize=TEXT, color=INK
        )
        self.ended.set_in_layout(False)
        axes.legend(loc="lower left", fontsize=TEXT, frameon=False)


def _powers(axes: Axes, exponents: range) -> None:
    axes.yaxis.set_major_locator(FixedLocator([10.0**exponent for exponent in exponents]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def _power(value: float) -> str:
    exponent = round(math.log10(value))
    return f"$10^{{{exponent}}}$" if exponent else "1"
