"""A training job in a thread of its own, which can be stopped and given other ranks, and the runs that come of it."""

import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from tuckerlab.experiments.measuring import facts, measurements
from tuckerlab.experiments.methods.base import Contender, in_file_names, setting
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.schema import SCHEMA
from tuckerlab.experiments.setup import Arena, arranged
from tuckerlab.files import file_size
from tuckerlab.i18n import _
from tuckerlab.panels.unfinished import Unfinished
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.guard import Guard
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.rank_policy import RankPolicy

# Without its rule on images held out, which would be lost to training: a run in which it has nothing to do is the same
# as without it, to the last bit.
VALVE = Guard(accuracy=None)

# Torch has one stream of random numbers, and the cores are soon busy: jobs of one process take turns.
_TURN = threading.Lock()


@dataclass(eq=False)
class Trained:
    """A network that is being trained, which others may look at meanwhile, or has been: then there are `records`."""

    contender: Contender
    conditions: Mapping[str, Any]  # what runs must have in common to be compared
    run: Run
    label: str
    name: str  # which no other run of the panel has, once it is kept
    stored: float  # of the dense convolution weights, as a share, at the first step
    losses: list[float] = field(default_factory=list)  # by step
    records: Records = field(default_factory=Records)

    def note_loss(self) -> None:
        """After a step, or after the safety valve has gone back to an earlier one."""
        del self.losses[self.run.step :]
        if len(self.losses) < self.run.step:
            self.losses.append(self.run.loss)

    @property
    def facts(self) -> Any:
        """The row of the record."""
        return self.records.runs.iloc[0]

    @property
    def said(self) -> str:
        """Its name, how often it is right, and how large it is."""
        return _(
            "{name}: {accuracy:.1f} % right, {removed:.0f} % of the convolution weights removed, file {size}",
            name=self.name,
            accuracy=100 * self.facts["test_accuracy"],
            removed=100 * self.facts["conv_compression"],
            size=file_size(self.facts["checkpoint_bytes"]),
        )


class Job(threading.Thread, Callback):
    """Trains the networks of `contenders` one after the other, on the same images; settings: those of `arranged`.

    Other threads may read all that it has, and call `stop` and `change`. `at_work` is the one of this process that
    trains.
    """

    at_work: ClassVar["Job | None"] = None

    def __init__(self, contenders: Sequence[Contender], *, guard: bool = False, **settings: Any) -> None:
        super().__init__(name="tuckerlab training", daemon=True)
        self.contenders, self.guard, self.settings = contenders, guard, settings
        self.place: Unfinished | None = None  # keeps what one goes on with that was cut off
        self.phase: Literal["waiting", "reading", "training", "measuring", "done"] = "waiting"
        self.runs: list[Trained] = []  # that have begun
        self.results: list[Trained] = []  # that have ended
        self.error: BaseException | None = None
        self.arena: Arena | None = None
        self._halt = threading.Event()
        self._asked: RankPolicy | None = None  # other ranks, and those that the training has taken up
        self._taken: RankPolicy | None = None
        self._changes: list[str] = []
        self._begun = self._began = time.monotonic()  # the job, and the training
        self._found = 0.0  # of the progress: what was done before it was cut off

    def stop(self) -> None:
        """Ends after the step at hand; what has been trained is kept."""
        self._halt.set()

    def change(self, ranks: RankPolicy) -> str:
        """Another tolerance or budget from the next rank adaptation on; RankError for one that cannot be met.

        Says whether it counts: not where the Tucker network is trained already. Before the images are read nobody
        knows what can be met; then the job ends with that error before anything is trained.
        """
        if self.arena is not None:
            self.arena.check(ranks)
        if self.phase in ("measuring", "done") or (self.runs and self.runs[-1].contender.method != "tucker"):
            return _("The new value counts for the next training: in this one the small network is trained already.")
        self._asked = ranks
        return _(
            "The new value counts from the next rank adaptation on. A target size can only come down; a lower "
            "tolerance lets ranks grow again."
        )

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return sum(trained.run.step / trained.run.total_steps for trained in self.runs) / len(self.contenders)

    @property
    def said(self) -> str:
        """What is going on, for people; empty where it has failed."""
        if self.phase == "done":
            return self._end()
        if self.phase == "measuring":
            return _("Trained. Measuring times and memory …")
        if self._halt.is_set():
            return _("Stopping after this step …")
        if self.phase == "waiting":
            return _("Waiting for another training to end …")
        if not self.runs:
            return _("Reading images …")
        run, label = self.runs[-1].run, self.runs[-1].label
        epoch = min(run.step, run.total_steps - 1) // run.steps_per_epoch + 1
        return _(
            "{label}: pass {epoch} of {epochs}, {left}",
            label=label,
            epoch=epoch,
            epochs=run.total_epochs,
            left=self._left(),
        )

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
        if not self._halt.is_set():
            return _("Done in {seconds:.0f} s.", seconds=time.monotonic() - self._begun)
        if self.results:
            return _("Stopped. What was learned so far is kept.")
        return _("Stopped before the first pass was over: there is nothing to keep.")

    # --- in the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The work of the thread."""
        try:
            while not _TURN.acquire(timeout=0.1):
                if self._halt.is_set():
                    return
            Job.at_work = self
            try:
                self._train()
            finally:
                Job.at_work = None
                _TURN.release()
        except Exception as error:
            self.error = error
        finally:
            if self.place is not None:
                self.place.end()
            self.phase = "done"

    def _train(self) -> None:
        self.phase, self._begun = "reading", time.monotonic()
        self.arena = arena = arranged(self.contenders, **self.settings)
        arena.check(self._asked)
        self.phase, self._began = "training", time.monotonic()
        ended = 0
        try:
            for contender in self.contenders:
                if not self._halt.is_set():
                    guard = VALVE if self.guard else None
                    folder = None if self.place is None else self.place.folder
                    contender.train(replace(arena, folder=folder, callbacks=[self], stop=self._halt, guard=guard))
                    ended += 1
        finally:  # where one fails, those before it are kept; one stopped in its first epoch has no accuracy
            self._record([trained for trained in self.runs[:ended] if trained.run.epochs], arena)

    def on_start(self, run: Run) -> None:
        """One more network is on its way."""
        contender, stored = self.contenders[len(self.runs)], 1 - count_parameters(run.model).conv_compression
        conditions = {**self.settings, "guard": self.guard}
        before = [row["train_loss"] for row in run.epochs for step in range(run.steps_per_epoch)]  # what is known of it
        losses = [*before, *[math.nan] * run.step][: run.step]
        self.runs.append(Trained(contender, conditions, run, contender.label, contender.label, stored, losses))
        self._found += run.step / run.total_steps / len(self.contenders)

    def on_step(self, run: Run) -> None:
        """Takes up other ranks."""
        trained, ranks = self.runs[-1], self._asked
        trained.note_loss()
        if ranks is not None and ranks is not self._taken and trained.contender.method == "tucker":
            self._taken = ranks
            run.optimizer.ranks = ranks.over(run.total_steps)
            trained.label = f"{trained.label} → {setting(ranks)}"
            self._changes.append(f"step {run.step}: {ranks!r}")

    def _record(self, ended: Sequence[Trained], arena: Arena) -> None:
        measured: dict[Contender, dict[str, float | None]] = {}
        if ended and not self._halt.is_set():
            self.phase = "measuring"
            measured = measurements({trained.contender: trained.run for trained in ended}, arena)
        for trained in ended:
            contender, run = trained.contender, trained.run
            row = facts(contender, run, arena) | measured.get(contender, {})
            if self._changes and contender.method == "tucker":
                changes = f"ranks changed in mid-run ({'; '.join(self._changes)})"
                row["note"] = "; ".join(part for part in (row["note"], changes) if part)
            trained.records = Records.single(row, run.epochs, run.ranks, run.events)
            run.optimizer.state.clear()  # the momentum, as large as the network
        self.results = [*ended]


def records_of(runs: Sequence[Trained]) -> Records:
    """The record of the runs, each under its name."""
    parts = []
    for run in runs:
        name = run.facts["run"] + run.name.removeprefix(str(run.facts["label"]))
        frames = [getattr(run.records, table).assign(run=name) for table in SCHEMA]
        parts.append(Records(frames[0].assign(label=run.name), *frames[1:]))
    return Records.concat(parts)


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
