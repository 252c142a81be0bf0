"""The trade-off panel: how often networks are right against what they cost, and the smallest that is good enough."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from tuckerlab.errors import DataError
from tuckerlab.experiments.plots import accuracy_limits, draw_networks, legend
from tuckerlab.experiments.run_folder import found_folder, names
from tuckerlab.experiments.summary import Network, front, smallest_within, tradeoffs
from tuckerlab.files import file_size
from tuckerlab.i18n import N_, _
from tuckerlab.panels import widgets
from tuckerlab.panels.widgets import SLIDER, Line, Panel, PictureBox, labelled, row, unwatched, watch
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled, write_names
from tuckerlab.plotting.styles import label_name, method_name

SEARCHES = ("optimizers", "recipe")  # how recorded results begin that vary how one network is trained
COSTS: dict[str, tuple[str, Callable[[float], str]]] = {  # what each axis is called, and how a cost is said
    "conv_parameters": (N_("Numbers stored in convolutions"), "{:,.0f}".format),
    "parameters": (N_("All numbers stored"), "{:,.0f}".format),
    "latency_1_ms": (N_("Time of one answer"), "{:.2f} ms".format),
    "latency_128_ms": (N_("Time of 128 answers at once"), "{:.1f} ms".format),
    "step_ms": (N_("Time of a training step"), "{:.0f} ms".format),
    "checkpoint_bytes": (N_("File size"), file_size),
}
GREEN = PALETTE[2]
STAR: dict[str, Any] = {"color": GREEN, "marker": "*", "linestyle": ""}


class TradeOff(Panel):
    """Say how much accuracy may be lost, and see the smallest network that loses no more.

    `source` is the name of a recorded result or the beginning of one, or the folder of runs of your own that can be
    compared. `networks` are those that are shown, and `best` is the smallest that is good enough, or None. DataError
    for a source that is not there.
    """

    def __init__(self, source: str = "headline") -> None:
        super().__init__()
        recorded = [name for name in names() if not name.startswith(SEARCHES)]
        wide = {"width": "auto", "min_width": "22rem"}
        self.source = widgets.source_choice(_("Runs"), recorded, source, layout=wide)
        self.axis = labelled(ipywidgets.Dropdown, _("Compare by"), _("What is on the horizontal axis"), layout=wide)
        self.methods = row()
        self.points = labelled(
            ipywidgets.FloatSlider, _("Points of accuracy that may be lost"),
            _("How much less often than the full network a smaller one may be right, in percentage points"),
            value=1.0, min=0, max=10, step=0.1, readout_format=".1f", layout=SLIDER,
        )  # fmt: skip
        self.stops = self.points, (0.0, 0.5, 1.0, 2.0, 5.0)
        self.sentence, self.origin, self.numbers = Line(), Line(), ipywidgets.HTML()
        self.picture = PictureBox(_(
            "Accuracy of each network against what it costs. A band marks the accuracies that are good "
            "enough, and a star the smallest network among them."
        ))  # fmt: skip
        self.children = [
            row(self.source, self.axis), self.methods, self.points, self.sentence,
            self.picture, self.numbers, self.origin, self.alert,
        ]  # fmt: skip
        watch(self._load, self.source)
        watch(self._draw, self.axis)
        watch(self._show, self.points)
        self._read(self.source.value)

    def _load(self, change: Any) -> None:
        with self.reporting():
            self._read(change.new)

    def _read(self, source: str) -> None:
        for tradeoff in tradeoffs(found_folder(source)):
            if full := {axis: network for axis in tradeoff.axes if (network := tradeoff.full(axis))}:
                self.tradeoff, self.full = tradeoff, full
                break
        else:
            raise DataError(_("{source}: there are no runs with a full network to compare with", source=source))
        with unwatched(self._draw, self.axis):
            kept = self.axis.value
            self.axis.options = [(_(COSTS[axis][0]), axis) for axis in full]
            self.axis.value = kept if kept in full else next(iter(full))
        # one with another optimizer has a full network of its own, and would take credit for the optimizer
        self.methods.children = [
            labelled(ipywidgets.Checkbox, method_name(method), value=not method.endswith("-adamw"), indent=False,
                     layout={"width": "auto"})
            for method in self.tradeoff.methods
        ]  # fmt: skip
        watch(self._draw, *self.methods.children)
        self._draw()

    def _draw(self, change: object = None) -> None:
        """The networks of the ticked methods; what the slider moves over them comes after."""
        boxes = zip(self.tradeoff.methods, self.methods.children, strict=True)
        self.networks = self.tradeoff.along(self.axis.value, [method for method, box in boxes if box.value])
        self.figure, self.band, self.star = draw(self.axis.value, self.networks, self.full[self.axis.value])
        self._show()

    def _show(self, change: object = None) -> None:
        axis, points = self.axis.value, self.points.value
        full = self.full[axis]
        others = [network for network in self.networks if network is not full]
        self.best = best = smallest_within(others, full.accuracy, points)
        self.band.set_y(full.accuracy - points)
        self.star.set_data([best.size] if best else [], [best.accuracy] if best else [])
        self.picture.show(self.figure)
        said = _("None of the networks shown loses as little as {points:.1f} points.", points=points)
        if best:
            said = _(
                "The smallest that loses at most {points:.1f} points is {name}. {axis}: {value} instead of "
                "{full_value} ({ratio}). Right on {accuracy:.1f} % of new images instead of {full_accuracy:.1f} %.",
                points=points, name=network_name(best), axis=_(COSTS[axis][0]), value=COSTS[axis][1](best.size),
                full_value=COSTS[axis][1](full.size), ratio=_ratio(best, full), accuracy=best.accuracy,
                full_accuracy=full.accuracy,
            )  # fmt: skip
        self.sentence.say(said)
        self.numbers.value = widgets.tiles(self._tiles(best) if best else [])
        self.origin.say(_(
            "Recorded on {device}, {cores} cores, {date}; times compare only within one machine. Starts of each "
            "network: {fewest} or more; bars reach from the worst to the best.",
            **self.tradeoff.origin,
        ))  # fmt: skip

    def _tiles(self, best: Network) -> list[tuple[str, str, str]]:
        """The accuracy of a network, and each cost with its ratio to that of the full one."""
        change = _("{points:+.1f} points", points=best.accuracy - self.full[self.axis.value].accuracy)
        costs = [
            (_(COSTS[axis][0]), COSTS[axis][1](network.size), _ratio(network, full))
            for axis, full in self.full.items() for network in self.tradeoff.along(axis) if network.name == best.name
        ]  # fmt: skip
        return [(_("Right on new images"), _("{value:.1f} %", value=best.accuracy), change), *costs]


def _ratio(network: Network, full: Network) -> str:
    if full.size >= 2 * network.size:
        return _("{times:.1f}× less than the full network", times=full.size / network.size)
    return _("{share:.0f} % of the full network", share=100 * network.size / full.size)


def network_name(network: Network) -> str:
    """What people call a network: its label, or the method where that is the label."""
    return method_name(network.method) if network.name == network.method else label_name(network.name)


def draw(axis: str, found: Sequence[Network], full: Network) -> tuple[Picture, Rectangle, Line2D]:
    """Networks along an axis beside the full one, and the marks, which move; to place the names takes long."""
    figure, title = Picture(figsize=(10.1, 4.7)), _(COSTS[axis][0])
    axes = figure.subplots()
    if found:
        draw_networks(axes, found, axis, accuracy_limits([*found, full]))
    along = _("{axis} (logarithmic)", axis=title) if axes.get_xscale() == "log" else title
    styled(axes, x=along, y=_("right on new images, %"))
    axes.set_title(_("↖ better: costs less, right more often"), fontsize=TEXT, color=QUIET, loc="left", y=1)
    axes.axhline(full.accuracy, color=INK, linewidth=1, linestyle=":")
    handles = [
        *legend(found), Patch(color=GREEN, alpha=0.2, linewidth=0, label=_("accuracy good enough")),
        Line2D([], [], **STAR, markersize=15, label=_("smallest that is good enough")),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=TEXT, frameon=False)
    band = axes.axhspan(full.accuracy, 200, color=GREEN, alpha=0.13, linewidth=0)
    [star] = axes.plot([], [], **STAR, markersize=24, markeredgecolor="white", clip_on=False)
    for mark in (band, star):
        mark.set_in_layout(False)
    named = dict.fromkeys([*front(found), *found])  # the best have the first choice of place
    write_names(axes, [(network_name(n), n.size, n.accuracy, n.low, n.high) for n in named])
    figure.set_layout_engine("none")  # it is found by now, and takes longer than all the drawing
    return figure, band, star
