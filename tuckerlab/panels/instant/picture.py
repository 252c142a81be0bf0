"""The picture of the instant slider: accuracy along the sizes with a needle, and what the chosen size needs.

>>> from tuckerlab.experiments.size_table import Sizes
>>> sizes = Sizes.recorded("slider-digits")
>>> picture = InstantPicture(sizes, "compression")
>>> picture.png(sizes.at("compression", 0.9), costs=(2.0, 1.0))[:4]
b'\\x89PNG'
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tuckerlab.experiments.size_table import Size, Sizes
from tuckerlab.i18n import text
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, GREEN = PALETTE[0], PALETTE[2]
BARS = ("parameters", "file", "arithmetic", "latency", "cost")
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
_LABEL: dict[str, Any] = {"va": "bottom", "fontsize": TEXT, "color": INK}
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least


class InstantPicture:
    """Drawn once for a table and a setting; `png` moves the needle and the bars."""

    def __init__(self, sizes: Sizes, by: str) -> None:
        self.sizes, self.by = sizes, by
        figure = Picture(figsize=(10.6, 3.9))
        left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
        self._draw_curve(left)
        self._draw_bars(right)
        self.moving = MovingPicture(figure, [self.needle, self.dot, *self.bars, *self.labels])

    def png(self, size: Size, costs: tuple[float, float]) -> bytes:
        """The picture of one size; `costs` are the yearly costs of the full network and of this one."""
        full, x = self.sizes.full, _kept(size)
        self.needle.set_xdata([x, x])
        self.dot.set_data([x], [100 * size.test_accuracy])
        self.dot.set_marker("D" if size.trained else "o")
        shares = (
            size.parameters / full.parameters,
            size.file_bytes / full.file_bytes,
            size.multiply_adds / full.multiply_adds,
            size.latency_1_ms / full.latency_1_ms,
            costs[1] / costs[0] if costs[0] > 0 else size.latency_128_ms / full.latency_128_ms,
        )
        for share, bar, label in zip(shares, self.bars, self.labels, strict=True):
            bar.set_width(100 * min(share, 1.5))
            label.set_x(100 * min(share, 1.5) + 3)
            label.set_text(text("unit.share", share=100 * share))
        return self.moving.png()

    def _draw_curve(self, axes: Axes) -> None:
        series = self.sizes.series(self.by)
        full = 100 * self.sizes.full.test_accuracy
        x = np.array([_kept(size) for size in series])
        y = np.array([100 * size.test_accuracy for size in series])
        styled(axes, x=text("instant.axis.removed"), y=text("instant.axis.accuracy"))
        axes.set_xscale("log")
        axes.set_xlim(max(105, 1.05 * x.max()), max(0.7 * x.min(), 0.5))
        axes.set_xticks(
            [100 * (1 - tick) for tick in TICKS], [text("unit.whole_percent", value=100 * t) for t in TICKS]
        )
        axes.xaxis.set_minor_locator(NullLocator())
        trained = np.array([size.trained for size in series])
        shown = y[trained].min() - 3 if trained.any() else y.min()
        bottom = min(shown, full - LEAST_SPAN)
        axes.set_ylim(bottom, full + 0.18 * (full - bottom))
        axes.axhline(full, color=INK, linewidth=1.2, linestyle=":")
        axes.text(0.995, full, text("instant.full"), transform=axes.get_yaxis_transform(), **_LABEL, ha="right")
        for source in dict.fromkeys(size.source for size in series):  # each network's cuts are a line of their own
            own = np.array([size.source == source for size in series])
            axes.plot(x[own], y[own], color=QUIET, linewidth=1.2, marker=".", markersize=4)
        axes.plot(x[trained], y[trained], "D-", color=BLUE, markersize=7, label=text("instant.trained"))
        axes.plot([], [], ".-", color=QUIET, label=text("instant.cut"))
        axes.plot(x[trained], np.full(trained.sum(), bottom), "|", color=BLUE, markersize=16, clip_on=False)
        good, top = self.sizes.smallest_within(self.by, 0), axes.get_ylim()[1]
        axes.plot([_kept(good)] * 2, [full, top], color=GREEN, linewidth=2)
        axes.plot(_kept(good), top, "v", color=GREEN, markersize=12, clip_on=False, label=text("instant.as_accurate"))
        axes.legend(loc="lower left", fontsize=TEXT - 1.5, frameon=False)
        [self.needle] = axes.plot([x[0], x[0]], [bottom, axes.get_ylim()[1]], color="#D55E00", linewidth=2)
        [self.dot] = axes.plot([x[0]], [y[0]], "o", color="#D55E00", markersize=11, markeredgecolor="white")

    def _draw_bars(self, axes: Axes) -> None:
        styled(axes, x=text("instant.axis.share"), y="")
        names = [text(f"instant.bar.{name}") for name in BARS]
        self.bars = axes.barh(names, [100] * len(BARS), color=BLUE, height=0.55).patches
        self.labels = [axes.text(100, i, "", va="center", fontsize=TEXT, color=INK) for i in range(len(BARS))]
        axes.set_xlim(0, 180)
        axes.set_xticks([0, 50, 100, 150])
        axes.axvline(100, color=INK, linewidth=1.2, linestyle=":")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")


def _kept(size: Size) -> float:
    """The share of the convolution weights that is left, in per cent."""
    return 100 * (1 - size.conv_compression)
