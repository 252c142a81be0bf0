"""The training panel as widgets."""

import threading
from html import escape
from typing import Any

import ipywidgets
from IPython.display import Markdown

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import text
from tuckerlab.panels.training.model import LARGEST_SEED, MOST_EPOCHS, TrainingModel
from tuckerlab.panels.training.picture import TrainingPicture
from tuckerlab.panels.training.runs import Kept, difference
from tuckerlab.panels.widgets import (
    Panel,
    bind,
    button,
    labelled,
    line_widget,
    picture_widget,
    problem_widget,
    set_line,
    tiles,
)
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.model_size import summary

ROW = {"flex_flow": "row wrap", "align_items": "center"}
DATA = ["digits", "cifar10", "folder:"]
SLIDER = {"width": "100%", "max_width": "30rem"}


class TrainingPanel(Panel):
    """Train a network in Tucker format, and the full one beside it, and watch both.

    `settings` are traits of `TrainingModel` by name. attended=False: nobody is there to press Train; the panel presses
    it and waits, so that what is shown is the end of the training. Raises TuckerlabError if that fails.
    """

    model: TrainingModel

    def __init__(self, model: TrainingModel | None = None, *, attended: bool = True, **settings: Any) -> None:
        self.model = model = model or TrainingModel(**settings)
        self._lock, self._drawn = threading.Lock(), [""]
        self._picture: TrainingPicture | None = None  # while there is nothing to see
        self.dataset = labelled(ipywidgets.Combobox, "training.dataset", options=DATA, continuous_update=False)
        self.network = labelled(ipywidgets.Dropdown, "training.network", options=["auto", *MODELS])
        by = [(text(f"training.by.{name}"), name) for name in ("compression", "tolerance")]
        self.by = labelled(ipywidgets.ToggleButtons, "training.by", options=by)
        self.by.style.button_width = "6rem"
        self.compression = _slider("training.compression", model.compression, 0.5, 0.98)
        self.tolerance = _slider("training.tolerance", model.tolerance, 0.01, 0.6)
        self.epochs = labelled(ipywidgets.BoundedIntText, "training.epochs", min=1, max=MOST_EPOCHS)
        self.seed = labelled(ipywidgets.BoundedIntText, "training.seed", min=0, max=LARGEST_SEED)
        devices = dict.fromkeys([*model.devices, model.device])  # one that is not there is refused by Train, in words
        self.device = labelled(ipywidgets.Dropdown, "training.device", options=list(devices))
        self.dense = labelled(ipywidgets.Checkbox, "training.dense", indent=False)
        self.guard = labelled(ipywidgets.Checkbox, "training.guard", indent=False)
        self.settings = (self.dataset, self.network, self.epochs, self.seed, self.device, self.dense, self.guard)
        self.train = button("training.train", model.train, icon="play", button_style="primary")
        self.pause = button("training.pause", model.pause, icon="pause")
        self.stop = button("training.stop", model.stop, icon="stop", button_style="warning")
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=ipywidgets.Layout(width="14rem"))
        self.said, self.hint, self.numbers = line_widget(), line_widget(), ipywidgets.HTML()
        self.events = ipywidgets.HTML()
        self.picture = picture_widget(b"", text("training.alt"))
        self.picture.layout.display = "none"
        self.finding, self.saved = line_widget(), line_widget()
        self.save = button("training.export", self._save, icon="save")
        self.runs, self.boxes = ipywidgets.VBox(), list[ipywidgets.Checkbox]()
        names = ["dataset", "network", "by", "compression", "tolerance", "epochs", "seed", "device", "dense", "guard"]
        bind(model, **{name: getattr(self, name) for name in names})
        model.observe(lambda _: self._enable(), ["state", "by"])
        model.observe(self._follow, ["said", "progress"])
        model.observe(self._steered, ["compression", "tolerance", "by"])
        model.observe(lambda _: self._draw(), ["seen", "shown"])
        model.observe(lambda _: self._conclude(), ["shown"])
        model.observe(lambda _: self._tick(), ["shown"])
        model.observe(lambda _: self._list(), ["kept"])
        super().__init__([
            ipywidgets.HBox([self.dataset, self.network], layout=ROW),
            ipywidgets.HBox([self.by, self.compression, self.tolerance], layout=ROW),
            ipywidgets.HBox([self.epochs, self.seed, self.device], layout=ROW),
            ipywidgets.HBox([self.dense, self.guard], layout=ROW),
            ipywidgets.HBox([self.train, self.pause, self.stop, self.bar, self.said], layout=ROW),
            self.hint, problem_widget(model), self.numbers, self.finding, self.events, self.picture,
            self.runs,
            ipywidgets.HBox([self.save, self.saved], layout=ROW),
        ])  # fmt: skip
        self._enable()
        self._follow()
        self._list()
        if not attended:
            model.train()
            model.wait()
            if model.problem:
                raise TuckerlabError(text("training.failed_unattended", problem=model.problem))

    def result(self) -> Any:
        """The shown runs as a table; before there are any, what to do."""
        return self.model.records if self.model.shown else _said(text("training.no_run"))

    def layers(self) -> Any:
        """The layers of the last Tucker network."""
        trained = [run.result.model for run in self.model.kept if run.trace.method == "tucker"]
        return summary(trained[-1]) if trained else _said(text("training.no_run"))

    def exercise(self, large: float, small: float) -> Any:
        """What the step from one size to another costs, once both have been trained."""
        found = difference(self.model.kept, large, small)
        if isinstance(found, float):
            return _said(text("training.exercise.not_yet", removed=100 * found))
        before, after = (100 * run.facts["test_accuracy"] for run in found)
        points = text("unit.points", points=after - before)
        return _said(text("training.exercise.solved", points=points, before=before, after=after))

    def _enable(self) -> None:
        """Offers what can be done now."""
        state = self.model.state
        self.train.disabled = state != "idle"
        self.pause.disabled = state not in ("running", "paused")
        self.pause.description = text("training.go_on" if state == "paused" else "training.pause")
        self.pause.icon = "play" if state == "paused" else "pause"
        self.stop.disabled = state not in ("running", "paused")
        for widget in self.settings:
            widget.disabled = state != "idle"
        for name in ("compression", "tolerance"):
            getattr(self, name).layout.display = "" if self.model.by == name else "none"
        if state == "idle":
            set_line(self.hint, "")

    def _follow(self, _: object = None) -> None:
        self.bar.value = self.model.progress
        set_line(self.said, escape(self.model.said))

    def _steered(self, _: object) -> None:
        if self.model.state in ("running", "paused"):
            said = text("training.changed" if self.model.steered else "training.changed_later")
            set_line(self.hint, "" if self.model.problem else escape(said))

    def _draw(self) -> None:
        """The picture and the numbers; called from the thread beside the job, and by the list of runs."""
        with self._lock:
            traces, idle = self.model.traces, self.model.state == "idle"
            state = [f"{name} {len(trace.losses)} {len(trace.accuracies)}" for name, trace in traces.items()]
            state += [str(idle), *(f"{len(trace.events)} events" for trace in traces.values())]
            if state == self._drawn:
                return
            self._drawn = state
            self.picture.layout.display = "" if traces else "none"
            if traces:
                if self._picture is None or list(traces) != list(self._picture.traces):
                    self._picture = TrainingPicture(traces)
                self.picture.value = self._picture.png(exact=idle)
            self.numbers.value = _tiles(traces) if traces else ""
            self.events.value = _events(traces)

    def _list(self) -> None:
        """A box to tick for each run that is kept."""
        self.boxes += [self._box(run) for run in self.model.kept[len(self.boxes) :]]
        title = [ipywidgets.HTML(escape(text("training.show")))] if self.boxes else []
        self.runs.children = (*title, *self.boxes)
        self.save.layout.display = "" if self.boxes else "none"

    def _tick(self) -> None:
        for run, box in zip(self.model.kept, self.boxes, strict=False):
            box.value = run.name in self.model.shown

    def _conclude(self) -> None:
        said = self.model.finding
        set_line(self.finding, f"<b>{escape(said)}</b>" if said else "")

    def _box(self, run: Kept) -> ipywidgets.Checkbox:
        facts = run.facts
        values = {"accuracy": 100 * facts["test_accuracy"], "removed": 100 * facts["conv_compression"]}
        said = text("training.run", name=run.name, **values, kilobytes=facts["checkpoint_bytes"] / 1e3)
        layout = ipywidgets.Layout(width="100%")
        box = ipywidgets.Checkbox(True, description=said, indent=False, layout=layout)
        box.observe(lambda change: self._show(run.name, change.new), "value")
        return box

    def _show(self, name: str, shown: bool) -> None:
        others = [other for other in self.model.shown if other != name]
        wanted = [*others, name] if shown else others
        self.model.shown = tuple(run.name for run in self.model.kept if run.name in wanted)

    def _save(self) -> None:
        set_line(self.saved, "")
        with self.model.reporting():
            set_line(self.saved, escape(text("training.saved", folder=self.model.save())))


def _said(line: str) -> Any:
    return Markdown(line)  # type: ignore[no-untyped-call]


def _tiles(traces: dict[str, Any]) -> str:
    """The numbers of each run as they are now."""
    cells = []
    for name, trace in traces.items():
        accuracy = text("unit.percent", value=100 * trace.accuracies[-1][1]) if trace.accuracies else "–"
        stored = trace.looks[-1].stored if trace.looks else 1.0
        cells.append((name, accuracy, text("training.tile.meaning", removed=100 * (1 - stored))))
    return tiles(cells)


def _events(traces: dict[str, Any]) -> str:
    """What the safety valve did, a line each."""
    lines = [f"<li>{escape(f'{name}: {said}')}</li>" for name, trace in traces.items() for _, said in trace.events]
    return f"{escape(text('training.events'))}<ul>{''.join(lines)}</ul>" if lines else ""


def _slider(key: str, value: float, least: float, most: float) -> Any:
    """A slider that reaches to the value it begins with, so that it never shows another one."""
    return labelled(
        ipywidgets.FloatSlider, key, min=min(least, value), max=max(most, value), step=0.01, readout_format=".0%",
        continuous_update=False, layout=SLIDER,
    )  # fmt: skip
