"""A training job in a thread of its own: it can be paused, stopped, and given other ranks while it goes."""

import threading
import time
from dataclasses import dataclass, field
from typing import Literal

import torch

from tuckerlab.experiments.contest import facts, measurements
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, setting
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena
from tuckerlab.i18n import _, text
from tuckerlab.panels.training_runs import Plan, Result, Trace
from tuckerlab.training.guard import Guard
from tuckerlab.training.openmp import release_workers
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.rank_policy import RankPolicy

# Without its rule on images held out, which would be lost to training: a run in which it has nothing to do is the same
# as without it, to the last bit.
VALVE = Guard(accuracy=None)

Phase = Literal["waiting", "reading", "training", "measuring", "done"]

# Torch has one stream of random numbers, and the cores are soon busy: jobs of one process take turns.
_TURN = threading.Lock()


@dataclass(eq=False)
class Job(Callback):
    """The thread, what it has done so far, and the ways to steer it. All methods may be called from other threads."""

    plan: Plan
    phase: Phase = "waiting"
    traces: list[Trace] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.arena: Arena | None = None
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._changing = threading.Lock()
        self._ranks: RankPolicy | None = None  # to be taken up after the next step
        self._changes: list[str] = []
        self._begun = self._began = time.monotonic()  # the job, and the training
        self._paused = 0.0
        self._has_turn = False
        self._thread = threading.Thread(target=self._work, name="tuckerlab training", daemon=True)

    def start(self) -> None:
        """Begins. The cores are for the job: the calling thread lets go of its share."""
        release_workers()
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Until it has ended, or so many seconds."""
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether it is at work, or paused."""
        return self._thread.is_alive()

    def pause(self) -> None:
        """Holds after the step at hand."""
        self._go.clear()

    def go_on(self) -> None:
        """After a pause."""
        self._go.set()

    def stop(self) -> None:
        """Ends after the step at hand; what has been trained is kept."""
        self._stop.set()
        self._go.set()

    def change(self, ranks: RankPolicy) -> bool:
        """Another tolerance or budget from the next rank adaptation on; RankError for one that cannot be met.

        Says whether it counts: not where the Tucker networks are trained already. Before the images are read nobody
        knows what can be met; then the job ends with that error before anything is trained.
        """
        with self._changing:
            if self.arena is not None:
                self.arena.check(ranks)
            if self._turned_dense or self.phase in ("measuring", "done"):
                return False
            self._ranks = ranks
            return True

    @property
    def can_pause(self) -> bool:
        """Whether there is a step ahead to hold after."""
        return self.phase not in ("measuring", "done")

    @property
    def seconds(self) -> float:
        """Since the images were asked for, without pauses."""
        return time.monotonic() - self._begun - self._paused

    @property
    def _turned_dense(self) -> bool:
        return bool(self.traces) and self.traces[-1].method != "tucker"

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1."""
        return sum(trace.progress for trace in self.traces) / len(self.plan.contenders)

    @property
    def seconds_left(self) -> float | None:
        """About so long, at the pace so far; None where nothing is known yet."""
        done = self.progress
        return None if done < 0.01 else (time.monotonic() - self._began - self._paused) * (1 - done) / done

    # --- in the thread ---------------------------------------------------------------------------------------------

    def said(self, state: str) -> str:
        """What is going on, for people; `state` is that of the panel: "running", "paused" or "stopping"."""
        if state == "stopping":
            return text("training.state.stopping" if self.phase != "measuring" else "training.state.measuring")
        if self.phase != "training" or not self.traces:
            return text(f"training.state.{'reading' if self.phase == 'training' else self.phase}")
        trace, key = self.traces[-1], "paused" if state == "paused" else "training"
        values = {"label": trace.label, "epoch": trace.epoch, "epochs": trace.epochs}
        return text(f"training.state.{key}", **values, left=_left(self.seconds_left))

    def _work(self) -> None:
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
        while not self._has_turn and not self._stop.is_set():
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
                if not self._stop.is_set():
                    runs[contender] = self._train(contender, arena)
        finally:  # where one fails, those before it are kept
            self._record(runs, arena)

    def _train(self, contender: Contender, arena: Arena) -> Run:
        recipe = arena.recipe
        per_epoch = len(arena.data.train_images) // arena.step_size
        self.traces.append(Trace(contender.label, contender.method, recipe.epochs * per_epoch, per_epoch))
        guard = VALVE if self.plan.guard else None
        run = contender.train(Training(arena, callbacks=[self], stop=self._stop, guard=guard))
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
        if not runs:
            return
        measured: dict[Contender, dict[str, float | None]] = {contender: {} for contender in runs}
        if not self._stop.is_set():
            self.phase = "measuring"
            measured = measurements(runs, arena)
        for contender, run in runs.items():
            row = facts(contender, run, arena) | measured[contender]
            if self._changes and contender.method == "tucker":
                changes = "; ".join(self._changes)
                row["note"] = "; ".join(part for part in (row["note"], f"ranks changed in mid-run ({changes})") if part)
            self.results.append(Result(Records.single(row, run.epochs, run.ranks, run.events), run.model))


def _left(seconds: float | None) -> str:
    if seconds is None:
        return _("estimating the time left")
    if seconds < 100:
        return _("about {seconds:.0f} s left", seconds=seconds)
    return _("about {minutes:.0f} min left", minutes=seconds / 60)


def devices() -> list[str]:
    """Those of this machine, and "auto"."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return ["auto", "cpu", *(name for name, there in found.items() if there)]
