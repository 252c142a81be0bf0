"""The training panel: train a network in Tucker format, and the full one beside it, and watch both."""

import threading
from html import escape
from typing import Any

import ipywidgets
import torch
import traitlets

from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.proof import recipe_for
from tuckerlab.experiments.summary import finding
from tuckerlab.i18n import N_, _
from tuckerlab.panels.training_job import Job
from tuckerlab.panels.training_picture import TrainingPicture, events_html, tiles_html
from tuckerlab.panels.training_runs import Plan, Trace, Trained, free_name, numbers, records_of, save, step_said
from tuckerlab.panels.widgets import (
    Line,
    Panel,
    button,
    labelled,
    markdown,
    picture_widget,
    row,
    share_slider,
    watch,
    whole_number,
)
from tuckerlab.training.models import MODELS
from tuckerlab.training.openmp import release_workers
from tuckerlab.tucker.model_size import summary
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

REFRESH = 0.4  # seconds between two looks at a job
DATA = ["digits", "cifar10", "folder:"]
NO_RUN = N_("no run yet: press Train in the panel above, then run this cell again")


class TrainingPanel(Panel):
    """Train a network in Tucker format, and the full one beside it, and watch both.

    The arguments are what the controls begin with, but `image_size`, `width` and `out` (the folder that runs are saved
    in), which have none; epochs: by default those that suit the data set. attended=False: nobody is there to press
    Train; the panel presses it and waits, so that what is shown is the end of the training. Raises TuckerlabError if
    that fails, TraitError for a setting that no control has. `finding` is the comparison in one line, where there is
    one, and `numbers` are accuracies and sizes of the last training, by method.
    """

    state = traitlets.Enum(["idle", "running", "paused", "stopping"], "idle")

    def __init__(
        self, *, attended: bool = True, dataset: str = "digits", image_size: int | None = None, network: str = "auto",
        width: float = 1.0, by: str = "compression", compression: float = 0.9, tolerance: float = 0.2,
        epochs: int | None = None, seed: int = 0, device: str = "auto", dense: bool = False, guard: bool = True,
        out: str = "runs",
    ) -> None:  # fmt: skip
        super().__init__()
        self.image_size, self.width, self.out = image_size, width, out
        self.job: Job | None = None  # the last one
        self.kept, self.boxes = list[Trained](), list[ipywidgets.Checkbox]()  # runs that have ended, each with its box
        self._live: Job | None = None  # while its runs are not among the kept ones
        self._lock, self._drawing = threading.RLock(), threading.Lock()  # who watches may press a button at once
        self._picture: TrainingPicture | None = None  # while there is nothing to see
        self._drawn: object = None
        self.finding, self.numbers = "", dict[str, float]()
        epochs = recipe_for(dataset).epochs if epochs is None else epochs
        self.dataset = labelled(
            ipywidgets.Combobox, _("Images"), _("digits, cifar10, or folder:PATH with your own images"),
            value=dataset, options=DATA, continuous_update=False,
        )  # fmt: skip
        self.network = labelled(ipywidgets.Dropdown, _("Network"), options=["auto", *MODELS], value=network)
        self.by = labelled(
            ipywidgets.ToggleButtons, _("Set by"), value=by, style={"button_width": "6rem"},
            options=[(_("size"), "compression"), (_("detail"), "tolerance")],
        )  # fmt: skip
        self.compression = share_slider(
            _("Weights to remove"), _("The share of the convolution weights that the network is to do without"),
            compression, 0.5, 0.98,
        )  # fmt: skip
        self.tolerance = share_slider(
            _("Detail given up"), _("The tolerance: how much of each weight may be rounded away"),
            tolerance, 0.01, 0.6,
        )  # fmt: skip
        self.epochs = whole_number(
            _("Passes over the images"), _("Epochs: how often the network sees every training image"), epochs, 1, 10_000
        )
        another = _("Another number, another draw of the starting weights and of the order of images")
        self.seed = whole_number(_("Seed"), another, seed, 0, 2**31)
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), device: True}
        devices = ["auto", "cpu", *(name for name in there if there[name] and name not in ("auto", "cpu"))]
        self.device = labelled(ipywidgets.Dropdown, _("Device"), options=devices, value=device)
        compare = _("Train the full network too, to compare")
        self.dense = labelled(ipywidgets.Checkbox, compare, value=dense, indent=False)
        self.guard = labelled(
            ipywidgets.Checkbox, _("Safety valve"),
            _("Watches the training. Where the loss shoots up, too much is cut at once or the numbers break down, it "
              "goes back to the last good state. Until then it changes nothing."), value=guard, indent=False,
        )  # fmt: skip
        self.settings = (self.dataset, self.network, self.epochs, self.seed, self.device, self.dense, self.guard)
        self.train = button(_("Train"), self._train, icon="play", button_style="primary")
        self.pause = button(_("Pause"), self._pause, icon="pause")
        self.stop = button(_("Stop"), self._stop, icon="stop", button_style="warning")
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=ipywidgets.Layout(width="14rem"))
        self.said, self.hint, self.verdict, self.saved = Line(), Line(), Line(), Line()
        self.tiles, self.events, self.runs = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.VBox()
        self.picture = picture_widget(_(
            "Four charts against the pass over the images: training loss, share of new images that are right, "
            "convolution weights stored in per cent of the full network, and a map of the ranks of each layer."
        ))  # fmt: skip
        self.save = button(_("Save the shown runs"), self._save, icon="save")
        self.children = [
            row(self.dataset, self.network), row(self.by, self.compression, self.tolerance),
            row(self.epochs, self.seed, self.device), row(self.dense, self.guard),
            row(self.train, self.pause, self.stop, self.bar, self.said),
            self.hint, self.alert, self.tiles, self.verdict, self.events, self.picture, self.runs,
            row(self.save, self.saved),
        ]  # fmt: skip
        watch(self._steer, self.by, self.compression, self.tolerance)
        watch(self._suit, self.dataset)
        self.observe(self._enable, "state")
        self.said.say(_("Press Train. The notebook stays free while the network learns."))
        self._enable()
        self._list()
        if not attended:
            self._train()
            self.wait()
            if self.problem:
                raise TuckerlabError(_("the training panel could not train: {problem}", problem=self.problem))

    @property
    def policy(self) -> RankPolicy:
        """What the settings ask of the ranks."""
        is_budget = self.by.value == "compression"
        return Budget(self.compression.value) if is_budget else Tolerance(self.tolerance.value)

    @property
    def shown(self) -> list[Trained]:
        """The runs whose boxes are ticked."""
        return [run for run, box in zip(self.kept, self.boxes, strict=False) if box.value]

    @property
    def traces(self) -> dict[str, Trace]:
        """What is to be drawn, by name: the shown runs, and the job's own while it goes."""
        drawn = {run.name: run.trace for run in self.shown}
        if self._live is not None:
            drawn |= {free_name(trace.label, self.kept): trace for trace in self._live.traces[:] if trace.looks}
        return drawn

    def result(self) -> Any:
        """The shown runs as a table; before there are any, what to do."""
        return records_of(self.shown) if self.shown else markdown(_(NO_RUN))

    def layers(self) -> Any:
        """The layers of the last Tucker network."""
        trained = [run.model for run in self.kept if run.trace.method == "tucker"]
        return summary(trained[-1]) if trained else markdown(_(NO_RUN))

    def exercise(self, large: float, small: float) -> Any:
        """What the step from one size to another costs, once both have been trained."""
        return markdown(step_said(self.kept, large, small))

    def _train(self) -> None:
        """Begins; while a job is at work this does nothing."""
        with self._lock, self.reporting():
            if self.state != "idle":
                return
            methods = (Tucker(self.policy), *([Dense()] if self.dense.value else []))
            self.job = self._live = Job(Plan(
                methods, self.dataset.value, self.image_size, self.network.value, self.width, self.epochs.value,
                self.seed.value, self.device.value, self.guard.value,
            ))  # fmt: skip
            self.state = "running"
            release_workers()  # the cores are for the job
            self.job.start()
            self.in_background(self._drive, self.job)
            self._follow(self.job)

    def _pause(self) -> None:
        """Holds a job, or lets it go on."""
        with self._lock:
            if self.job is not None and self.state in ("running", "paused") and self.job.can_pause:
                pauses = self.state == "running"
                self.job.pause(pauses)
                self.state = "paused" if pauses else "running"
                self._follow(self.job)

    def _stop(self) -> None:
        """Ends a job after the step at hand."""
        with self._lock:
            if self.job is not None and self.state != "idle":
                self.state = "stopping"
                self.job.stop()
                self._follow(self.job)

    def _steer(self, change: Any) -> None:
        """Other ranks: of the job at work, if it is not too late, and of the next one."""
        self._enable()
        if self.job is not None and self.state in ("running", "paused"):
            with self.reporting():
                self.hint.say("")
                self.hint.say(self.job.change(self.policy))

    def _suit(self, change: object) -> None:
        """Another data set is learned in another time."""
        self.epochs.value = recipe_for(self.dataset.value).epochs

    def _save(self) -> None:
        """Writes the shown runs into a new folder below `out`: record, networks, pictures."""
        self.saved.say("")
        with self.reporting():
            if not self.shown:
                raise DataError(_("There is no run to save: train one, and tick it in the list."))
            self.saved.say(_("Saved in {folder}", folder=save(self.shown, self.out)))

    def _drive(self, job: Job) -> None:
        with self.reporting(fresh=False):  # a picture that cannot be drawn does not end the training
            while job.is_alive():
                job.join(REFRESH)
                self._follow(job)
        job.join()
        with self._lock:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        """Keeps the runs; what cannot be shown is no reason to stay busy for ever."""
        for run in job.results:
            run.name = free_name(run.trace.label, self.kept)
            self.kept.append(run)
        self._live, self.numbers = None, numbers(self.kept)
        self.said.say(job.end)
        if job.error is not None:
            self.bar.value = 0.0
            self.show_problem(job.error)
        with self.reporting(fresh=False):
            self._list()
        with self.reporting(fresh=False):  # who watches the state may fail too
            self.state = "idle"

    def _follow(self, job: Job) -> None:
        self.bar.value = job.progress
        if self.state == "stopping" or job.phase != "done":
            self.said.say(job.said(self.state))
        self._draw()

    def _enable(self, change: object = None) -> None:
        """Offers what can be done now."""
        state = self.state
        self.train.disabled = state != "idle"
        self.pause.disabled = self.stop.disabled = state not in ("running", "paused")
        self.pause.description = _("Go on") if state == "paused" else _("Pause")
        self.pause.icon = "play" if state == "paused" else "pause"
        for widget in self.settings:
            widget.disabled = state != "idle"
        for name in ("compression", "tolerance"):
            getattr(self, name).layout.display = "" if self.by.value == name else "none"
        if state == "idle":
            self.hint.say("")

    def _draw(self) -> None:
        """The picture and the numbers as they are now."""
        with self._drawing:
            traces = self.traces
            state = [(name, trace.at, len(trace.accuracies), len(trace.events)) for name, trace in traces.items()]
            if state == self._drawn:
                return
            self._drawn = state
            self.picture.layout.display = "" if traces else "none"
            if traces:
                if self._picture is None or list(traces) != list(self._picture.traces):
                    self._picture = TrainingPicture(traces)
                self.picture.value = self._picture.png()
            self.tiles.value, self.events.value = tiles_html(traces) if traces else "", events_html(traces)

    def _list(self) -> None:
        """A box to tick for each run that is kept."""
        for run in self.kept[len(self.boxes) :]:
            box = ipywidgets.Checkbox(True, description=run.said, indent=False, layout={"width": "100%"})
            watch(self._choose, box)
            self.boxes.append(box)
        title = [ipywidgets.HTML(escape(_("Runs shown:")))] if self.boxes else []
        self.runs.children = (*title, *self.boxes)
        self.save.layout.display = "" if self.boxes else "none"
        self._choose()

    def _choose(self, change: object = None) -> None:
        """What the shown runs come to."""
        with self.reporting(fresh=False):
            alike = len({run.conditions for run in self.shown}) == 1
            self.finding = finding(records_of(self.shown)) if alike else ""
            self.verdict.say(self.finding, bold=True)
            self._draw()
