"""A training job in a thread of its own: it can be paused, stopped, and given other ranks while it goes."""

import threading
import time
from typing import Literal

from tuckerlab.experiments.contest import facts, measurements
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, setting
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena
from tuckerlab.i18n import _
from tuckerlab.panels.training_runs import Plan, Trace, Trained
from tuckerlab.training.guard import Guard
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.rank_policy import RankPolicy

# Without its rule on images held out, which would be lost to training: a run in which it has nothing to do is the same
# as without it, to the last bit.
VALVE = Guard(accuracy=None)

# Torch has one stream of random numbers, and the cores are soon busy: jobs of one process take turns.
_TURN = threading.Lock()


class Job(threading.Thread, Callback):
    """The thread, what it has done so far, and the ways to steer it. All methods may be called from other threads."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(name="tuckerlab training", daemon=True)
        self.plan = plan
        self.phase: Literal["waiting", "reading", "training", "measuring", "done"] = "waiting"
        self.traces: list[Trace] = []
        self.results: list[Trained] = []
        self.error: BaseException | None = None
        self.arena: Arena | None = None
        self._go, self._halt = threading.Event(), threading.Event()
        self._go.set()
        self._changing = threading.Lock()
        self._ranks: RankPolicy | None = None  # to be taken up after the next step
        self._changes: list[str] = []
        self._begun = self._began = time.monotonic()  # the job, and the training
        self._paused = 0.0
        self._has_turn = False

    def pause(self, pauses: bool) -> None:
        """Holds after the step at hand, or goes on."""
        (self._go.clear if pauses else self._go.set)()

    def stop(self) -> None:
        """Ends after the step at hand; what has been trained is kept."""
        self._halt.set()
        self._go.set()

    def change(self, ranks: RankPolicy) -> str:
        """Another tolerance or budget from the next rank adaptation on; RankError for one that cannot be met.

        Says whether it counts: not where the Tucker network is trained already. Before the images are read nobody
        knows what can be met; then the job ends with that error before anything is trained.
        """
        with self._changing:
            if self.arena is not None:
                self.arena.check(ranks)
            if not self.can_pause or (self.traces and self.traces[-1].method != "tucker"):
                return _(
                    "The new value counts for the next training: in this one the small network is trained already."
                )
            self._ranks = ranks
        return _(
            "The new value counts from the next rank adaptation on. A target size can only come down; a lower "
            "tolerance lets ranks grow again."
        )

    @property
    def can_pause(self) -> bool:
        """Whether there is a step ahead to hold after."""
        return self.phase not in ("measuring", "done")

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return sum(trace.at / trace.total_steps for trace in self.traces) / len(self.plan.contenders)

    def said(self, state: str) -> str:
        """What is going on, for people; `state` is that of the panel: "running", "paused" or "stopping"."""
        if self.phase == "measuring":
            return _("Trained. Measuring times and memory …")
        if state == "stopping":
            return _("Stopping after this step …")
        if self.phase == "waiting":
            return _("Waiting for another training to end …")
        if not self.traces:
            return _("Reading images …")
        trace = self.traces[-1]
        told = {
            "label": trace.label,
            "epoch": min(trace.at, trace.total_steps - 1) // trace.steps_per_epoch + 1,
            "epochs": trace.total_steps // trace.steps_per_epoch,
        }
        if state == "paused":
            return _("{label}: paused in pass {epoch} of {epochs}", **told)
        return _("{label}: pass {epoch} of {epochs}, {left}", **told, left=self._left())

    @property
    def end(self) -> str:
        """How it ended, for people; empty where it failed."""
        if self.error is not None:
            return ""
        if not self._halt.is_set():
            return _("Done in {seconds:.0f} s.", seconds=time.monotonic() - self._begun - self._paused)
        if self.results:
            return _("Stopped. What was learned so far is kept.")
        return _("Stopped before the first pass was over: there is nothing to keep.")

    def _left(self) -> str:
        """About how long it still takes, at the pace so far."""
        if (done := self.progress) < 0.01:
            return _("estimating the time left")
        seconds = (time.monotonic() - self._began - self._paused) * (1 - done) / done
        if seconds < 100:
            return _("about {seconds:.0f} s left", seconds=seconds)
        return _("about {minutes:.0f} min left", minutes=seconds / 60)

    # --- in the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The work of the thread."""
        try:
            if not self._take_turn():
                return
            self.phase, self._begun = "reading", time.monotonic()
            arena = self.plan.arena()
            with self._changing:
                self.arena = arena
                arena.check(self._ranks)
            self.phase, self._began = "training", time.monotonic()
            self._train_all(arena)
        except Exception as error:
            self.error = error
        finally:
            self._give_turn()
            self.phase = "done"

    def _take_turn(self) -> bool:
        """Waits for other jobs; False if this one is stopped meanwhile."""
        while not self._has_turn and not self._halt.is_set():
            self._has_turn = _TURN.acquire(timeout=0.1)
        return self._has_turn

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _TURN.release()

    def _train_all(self, arena: Arena) -> None:
        runs: dict[Contender, Run] = {}
        try:
            for contender in self.plan.contenders:
                if not self._halt.is_set():
                    runs[contender] = self._train(contender, arena)
        finally:  # where one fails, those before it are kept
            self._record(runs, arena)

    def _train(self, contender: Contender, arena: Arena) -> Run:
        guard = VALVE if self.plan.guard else None
        training = Training(arena, callbacks=[self], stop=self._halt, guard=guard)
        self.traces.append(Trace(contender.label, contender.method, training.steps, training.steps_per_epoch))
        run = contender.train(training)
        self.traces[-1].follow(run)
        return run

    def on_start(self, run: Run) -> None:
        """Looks at the sizes that the run begins with."""
        self.traces[-1].look(run)

    def on_step(self, run: Run) -> None:
        """Takes up other ranks, and holds where a pause was asked for."""
        trace, ranks = self.traces[-1], None
        trace.step(run)
        if trace.method == "tucker":
            with self._changing:
                ranks, self._ranks = self._ranks, None
        if ranks is not None:
            run.optimizer.ranks = ranks.over(run.total_steps)
            trace.label = f"{trace.label} → {setting(ranks)}"
            self._changes.append(f"step {run.step}: {ranks!r}")
        if not self._go.is_set():
            held = time.monotonic()
            self._give_turn()  # a job that is paused, and perhaps forgotten, keeps no other from its work
            self._go.wait()
            self._take_turn()
            self._paused += time.monotonic() - held

    def on_epoch(self, run: Run) -> None:
        """Notes the accuracy."""
        self.traces[-1].accuracies.append((run.step, run.test_accuracy))

    def _record(self, runs: dict[Contender, Run], arena: Arena) -> None:
        runs = {contender: run for contender, run in runs.items() if run.epochs}  # one stopped before has no accuracy
        measured: dict[Contender, dict[str, float | None]] = {}
        if runs and not self._halt.is_set():
            self.phase = "measuring"
            measured = measurements(runs, arena)
        for trace, (contender, run) in zip(self.traces, runs.items(), strict=False):
            row = facts(contender, run, arena) | measured.get(contender, {})
            if self._changes and contender.method == "tucker":
                changes = "; ".join(self._changes)
                row["note"] = "; ".join(part for part in (row["note"], f"ranks changed in mid-run ({changes})") if part)
            records = Records.single(row, run.epochs, run.ranks, run.events)
            self.results.append(Trained(self.plan, trace, records, run.model))
