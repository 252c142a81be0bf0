"""The picture of the training panel: loss, accuracy and size of all runs, and the ranks of the last one by layer.

It is drawn while a training run needs the processor, so all but the moving lines is drawn once.
"""

from collections.abc import Mapping
from html import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from tuckerlab.i18n import _
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.panels.training_runs import Trace
from tuckerlab.panels.widgets import tiles
from tuckerlab.plotting.figure import QUIET, TEXT, Picture, colours, styled

POINTS = 160  # of a curve
COLUMNS = 80  # of the rank map
RIGHT = (0, 50, 80, 90, 95, 98, 99, 99.5)  # ticks of the accuracy, whose axis shows small errors as well as large ones
LEAST_ERROR = 0.3  # per cent; a network that is always right is drawn here
MARKED = 0.96  # height of the marks of the safety valve, of the chart
LONGEST_NAME = 14  # of a layer, beside the map

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


class TrainingPicture:
    """Curves of the traces by name, in the order given; `png` draws them as they are by then.

    A trace must have been looked at once: its layers stand beside the map.
    """

    def __init__(self, traces: Mapping[str, Trace]) -> None:
        self.traces = dict(traces)
        figure = Picture(figsize=(10.6, 6.0))
        figure.set_layout_engine("none")  # to find a layout takes longer than all the drawing
        margins = {"left": 0.055, "right": 0.93, "bottom": 0.14, "top": 0.95, "wspace": 0.3, "hspace": 0.42}
        (self.loss, self.accuracy), (self.size, self.map) = figure.subplots(2, 2, gridspec_kw=margins)
        epochs = max((t.total_steps // t.steps_per_epoch for t in traces.values()), default=1)
        for axes, title in (
            (self.loss, _("training loss (lower is better; ▼ the safety valve acted)")),
            (self.accuracy, _("right on new images, %")),
            (self.size, _("convolution weights stored, % of the full network")),
        ):
            styled(axes, x=_("pass over the images"), y="", title=title)
            axes.set_xlim(0, epochs)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
        self.accuracy.set_ylim(100, LEAST_ERROR)
        self.accuracy.set_yticks([100 - right for right in RIGHT], [f"{right:g}" for right in RIGHT])
        self.size.set_ylim(0.9, 140)
        self.size.set_yticks([1, 2, 5, 10, 20, 50, 100])
        self.size.yaxis.set_major_formatter("{x:g}")
        self.loss.yaxis.set_major_formatter("{x:g}")
        self.loss.set_ylim(0.001, 10)
        shades = colours(self.traces, {name for name, trace in self.traces.items() if trace.method == "dense"})
        self.lines = {
            name: [axes.plot([], [], color=colour, linewidth=2, markersize=4,
                              marker="o" if axes is self.accuracy else "")[0]
                   for axes in (self.loss, self.accuracy, self.size)]
            for name, colour in shades.items()
        }  # fmt: skip
        self.marks = {
            name: self.loss.plot([], [], "v", color=colour, markersize=8, transform=self.loss.get_xaxis_transform())[0]
            for name, colour in shades.items()
        }
        self.ranked = next((t for t in reversed(self.traces.values()) if t.method == "tucker"), None)
        self.image = self._empty_map(self.map, epochs, list(self.ranked.looks[0].kept) if self.ranked else [])
        handles = [Line2D([], [], color=colour, linewidth=5, label=name) for name, colour in shades.items()]
        figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=TEXT, frameon=False)
        lines = [line for row in self.lines.values() for line in row]
        self.moving = MovingPicture(figure, [*lines, *self.marks.values(), self.image])

    def png(self) -> bytes:
        """The picture of this moment."""
        for name, trace in self.traces.items():
            for line, curve in zip(self.lines[name], _curves(trace), strict=True):
                line.set_data(*curve)
            steps = [step / trace.steps_per_epoch for step, said in trace.events[:]]
            self.marks[name].set_data(steps, [MARKED] * len(steps))
        if self.ranked is not None:
            self.image.set_data(_rank_map(self.ranked))
        losses = [loss for trace in self.traces.values() for step, loss in trace.losses[:] if 0 < loss < float("inf")]
        if losses:  # room for those beyond the axis, a decade at a time
            before = self.loss.get_ylim()
            low, high = np.floor(np.log10(min(losses))), np.ceil(np.log10(max(losses)))
            self.loss.set_ylim(10.0 ** min(-3, low), 10.0 ** max(1, high))
            if self.loss.get_ylim() != before:
                self.moving.settle()
        return self.moving.png()

    def _empty_map(self, axes: Axes, epochs: int, layers: list[str]) -> AxesImage:
        styled(axes, x=_("pass over the images"), y="", title=_("rank of each layer, % of full"))
        rows = max(1, len(layers))
        image = axes.imshow(
            np.full((rows, COLUMNS), np.nan), cmap="Blues", vmin=0, vmax=100, aspect="auto", interpolation="nearest",
            extent=(0, epochs, rows, 0),
        )  # fmt: skip
        axes.set_xlim(0, epochs)
        axes.set_yticks(np.arange(len(layers)) + 0.5, [_short(layer) for layer in layers])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        place = axes.get_position()
        bar = axes.figure.colorbar(image, cax=axes.figure.add_axes((0.945, place.y0, 0.012, place.height)))
        bar.ax.tick_params(labelsize=TEXT, color=QUIET)
        return image


def _short(layer: str) -> str:
    """The end of a long name: it says which layer it is."""
    return layer if len(layer) <= LONGEST_NAME else f"…{layer[-LONGEST_NAME:]}"


def _curves(trace: Trace) -> tuple[Curve, Curve, Curve]:
    """Loss, error in per cent and size in per cent of the dense one, each against the epoch."""
    losses = _thinned(np.array(trace.losses[:], dtype=float).reshape(-1, 2))
    accuracies = np.array(trace.accuracies[:], dtype=float).reshape(-1, 2)
    sizes = np.array([(look.step, look.stored) for look in trace.looks[:]], dtype=float).reshape(-1, 2)
    scale = 1 / trace.steps_per_epoch
    return (
        (losses[:, 0] * scale, losses[:, 1]),
        (accuracies[:, 0] * scale, np.maximum(100 - 100 * accuracies[:, 1], LEAST_ERROR)),
        (sizes[:, 0] * scale, 100 * sizes[:, 1]),
    )


def _thinned(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over equal stretches: single steps are noisy, and thousands of points take long to draw."""
    length = max(1, -(-len(rows) // POINTS))
    return np.array([rows[i : i + length].mean(axis=0) for i in range(0, len(rows), length)]).reshape(-1, 2)


def _rank_map(trace: Trace) -> NDArray[np.float64]:
    """Ranks in per cent of full: a row a layer, columns over the run, empty where it has not got to yet."""
    looks = trace.looks[:]
    ends = [look.step for look in looks[1:]] + [looks[-1].step]
    grid = np.full((len(looks[0].kept), COLUMNS), np.nan)
    for look, end in zip(looks, ends, strict=True):
        first = look.step * COLUMNS // trace.total_steps
        columns = slice(first, max(first + 1, end * COLUMNS // trace.total_steps))
        grid[:, columns] = [[100 * share] for share in look.kept.values()]
    return grid


def tiles_html(traces: Mapping[str, Trace]) -> str:
    """The numbers of each run as they are now."""
    cells = []
    for name, trace in traces.items():
        accuracy = _("{value:.1f} %", value=100 * trace.accuracies[-1][1]) if trace.accuracies else "–"
        removed = 100 * (1 - trace.looks[-1].stored)
        cells.append((name, accuracy, _("right; {removed:.0f} % of the convolution weights removed", removed=removed)))
    return tiles(cells)


def events_html(traces: Mapping[str, Trace]) -> str:
    """What the safety valve did, a line each."""
    lines = [f"<li>{escape(f'{name}: {said}')}</li>" for name, trace in traces.items() for step, said in trace.events]
    return f"{escape(_('What the safety valve did:'))}<ul>{''.join(lines)}</ul>" if lines else ""
