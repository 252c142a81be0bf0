"""The state of the training panel: what is asked for, what is going on, and the runs that are kept.

>>> model = TrainingModel(width=0.25, epochs=1)
>>> model.train()
>>> model.wait()
>>> model.state, [run.name for run in model.kept]
('idle', ['Tucker 90 %'])
"""

import threading
from pathlib import Path
from typing import Any

import torch
import traitlets

from tuckerlab.errors import DataError
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.proof import recipe_for
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding
from tuckerlab.i18n import text
from tuckerlab.panels.model import PanelModel
from tuckerlab.panels.training.job import Job, Plan
from tuckerlab.panels.training.runs import Kept, numbers, records_of, save
from tuckerlab.panels.training.trace import Trace
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

REFRESH = 0.4  # seconds between two looks at a job
MOST_EPOCHS, LARGEST_SEED = 10_000, 2**31


class TrainingModel(PanelModel):
    """Train, pause and stop from any thread; the work is done in another one, and the traits follow it."""

    dataset = traitlets.Unicode("digits")
    image_size = traitlets.Int(None, allow_none=True)
    network = traitlets.Enum(["auto", *MODELS], "auto")
    width = traitlets.Float(1.0)
    by = traitlets.Enum(["compression", "tolerance"], "compression")
    compression = traitlets.Float(0.9)
    tolerance = traitlets.Float(0.2)
    epochs = traitlets.Int(recipe_for("digits").epochs, min=1, max=MOST_EPOCHS)
    seed = traitlets.Int(0, min=0, max=LARGEST_SEED)
    device = traitlets.Unicode("auto")
    dense = traitlets.Bool(False, help="whether the full network is trained too")
    guard = traitlets.Bool(True, help="the safety valve: it changes nothing until something breaks")
    out = traitlets.Unicode("runs", help="the folder that runs are saved in")

    state = traitlets.Enum(["idle", "running", "paused", "stopping"], "idle")
    said = traitlets.Unicode(help="what is going on, for people")
    progress = traitlets.Float(0.0)
    seen = traitlets.Int(0, help="grows whenever there is something new to draw")
    kept = traitlets.Tuple(help="runs that have ended, as Kept")
    shown = traitlets.Tuple(help="the names of those that are drawn")

    def __init__(self, **settings: Any) -> None:
        self.job: Job | None = None
        self._live: Job | None = None  # while its runs are not among the kept ones
        self._driver: threading.Thread | None = None
        self.steered = False  # whether the last change counts for the job at work
        self._lock = threading.RLock()  # who watches a trait may press a button at once
        if "dataset" in settings:
            settings = {"epochs": recipe_for(settings["dataset"]).epochs} | settings
        super().__init__(**settings)
        self.observe(self._suit, "dataset")  # not before: epochs that were given stay
        self.said = text("training.state.idle")

    @property
    def policy(self) -> RankPolicy:
        """What the settings ask of the ranks."""
        return Budget(self.compression) if self.by == "compression" else Tolerance(self.tolerance)

    @property
    def devices(self) -> list[str]:
        """Those of this machine."""
        found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return ["auto", "cpu", *(name for name, there in found.items() if there)]

    @property
    def traces(self) -> dict[str, Trace]:
        """What is to be drawn, by name: the shown runs, and the job's own while it goes."""
        drawn = {run.name: run.trace for run in self.kept if run.name in self.shown}
        if self._live is not None:
            drawn |= {self._free(trace.label): trace for trace in self._live.traces[:] if trace.looks}
        return drawn

    @property
    def picked(self) -> list[Kept]:
        """The shown runs."""
        return [run for run in self.kept if run.name in self.shown]

    @property
    def records(self) -> Records:
        """The record of the shown runs, each under its name."""
        return records_of(self.picked)

    @property
    def finding(self) -> str:
        """The result of the shown runs in one line, where they were trained alike and there is a comparison."""
        alike = all(run.conditions == self.picked[0].conditions for run in self.picked)
        return finding(self.records) if alike else ""

    @property
    def numbers(self) -> dict[str, float]:
        """Accuracies and sizes of the last job's runs, by method."""
        return numbers(self.kept)

    # --- the buttons ---------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Begins; while a job is at work this does nothing."""
        with self._lock, self.reporting():
            if self.state != "idle":
                return
            contenders = [Tucker(self.policy), *([Dense()] if self.dense else [])]
            self.job = self._live = Job(Plan(
                tuple(contenders), self.dataset, self.image_size, self.network, self.width, self.epochs, self.seed,
                self.device, self.guard,
            ))  # fmt: skip
            self.state, self.progress = "running", 0.0
            self._driver = threading.Thread(target=self._drive, args=(self.job,), name="tuckerlab panel", daemon=True)
            self.job.start()
            self._driver.start()
            self._follow(self.job)

    def pause(self) -> None:
        """Holds a job, or lets it go on."""
        with self._lock:
            if self.job is None or not (self.state == "paused" or (self.state == "running" and self.job.can_pause)):
                return
            if self.state == "running":
                self.job.pause()
            else:
                self.job.go_on()
            self.state = "paused" if self.state == "running" else "running"
            self._follow(self.job)

    def stop(self) -> None:
        """Ends a job after the step at hand."""
        with self._lock:
            if self.job is not None and self.state != "idle":
                self.state = "stopping"
                self.job.stop()
                self._follow(self.job)

    def wait(self) -> None:
        """Until the job has ended and its runs are here."""
        if self._driver is not None:
            self._driver.join()

    def save(self) -> Path:
        """Writes the shown runs into a new folder below `out`: record, networks, pictures."""
        if not self.shown:
            raise DataError(text("training.nothing_to_save"))
        return save(self.picked, self.out)

    @traitlets.observe("compression", "tolerance", "by")
    def _change(self, _: object) -> None:
        self.steered = False
        if self.job is not None and self.state in ("running", "paused"):
            with self.reporting():
                self.steered = self.job.change(self.policy)

    def _suit(self, _: object) -> None:
        """Another data set is learned in another time."""
        self.epochs = recipe_for(self.dataset).epochs

    # --- beside the job, in a thread of its own ------------------------------------------------------------------

    def _drive(self, job: Job) -> None:
        with self.reporting():  # a picture that cannot be drawn does not end the training
            while job.alive:
                job.wait(REFRESH)
                self._follow(job)
        job.wait()
        with self._lock:
            stopped = self.state == "stopping"
            pairs = zip(job.traces, job.results, strict=False)
            runs = [Kept(self._free(trace.label), job.plan, trace, result) for trace, result in pairs]
            ending = ("stopped" if job.results else "stopped_early") if stopped else "done"
            if job.error is not None:
                ending = "idle"
                with self.reporting():
                    raise job.error
            self._set("said", text(f"training.state.{ending}", seconds=job.seconds))
            self._live = None
            self._set("kept", (*self.kept, *runs))
            self._set("shown", (*self.shown, *(run.name for run in runs)))
            self._set("progress", 0.0 if ending == "idle" else self.progress)
            self._set("state", "idle")
            self._set("seen", self.seen + 1)

    def _set(self, name: str, value: object) -> None:
        """Sets a trait; one that cannot be shown is no reason to stay busy for ever."""
        with self.noting():
            setattr(self, name, value)

    def _follow(self, job: Job) -> None:
        self.progress = job.progress
        self.said = self._saying(job)
        self.seen += 1

    def _saying(self, job: Job) -> str:
        if self.state == "stopping":
            return text("training.state.stopping" if job.phase != "measuring" else "training.state.measuring")
        if job.phase == "done":
            return self.said
        if job.phase != "training" or not job.traces:
            return text(f"training.state.{'reading' if job.phase == 'training' else job.phase}")
        trace, left = job.traces[-1], job.seconds_left
        values = {"label": trace.label, "epoch": trace.epoch, "epochs": trace.epochs}
        return text(f"training.state.{'paused' if self.state == 'paused' else 'training'}", **values, left=_left(left))

    def _free(self, label: str) -> str:
        """A name like the label that no kept run has."""
        taken, name, number = {run.name for run in self.kept}, label, 1
        while name in taken:
            number += 1
            name = f"{label} ({number})"
        return name


def _left(seconds: float | None) -> str:
    if seconds is None:
        return text("training.left.unknown")
    if seconds < 100:
        return text("training.left.seconds", seconds=seconds)
    return text("training.left.minutes", minutes=seconds / 60)
