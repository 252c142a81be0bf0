"""What a worker of a sweep does: it takes one network after the other from the study, until all are finished.

Its state is in files: a checkpoint after every epoch, and the record at the end. So it may be killed at any time: it
gives no more heartbeats, its trial fails and waits again, and whoever takes the network next goes on where it was.
"""

import contextlib
import json
import os
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import optuna
import torch
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.measuring import facts
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Experiment, set_up
from tuckerlab.experiments.sweep import GridPoint
from tuckerlab.training.run import Callback, Run

HEARTBEAT, GRACE = 1, 15  # seconds between two signs of life of a worker, and until it is taken for dead
OUTAGE = 300  # seconds that a data base may be away
RETRIES = 3  # so many workers may die over a network until it is to blame

STORAGE_ERRORS = (SQLAlchemyError, StorageInternalError)
Found = TypeVar("Found")


@dataclass(frozen=True)
class SweepConfig:
    """Where a sweep is kept, and what it trains on what: plain values that travel to other machines."""

    folder: Path  # for checkpoints and records; all machines see it; the study has its name
    storage: str  # URL of the data base with the study
    settings: dict[str, Any]  # of `set_up`

    @property
    def lock(self) -> FileLock:
        """Held by who adds trials to the study, or takes one."""
        return FileLock(self.folder / "study.lock")


class QueueStorage(RDBStorage):
    """Optuna's storage with heartbeats, in which each waiting trial goes to one worker alone.

    SQLite cannot lock a row, so that two workers at once could take the same trial; they take turns at a file. Where a
    server is away, a worker waits to tell it of a trial: Optuna's loop does not bear that it cannot.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._turn = config.lock
        super().__init__(
            config.storage,
            engine_kwargs={"connect_args": {"timeout": 60}} if config.storage.startswith("sqlite") else None,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
        )

    def record_heartbeat(self, trial_id: int) -> None:
        with contextlib.suppress(*STORAGE_ERRORS):  # the next one may be noted again
            super().record_heartbeat(trial_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return patiently(super().get_trial, trial_id)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        with self._turn:
            if state == TrialState.RUNNING:  # the first sign of life: one who dies before it would never be missed
                self.record_heartbeat(trial_id)
            return patiently(super().set_trial_state_values, trial_id, state, values)


def open_study(config: SweepConfig, plan: dict[str, Any]) -> optuna.Study:
    """The study, which is made where there is none; one of another plan could not be compared and is refused."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are one
    with config.lock:
        study = optuna.create_study(
            storage=QueueStorage(config), study_name=config.folder.name, direction="maximize", load_if_exists=True
        )
        plan = json.loads(json.dumps(plan))
        if study.user_attrs.get("settings", plan) != plan:
            raise TuckerlabError(f"study {study.study_name} has other settings; give the same, or another name")
        study.set_user_attr("settings", plan)
    return study


def queue(study: optuna.Study, config: SweepConfig, points: Sequence[GridPoint] = ()) -> list[FrozenTrial]:
    """The trials that wait or are in training, among them those of `points` that nobody has finished.

    What a worker who died or was interrupted has left waits again; what has failed only if it is among the points.
    """
    fail_stale_trials(study)
    with config.lock:
        wanted = dict.fromkeys(points)
        for point, trials in by_point(study).items():
            deaths = [trial for trial in trials if trial.state == TrialState.FAIL and "error" not in trial.user_attrs]
            if trials[-1].state != TrialState.FAIL:
                wanted.pop(point, None)
            elif trials[-1] in deaths and len(deaths) <= RETRIES:
                wanted[point] = None
        for point in wanted:
            about = {"place": point.place, "label": point.make_method().label, **asdict(point)}
            study.enqueue_trial({}, user_attrs=about)
    return study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))


def by_point(study: optuna.Study) -> dict[GridPoint, list[FrozenTrial]]:
    """The trials of each network; the last one counts: the one that has come to its end, or else the latest."""
    found: dict[GridPoint, list[FrozenTrial]] = {}
    trials = [trial for trial in study.get_trials(deepcopy=False) if "place" in trial.user_attrs]
    for trial in sorted(trials, key=lambda trial: (trial.state == TrialState.COMPLETE, trial.number)):
        found.setdefault(point_of(trial), []).append(trial)
    return found


def point_of(trial: FrozenTrial | optuna.Trial) -> GridPoint:
    return GridPoint(**{field.name: trial.user_attrs[field.name] for field in fields(GridPoint)})


def patiently(function: Callable[..., Found], *given: Any) -> Found:
    """What a function returns, called again while the data base is away: killed, or on its way to another machine."""
    end = time.monotonic() + OUTAGE
    while True:
        try:
            return function(*given)
        except STORAGE_ERRORS:
            if time.monotonic() > end:
                raise
            time.sleep(HEARTBEAT)


def work(
    config: SweepConfig, threads: int | None = None, *, experiment: Experiment | None = None, progress: bool = False
) -> None:
    """Trains the networks that wait in the study, and those of workers that die over them, until none is left."""
    if threads is not None:
        torch.set_num_threads(threads)
    if not config.folder.is_dir():
        raise TuckerlabError(f"{config.folder} is not there on {socket.gethostname()}: all machines must see --out")
    experiment = experiment or set_up(**config.settings)
    study = patiently(open_study, config, experiment.plan)
    while trials := patiently(queue, study, config):
        if all(trial.state == TrialState.RUNNING for trial in trials):  # others are at the rest
            time.sleep(HEARTBEAT)
            continue
        # what Optuna says of a trial that was taken for dead: another has the network; the last ones where it could not
        # be told of one, which is missed then, waits again, and is found finished
        with contextlib.suppress(ValueError, UpdateFinishedTrialError, *STORAGE_ERRORS, AssertionError):
            study.optimize(lambda trial: train(trial, config, experiment, progress), n_trials=1, catch=(Exception,))


def train(trial: optuna.Trial, config: SweepConfig, experiment: Experiment, progress: bool) -> float:
    """Trains the network of a trial, writes its record, and returns its test accuracy."""
    if "place" not in trial.user_attrs:  # another took the last one that waited, and Optuna has made a new one
        raise optuna.TrialPruned
    try:
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        point = point_of(trial)
        method, experiment = point.make_method(), experiment.of_seed(point.seed)
        folder, shown = config.folder / f"seed{point.seed}", progress and method.label
        run = method.train(replace(experiment, folder=folder, progress=shown, callbacks=[Report(trial)]))
        row = facts(method, run, experiment)  # without what a clock says: others train at the same time
        Records.single(row, run.epochs, run.ranks, run.events).save(config.folder / point.place)
        trial.set_user_attr("conv_parameters", row["conv_parameters"])
        return run.test_accuracy
    except Exception as error:
        trial.set_user_attr("error", " ".join(f"{error}".split()) or type(error).__name__)
        if not isinstance(error, TuckerlabError):  # a defect of ours, or no memory
            traceback.print_exc()
        raise


@dataclass
class Report(Callback):
    """Tells the study of each epoch."""

    trial: optuna.Trial

    def on_epoch(self, run: Run) -> None:
        self.trial.report(run.epochs[-1]["test_accuracy"], run.epochs[-1]["epoch"])
