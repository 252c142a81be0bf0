"""The Optuna study of a sweep: opened by any number of drivers and workers, with errors that a user can mend.

>>> import tempfile
>>> folder = tempfile.mkdtemp()
>>> plan = Plan(folder, f"sqlite:///{folder}/study.db", "sweep")
>>> open_study(plan, {"epochs": 3}).study_name, open_study(plan, {"epochs": 3}).user_attrs["settings"]
('sweep', {'epochs': 3})
>>> open_study(plan, {"epochs": 5})
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: study sweep has other settings: epochs 3 there, 5 here; give the same, or another name
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.sweep.plan import Plan, check_same
from tuckerlab.experiments.sweep.pruner import hopeless

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage

PATIENCE = {"sqlite": {"timeout": 60}, "postgresql": {"connect_timeout": 10}, "mysql": {"connect_timeout": 10}}
"""Seconds until a data base is given up, as its driver calls it: the time a file is locked, or until it answers."""


def lock(plan: Plan) -> FileLock:
    """Held by who takes or adds trials: SQLite cannot lock a trial, and two would take the same."""
    return FileLock(Path(plan.folder) / "study.lock")


def open_study(plan: Plan, settings: dict[str, Any] | None = None) -> "Study":
    """The study of the plan; with settings it is made where there is none, and has these or is refused.

    Raises TuckerlabError for a storage that cannot be reached, and for a study that is missing or has other settings.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the table says what happens
    several = plan.bounds is not None
    choosing: dict[str, Any] = {"sampler": optuna.samplers.TPESampler() if several else optuna.samplers.RandomSampler()}
    if not several:
        choosing["pruner"] = hopeless(plan.margin)
    with reachable(plan.storage), lock(plan):
        storage = _connected(plan.storage)
        if settings is None:
            return optuna.load_study(study_name=plan.study, storage=storage, **choosing)
        directions: Any = ["maximize", "minimize"] if several else ["maximize"]
        study = optuna.create_study(
            storage=storage, study_name=plan.study, directions=directions, load_if_exists=True, **choosing
        )
        known = study.user_attrs.get("settings")
        if known is None:
            study.set_user_attr("settings", settings)
        else:
            check_same(known, settings, f"study {plan.study}")
        return study


def delete_study(plan: Plan) -> None:
    """Removes the study from its storage, if it is there."""
    import optuna

    with reachable(plan.storage), contextlib.suppress(KeyError):
        optuna.delete_study(study_name=plan.study, storage=_connected(plan.storage))


def _connected(storage: str) -> "RDBStorage":
    from optuna.storages import RDBStorage

    kind = storage.partition(":")[0].partition("+")[0]
    try:
        return RDBStorage(storage, engine_kwargs={"connect_args": PATIENCE.get(kind, {})})
    except RuntimeError as error:  # its tables are of another version of optuna
        raise TuckerlabError(f"storage {shown(storage)}: {error}") from None


@contextlib.contextmanager
def reachable(storage: str) -> Iterator[None]:
    """Makes one line of what a data base says that does not answer.

    >>> with reachable("sqlite:////nowhere/at/all.db"):
    ...     delete_study(Plan("", "sqlite:////nowhere/at/all.db", "sweep"))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: storage sqlite:////nowhere/at/all.db: unable to open database file; ...
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        missing = getattr(error.__cause__ or error, "name", None) or "its driver"
        raise TuckerlabError(
            f"storage {shown(storage)}: the Python package {missing} is not installed, which talks to this data base"
        ) from None
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise TuckerlabError(
            f"storage {shown(storage)}: {said}; give the URL of a data base that answers, such as "
            "sqlite:///study.db or postgresql://user@host/name; finished parts are kept"
        ) from None


def shown(storage: str) -> str:
    """A URL without its password.

    >>> shown("postgresql://me:secret@host/name")
    'postgresql://me:***@host/name'
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return storage
