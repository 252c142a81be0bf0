"""`run_sweep`: methods × settings × seeds as an Optuna study, trained by one worker or many.

A killed worker gives no more heartbeats, so its trial fails and its network waits again. A second call finds what is
there, and trains the rest. Any number of drivers may be at a study at once.
"""

import contextlib
import os
import re
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Unpack

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from tuckerlab.errors import TuckerlabError, check_whole, is_whole
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.setup import Settings, arranged
from tuckerlab.experiments.summary import Network, front, networks_by, size_column
from tuckerlab.experiments.sweep.grid import GridPoint, grid, values
from tuckerlab.experiments.sweep.storage import QueueStorage, SweepConfig, open_study, reachable
from tuckerlab.experiments.sweep.workers import cluster, work
from tuckerlab.training.fit import progress_bar

COMPRESSIONS = (0.8, 0.9, 0.95, 0.98)
"""What is tried where nothing is asked for."""

RETRIES = 3
"""So many workers may die over a network until it is to blame."""


def run_sweep(
    *,
    dataset: str = "mnist",
    methods: Sequence[str] | None = None,
    tolerances: str | Sequence[float] | None = None,
    compressions: str | Sequence[float] | None = None,
    seeds: int = 3,
    workers: int | None = None,
    scheduler: str | None = None,
    storage: str | None = None,
    study: str | None = None,
    pruning: bool = True,
    margin: float = 0.15,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    heartbeat: float = 1.0,
    **settings: Unpack[Settings],
) -> "Sweep":
    """Trains each method at each tolerance and target compression for each seed, and finds the front.

    methods: names from `tuckerlab.experiments.methods.registry`; "dense" and "tucker" if none. tolerances,
    compressions: lists, or texts such as "0.02,0.1" and "0.02:0.3:8"; compressions of 0.8 to 0.98 if neither is given.
    workers: processes on this machine (a script that asks for several needs `if __name__ == "__main__":`); one, if not
    given, trains in this one. scheduler: of a dask cluster, whose workers train instead. storage: URL of a data base,
    for several machines; a file in the folder if not given. study: its name; made of the settings if not given.
    pruning: gives up what is more than `margin` less accurate than something smaller, when ranks have come down.
    resume: False removes study and folder first, and begins anew. heartbeat: seconds between two signs of life; who
    gives none 30 times counts as dead. settings: see `tuckerlab.experiments.setup.Settings`.

    Whatever was killed goes on where it was when the same call is made again. Raises TuckerlabError for what cannot be
    asked for, for a storage or scheduler that does not answer, and for a study of other settings.
    """
    if scheduler is not None and workers is not None:
        raise TuckerlabError(f"scheduler {scheduler} has workers of its own: leave out workers {workers}, or scheduler")
    workers = 1 if workers is None else workers
    if not is_whole(workers) or workers < 1:
        raise TuckerlabError(f"workers {workers!r}: allowed are whole numbers from 1")
    if study is not None and not re.fullmatch(r"\w[\w.-]*", study):
        raise TuckerlabError(f"study {study!r}: give a name of letters, digits, '.', '-' and '_'")
    taus, rates = values("tolerances", tolerances), values("compressions", compressions)
    if not taus and not rates:
        rates = [*COMPRESSIONS]
    methods = ("dense", "tucker") if methods is None else methods
    points = grid(methods, tolerances=taus, compressions=rates, seeds=check_whole("seeds", seeds, 1))
    arena = arranged([point.contender for point in points if point.seed == 0], dataset=dataset, **settings)
    settings |= {"device": arena.device.type}  # whatever the worker's machine has
    study = study or arena.folder_name("sweep")
    folder = (Path(out) / study).resolve()
    config = SweepConfig(
        str(folder), storage or f"sqlite:///{folder / 'study.db'}", study, dataset, settings,
        margin=margin if pruning else None, heartbeat=heartbeat,
    )  # fmt: skip
    _make_folder(config, resume)
    opened = open_study(config, arena.plan)

    def here(waiting: int) -> None:
        if waiting:
            work(config, arena=arena, progress=not quiet)
        else:  # others are at the rest
            time.sleep(heartbeat)

    with reachable(), contextlib.ExitStack() as stack:
        states = queue(opened, points, config, again=True)
        advance: Callable[[int], None] = here
        if not all(state.is_finished() for state in states) and (scheduler is not None or workers > 1):
            advance = stack.enter_context(cluster(config, workers, scheduler))
        bar = stack.enter_context(progress_bar(shown=not quiet, total=len(points), desc="networks"))
        while not all(state.is_finished() for state in states):
            advance(states.count(TrialState.WAITING))
            states = queue(opened, points, config)
            bar.n, before = sum(state.is_finished() for state in states), bar.n
            if not quiet and bar.disable and bar.n > before:
                print(f"networks: {bar.n} of {len(points)}", file=sys.stderr, flush=True)
            bar.set_postfix_str(f"{states.count(TrialState.RUNNING)} in training")
        return _gathered(opened, folder)


def _make_folder(config: SweepConfig, resume: bool) -> None:
    """The folder with its marker; what a sweep has left in it, and in the storage, is removed if it is to begin anew.

    Raises TuckerlabError for a folder with something else in it.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not config.marker.exists():  # in this order: another driver may be making it
        raise TuckerlabError(f"{folder} is not a sweep's folder; it is left alone: give another study or out")
    if not resume:
        with reachable(ImportError, RuntimeError), contextlib.suppress(KeyError):  # there may be no such study
            optuna.delete_study(study_name=config.study, storage=QueueStorage(config))
        shutil.rmtree(folder)
        folder.mkdir()
    config.marker.touch()  # the first file of all


def queue(
    study: optuna.Study, points: Sequence[GridPoint], config: SweepConfig, again: bool = False
) -> list[TrialState]:
    """Has the networks wait in the study that nobody has in training, has finished or given up; how each stands now.

    A network that failed waits again only where its worker has died or was interrupted, or with `again`.
    """
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        fail_stale_trials(study)
    with config.lock:
        known = _by_key(study)
        for point in points:
            trials = known.get(point.key, [])
            state = trials[-1].state if trials else TrialState.FAIL
            is_to_be_tried = state == TrialState.FAIL and (again or not _problem(trials))
            if is_to_be_tried or (state == TrialState.PRUNED and config.margin is None):
                about = {"key": point.key, "label": point.contender.label, "place": point.place, **asdict(point)}
                study.enqueue_trial({}, user_attrs=about)
    known = _by_key(study)
    return [known[point.key][-1].state for point in points]


def _by_key(study: optuna.Study) -> dict[str, list[FrozenTrial]]:
    """The trials of each network. The last one counts: the one that has come to its end, or else the latest."""
    found: dict[str, list[FrozenTrial]] = {}
    trials = (trial for trial in study.get_trials(deepcopy=False) if "key" in trial.user_attrs)
    for trial in sorted(trials, key=lambda trial: (trial.state == TrialState.COMPLETE, trial.number)):
        found.setdefault(trial.user_attrs["key"], []).append(trial)
    return found


def _problem(trials: Sequence[FrozenTrial]) -> str:
    """Why a network has failed; empty where it has not, or may be tried again."""
    if not trials or trials[-1].state != TrialState.FAIL:
        return ""
    deaths = sum(trial.state == TrialState.FAIL and "error" not in trial.user_attrs for trial in trials)
    said = f"{deaths} workers died while they trained it" if deaths > RETRIES else ""
    return str(trials[-1].user_attrs.get("error", said))


def _gathered(study: optuna.Study, folder: Path) -> "Sweep":
    """All that the trials of a study have come to.

    Raises TuckerlabError where that is nothing, and where a record is not there: its worker has another disk.
    """
    records, given_up, failed = [], [], []
    for key, trials in _by_key(study).items():
        state, attrs = trials[-1].state, trials[-1].user_attrs
        if state == TrialState.COMPLETE:
            place = folder / attrs["place"]
            if not (place / "runs.parquet").exists():
                said = f"{place}: worker {attrs['worker']} has left no record here"
                raise TuckerlabError(f"{said}: give an --out that all machines see")
            records.append(Records.load(place))
        elif state == TrialState.PRUNED:
            given_up.append((attrs["label"], attrs["seed"]))
        elif problem := _problem(trials):
            failed.append((key, problem))
    if failed and not records:
        raise TuckerlabError(f"no network could be trained: {failed[0][0]}: {failed[0][1]}")
    return Sweep(Records.concat(records), folder, study=study, given_up=tuple(given_up), failed=tuple(failed))


@dataclass(frozen=True)
class Sweep(RunFolder):
    """What a sweep leaves behind: the record of all finished trials of its study, the study, and the folder.

    given_up: label and seed of the networks that the pruner has given up. failed: those that could not be trained, by
    their names in the study, and why.
    """

    study: optuna.Study | None = None
    given_up: tuple[tuple[str, int], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def front(self) -> list[Network]:
        """The networks that no other beats in both size and accuracy (means over the seeds), from the smallest.

        Without those of which a seed was given up, since the mean of the others would flatter them, and those that
        have fewer seeds than others.
        """
        given_up = {name for name, _ in self.given_up}
        networks = networks_by(self.records, size_column(self.records))
        found = [network for network in networks if network.name not in given_up]
        most = max((network.seeds for network in found), default=0)
        return front(network for network in found if network.seeds == most)

    @property
    def shown(self) -> Records:
        runs, best = self.records.runs, {network.name for network in self.front}
        return self.records.only(runs["run"][runs["label"].isin(best) | (runs["method"] == "dense")])

    @property
    def remarks(self) -> list[str]:
        said = ["in the table: the best at their size, and dense"]
        if self.given_up:
            given_up = ", ".join(f"{name} (seed {seed})" for name, seed in self.given_up)
            said.append(f"given up, far behind something smaller: {given_up}")
        return [*said, *(f"failed: {key}: {problem}" for key, problem in self.failed), *super().remarks]
