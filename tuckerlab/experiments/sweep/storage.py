"""Where a sweep is kept: `SweepConfig`, which every worker gets, and the Optuna study that it names."""

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.proof import Settings, arranged
from tuckerlab.experiments.setup import Arena
from tuckerlab.experiments.sweep.pruner import FarBehindPruner

GRACE = 30
"""Heartbeats that may fail to come before a worker is taken for dead."""

PATIENCE = {"sqlite": {"timeout": 60}, "postgresql": {"connect_timeout": 10}, "mysql": {"connect_timeout": 10}}
"""Seconds until a data base is given up, as its driver calls it: the time a file is locked, or until it answers."""


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
    dataset: str = "digits"
    settings: Settings = field(default_factory=Settings, hash=False)
    margin: float | None = 0.15
    heartbeat: float = 1.0
    threads: int | None = None

    def arena(self, contenders: Sequence[Contender] = ()) -> Arena:
        """What all networks share; TuckerlabError for what cannot be asked for."""
        return arranged(contenders, dataset=self.dataset, **self.settings)

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
        kind = config.storage.partition(":")[0].partition("+")[0]
        try:
            with expected_experiments():
                super().__init__(
                    config.storage,
                    engine_kwargs={"connect_args": PATIENCE.get(kind, {})},
                    heartbeat_interval=config.heartbeat,  # type: ignore[arg-type]  # parts of a second are fine
                    grace_period=GRACE * config.heartbeat,  # type: ignore[arg-type]
                )
        except ImportError as error:
            missing = getattr(error.__cause__, "name", None) or "its driver"
            said = f"the Python package {missing} is not installed, which talks to this data base"
            raise TuckerlabError(f"storage {without_password(config.storage)}: {said}") from None
        except RuntimeError as error:  # its tables are of another version of optuna
            raise TuckerlabError(f"storage {without_password(config.storage)}: {error}") from None

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As in Optuna."""
        with self._turn:
            if state == TrialState.RUNNING:  # the first sign of life: one who dies before it would never be missed
                self.record_heartbeat(trial_id)
            return super().set_trial_state_values(trial_id, state, values)


def open_study(config: SweepConfig, settings: dict[str, Any]) -> optuna.Study:
    """The study, which is made where there is none.

    settings: what all its trials have in common: with others their results could not be compared. Raises
    TuckerlabError for a storage that does not answer, and for a study of other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with reachable(config.storage), config.lock:
        study = optuna.create_study(
            storage=QueueStorage(config), study_name=config.study, direction="maximize", load_if_exists=True,
            sampler=RandomSampler(), pruner=NopPruner() if config.margin is None else FarBehindPruner(config.margin),
        )  # fmt: skip
        settings = json.loads(json.dumps(settings))
        there, here = _flat(study.user_attrs.get("settings", settings)), _flat(settings)
        other = [name for name in {**there, **here} if there.get(name) != here.get(name)]
        if other:
            said = "; ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in other)
            raise TuckerlabError(f"study {config.study} has other settings: {said}; give the same, or another name")
        study.set_user_attr("settings", settings)
        return study


def delete_study(config: SweepConfig) -> None:
    """Removes the study from its storage, if it is there."""
    with reachable(config.storage), contextlib.suppress(KeyError):
        optuna.delete_study(study_name=config.study, storage=QueueStorage(config))


@contextlib.contextmanager
def reachable(storage: str) -> Iterator[None]:
    """Makes a TuckerlabError of one line of what a data base says that does not answer."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise TuckerlabError(
            f"storage {without_password(storage)}: {said}; give the URL of a data base that answers, such as "
            "sqlite:///study.db or postgresql://user@host/name; finished parts are kept"
        ) from None


def without_password(storage: str) -> str:
    """A URL that can be shown."""
    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return storage


@contextlib.contextmanager
def expected_experiments() -> Iterator[None]:
    """Without Optuna's warnings that heartbeats are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
