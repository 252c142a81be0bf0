"""The trade-off panel: how often networks are right against what they cost, and the smallest that is good enough."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from tuckerlab.errors import DataError
from tuckerlab.experiments.cost_plots import accuracy_limits, draw_networks, legend
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import found_folder, names
from tuckerlab.experiments.summary import Answer, Network, Tradeoff, front, tradeoffs
from tuckerlab.files import file_size
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.widgets import (
    ROW,
    SLIDER,
    Line,
    Panel,
    PictureBox,
    button,
    labelled,
    recorded_name,
    row,
    tiles,
    unwatched,
    watch,
)
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled, write_names
from tuckerlab.plotting.styles import method_name

SEARCHES = ("optimizers", "recipe")  # how recorded results begin that vary how one network is trained
FOLDERS = ("../runs", "runs")  # of the user's own runs, seen from a notebook and from the project
OWN = "own "  # how the user's own runs are called, with a number
NOTHING = Tradeoff(Records())

# What each axis is called, and how a cost is said
COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "conv_parameters": (N_("Numbers stored in convolutions"), "{:,.0f}".format),
    "parameters": (N_("All numbers stored"), "{:,.0f}".format),
    "latency_1_ms": (N_("Time of one answer"), "{:.2f} ms".format),
    "latency_128_ms": (N_("Time of 128 answers at once"), "{:.1f} ms".format),
    "step_ms": (N_("Time of a training step"), "{:.0f} ms".format),
    "checkpoint_bytes": (N_("File size"), file_size),
}
ANSWERS = {  # by the kind of the answer
    "smaller": N_(
        "The smallest that loses at most {points:.1f} points is {name}. {axis}: {value} instead of {full_value} "
        "({ratio}). Right on {accuracy:.1f} % of new images instead of {full_accuracy:.1f} % ({change})."
    ),
    "larger": N_(
        "The smallest that loses at most {points:.1f} points is {name}, yet it needs no less than the full network. "
        "{axis}: {value} instead of {full_value} ({ratio})."
    ),
    "full": N_(
        "The smallest that loses at most {points:.1f} points is the full network itself. {axis}: {full_value}; the "
        "next, {name}, has {value} ({ratio})."
    ),
    "none": N_(
        "None of the networks shown loses as little as {points:.1f} points. The nearest is {name} with {change}: right "
        "on {accuracy:.1f} % of new images instead of {full_accuracy:.1f} %. {axis}: {value} instead of {full_value} "
        "({ratio})."
    ),
    "alone": N_("There is nothing to compare the full network with: no other method is switched on."),
}
STAR: dict[str, Any] = {"color": (GREEN := PALETTE[2]), "marker": "*", "linestyle": ""}


class TradeOff(Panel):
    """Say how much accuracy may be lost, and see the smallest network that loses no more.

    `source` names a recorded result, or a group of your own runs: "own 1", "own 2" …; `folder` is where these lie, by
    default `runs`. `networks` are those that are shown, and `answer` is what was found. DataError for a source that is
    not there from the start.
    """

    def __init__(self, source: str = "headline", folder: str | None = None) -> None:
        super().__init__()
        wide = {"width": "auto", "min_width": "22rem"}
        self.source = labelled(ipywidgets.Dropdown, _("Runs"), layout=wide)
        self.axis = labelled(ipywidgets.Dropdown, _("Compare by"), _("What is on the horizontal axis"), layout=wide)
        self.methods = ipywidgets.HBox(layout=ROW)
        self.points = labelled(
            ipywidgets.FloatSlider, _("Points of accuracy that may be lost"),
            _("How much less often than the full network a smaller one may be right, in percentage points"),
            value=1.0, min=0, max=10, step=0.1, layout=SLIDER,
        )  # fmt: skip
        self.stops = self.points, [(f"{lost:g}", lost) for lost in (0.0, 0.5, 1.0, 2.0, 5.0)]
        if folder is None:
            folder = next((one for one in FOLDERS if any(Path(one).rglob("runs.parquet"))), "")
        self.folder = labelled(ipywidgets.Text, _("Folder of your own runs"), value=folder, continuous_update=False)
        self.again = button(_("Look again"), self.refresh, _("Reads your own runs again"))
        self.sentence, self.origin, self.numbers = Line(), Line(), ipywidgets.HTML()
        self.picture = PictureBox(_(
            "Accuracy of each network against what it costs. A band marks the accuracies that are good "
            "enough, and a star the smallest network among them."
        ))  # fmt: skip
        self.children = [
            row(self.source, self.axis), self.methods, self.points, self.sentence,
            self.picture, self.numbers, self.origin, row(self.folder, self.again), self.alert,
        ]  # fmt: skip
        self.tradeoff, self.networks = NOTHING, tuple[Network, ...]()
        watch(self._load, self.source)
        watch(self._draw, self.axis)
        watch(self._show, self.points)
        watch(self.refresh, self.folder)
        self.refresh(wanted=source)

    def refresh(self, change: object = None, *, wanted: str | None = None) -> None:
        """Looks for the user's own runs again; the source stays, or is the first whose name begins with `wanted`."""
        own: list[Tradeoff] = []
        with self.reporting():
            folder = self.folder.value
            if folder and not Path(folder).is_dir():
                raise DataError(_(
                    "folder “{folder}”: it is not there; give a folder with runs in it, or leave it empty",
                    folder=folder,
                ))  # fmt: skip
            own = tradeoffs(folder) if folder else []
        recorded = {name: _recorded(name) for name in names() if not name.startswith(SEARCHES)}
        self.tradeoffs = recorded | {f"{OWN}{i + 1}": tradeoff for i, tradeoff in enumerate(own)}
        start = wanted or self.source.value or ""
        found = start if start in self.tradeoffs else None
        found = found or next((name for name in self.tradeoffs if name.startswith(start)), None)
        if wanted is not None and found is None and self.tradeoffs:
            there = ", ".join(self.tradeoffs)
            raise DataError(
                _("record “{source}”: there is none of that name; there are {there}", source=wanted, there=there)
            )
        with unwatched(self._load, self.source):
            self.source.options = [(source_name(*one), one[0]) for one in self.tradeoffs.items()]
            self.source.value = found or next(iter(self.tradeoffs), None)
        self._load()

    def _load(self, change: object = None) -> None:
        """The axes and methods of another source; all stays as it is where it is the same one."""
        before, self.tradeoff = self.tradeoff, self.tradeoffs.get(self.source.value, NOTHING)
        if before is not self.tradeoff:
            axes = self.tradeoff.axes
            with unwatched(self._draw, self.axis):
                kept = self.axis.value
                self.axis.options = [(_(COSTS[axis][0]), axis) for axis in axes]
                self.axis.value = kept if kept in axes else next(iter(axes), None)
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
        axis = self.axis.value
        ticks = zip(self.tradeoff.methods, self.methods.children, strict=True)
        self._ticked = [method for method, box in ticks if box.value]
        self.networks = self.tradeoff.along(axis, self._ticked) if axis else ()
        if axis:
            self.figure = TradeOffPicture(axis, self.networks, self.tradeoff.full(axis))
        self._show()

    def _show(self, change: object = None) -> None:
        axis, points = self.axis.value or "", self.points.value
        self.answer = answer = self.tradeoff.answer(axis, points, self._ticked) if axis else None
        self.picture.show(self.figure.marked(points, answer.best if answer else None) if axis else None)
        self.sentence.say(_sentence(axis, answer, points))
        self.origin.say(_origin(self.tradeoff) if axis else "")
        self.numbers.value = tiles(_numbers(self.tradeoff, answer))


@lru_cache
def _recorded(name: str) -> Tradeoff:
    return next(iter(tradeoffs(found_folder(name))), NOTHING)


def source_name(name: str, tradeoff: Tradeoff) -> str:
    """What people call a source: a recorded result by its message, own runs by what they are of."""
    if not name.startswith(OWN):
        return recorded_name(name)
    run = tradeoff.records.runs.iloc[0]
    return ngettext(
        "Yours: {dataset}, {model}, {epochs} passes, {count} run",
        "Yours: {dataset}, {model}, {epochs} passes, {count} runs",
        dataset=run["dataset"], model=run["model"], epochs=int(run["epochs"]), count=len(tradeoff.records),
    )  # fmt: skip


def _sentence(axis: str, answer: Answer | None, points: float) -> str:
    if not axis:
        return _("There are no runs to show yet. Train some, and look again.")
    if answer is None:
        return _("These runs have no full network to compare with. Train one with the same settings, and look again.")
    told: dict[str, Any] = {"points": points, "axis": _(COSTS[axis][0]), "full_value": _value(axis, answer.full)}
    if shown := answer.nearest or answer.best:
        told |= {"name": network_name(shown), "value": _value(axis, shown), "ratio": _ratio(shown, answer.full)}
        told |= {"accuracy": shown.accuracy, "full_accuracy": answer.full.accuracy}
        told["change"] = _change(shown, answer.full)
    return _(ANSWERS[answer.kind], **told)


def _numbers(tradeoff: Tradeoff, answer: Answer | None) -> list[tuple[str, str, str]]:
    """The tiles of the network that the answer names: its accuracy, and each cost with its ratio to the full one."""
    shown = None if answer is None else answer.best or answer.nearest
    if answer is None or shown is None:
        return []
    accuracy = _("{value:.1f} %", value=shown.accuracy)
    cells = [(_("Right on new images"), accuracy, _change(shown, answer.full))]
    for axis in tradeoff.axes:
        full, network = tradeoff.full(axis), next((n for n in tradeoff.along(axis) if n.name == shown.name), None)
        if full and network:
            cells.append((_(COSTS[axis][0]), _value(axis, network), _ratio(network, full)))
    return cells


def _change(network: Network, full: Network) -> str:
    change = round(network.accuracy - full.accuracy, 1)
    return _("{points:+.1f} points", points=change) if change else _("as the full network")


def _value(axis: str, network: Network) -> str:
    return COSTS[axis][1](network.size)


def _ratio(network: Network, full: Network) -> str:
    if network is full:
        return _("the full network")
    if full.size >= 2 * network.size:
        return _("{times:.1f}× less than the full network", times=full.size / network.size)
    return _("{share:.0f} % of the full network", share=100 * network.size / full.size)


def _origin(tradeoff: Tradeoff) -> str:
    origin = tradeoff.origin
    fewest, most = origin["fewest"], origin["most"]
    where = _("Recorded on {device}, {cores} cores, {date}; times compare only within one machine.", **origin)
    if most == 1:
        return f"{where} {_('One run of each network, so small differences may be chance.')}"
    runs = _(
        "Each point is the mean of {runs} runs with other seeds; its bars reach from the worst to the best.",
        runs=f"{most}" if most == fewest else _("{fewest} to {most}", fewest=fewest, most=most),
    )
    return f"{where} {runs}"


def network_name(network: Network) -> str:
    """What people call a network: its label, or the method where that is the label."""
    return method_name(network.method) if network.name == network.method else network.name


class TradeOffPicture:
    """Networks along an axis, drawn once, since finding places for their names takes long; `marked` moves the marks.

    `full` is what they are compared with, in the picture or not. Networks that are more than 12 points below it stand
    at the lower edge.
    """

    def __init__(self, axis: str, found: Sequence[Network], full: Network | None) -> None:
        self.full, title = full, _(COSTS[axis][0])
        self.figure = Picture(figsize=(10.1, 4.7))
        axes = self.figure.subplots()
        if found:
            draw_networks(axes, found, axis, accuracy_limits([*found, *([full] if full else [])]))
            if axis.endswith("_ms"):
                axes.xaxis.set_major_formatter("{x:g} ms")
        along = _("{axis} (logarithmic)", axis=title) if axes.get_xscale() == "log" else title
        styled(axes, x=along, y=_("right on new images, %"))
        axes.set_title(_("↖ better: costs less, right more often"), fontsize=TEXT, color=QUIET, loc="left")
        handles = [
            *legend(found), Patch(color=GREEN, alpha=0.2, linewidth=0, label=_("accuracy good enough")),
            Line2D([], [], **STAR, markersize=15, label=_("smallest that is good enough")),
        ]  # fmt: skip
        if full and full not in found:
            handles += [axes.axhline(full.accuracy, color=INK, linewidth=1, linestyle=":", label=method_name("dense"))]
        self.figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=TEXT, frameon=False)
        self.band = Rectangle((0, 0), 1, 0, transform=axes.get_yaxis_transform(), color=GREEN, alpha=0.13, linewidth=0)
        axes.add_patch(self.band)
        [self.star] = axes.plot([1], [1], **STAR, markersize=24, markeredgecolor="white", clip_on=False)
        for artist in (self.band, self.star):
            artist.set_in_layout(False)  # where they stand by and by does not shift the axes
        named = dict.fromkeys([*front(found), *found])  # the best have the first choice of place
        points = [(network_name(n), n.size, n.accuracy) for n in named]
        write_names(axes, points, [(n.size, n.low, n.high) for n in found])
        self.figure.set_layout_engine("none")  # it is found by now, and takes longer than all the drawing

    def marked(self, points: float, best: Network | None) -> Picture:
        """The picture with the tolerated band, and a star on the best network."""
        if self.full:
            self.band.set_y(self.full.accuracy - points)
            self.band.set_height(200)
        self.star.set_visible(best is not None)
        if best:
            self.star.set_data([best.size], [best.accuracy])
        return self.figure
