"""Where a sweep is kept: `SweepConfig`, which every worker gets, and the Optuna study that it names."""

import contextlib
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.setup import Settings
from tuckerlab.tucker.rank_policy import RAMP

GRACE = 30
"""Heartbeats that may fail to come before a worker is taken for dead."""


@dataclass(frozen=True)
class SweepConfig:
    """Where a sweep keeps its results, and what it trains on what: plain values that travel to other machines.

    folder: for checkpoints and records; all machines see it. storage: URL of the data base with the study. settings: of
    the arena. margin: of `FarBehindPruner`; None gives nothing up. heartbeat: seconds between two signs of life.
    threads: for torch.
    """

    folder: str
    storage: str
    study: str
    dataset: str = "mnist"
    settings: Settings = field(default_factory=Settings, hash=False)
    margin: float | None = 0.15
    heartbeat: float = 1.0
    threads: int | None = None

    @property
    def marker(self) -> Path:
        """The file by which a folder is known for a sweep's."""
        return Path(self.folder) / "sweep.json"

    @property
    def lock(self) -> FileLock:
        """Held by who opens the study, adds trials to it, or takes one."""
        return FileLock(Path(self.folder) / "study.lock")


class QueueStorage(RDBStorage):
    """Optuna's storage with heartbeats, in which each waiting trial goes to one worker alone.

    SQLite cannot lock a row, so that two workers at once could take the same trial; they take turns at a file.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._turn = config.lock
        patience = {"timeout": 60} if config.storage.startswith("sqlite") else {}  # seconds that the file is locked
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            super().__init__(
                config.storage,
                engine_kwargs={"connect_args": patience},
                heartbeat_interval=config.heartbeat,  # type: ignore[arg-type]  # parts of a second are fine
                grace_period=GRACE * config.heartbeat,  # type: ignore[arg-type]
            )

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As in Optuna."""
        with self._turn:
            if state == TrialState.RUNNING:  # the first sign of life: one who dies before it would never be missed
                self.record_heartbeat(trial_id)
            return super().set_trial_state_values(trial_id, state, values)


class FarBehindPruner(BasePruner):
    """Gives up a trial whose accuracy, after its last two epochs, is more than `margin` (a fraction of 1) below that of
    another at that epoch, which stored no more parameters then than this one does now.

    Optuna's usual rule, worse than the median of all, would give up every small network. Two epochs, and only once the
    ranks have come down: what has just been cut is bad for one, and recovers. The dense network is what others are
    compared with, and is never given up. Methods with fewer epochs are further at the same one: only equally long runs
    compare.
    """

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to give it up now."""
        epochs, accuracies = trial.user_attrs.get("epochs", 0), trial.intermediate_values
        last = sorted(accuracies)[-2:]
        if len(last) < 2 or last[0] < RAMP * epochs or trial.user_attrs.get("method") == "dense":
            return False
        size = _parameters(trial, last[-1])
        return any(
            other.number != trial.number
            and other.user_attrs.get("epochs") == epochs
            and all(_parameters(other, epoch) <= size for epoch in last)
            and all(other.intermediate_values.get(epoch, 0.0) - accuracies[epoch] > self.margin for epoch in last)
            for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        )


def _parameters(trial: FrozenTrial, epoch: int) -> float:
    counts = trial.user_attrs.get("parameters", [])
    return float(counts[epoch - 1]) if epoch <= len(counts) else math.nan  # which no size is below


def open_study(config: SweepConfig, settings: dict[str, Any]) -> Study:
    """The study, which is made where there is none.

    settings: what all its trials have in common: with others their results could not be compared. Raises
    TuckerlabError for a storage that does not answer, and for a study of other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with reachable(ImportError, RuntimeError), config.lock:  # no driver for it, tables of another version of Optuna
        study = optuna.create_study(
            storage=QueueStorage(config), study_name=config.study, direction="maximize", load_if_exists=True,
            sampler=RandomSampler(), pruner=NopPruner() if config.margin is None else FarBehindPruner(config.margin),
        )  # fmt: skip
        settings = json.loads(json.dumps(settings))
        there = study.user_attrs.get("settings", settings)
        if there != settings:
            raise TuckerlabError(f"study {config.study} has other settings, {there}; give the same, or another name")
        study.set_user_attr("settings", settings)
        return study


@contextlib.contextmanager
def reachable(*others: type[Exception]) -> Iterator[None]:
    """Makes a TuckerlabError of one line of what a data base says that does not answer, and of the other errors.

    The URL, which may have a password in it, is not repeated.
    """
    refused: tuple[type[Exception], ...] = (SQLAlchemyError, StorageInternalError, *others)
    try:
        yield
    except refused as error:
        cause = error.__cause__ or error
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise TuckerlabError(
            f"storage: {said}; give the URL of a data base that answers, such as sqlite:///study.db or "
            "postgresql://user@host/name; finished parts are kept"
        ) from None
