"""The picture of the Tucker explorer: original, rebuilt, error, and the singular values with the cut in them."""

from math import floor, log10
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray
from torch import Tensor

from tuckerlab.demos.decompositions import Cut, Subject
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled

BLUE, ORANGE, PALE = PALETTE[0], PALETTE[1], "#c3d9e8"
SIGNED, UNSIGNED = "RdBu", "Oranges"
SQUARES = 16  # little squares along a side of the mosaic: of more, none could be seen
DPI = 96  # what a screen has by itself: more pixels take longer to send
LEAST_VALUE = 1e-4  # of the largest: smaller singular values are off the chart
LEAST_ERROR = 1e-3  # of the largest entry: the scale of the error does not stretch rounding
HEADROOM = 0.17  # of the height of the charts, above the largest value: room for the key
CROWD = 40  # more blocks than this touch each other
TIGHT: dict[str, Any] = {"borderaxespad": 0, "columnspacing": 1, "handlelength": 1, "handletextpad": 0.4}

MODES = {
    "height": N_("height"), "width": N_("width"), "colour": N_("colour"), "out": N_("output channels"),
    "in": N_("input channels"), "kernel_height": N_("kernel height"), "kernel_width": N_("kernel width"),
}  # fmt: skip
"""What the modes of a subject are called."""

Pixels = NDArray[np.float32]


class ExplorerPicture:
    """Drawn once for a subject; `of` shows one cut of it."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.figure = figure = Picture(figsize=(10.1, 5.3 if subject.is_photo else 6.2))
        grid = GridSpec(2, 12, figure=figure, height_ratios=(1, 0.85 if subject.is_photo else 0.6), hspace=0.06)
        images = [figure.add_subplot(grid[0, start : start + 4]) for start in (0, 4, 8)]
        width = 12 // len(subject.modes)
        charts = [figure.add_subplot(grid[1, i * width : (i + 1) * width]) for i in range(len(subject.modes))]
        self.limit = float(subject.tensor.abs().max())
        self.images, self.titles = self._draw_images(images)
        self.blocks, self.needles, self.labels = self._draw_charts(charts)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # it is found by now, and takes longer than all the drawing

    def of(self, cut: Cut) -> Picture:
        """The picture of one cut."""
        error = error_pixels(self.subject, cut)
        limit = max(float(np.nanmax(np.abs(error))), LEAST_ERROR * self.limit)
        self.images[0].set_data(pixels(self.subject, cut.rebuilt))
        self.images[1].set_data(error)
        self.images[1].set_clim(0 if self.subject.is_photo else -limit, limit)
        self.titles[0].set_text(_("{count:,.0f} numbers", count=cut.stored))
        self.titles[1].set_text(_("{value:.1f} %", value=100 * cut.error))
        for i, (rank, size) in enumerate(zip(cut.ranks, self.subject.shape, strict=True)):
            self.blocks[i].set_facecolor([BLUE] * rank + [PALE] * (size - rank))
            self.needles[i].set_xdata([rank + 0.5] * 2)
            self.labels[i].set_text(_("{rank} of {size}", rank=rank, size=size))
        return self.figure

    def _draw_images(self, axes: list[Axes]) -> tuple[list[AxesImage], list[Text]]:
        start, shown = pixels(self.subject, self.subject.tensor), []
        signed: dict[str, Any] = {"cmap": SIGNED, "vmin": -self.limit, "vmax": self.limit}
        unsigned: dict[str, Any] = {"cmap": UNSIGNED, "vmin": 0, "vmax": 1}
        for each, error in zip(axes, (False, False, True), strict=True):
            data = start[..., 0] if error and self.subject.is_photo else start
            how = unsigned if error and self.subject.is_photo else signed
            shown.append(each.imshow(data, interpolation="nearest", **how))
            each.set_axis_off()
        for each, name in zip(axes, (_("Original"), _("Rebuilt"), _("Error")), strict=True):
            each.set_title(name, fontsize=TEXT + 1, color=INK, loc="left")
        numbers = _("{count:,.0f} numbers", count=self.subject.tensor.numel())
        titles = [each.set_title(numbers, fontsize=TEXT + 1, color=INK, loc="right") for each in axes]
        return shown[1:], titles[1:]

    def _draw_charts(self, axes: list[Axes]) -> tuple[list[PolyCollection], list[Line2D], list[Text]]:
        """The singular values of each mode as blocks; `of` colours them."""
        relative = [(values / values[0]).numpy() for values in self.subject.values]
        smallest = min(float(values[values >= LEAST_VALUE].min()) for values in relative)
        bottom = 10.0 ** min(floor(log10(smallest)), -1)
        blocks: list[PolyCollection] = []
        needles: list[Line2D] = []
        labels: list[Text] = []
        for each, values, mode in zip(axes, relative, self.subject.modes, strict=True):
            styled(each, x=_("rank"), y="" if blocks else _("singular value,\n% of the largest"))
            each.set_title(_(MODES[mode]), fontsize=TEXT, color=INK, loc="left")
            labels.append(each.set_title("", fontsize=TEXT, color=INK, loc="right"))
            _scale(each, bottom, len(values), labelled=not blocks)
            half = 0.5 if len(values) > CROWD else 0.4
            corners = [
                [(x - half, bottom), (x - half, top), (x + half, top), (x + half, bottom)]
                for x, top in enumerate(np.maximum(values, bottom), start=1)
            ]
            blocks.append(PolyCollection(corners, linewidth=0))
            each.add_collection(blocks[-1])
            needles += each.plot([1, 1], [bottom, bottom**-0.04], color=ORANGE, linewidth=2)
        handles = [Patch(color=BLUE, label=_("kept")), Patch(color=PALE, label=_("dropped"))]
        axes[-1].legend(handles=handles, loc="upper right", ncols=2, fontsize=TEXT, frameon=False, **TIGHT)
        return blocks, needles, labels


def _scale(axes: Axes, bottom: float, size: int, *, labelled: bool) -> None:
    """The axes of one chart: per cent of the largest value on a log scale, and ranks."""
    axes.set_yscale("log")
    axes.set_ylim(bottom, bottom**-HEADROOM)
    axes.set_xlim(0.4, size + 0.6)
    decades = np.arange(0, log10(bottom) - 1, -1)
    ticks = [step * 10.0**decade for decade in decades for step in ((1, 0.5, 0.2) if len(decades) < 3 else (1,))]
    ticks = [tick for tick in ticks if tick >= 0.99 * bottom]
    said = [f"{100 * tick:g}" if labelled else "" for tick in ticks]
    axes.set_yticks(ticks, said)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks(range(1, size + 1) if size < 9 else [1, *range(size // 4, size + 1, size // 4)])
    axes.grid(visible=False, axis="x")


def pixels(subject: Subject, tensor: Tensor) -> Pixels:
    """A photograph as it is, in the range of the screen; a kernel as a mosaic."""
    return np.asarray(tensor.clamp(0, 1), dtype=np.float32) if subject.is_photo else mosaic(tensor)


def error_pixels(subject: Subject, cut: Cut) -> Pixels:
    """Rebuilt minus original: for a photograph its size over the colours, for a kernel with its sign."""
    difference = cut.rebuilt - subject.tensor
    if subject.is_photo:
        return np.asarray(difference.square().mean(-1).sqrt(), dtype=np.float32)
    return mosaic(difference)


def mosaic(kernel: Tensor) -> Pixels:
    """A kernel as little squares, a row for each output channel and a column for each input channel, gaps between.

    Of a large kernel it is the first 16 × 16 squares.
    """
    part = kernel[:SQUARES, :SQUARES]
    rows, columns, height, width = part.shape
    framed = np.full((rows, height + 1, columns, width + 1), np.nan, dtype=np.float32)
    framed[:, :height, :, :width] = part.permute(0, 2, 1, 3)
    return framed.reshape(rows * (height + 1), -1)[:-1, :-1]
