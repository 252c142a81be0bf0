"""The training panel: train a network in Tucker format, and the full one beside it, and watch them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import ipywidgets
import traitlets
from matplotlib.figure import Figure

from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.plots import accuracy_over_time
from tuckerlab.experiments.run_folder import recorded
from tuckerlab.experiments.setup import RECIPES, recipe_for
from tuckerlab.experiments.standings import standings
from tuckerlab.experiments.summary import TOLERATED, finding
from tuckerlab.i18n import N_, _
from tuckerlab.panels.field import Field, number
from tuckerlab.panels.size_slider import InstantSlider
from tuckerlab.panels.training_job import Job, Trained, Unfinished, records_of, save
from tuckerlab.panels.training_picture import draw, events_html, numbers_html
from tuckerlab.panels.widgets import Line, Panel, PictureBox, button, labelled, row, set_visible, watch
from tuckerlab.training.guard import Guard
from tuckerlab.training.machine import release_workers
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.model_size import summary
from tuckerlab.tucker.nested import Nested
from tuckerlab.tucker.rank_policy import Budget, Tolerance

REFRESH = 1.0  # seconds between two looks at a job: a picture takes an eighth of one
NO_RUN = N_("no run yet: press Train in the panel above, then run this cell again")
DATA = ["mnist", "digits", "cifar10", "folder:"]
NARROW = {"width": "30rem"}
CONTROLS = ("dataset", "network", "by", "compression", "tolerance", "epochs", "seed", "dense")


class TrainingPanel(Panel):
    """Train a network in Tucker format, and the full one beside it, and watch both.

    The settings are what the controls begin with; epochs: by default those that suit the data set. There is no control
    for `image_size`, `width` (by default that which suits the data set), `device` and `out` (the folder that runs are
    saved in). attended=False: nobody is there to press Train; the panel presses it and waits, so that what is shown is
    the end of the training. Raises TuckerlabError if that fails, and for a setting that is not allowed. `finding` is
    the last training in one line, where it is a comparison, and `numbers` are its accuracies and sizes by method.

    A training that is cut off, because its page or its kernel is closed, can be gone on with in the next panel.
    """

    guard: ClassVar[Guard | None] = Guard(accuracy=None)  # holds no images out: they would be lost to training
    resumes: ClassVar[bool] = True
    busy = traitlets.Bool(False)

    def __init__(
        self, *, attended: bool = True, dataset: str = "mnist", network: str = "auto", compression: float = 0.9,
        tolerance: float = 0.2, epochs: int | None = None, seed: int = 0, dense: bool = False,
        image_size: int | None = None, width: float | None = None, device: str = "auto", out: str = "runs",
    ) -> None:  # fmt: skip
        super().__init__()
        self.unseen = {"image_size": image_size, "width": width, "device": device}
        self.out, self.is_kept = out, self.resumes and attended
        self.job: Job | None = None  # the last one
        self.kept = list[Trained]()  # runs that have ended
        self.finding, self.numbers = "", dict[str, float]()
        self.unfinished = Unfinished(out)
        self.dataset = labelled(
            ipywidgets.Combobox, _("Images"), _("mnist, digits, cifar10, or folder:PATH with your own images"),
            value=dataset, options=DATA, continuous_update=False,
        )  # fmt: skip
        self.network = labelled(ipywidgets.Dropdown, _("Network"), options=["auto", *MODELS], value=network)
        self.by = labelled(
            ipywidgets.ToggleButtons, _("Set by"), style={"button_width": "6rem"},
            options=[(_("size"), "compression"), (_("detail"), "tolerance"), (_("any size"), "nested")],
        )  # fmt: skip
        share: dict[str, Any] = {"step": 0.01, "readout_format": ".0%", "continuous_update": False, "layout": NARROW}
        self.compression = labelled(
            ipywidgets.FloatSlider, _("Weights to remove"),
            _("The share of the convolution weights that the network is to do without"),
            value=compression, min=min(0.5, compression), max=max(0.98, compression), **share,
        )  # fmt: skip
        self.tolerance = labelled(
            ipywidgets.FloatSlider, _("Detail given up"),
            _("The tolerance: how much of each weight may be rounded away"),
            value=tolerance, min=min(0.01, tolerance), max=max(0.6, tolerance), **share,
        )  # fmt: skip
        self.epochs = Field(
            _("Passes over the images"), recipe_for(dataset).epochs if epochs is None else epochs,
            number(1, 10_000, whole=True), hint=_("Epochs: how often the network sees every training image"),
        )  # fmt: skip
        another = _("Another number, another draw of the starting weights and of the order of images")
        self.seed = Field(_("Seed"), seed, number(0, 2**31, whole=True), hint=another)
        compare = _("Train the full network too, to compare")
        self.dense = labelled(ipywidgets.Checkbox, compare, value=dense, indent=False)
        self.controls = {name: getattr(self, name) for name in CONTROLS}
        self.train = button(_("Train"), self._train, icon="play", button_style="primary")
        self.go_on = button(
            _("Continue"), self._go_on, _("Goes on with the training that was cut off"), icon="step-forward",
        )  # fmt: skip
        self.stop = button(_("Stop"), self._stop, icon="stop", button_style="warning")
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=ipywidgets.Layout(width="14rem"))
        self.said = Line(_("Press Train. The notebook stays free while the network learns."))
        self.verdict, self.saved = Line(), Line()
        self.tiles, self.events = ipywidgets.HTML(), ipywidgets.HTML()
        self.picture = PictureBox(_(
            "Four charts against the pass over the images: training loss, share of new images that are right, "
            "convolution weights stored in per cent of the full network, and a map of the ranks of each layer."
        ))  # fmt: skip
        self.recorded = PictureBox(_("Recorded networks trained on these images: how often they are right on new ones"))
        self.before = ipywidgets.VBox(
            [Line(_("Recorded beforehand, until there is a result of your own:")), self.recorded]
        )
        self.save = button(_("Save the runs"), self._save, icon="save")
        self.progress = row(self.train, self.go_on, self.stop, self.bar, self.said)
        self.progress.static = str  # nothing to do for readers without a kernel
        last = row(self.save, self.saved)
        self.sizes = ipywidgets.VBox()  # a slider, after one training for every size
        shown = [self.tiles, self.verdict, self.events, self.sizes, self.before, self.picture]
        self.results = [self.alert, *shown, last]
        self.children = [
            row(self.dataset, self.network), row(self.by, self.compression, self.tolerance),
            row(self.epochs, self.seed, self.dense), self.progress, *self.results,
        ]  # fmt: skip
        watch(self._suit, self.dataset)
        watch(self._enable, self.by)
        self.observe(self._enable, "busy")
        if self.is_kept and Job.at_work:
            self._put(Job.at_work.asked)
            self._follow(Job.at_work)
        elif self.is_kept and (asked := self.unfinished.asked()):
            self._put(asked)
            self.said.say(_("A training was cut off. Continue goes on from its last pass, Train begins anew."))
        if attended:
            self._show_recorded()
        self._enable()
        if not attended:
            self.train_now()

    def train_now(self) -> None:
        """Presses Train and waits; TuckerlabError if that fails."""
        self._train()
        self.wait()
        if self.problem:
            raise TuckerlabError(_("the training panel could not train: {problem}", problem=self.problem))

    @property
    def methods(self) -> list[Method]:
        """The networks that are trained next, in this order."""
        by, size, detail = self.by.value, self.compression.value, self.tolerance.value
        small = Tucker(Nested() if by == "nested" else Tolerance(detail) if by == "tolerance" else Budget(size))
        return [small, Dense()] if self.dense.value else [small]

    def result(self) -> Any:
        """The runs as a table; before there are any, what to do."""
        return standings(records_of(self.kept)) if self.kept else _(NO_RUN)

    def layers(self) -> Any:
        """The layers of the last Tucker network."""
        trained = [run.run.model for run in self.kept if run.method.name == "tucker"]
        return summary(trained[-1]) if trained else _(NO_RUN)

    def figure(self, runs: Sequence[Trained]) -> Figure:
        return draw(runs)

    def recorded_figure(self) -> Figure:
        """What was recorded of these images; DataError where nothing was."""
        return accuracy_over_time(recorded(f"poc-{self.dataset.value}").records)

    def _asked(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def _put(self, asked: Mapping[str, Any]) -> None:
        for name, value in asked.items():
            self.controls[name].value = value
        for field in (self.epochs, self.seed):
            field.restore()

    def _train(self) -> None:
        """Begins; while a job is at work this does nothing."""
        with self.reporting():
            if self.epochs.is_refused or self.seed.is_refused:
                raise TuckerlabError(_("Mend the field that is marked first."))
            self._begin(self._asked())

    def _go_on(self) -> None:
        with self.reporting():
            if asked := self.unfinished.asked():
                self._put(asked)
                self._begin()
            else:
                self.said.say(_("Another window has gone on with it."))
                self._enable()

    def _begin(self, asked: Mapping[str, Any] | None = None) -> None:
        """Trains what is asked; None: what was cut off."""
        if self.busy:
            return
        if Job.at_work:
            raise TuckerlabError(_("Another training is at work here: stop it, or wait until it has ended."))
        is_held = self.is_kept and self.unfinished.hold(asked)  # what cannot be kept can be trained all the same
        job = Job(
            self.methods, self._asked(), number=self.job.number + 1 if self.job else 1, guard=self.guard,
            place=self.unfinished if is_held else None,
            dataset=self.dataset.value, model=self.network.value, epochs=self.epochs.value, seed=self.seed.value,
            **self.unseen,
        )  # fmt: skip
        release_workers()  # the cores are for the job
        job.start()
        self._follow(job)

    def _follow(self, job: Job) -> None:
        self.job, self.busy = job, True
        self.in_background(self._drive, job)

    def _stop(self) -> None:
        """Ends a job after the step at hand."""
        if self.job is not None:
            self.stop.disabled = True
            self.job.stop.set()
            self.said.say(self.job.said)

    def _save(self) -> None:
        """Writes the runs into a new folder below `out`: record, networks, pictures."""
        with self.reporting():
            self.saved.say(_("Saved in {folder}", folder=save(self.kept, self.out)))

    def _drive(self, job: Job) -> None:
        """In a thread: follows the job, and keeps its runs; what cannot be shown is no reason to stay busy for ever."""
        while job.is_alive():
            runs = job.runs[:]  # first: what is said is never older than what is drawn
            self.bar.value = job.progress
            self.said.say(job.said)
            if runs:
                with self.reporting():
                    self._draw([*self.kept, *runs])
            job.join(REFRESH)
        with self.reporting():
            self._keep(job.results)
            if job.sizes:
                self.sizes.children = [InstantSlider(job.sizes)]
                best, full = job.sizes.smallest_within("nested", TOLERATED), job.sizes.full
                if best is full:  # none of them is near
                    best = max(job.sizes.series("nested")[1:], key=lambda size: size.test_accuracy)
                told = {"share": 100 * best.conv_compression, "right": 100 * best.test_accuracy}
                said = N_(
                    "One training, cut to {share:.0f} % fewer weights: right on {right:.1f} % of new images, the full "
                    "network on {full:.1f} %."
                )
                self.verdict.say(_(said, full=100 * full.test_accuracy, **told), bold=True)
        if job.error is not None:
            self.show_problem(job.error)
        self.bar.value = 0.0 if job.error else job.progress
        self.said.say(job.said)
        self.busy = False

    def _keep(self, runs: Sequence[Trained]) -> None:
        """More runs for the list, whose networks and sizes are now the last ones."""
        self.kept += runs
        if runs:
            self.finding, self.numbers = finding(records_of(runs)), {}
        for run in runs:
            self.numbers[f"{run.facts['method']}_accuracy"] = float(run.facts["test_accuracy"])
            self.numbers[f"{run.facts['method']}_parameters"] = float(run.facts["parameters"])
            if run.facts["method"] == "tucker":
                self.numbers["removed"] = float(run.facts["conv_compression"])
        self.verdict.say(self.finding, bold=True)
        self._draw(self.kept)

    def _draw(self, runs: Sequence[Trained]) -> None:
        self.picture.show(self.figure(runs) if runs else None)
        self.tiles.value, self.events.value = numbers_html(runs) if runs else "", events_html(runs)

    def _enable(self, change: object = None) -> None:
        for control in self.controls.values():
            control.disabled = self.busy
        if self.by.value == "nested":  # whose sizes are compared with it
            self.dense.value = self.dense.disabled = True
        self.train.disabled, self.stop.disabled = self.busy, not self.busy
        set_visible(self.compression, self.by.value == "compression")
        set_visible(self.tolerance, self.by.value == "tolerance")
        set_visible(self.before, self.recorded.value and not self.kept and not self.busy)
        set_visible(self.save, self.kept and not self.busy)
        set_visible(self.go_on, self.is_kept and not self.busy and self.unfinished.asked())

    def _suit(self, change: object) -> None:
        """Another data set is learned in another time; one that there is not changes nothing."""
        if (recipe := RECIPES.get(self.dataset.value.partition(":")[0])) is not None:
            self.epochs.value = recipe.epochs
        self._show_recorded()

    def _show_recorded(self) -> None:
        figure = None
        with suppress(DataError):  # nothing is recorded of these images
            figure = None if self.kept else self.recorded_figure()
        self.recorded.show(figure)
        self._enable()
