"""A training in a thread of its own, which can be stopped and gone on with, and the runs that come of it."""

import json
import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock

from tuckerlab.experiments.measuring import facts, measurements
from tuckerlab.experiments.methods.base import Method, in_file_names
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Experiment, set_up
from tuckerlab.experiments.size_table import Sizes, nested_sizes
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _
from tuckerlab.plotting.styles import label_name
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.guard import Guard
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import count_parameters


class Unfinished:
    """What one goes on with where a training is cut off: a folder below `out`, which a living process holds."""

    def __init__(self, out: str) -> None:
        self.folder = Path(out) / "unfinished"
        self._asked = self.folder / "asked.json"
        self._lock = FileLock(f"{self.folder}.lock", thread_local=False)  # a thread begins it, another ends it

    def asked(self) -> dict[str, Any]:
        """What a training that was cut off was asked for; empty where there is none, or somebody is at it."""
        with suppress(OSError, ValueError):  # held by somebody else, ended by now, or broken
            if self._asked.exists():
                with self._lock.acquire(timeout=0):
                    return dict(json.loads(self._asked.read_text(encoding="utf-8")))
        return {}

    def hold(self, asked: Mapping[str, Any] | None = None) -> bool:
        """Keeps others from it, if it can be held; what is asked takes the place of what was cut off."""
        with suppress(OSError):  # somebody else has it, or it cannot be written
            self._lock.acquire(timeout=0)
            if asked is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
                with atomic_path(self._asked) as path:
                    path.write_text(json.dumps(asked), encoding="utf-8")
            return True
        return False

    def end(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


@dataclass(eq=False)
class Trained:
    """A network that is being trained, which others may look at meanwhile, or has been: then there are `records`."""

    method: Method
    run: Run
    name: str  # which no other run of the panel has
    stored: float  # of the dense convolution weights, as a share, at the first step
    losses: list[float]  # by step
    records: Records = field(default_factory=Records)

    @property
    def facts(self) -> Any:
        return self.records.runs.iloc[0]


class Job(threading.Thread, Callback):
    """Trains the networks of `methods` one after the other, on the same images; others may look, and set `stop`.

    `asked` are the controls that began it; `number` tells its networks from those of other jobs. `stop` ends it after
    the step at hand; what has been trained is kept.
    """

    at_work: ClassVar["Job | None"] = None  # one a process: torch has one stream of random numbers

    def __init__(
        self, methods: Sequence[Method], asked: Mapping[str, Any], *, number: int, guard: Guard | None,
        place: Unfinished | None, **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(name="tuckerlab training", daemon=True)
        self.methods, self.asked, self.number, self.guard = methods, asked, number, guard
        self.place, self.settings = place, settings
        self.runs: list[Trained] = []  # that have begun
        self.results: list[Trained] = []  # that have ended
        self.sizes: Sizes | None = None  # of a training for every size
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._is_measuring = False
        self._began = time.monotonic()
        self._found = 0.0  # of the progress: what was done before it was cut off

    def start(self) -> None:
        Job.at_work = self
        super().start()

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return sum(trained.run.step / trained.run.total_steps for trained in self.runs) / len(self.methods)

    @property
    def said(self) -> str:
        """What is going on, for people; empty where it has failed."""
        if not self.is_alive():
            return self._end()
        if self._is_measuring:
            return _("Trained. Measuring times and memory …")
        if self.stop.is_set():
            return _("Stopping after this step …")
        if not self.runs:
            return _("Reading images …")
        run = self.runs[-1].run
        epoch = min(run.step, run.total_steps - 1) // run.steps_per_epoch + 1
        told = {"label": label_name(self.runs[-1].name), "epoch": epoch, "epochs": run.total_epochs}
        return _("{label}: pass {epoch} of {epochs}, {left}", left=self._left(), **told)

    def _left(self) -> str:
        """About how long it still takes, at the pace so far."""
        if (done := self.progress) < self._found + 0.01:
            return _("estimating the time left")
        seconds = (time.monotonic() - self._began) * (1 - done) / (done - self._found)
        if seconds < 100:
            return _("about {seconds:.0f} s left", seconds=seconds)
        return _("about {minutes:.0f} min left", minutes=seconds / 60)

    def _end(self) -> str:
        if self.error is not None:
            return ""
        if not self.stop.is_set():
            return _("Done in {seconds:.0f} s.", seconds=time.monotonic() - self._began)
        if self.results:
            return _("Stopped. What was learned so far is kept.")
        return _("Stopped before the first pass was over: there is nothing to keep.")

    # --- in the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._train()
        except Exception as error:
            self.error = error
        finally:
            if self.place is not None:
                self.place.end()
            Job.at_work = None

    def _train(self) -> None:
        folder = None if self.place is None else self.place.folder
        watched: dict[str, Any] = {"folder": folder, "callbacks": [self], "stop": self.stop, "guard": self.guard}
        experiment = replace(set_up(self.methods, **self.settings), **watched)
        self._began = time.monotonic()
        ended = 0
        try:
            for method in self.methods:
                if not self.stop.is_set():
                    method.train(experiment)
                    ended += 1
        finally:  # where one fails, those before it are kept; one stopped in its first epoch has no accuracy
            self._record([trained for trained in self.runs[:ended] if trained.run.epochs], experiment)

    def on_start(self, run: Run) -> None:
        method = self.methods[len(self.runs)]
        name = method.label if self.number == 1 else f"{method.label} ({self.number})"
        stored = 1 - count_parameters(run.model).conv_compression
        self._found += run.step / run.total_steps / len(self.methods)
        self.runs.append(Trained(method, run, name, stored, losses=[math.nan] * run.step))

    def on_step(self, run: Run) -> None:
        """Keeps the loss, also where the safety valve has gone back to an earlier step."""
        losses = self.runs[-1].losses
        del losses[run.step :]
        if len(losses) < run.step:
            losses.append(run.loss)

    def _record(self, ended: Sequence[Trained], experiment: Experiment) -> None:
        measured: dict[Method, dict[str, float | None]] = {}
        if ended and not self.stop.is_set():
            self._is_measuring = True
            measured = measurements({trained.method: trained.run for trained in ended}, experiment)
            full = [trained.run.model for trained in ended if trained.method.ranks is None]
            # a guard that has stopped the cutting has ended the order of the sizes too
            nested = [trained.run.model for trained in ended if trained.run.optimizer.ranks.is_nested]
            if full and nested:
                self.sizes = nested_sizes(full[0], nested[0], experiment.data.to(experiment.device))
        for trained in ended:
            run = trained.run
            row = facts(trained.method, run, experiment) | measured.get(trained.method, {})
            row |= {"label": trained.name, "run": row["run"] + trained.name.removeprefix(row["label"])}
            trained.records = Records.single(row, run.epochs, run.ranks, run.events)
            run.optimizer.state.clear()  # the momentum, as large as the network
        self.results = [*ended]


def records_of(runs: Sequence[Trained]) -> Records:
    return Records.concat(run.records for run in runs)


def save(runs: Sequence[Trained], out: str) -> Path:
    """Writes a new folder below `out`: record, networks, pictures. It is there whole or not at all."""
    folder = Path(out) / f"panel-{datetime.now():%Y%m%d-%H%M%S-%f}"
    try:
        for run in runs:
            checkpoints.save(folder / f"{in_file_names(run.name)}.safetensors", run.run.model)
        records = records_of(runs)
        save_figures(records, folder)
        records.save(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
