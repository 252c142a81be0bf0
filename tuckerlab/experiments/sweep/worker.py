"""A worker of a sweep: takes a trial from the study, trains it, writes its record, and takes the next.

>>> here().rpartition(":")[2] == str(os.getpid())
True

Its state is in files: a checkpoint after every epoch, and the record at the end. So it may be killed at any time, and
whoever takes the trial next goes on where it was.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import facts
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.experiments.sweep.job import Job, suggested
from tuckerlab.experiments.sweep.plan import Plan, check_same
from tuckerlab.experiments.sweep.study import lock, open_study, reachable
from tuckerlab.experiments.sweep.trials import claim, end
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.weight import TuckerLayer

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

STOP = "stop"


def work(plan: Plan, stop: threading.Event | None = None, name: str = "", arena: Arena | None = None) -> None:
    """Trains what is in the queue until `stop` is set, or the driver says so or is gone.

    The trial at hand is then given back. name: of the worker, in the study. Raises TuckerlabError where the folder or
    the images on this machine are not the driver's, and for a storage that is gone.
    """
    stop, name = stop or threading.Event(), name or here()
    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    if not plan.marker.exists():
        raise TuckerlabError(
            f"{plan.folder} is not there on {socket.gethostname()}: give an --out that all machines see"
        )
    study, arena = open_study(plan), arena or plan.arena()
    check_same(study.user_attrs["settings"], plan.settings(arena), f"study {plan.study} (from {socket.gethostname()})")
    with reachable(plan.storage), Pulse(study, plan, stop) as pulse:
        while not stop.is_set():
            with lock(plan):
                trial = claim(study, name, plan.margin is not None)
            if trial is None:
                stop.wait(plan.heartbeat)
                continue
            with pulse.of(trial) as halt:
                _train(trial, study, plan, arena, halt)


def _train(trial: "Trial", study: "Study", plan: Plan, arena: Arena, halt: threading.Event) -> None:
    from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
    from optuna.trial import TrialState
    from sqlalchemy.exc import SQLAlchemyError

    job = Job(trial.user_attrs["key"], trial.user_attrs)
    try:
        taus = () if plan.bounds is None else suggested(trial, layers(arena.spec), plan.bounds)
        contender, place = job.contender(taus), arena.of_seed(job.seed)
        trial.set_user_attr("label", contender.label)
        folder = Path(plan.folder) / f"seed{job.seed}"
        report = Report(trial, halt, single=plan.bounds is None)
        run = contender.train(Training(place, folder, callbacks=[report], stop=halt))
        if run.is_over:
            row = keep(contender, run, place, folder / contender.slug)
            report.say(run, is_result=True)
            trial.set_user_attr("place", f"{folder.name}/{contender.slug}")
            found = [row["test_accuracy"], row["conv_parameters"]]
            study.tell(trial, found if plan.bounds else found[0], skip_if_finished=True)
        elif report.is_hopeless:
            study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            end(study, trial.number, trial, "given back")
    except UpdateFinishedTrialError:
        return  # it was taken for dead, and another has the trial
    except (StorageInternalError, SQLAlchemyError, OSError):
        raise  # the next trial would fare no better
    except Exception as error:
        if not isinstance(error, TuckerlabError):  # a defect of ours, or no memory: the others may go well
            traceback.print_exc()
        trial.set_user_attr("error", " ".join(f"{error}".split()) or type(error).__name__)
        end(study, trial.number, trial, "failed")


def keep(contender: Contender, run: Run, arena: Arena, folder: Path) -> dict[str, Any]:
    """Writes the record of a run that is over, and returns its row; what a clock says of it comes later, in turn."""
    row = facts(contender, run, arena)
    Records.single(row, run.epochs, run.ranks, run.events).save(folder)
    return row


def layers(spec: dict[str, Any]) -> int:
    """How many layers of a network have tolerances.

    >>> layers({"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.25})
    5
    """
    return sum(isinstance(module, TuckerLayer) for module in on_meta(spec).modules())


class Report(Callback):
    """Tells the study of each epoch, and stops a trial that it takes for hopeless."""

    def __init__(self, trial: "Trial", halt: threading.Event, single: bool) -> None:
        self.trial, self.halt, self.single = trial, halt, single
        self.last, self.has_begun, self.is_hopeless = 0, False, False

    def on_start(self, run: Run) -> None:
        """Epochs that another worker has trained."""
        if not self.has_begun and run.epochs:
            self.trial.set_user_attr("found", len(run.epochs))
        self.has_begun = True
        self.say(run)

    def on_epoch(self, run: Run) -> None:
        """The epoch that has just ended."""
        self.say(run)
        if self.single and run.step < run.total_steps and self.trial.should_prune():
            self.is_hopeless = True
            self.halt.set()

    def say(self, run: Run, is_result: bool = False) -> None:
        """What the study does not know yet; the last epoch only when what is made of its network is known."""
        rows = run.epochs if is_result or run.step < run.total_steps else run.epochs[:-1]
        new = [row for row in rows if row["epoch"] > self.last]
        if new:
            self.last = new[-1]["epoch"]
        if new and self.single:
            self.trial.set_user_attr("sizes", {str(row["epoch"]): row["parameters"] for row in rows})
            for row in new:
                self.trial.report(row["test_accuracy"], row["epoch"])
        if run.epochs:
            last, epochs = run.epochs[-1], run.epochs_before + run.total_epochs
            now = {name: last[name] for name in ("epoch", "test_accuracy", "parameters", "conv_parameters")}
            self.trial.set_user_attr("now", {**now, "epochs": epochs})


class Pulse(threading.Thread):
    """Gives signs of life of the trial at hand, and looks for those of the driver.

    A driver that is gone, or says stop, sets `stop`. A storage that does not answer looks like a driver without signs.
    """

    def __init__(self, study: "Study", plan: Plan, stop: threading.Event) -> None:
        super().__init__(name="tuckerlab-pulse", daemon=True)
        self.study, self.plan, self.stop, self.ended = study, plan, stop, threading.Event()
        self.hand: tuple[Trial, threading.Event] | None = None
        self.sign: tuple[Any, float] = None, time.monotonic()

    def __enter__(self) -> "Pulse":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.join()

    @contextlib.contextmanager
    def of(self, trial: "Trial") -> Iterator[threading.Event]:
        """While this trial is trained; the event is set when that is to end."""
        halt = threading.Event()
        self.hand = trial, halt
        try:
            yield halt
        finally:
            self.hand = None

    def run(self) -> None:
        """One beat after the other."""
        from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
        from sqlalchemy.exc import SQLAlchemyError

        beat = 0
        while not self.ended.wait(self.plan.heartbeat):
            beat, hand = beat + 1, self.hand
            try:
                self._look()
                if hand is not None:
                    hand[0].set_user_attr("beat", beat)
            except UpdateFinishedTrialError:  # taken for dead, or just ended
                if hand is not None:
                    hand[1].set()
            except (SQLAlchemyError, StorageInternalError):
                pass
            if time.monotonic() - self.sign[1] > self.plan.grace:
                self.stop.set()
            if self.stop.is_set() and hand is not None:
                hand[1].set()

    def _look(self) -> None:
        sign = self.study.user_attrs.get(f"driver {self.plan.driver}")
        if sign == STOP:
            self.stop.set()
        elif sign != self.sign[0]:
            self.sign = sign, time.monotonic()


def here() -> str:
    """The name of this process among workers."""
    return f"{socket.gethostname()}:{os.getpid()}"


def main() -> int:
    """A worker in a process of its own, which reads its plan from the driver."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver too, which says when to stop
    try:
        work(Plan(**json.loads(sys.stdin.readline())))
    except TuckerlabError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
