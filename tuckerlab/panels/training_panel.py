"""The training panel: train a network in Tucker format, and the full one beside it, and watch both."""

import threading
from contextlib import suppress
from typing import Any, ClassVar

import ipywidgets
import traitlets

from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.standings import standings
from tuckerlab.experiments.summary import finding, learned_nothing
from tuckerlab.i18n import N_, _
from tuckerlab.panels.training_controls import STEERED, Controls
from tuckerlab.panels.training_job import Job, Trained, records_of, save
from tuckerlab.panels.training_picture import draw, events_html, tiles_html
from tuckerlab.panels.unfinished import Unfinished
from tuckerlab.panels.widgets import Line, PictureBox, button, markdown, row, set_visible, watch
from tuckerlab.training.machine import release_workers
from tuckerlab.tucker.model_size import summary

REFRESH = 1.0  # seconds between two looks at a job: a picture takes an eighth of one
NO_RUN = N_("no run yet: press Train in the panel above, then run this cell again")


class TrainingPanel(Controls):
    """Train a network in Tucker format, and the full one beside it, and watch both.

    controls: what they begin with, see `Controls`; there is none for `image_size`, `width`, `device` and `out` (the
    folder that runs are saved in). width: by default that which suits the data set. attended=False: nobody is there to
    press Train; the panel presses it and waits, so that what is shown is the end of the training. Raises TuckerlabError
    if that fails and for a number out of range, TraitError for another setting that no control has. `finding` is the
    comparison in one line, where there is one, and `numbers` are accuracies and sizes of the last training, by method.

    A training that is cut off, because its page or its kernel is closed, can be gone on with in the next panel.
    """

    resumes: ClassVar[bool] = True
    state = traitlets.Enum(["idle", "running", "stopping"], "idle")

    def __init__(
        self, *, attended: bool = True, image_size: int | None = None, width: float | None = None, device: str = "auto",
        out: str = "runs", **controls: Any,
    ) -> None:  # fmt: skip
        super().__init__(**controls)
        self.attended = attended
        self.image_size, self.width, self.device, self.out = image_size, width, device, out
        self.job: Job | None = None  # the last one
        self.kept, self.boxes = list[Trained](), list[ipywidgets.Checkbox]()  # runs that have ended, each with its box
        self._lock = threading.RLock()  # who watches may press a button at once
        self.finding, self.numbers = "", dict[str, float]()
        self.train = button(_("Train"), self._train, icon="play", button_style="primary")
        self.go_on = button(
            _("Continue"), self._go_on, _("Goes on with the training that was cut off"), icon="step-forward",
        )  # fmt: skip
        self.stop = button(_("Stop"), self._stop, icon="stop", button_style="warning")
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout=ipywidgets.Layout(width="14rem"))
        self.said, self.hint, self.verdict, self.saved = Line(), Line(), Line(), Line()
        self.tiles, self.events, self.runs = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.VBox()
        self.picture = PictureBox(_(
            "Four charts against the pass over the images: training loss, share of new images that are right, "
            "convolution weights stored in per cent of the full network, and a map of the ranks of each layer."
        ))  # fmt: skip
        self.save = button(_("Save the shown runs"), self._save, icon="save")
        self.children = [
            *self.children, row(self.train, self.go_on, self.stop, self.bar, self.said),
            self.hint, self.alert, self.tiles, self.verdict, self.events, self.picture, self.runs,
            row(self.save, self.saved),
        ]  # fmt: skip
        watch(self._steer, self.by, self.compression, self.tolerance)
        self.observe(self._enable, "state")
        self.said.say(_("Press Train. The notebook stays free while the network learns."))
        self.cut_off: Unfinished | None = None
        if attended and self.resumes:
            self._find()
        self._enable()
        self._list()
        if not attended:
            self.train_now()

    def train_now(self) -> None:
        """Presses Train and waits; TuckerlabError if that fails."""
        self._train()
        self.wait()
        if self.problem:
            raise TuckerlabError(_("the training panel could not train: {problem}", problem=self.problem))

    @property
    def contenders(self) -> list[Contender]:
        """The networks that are trained next, in this order."""
        return [Tucker(self.policy), *([Dense()] if self.dense.value else [])]

    @property
    def shown(self) -> list[Trained]:
        """The runs whose boxes are ticked."""
        return [run for run, box in zip(self.kept, self.boxes, strict=False) if box.value]

    def result(self) -> Any:
        """The shown runs as a table; before there are any, what to do."""
        return standings(records_of(self.shown)) if self.shown else markdown(_(NO_RUN))

    def layers(self) -> Any:
        """The layers of the last Tucker network."""
        trained = [run.run.model for run in self.kept if run.contender.method == "tucker"]
        return summary(trained[-1]) if trained else markdown(_(NO_RUN))

    def exercise(self, large: float, small: float) -> Any:
        """What the step from one share of removed weights to another costs, once both have been trained alike."""
        found: list[Trained] = []
        for share in (large, small):
            near = [
                run for run in self.kept
                if run.contender.method == "tucker" and abs(run.facts["conv_compression"] - share) < 0.015
                and (not found or run.conditions == found[0].conditions)
            ]  # fmt: skip
            if not near:
                return markdown(_(
                    "Not yet: no run has come to {removed:.0f} % removed. Train one in the panel above, then run "
                    "this cell again.",
                    removed=100 * share,
                ))  # fmt: skip
            found.append(near[-1])
        before, after = (100 * run.facts["test_accuracy"] for run in found)
        return markdown(_(
            "✓ {points}: from {before:.1f} to {after:.1f} % right on new images. With another seed it may be "
            "a few tenths more or less.",
            points=_("{points:+.1f} points", points=after - before), before=before, after=after,
        ))  # fmt: skip

    def _find(self) -> None:
        """What this page showed before it was closed or loaded again: a training at work, or one that was cut off."""
        if job := Job.at_work:
            self.put(job.place.asked["now"] if job.place else {})
            self._follow(job)
        elif left := Unfinished.left(self.out):
            self.cut_off = left[0]
            self.put(self.cut_off.asked["now"])
            self.said.say(_("A training was cut off. Continue goes on from its last pass, Train begins anew."))

    def _train(self) -> None:
        """Begins; while a job is at work this does nothing."""
        self._begin()

    def _go_on(self) -> None:
        """The training that was cut off, and what was changed in the middle of it."""
        found, self.cut_off = self.cut_off, None
        if found is not None and found.hold():
            self.put(found.asked["begun"])
            self._begin(found)
            self.put({name: found.asked["now"][name] for name in STEERED})
        else:
            self.said.say(_("Another window has gone on with it."))
        self._enable()

    def _begin(self, place: Unfinished | None = None) -> None:
        with self._lock, self.reporting():
            if self.state != "idle":
                return
            if any(field.is_refused for field in (self.epochs, self.seed)):
                raise TuckerlabError(_("Mend the field that is marked first."))
            job = Job(
                self.contenders, guard=self.guard.value, dataset=self.dataset.value, image_size=self.image_size,
                model=self.network.value, width=self.width, epochs=self.epochs.value, seed=self.seed.value,
                device=self.device,
            )  # fmt: skip
            if self.attended and self.resumes:
                with suppress(OSError):  # what cannot be kept can be trained all the same
                    job.place = place or Unfinished.begin(self.out, self.asked)
            release_workers()  # the cores are for the job
            job.start()
            self._follow(job)

    def _follow(self, job: Job) -> None:
        """Shows a job until it has ended."""
        self.job, self.cut_off, self.state = job, None, "running"
        self.in_background(self._drive, job)

    def _stop(self) -> None:
        """Ends a job after the step at hand."""
        with self._lock:
            if self.job is not None and self.state == "running":
                self.state = "stopping"
                self.job.stop()
                self.said.say(self.job.said)

    def _steer(self, change: Any) -> None:
        """Other ranks: of the job at work, if it is not too late, and of the next one."""
        self._enable()
        if self.job is not None and self.state == "running":
            with self.reporting():
                self.hint.say("")
                self.hint.say(self.job.change(self.policy))
                if self.job.place is not None:
                    self.job.place.note(self.asked)

    def _save(self) -> None:
        """Writes the shown runs into a new folder below `out`: record, networks, pictures."""
        self.saved.say("")
        with self.reporting():
            if not self.shown:
                raise DataError(_("There is no run to save: train one, and tick it in the list."))
            self.saved.say(_("Saved in {folder}", folder=save(self.shown, self.out)))

    def _drive(self, job: Job) -> None:
        """In a thread: follows the job, and keeps its runs; what cannot be shown is no reason to stay busy for ever."""
        while job.is_alive():
            self.bar.value = job.progress
            self.said.say(job.said)
            if job.phase == "training":
                with self.reporting(fresh=False):
                    self._draw()
            job.join(REFRESH)
        with self._lock:
            self.bar.value = 0.0 if job.error else job.progress
            self.said.say(job.said)
            if job.error is not None:
                self.show_problem(job.error)
            with self.reporting(fresh=False):
                self._keep(job.results)
            with self.reporting(fresh=False):  # who watches the state may fail too
                self.state = "idle"

    def _keep(self, runs: list[Trained]) -> None:
        """More runs for the list, whose networks and sizes are now the last ones."""
        self.numbers = {} if runs else self.numbers
        for run in runs:
            run.name = self._free(run.label)
            self.kept.append(run)
            method = str(run.facts["method"])
            self.numbers[f"{method}_accuracy"] = float(run.facts["test_accuracy"])
            self.numbers[f"{method}_parameters"] = float(run.facts["parameters"])
            if method == "tucker":
                self.numbers["removed"] = float(run.facts["conv_compression"])
        self._list()

    def _free(self, label: str) -> str:
        """A name like the label that none of the runs has."""
        taken, name, number = {run.name for run in self.kept}, label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        return name

    def _enable(self, change: object = None) -> None:
        """Offers what can be done now."""
        is_idle = self.state == "idle"
        self.train.disabled, self.stop.disabled = not is_idle, self.state != "running"
        set_visible(self.go_on, is_idle and self.cut_off)
        self.enable(is_idle)
        if is_idle:
            self.hint.say("")

    def _list(self) -> None:
        """A box to tick for each run that is kept."""
        for run in self.kept[len(self.boxes) :]:
            box = ipywidgets.Checkbox(True, description=run.said, indent=False, layout={"width": "100%"})
            watch(self._choose, box)
            self.boxes.append(box)
        title = [ipywidgets.Label(_("Runs shown:"))] if self.boxes else []
        self.runs.children = (*title, *self.boxes)
        set_visible(self.save, self.boxes)
        self._choose()

    def _choose(self, change: object = None) -> None:
        """What the shown runs come to."""
        with self.reporting(fresh=False):
            records = records_of(self.shown)
            alike = all(run.conditions == self.shown[0].conditions for run in self.shown)
            self.finding = finding(records) if alike else " ".join(learned_nothing(records).values())
            self.verdict.say(self.finding, bold=True)
            self._draw()

    def _draw(self) -> None:
        """The picture and the numbers as they are now: of the shown runs, and of those that the job is at."""
        with self._lock:
            runs = {run.name: run for run in self.shown}
            if self.job is not None and self.job.is_alive():
                runs |= {self._free(run.label): run for run in self.job.runs}
            self.picture.show(draw(runs) if runs else None)
            self.tiles.value, self.events.value = tiles_html(runs) if runs else "", events_html(runs)
