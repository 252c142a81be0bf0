"""The Tucker explorer: cut a photograph or a kernel at its ranks, and see what is left of it."""

from html import escape

import ipywidgets
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from torch import Tensor

from tuckerlab.demos.decompositions import PHOTOS, Cut, Subject, subject as named_subject, subjects
from tuckerlab.i18n import _
from tuckerlab.panels.widgets import LABELLED, Line, Panel, PictureBox, labelled, set_visible, tiles, unwatched, watch
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled
from tuckerlab.tucker.tensor import check_fraction, tolerance_ranks

SLIDER = {"width": "100%", "max_width": "34rem"}
BLUE, ORANGE = PALETTE[0], PALETTE[1]
SQUARES = 16  # little squares along a side of the mosaic: of more, none could be seen
DPI = 96  # what a screen has by itself: more pixels take longer to send
LEAST_VALUE = 0.01  # per cent of the largest: smaller singular values are off the chart


class TuckerExplorer(Panel):
    """Choose a photograph or a kernel, move its ranks, and see what is left of it and what it takes to store.

    `subject` is a name from `tuckerlab.demos.decompositions.subjects()` or the beginning of one. The tolerance sets all
    ranks, and each may be moved afterwards; `cut` is what is shown. With a `goal`, the share of the numbers and the
    error to stay below, the panel says whether it is reached. DataError for a subject that is not there.
    """

    def __init__(
        self, subject: str = PHOTOS[0], tolerance: float = 0.15, goal: tuple[float, float] | None = None
    ) -> None:
        super().__init__()
        check_fraction("tolerance", tolerance)
        self.goal = goal
        options = [(_subject_name(name), name) for name in subjects()]
        start = named_subject(subject).name
        self.subject = labelled(ipywidgets.Dropdown, _("Subject"), options=options, value=start, layout=SLIDER)
        self.tolerance = labelled(
            ipywidgets.FloatSlider, _("Tolerance (sets all ranks)"),
            _("The largest error that is allowed: every rank is then made as small as it can be"),
            value=tolerance, max=0.9, step=0.01, readout_format=".0%", layout=SLIDER,
        )  # fmt: skip
        self.stops = self.tolerance, sorted({0.05, tolerance, 0.5})
        self.ranks = [ipywidgets.IntSlider(1, min=1, layout=SLIDER, style=LABELLED) for _mode in range(4)]
        self.task, self.numbers = Line(), ipywidgets.HTML()
        self.picture = PictureBox(_(
            "Above: the original, what the chosen ranks rebuild, and the error between the two on a scale of its own. "
            "Below: a chart for each mode with its singular values, largest first; those that are kept are solid, "
            "those that are dropped pale, and a line marks the cut."
        ))  # fmt: skip
        sliders = ipywidgets.GridBox(self.ranks, layout=ipywidgets.Layout(grid_template_columns="1fr 1fr"))
        self.children = [
            self.task, self.subject, self.tolerance, sliders, self.numbers, self.picture, self.alert,
        ]  # fmt: skip
        watch(self._set_by_tolerance, self.subject, self.tolerance)
        watch(self._set_by_hand, *self.ranks)
        self._set_by_tolerance()

    def _set_by_tolerance(self, change: object = None) -> None:
        of = named_subject(self.subject.value)
        ranks = tolerance_ranks(of.values, self.tolerance.value)
        with unwatched(self._set_by_hand, *self.ranks):
            for i, slider in enumerate(self.ranks):
                set_visible(slider, i < len(of.modes))
                if i < len(of.modes):
                    slider.description = _("Rank, {mode}", mode=_(of.modes[i]))
                    slider.max, slider.value = of.tensor.shape[i], ranks[i]
        self._show(of.cut(ranks))

    def _set_by_hand(self, change: object) -> None:
        of = self.cut.of
        self._show(of.cut([slider.value for slider in self.ranks[: len(of.modes)]]))

    def _show(self, cut: Cut) -> None:
        self.cut = cut
        told = {"share": 100 * cut.share, "count": cut.of.tensor.numel(), "value": 100 * self.tolerance.value}
        share = _("{share:.1f} % of the original’s {count:,.0f}", **told)
        if cut.share >= 1:
            share = _("✗ no saving: {share:.0f} % of the original’s {count:,.0f}", **told)
        within = _("within the tolerance of {value:.0f} %", **told)
        if cut.error > self.tolerance.value:
            within = _("above the tolerance of {value:.0f} %", **told)
        self.numbers.value = tiles([
            (_("Numbers stored"), f"{cut.stored:,}", share),
            (_("of these: the core"), f"{cut.core:,}", " × ".join(map(str, cut.ranks))),
            (_("of these: the factors"), f"{cut.factors:,}", _("one table for each mode")),
            (_("Error"), _("{value:.1f} %", value=100 * cut.error), within),
        ])  # fmt: skip
        if self.goal is not None:
            most, worst = self.goal
            task = _(
                "Your task: store less than {share:.0f} % of the numbers, at an error below {error:.1f} %.",
                share=100 * most, error=100 * worst,
            )  # fmt: skip
            reply = _("✓ Right.") if cut.share < most and cut.error < worst else _("Not yet.")
            self.task.show(f"{escape(task)} <b>{escape(reply)}</b>")
        self.picture.show(draw(cut), DPI)


def _subject_name(name: str) -> str:
    if name in PHOTOS:
        return _("Photograph: a temple") if name == PHOTOS[0] else _("Photograph: a flower")
    shape = named_subject(name).tensor.shape
    return _(
        "Trained kernel: layer {layer} of the digits network ({out} × {into} × 3 × 3)",
        layer=int(name.partition(".")[2]), out=shape[0], into=shape[1],
    )  # fmt: skip


def draw(cut: Cut) -> Picture:
    """Original, rebuilt, error, and the singular values with the cut in them."""
    of, error = cut.of, error_pixels(cut)
    height, bottom, top = (5.3, 0.525, 0.41) if of.is_photo else (6.2, 0.43, 0.335)
    figure = Picture(figsize=(10.1, height), layout="none")
    above = {"left": 0.004, "right": 0.995, "bottom": bottom, "top": 0.95, "wspace": 0.05}
    below = {"left": 0.085, "right": 0.995, "bottom": 0.092, "top": top, "wspace": 0.085}
    limit = float(of.tensor.abs().max())
    most = max(float(np.nanmax(np.abs(error))), 1e-3 * limit)  # rounding stays pale
    images = (
        (_("Original"), _("{count:,.0f} numbers", count=of.tensor.numel()), pixels(of, of.tensor), limit),
        (_("Rebuilt"), _("{count:,.0f} numbers", count=cut.stored), pixels(of, cut.rebuilt), limit),
        (_("Error"), _("{value:.1f} %", value=100 * cut.error), error, most),
    )
    for axes, (name, said, shown, end) in zip(figure.subplots(1, 3, gridspec_kw=above), images, strict=True):
        colours, least = ("Oranges", 0) if of.is_photo else ("RdBu", -end)
        axes.imshow(shown, colours, vmin=least, vmax=end, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(name, fontsize=TEXT + 1, color=INK, loc="left", y=1)
        axes.set_title(said, fontsize=TEXT + 1, color=INK, loc="right", y=1)
    charts = figure.subplots(1, len(of.modes), sharey=True, gridspec_kw=below)
    for axes, values, mode, rank in zip(charts, of.values, of.modes, cut.ranks, strict=True):
        size, relative = len(values), 100 * values.numpy() / float(values[0])
        styled(axes, x=_("rank"), y="", title=_(mode))
        kept = _("{rank} of {size}", rank=rank, size=size)
        axes.set_title(kept, fontsize=TEXT, color=INK, loc="right", y=1)
        axes.set(yscale="log", xlim=(0.4, size + 0.6))
        edges = np.arange(size + 1) + 0.5
        axes.stairs(np.maximum(relative, LEAST_VALUE), edges, baseline=LEAST_VALUE, fill=True, color=BLUE)
        axes.axvspan(rank + 0.5, size + 0.5, color="white", alpha=0.75, linewidth=0)
        axes.axvline(rank + 0.5, color=ORANGE, linewidth=2)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False, axis="x")
    smallest = 100 * min(float(values[-1] / values[0]) for values in of.values)
    ticks = LogLocator(subs=(1, 2, 5) if smallest > 1 else (1,))
    charts[0].yaxis.set(major_locator=ticks, major_formatter="{x:g}", minor_locator=NullLocator())
    charts[0].set_ylim(max(LEAST_VALUE, 0.6 * smallest), 120)
    charts[0].set_ylabel(_("singular value,\n% of the largest"), fontsize=TEXT, color=INK)
    return figure


def pixels(of: Subject, tensor: Tensor) -> NDArray[np.float32]:
    """A photograph as it is, in the range of the screen; a kernel as a mosaic."""
    return np.asarray(tensor.clamp(0, 1), dtype=np.float32) if of.is_photo else mosaic(tensor)


def error_pixels(cut: Cut) -> NDArray[np.float32]:
    """Rebuilt minus original: for a photograph its size over the colours, for a kernel with its sign."""
    difference = cut.rebuilt - cut.of.tensor
    if cut.of.is_photo:
        return np.asarray(difference.square().mean(-1).sqrt(), dtype=np.float32)
    return mosaic(difference)


def mosaic(kernel: Tensor) -> NDArray[np.float32]:
    """A kernel as little squares, a row for each output channel and a column for each input channel, gaps between.

    Of a large kernel it is the first 16 × 16 squares.
    """
    part = kernel[:SQUARES, :SQUARES]
    rows, columns, height, width = part.shape
    framed = np.full((rows, height + 1, columns, width + 1), np.nan, dtype=np.float32)
    framed[:, :height, :, :width] = part.permute(0, 2, 1, 3)
    return framed.reshape(rows * (height + 1), -1)[:-1, :-1]
