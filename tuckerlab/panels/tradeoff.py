"""The trade-off panel: how often networks are right against what they cost, and the smallest that is good enough."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets

from tuckerlab.errors import DataError
from tuckerlab.experiments.pareto import Answer, Tradeoff, tradeoffs
from tuckerlab.experiments.recorded import found_folder, names
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.tradeoff_picture import TradeOffPicture, network_name
from tuckerlab.panels.widgets import (
    BLANK,
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
from tuckerlab.plotting.styles import method_name

SEARCHES = ("optimizers", "recipe")
"""How the names begin of recorded results that vary how one network is trained."""

FOLDERS = ("../runs", "runs")
"""Where the user's own runs are looked for when nothing is said: seen from a notebook, and from the project."""

OWN = "own "
NOTHING = Tradeoff(Records())

COSTS = {
    "conv_parameters": (N_("Numbers stored in convolutions"), "{:,.0f}", 1),
    "parameters": (N_("All numbers stored"), "{:,.0f}", 1),
    "latency_1_ms": (N_("Time of one answer"), "{:.2f} ms", 1),
    "latency_128_ms": (N_("Time of 128 answers at once"), "{:.1f} ms", 1),
    "step_ms": (N_("Time of a training step"), "{:.0f} ms", 1),
    "checkpoint_bytes": (N_("File size"), "{:,.0f} kB", 1e3),
}
"""What each axis is called, and how a cost is said: in which form, and by what it is divided first."""

ANSWERS = {
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
"""By the kind of the answer."""

MANY = 2.0  # from this factor on it is "so many times less", below it a share in per cent


class TradeOff(Panel):
    """Say how much accuracy may be lost, and see the smallest network that loses no more.

    `source` names a recorded result, or a group of your own runs: "own 1", "own 2" …; `folder` is where these lie, by
    default `runs`. `networks` are those that are shown, `answer` is what was found, and `network` the one looked at.
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
        self.chosen = labelled(ipywidgets.Dropdown, _("Network to look at"), layout=wide)
        typed = _first_with_runs() if folder is None else folder
        self.folder = labelled(ipywidgets.Text, _("Folder of your own runs"), value=typed, continuous_update=False)
        self.again = button(_("Look again"), self.refresh, _("Reads your own runs again"))
        self.sentence, self.origin, self.numbers = Line(), Line(), ipywidgets.HTML()
        self.picture = PictureBox(_(
            "Accuracy of each network against what it costs. A band marks the accuracies that are good "
            "enough, a star the smallest network among them, a ring the network to look at."
        ))  # fmt: skip
        self.children = [
            row(self.source, self.axis), self.methods, self.points, self.sentence,
            self.picture, self.chosen, self.numbers, self.origin,
            row(self.folder, self.again), self.alert,
        ]  # fmt: skip
        self.tradeoff = NOTHING
        self._drawn: tuple[Any, TradeOffPicture] | None = None
        watch(self._load, self.source)
        watch(self._show, self.axis, self.points, self.chosen)
        watch(self.refresh, self.folder)
        self.refresh(wanted=source)

    def refresh(self, change: object = None, *, wanted: str | None = None) -> None:
        """Looks for the user's own runs again; the source stays, or is the first whose name begins with `wanted`."""
        own: list[Tradeoff] = []
        with self.reporting():
            own = _own(self.folder.value)
        recorded = {name: _recorded(name) for name in names() if not name.startswith(SEARCHES)}
        self.tradeoffs = recorded | {f"{OWN}{i + 1}": tradeoff for i, tradeoff in enumerate(own)}
        start = self.source.value if wanted is None else wanted
        ordered = sorted(self.tradeoffs, key=lambda name: name != start)  # one of just that name comes first
        found = next((name for name in ordered if start is not None and name.startswith(start)), None)
        with unwatched(self._load, self.source):
            self.source.options = [(source_name(*one), one[0]) for one in self.tradeoffs.items()]
            self.source.value = found or next(iter(self.tradeoffs), None)
        self._load()
        if wanted is not None and found is None and self.tradeoffs:
            there = ", ".join(self.tradeoffs)
            said = _("record “{source}”: there is none of that name; there are {there}", source=wanted, there=there)
            self.show_problem(DataError(said))

    def _load(self, change: object = None) -> None:
        """The axes and methods of another source; all stays as it is where it is the same one."""
        before, self.tradeoff = self.tradeoff, self.tradeoffs.get(self.source.value, NOTHING)
        if before is not self.tradeoff:
            axes = self.tradeoff.axes
            with unwatched(self._show, self.axis):
                kept = self.axis.value
                self.axis.options = [(_(COSTS[axis][0]), axis) for axis in axes]
                self.axis.value = kept if kept in axes else next(iter(axes), None)
            # one with another optimizer has a full network of its own, and would take credit for the optimizer
            self.methods.children = [
                labelled(ipywidgets.Checkbox, method_name(method), value=not method.endswith("-adamw"), indent=False,
                         layout={"width": "auto"})
                for method in self.tradeoff.methods
            ]  # fmt: skip
            watch(self._show, *self.methods.children)
            with unwatched(self._show, self.chosen):
                self.chosen.options = ()  # one of the same name here is another network
        self._show()

    def _show(self, change: object = None) -> None:
        axis, points = self.axis.value or "", self.points.value
        ticks = zip(self.tradeoff.methods, self.methods.children, strict=True)
        methods = [method for method, box in ticks if box.value]
        self.networks = self.tradeoff.along(axis, methods) if axis else ()
        self.full = self.tradeoff.full(axis) if axis else None
        self.answer = self.tradeoff.answer(axis, points, methods) if axis else None
        named = {network.name: network for network in self.networks}
        best = self.answer.best if self.answer else None
        with unwatched(self._show, self.chosen):
            first = best or (self.answer and self.answer.nearest)
            kept = self.chosen.value if self.chosen.value in named else None
            self.chosen.options = [(network_name(network), name) for name, network in named.items()]
            self.chosen.value = kept or (first.name if first else next(iter(named), None))
        self.network = named.get(self.chosen.value)
        self.picture.layout.display = "" if axis else "none"
        key = axis, self.networks, self.full
        if axis and (self._drawn is None or self._drawn[0] != key):
            self._drawn = key, TradeOffPicture(axis, _(COSTS[axis][0]), self.networks, self.full)
        self.picture.value = self._drawn[1].png(points, best, self.network) if axis and self._drawn else BLANK
        self.sentence.say(_sentence(axis, self.answer, points))
        self.origin.say(_origin(self.tradeoff) if axis else "")
        self.numbers.value = tiles(_numbers(self.tradeoff, self.network, self.full))


@lru_cache
def _recorded(name: str) -> Tradeoff:
    return next(iter(tradeoffs(found_folder(name))), NOTHING)


def _first_with_runs() -> str:
    return next((folder for folder in FOLDERS if any(Path(folder).rglob("runs.parquet"))), "")


def _own(folder: str) -> list[Tradeoff]:
    """The user's own runs; none where there are none yet. Raises DataError for a folder that is not there."""
    if folder and not Path(folder).is_dir():
        raise DataError(
            _("folder “{folder}”: it is not there; give a folder with runs in it, or leave it empty", folder=folder)
        )
    return tradeoffs(folder) if folder else []


def source_name(name: str, tradeoff: Tradeoff) -> str:
    """What people call a source: a recorded result by its message, own runs by what they are of."""
    if not name.startswith(OWN):
        return recorded_name(name)
    run = tradeoff.records.runs.iloc[0]
    return ngettext(
        "Yours: {dataset}, {model}, {epochs} passes, {count} run",
        "Yours: {dataset}, {model}, {epochs} passes, {count} runs",
        dataset=run["dataset"],
        model=run["model"],
        epochs=int(run["epochs"]),
        count=len(tradeoff.records),
    )


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


def _numbers(tradeoff: Tradeoff, chosen: Network | None, full: Network | None) -> list[tuple[str, str, str]]:
    """The tiles of the chosen network: its accuracy, and each cost with its ratio to the full network."""
    if chosen is None:
        return []
    change = _change(chosen, full) if full else ""
    cells = [(_("Right on new images"), _("{value:.1f} %", value=chosen.accuracy), change)]
    for axis in tradeoff.axes:
        full = tradeoff.full(axis)
        for network in tradeoff.along(axis):
            if network.name == chosen.name:
                ratio = _ratio(network, full) if full else ""
                cells.append((_(COSTS[axis][0]), _value(axis, network), ratio))
    return cells


def _change(network: Network, full: Network) -> str:
    change = round(network.accuracy - full.accuracy, 1)
    return _("{points:+.1f} points", points=change) if change else _("as the full network")


def _value(axis: str, network: Network) -> str:
    _name, form, unit = COSTS[axis]
    return form.format(network.size / unit)


def _ratio(network: Network, full: Network) -> str:
    if network is full:
        return _("the full network")
    if full.size >= MANY * network.size:
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
