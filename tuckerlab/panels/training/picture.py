"""The picture of the training panel: loss, accuracy and size of all runs, and the ranks of the last one by layer.

>>> trace = Trace("Tucker 90 %", "tucker", total_steps=100, steps_per_epoch=10)
>>> from tuckerlab.panels.training.trace import Look
>>> trace.looks.append(Look(0, stored=0.7, kept={"conv2": 0.7}))
>>> TrainingPicture({"Tucker 90 %": trace}).png()[:4]
b'\\x89PNG'

It is drawn while a training run needs the processor, so all but the moving lines is drawn once.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from tuckerlab.figure import QUIET, TEXT, Picture, colours, styled
from tuckerlab.moving import MovingPicture
from tuckerlab.panels.training.trace import Trace
from tuckerlab.texts import text

POINTS = 160  # of a curve
COLUMNS = 80  # of the rank map
FLOORS = (0, 50, 80, 90)  # where the axis of accuracies may begin

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


class TrainingPicture:
    """Curves of the traces by name, in the order given; `png` draws them as they are by then.

    A trace must have been looked at once: its layers stand beside the map.
    """

    def __init__(self, traces: Mapping[str, Trace]) -> None:
        self.traces = dict(traces)
        figure = Picture(figsize=(10.6, 6.0))
        (self.loss, self.accuracy), (self.size, self.map) = figure.subplots(2, 2)
        epochs = max((trace.epochs for trace in traces.values()), default=1)
        for axes, key in ((self.loss, "loss"), (self.accuracy, "accuracy"), (self.size, "size")):
            styled(axes, x=text("training.axis.epoch"), y="", title=text(f"training.axis.{key}"))
            axes.set_xlim(0, epochs)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for axes in (self.loss, self.size):
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
        self.accuracy.set_ylim(0, 101)
        self.size.set_ylim(0.9, 140)
        self.size.set_yticks([1, 2, 5, 10, 20, 50, 100])
        self.size.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        self.loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        self.loss.set_ylim(0.001, 10)
        shades = colours(self.traces, {name for name, trace in self.traces.items() if trace.method == "dense"})
        self.lines = {
            name: [axes.plot([], [], color=colour, linewidth=2, **_ends(axes is self.accuracy))[0]
                   for axes in (self.loss, self.accuracy, self.size)]
            for name, colour in shades.items()
        }  # fmt: skip
        self.ranked = next((t for t in reversed(self.traces.values()) if t.method == "tucker"), None)
        self.image = self._empty_map(self.map, epochs, list(self.ranked.looks[0].kept) if self.ranked else [])
        handles = [Line2D([], [], color=colour, linewidth=5, label=name) for name, colour in shades.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
        self.moving = MovingPicture(figure, [*(line for row in self.lines.values() for line in row), self.image])

    def png(self, *, exact: bool = False) -> bytes:
        """The picture of this moment; `exact` for one that is to stay."""
        for name, trace in self.traces.items():
            for line, curve in zip(self.lines[name], _curves(trace), strict=True):
                line.set_data(*curve)
        if self.ranked is not None:
            self.image.set_data(_rank_map(self.ranked))
        if self._adjust():
            self.moving.settle()
        return self.moving.png(exact=exact)

    def _adjust(self) -> bool:
        """Fits the axes to the curves, in few large steps; whether anything changed."""
        before = self.loss.get_ylim(), self.accuracy.get_ylim()
        losses = np.concatenate([line.get_ydata() for line, *_ in self.lines.values()] or [np.empty(0)])
        losses = losses[np.isfinite(losses) & (losses > 0)]
        if len(losses):
            low, high = np.floor(np.log10(losses.min())), np.ceil(np.log10(losses.max()))
            self.loss.set_ylim(10.0 ** min(low, -3), 10.0 ** max(high, 1))
        ends = [line.get_ydata()[-1] for _, line, _ in self.lines.values() if len(line.get_ydata())]
        if ends:
            self.accuracy.set_ylim(max(floor for floor in FLOORS if floor <= max(0, min(ends) - 4)), 100.5)
        return before != (self.loss.get_ylim(), self.accuracy.get_ylim())

    def _empty_map(self, axes: Axes, epochs: int, layers: list[str]) -> AxesImage:
        styled(axes, x=text("training.axis.epoch"), y="", title=text("training.axis.ranks"))
        rows = max(1, len(layers))
        image = axes.imshow(
            np.full((rows, COLUMNS), np.nan), cmap="Blues", vmin=0, vmax=100, aspect="auto", interpolation="nearest",
            extent=(0, epochs, rows, 0),
        )  # fmt: skip
        axes.set_xlim(0, epochs)
        axes.set_yticks(np.arange(len(layers)) + 0.5, layers)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
        bar.ax.tick_params(labelsize=TEXT, color=QUIET)
        return image


def _ends(marked: bool) -> dict[str, object]:
    return {"marker": "o", "markersize": 4} if marked else {}


def _curves(trace: Trace) -> tuple[Curve, Curve, Curve]:
    """Loss, accuracy in per cent and size in per cent of the dense one, each against the epoch."""
    losses = _thinned(np.array(trace.losses[:], dtype=float).reshape(-1, 2))
    accuracies = np.array(trace.accuracies[:], dtype=float).reshape(-1, 2)
    sizes = np.array([(look.step, look.stored) for look in trace.looks[:]], dtype=float).reshape(-1, 2)
    scale = 1 / trace.steps_per_epoch
    return (
        (losses[:, 0] * scale, losses[:, 1]),
        (accuracies[:, 0] * scale, 100 * accuracies[:, 1]),
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
