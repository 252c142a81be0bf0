"""The driver of a sweep: it fills the study, sets workers to work, watches over them, and gathers the records.

>>> import tempfile
>>> small = {"width": 0.125, "epochs": 1, "seeds": 1, "quiet": True, "out": tempfile.mkdtemp()}
>>> sweep = run_sweep(**small, methods=["dense", "tucker"], compressions="0.8")
>>> sorted(sweep.records.runs["label"]), len(run_sweep(**small, methods=["tucker"], compressions=[0.8, 0.9]).records)
(['Tucker 80 %', 'dense'], 3)

The second call finds what is there, and trains one network. Any number of drivers may work on a study at once.
"""

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from tuckerlab.errors import TuckerlabError, is_whole
from tuckerlab.experiments.contest import check_seeds
from tuckerlab.experiments.proof import default_model
from tuckerlab.experiments.setup import Arena, digest, in_file_names
from tuckerlab.experiments.sweep.cluster import Cluster
from tuckerlab.experiments.sweep.crew import Crew, Processes, Thread
from tuckerlab.experiments.sweep.job import Job, grid, search, values
from tuckerlab.experiments.sweep.outcome import Archive, Sweep, gathered
from tuckerlab.experiments.sweep.plan import Plan
from tuckerlab.experiments.sweep.progress import Clock, view
from tuckerlab.experiments.sweep.study import delete_study, lock, open_study, reachable
from tuckerlab.experiments.sweep.trials import by_job, end, enqueue, mend
from tuckerlab.experiments.sweep.worker import STOP, layers
from tuckerlab.training.device import resolve_device

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

COMPRESSIONS = (0.8, 0.9, 0.95, 0.98)
"""What is tried where nothing is asked for."""


def run_sweep(
    *,
    dataset: str = "digits",
    image_size: int | None = None,
    model: str = "auto",
    width: float = 1.0,
    methods: Sequence[str] | None = None,
    tolerances: str | Sequence[float] | None = None,
    compressions: str | Sequence[float] | None = None,
    seeds: int | None = None,
    per_layer: bool = False,
    trials: int = 40,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    storage: str | None = None,
    study: str | None = None,
    pruning: bool = True,
    margin: float = 0.15,
    out: str | os.PathLike[str] = "runs",
    device: str = "auto",
    resume: bool = True,
    quiet: bool = False,
    heartbeat: float = 1.0,
) -> Sweep:
    """Trains each method at each tolerance and target compression for each seed, and finds the front.

    dataset … device: as `run_poc` takes them. methods: names from `tuckerlab.experiments.methods.registry`; "dense" and
    "tucker" if none. tolerances, compressions: lists, or texts such as "0.02,0.1" and "0.02:0.3:8"; compressions of 0.8
    to 0.98 if neither is given. seeds: 3 if not given. per_layer: searches the tolerances of single layers in so many
    `trials` for the best accuracies at the fewest parameters, starting from and within those given; of one method and
    seed. workers: processes on this machine; one, if not given, trains in this one. scheduler: of a dask cluster, whose
    workers train instead. storage: URL of a data base, for several machines; a file in the folder if not given. study:
    its name; made of the settings if not given. pruning: gives up what is more than `margin` less accurate than
    something smaller, when ranks have come down. resume: False removes study and folder first, and begins anew.
    heartbeat: seconds between two signs of life.

    Whatever was killed goes on where it was when the same call is made again. Raises TuckerlabError for what cannot be
    asked for, for a storage or scheduler that does not answer, and for a study of other settings.
    """
    if per_layer and not (methods is None and seeds is None):
        raise TuckerlabError("a search layer by layer trains tucker with seed 0: leave out methods and seeds")
    if scheduler is not None and workers is not None:
        raise TuckerlabError(f"scheduler {scheduler} has workers of its own: leave out workers {workers}, or scheduler")
    if study is not None and not re.fullmatch(r"\w[\w.-]*", study):
        raise TuckerlabError(f"study {study!r}: give a name of letters, digits, '.', '-' and '_'")
    methods, workers = ("dense", "tucker") if methods is None else methods, 1 if workers is None else workers
    seeds = check_seeds(3 if seeds is None else seeds)
    for name, number in (("workers", workers), ("trials", trials)):
        if not is_whole(number) or number < 1:
            raise TuckerlabError(f"{name} {number!r}: allowed are whole numbers from 1")
    taus, rates = values("tolerances", tolerances), values("compressions", compressions)
    if not taus and not rates:
        taus, rates = ([0.02, 0.1, 0.5], []) if per_layer else ([], [*COMPRESSIONS])
    bounds = [min(taus), max(taus)] if per_layer and taus else None
    if per_layer and (rates or bounds is None or not 0 < bounds[0] < bounds[1] < 1):
        raise TuckerlabError("a search layer by layer needs two or more tolerances between 0 and 1, no compressions")
    plan = Plan(
        "", "", "", dataset=dataset, image_size=image_size, width=width, epochs=epochs, batch_size=batch_size,
        optimizer=optimizer, lr=lr,
        model=default_model(dataset) if model == "auto" else model, device=resolve_device(device).type, bounds=bounds,
        margin=margin if pruning else None, heartbeat=heartbeat, driver=secrets.token_hex(4),
    )  # fmt: skip
    jobs = search(taus, 1, 1) if per_layer else grid(methods, tolerances=taus, compressions=rates, seeds=seeds)
    arena = plan.arena()
    if per_layer:
        jobs = search(taus, layers(arena.spec), trials)
    else:
        _check(jobs, arena)
    settings = plan.settings(arena)
    study = study or f"sweep-{in_file_names(dataset)}-{plan.model}-{digest(settings)}"
    folder = (Path(out) / study).resolve()
    plan = replace(plan, folder=str(folder), study=study, storage=storage or f"sqlite:///{folder / 'study.db'}")
    _make_folder(plan, settings, resume)
    opened = open_study(plan, settings)
    with reachable(plan.storage):
        with lock(plan):
            enqueue(opened, jobs, pruning)
        if _unfinished(opened, jobs, pruning):
            crew: Crew = Thread(plan, arena)
            if scheduler is not None:
                crew = Cluster(plan, scheduler)
            elif workers > 1:
                crew = Processes(plan, workers)
            said = f"cluster {scheduler}" if scheduler else f"{workers} worker{'s' * (workers > 1)}"
            _drive(opened, jobs, plan, crew, arena.recipe.epochs, said, quiet)
        return gathered(opened, folder, pruning)


def _make_folder(plan: Plan, settings: dict[str, Any], resume: bool) -> None:
    """The folder with its marker; what a sweep has left in it, and in the storage, is removed if it is to begin anew.

    Raises TuckerlabError for a folder with something else in it.
    """
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not plan.marker.exists():  # in this order: another driver may be making it
        raise TuckerlabError(f"{folder} is not a sweep's folder; it is left alone: give another study or out")
    if not resume:
        delete_study(plan)
        shutil.rmtree(folder)
        folder.mkdir()
    if not plan.marker.exists():  # the first file of all
        plan.marker.write_text(json.dumps(settings), encoding="utf-8")


def _check(jobs: Sequence[Job], arena: Arena) -> None:
    """Refuses what no network of this kind can be."""
    contenders = {job.key: job.contender() for job in jobs if job.seed == 0}
    if len(contenders) < sum(job.seed == 0 for job in jobs):
        raise TuckerlabError("two networks would have the same name: give each setting once")
    for contender in contenders.values():
        contender.check(arena)


def _unfinished(study: "Study", jobs: Sequence[Job], pruning: bool) -> bool:
    known = by_job(study.get_trials(deepcopy=False), pruning)
    return not all(job.key in known and known[job.key].is_over for job in jobs)


def _drive(study: "Study", jobs: Sequence[Job], plan: Plan, crew: Crew, epochs: int, workers: str, quiet: bool) -> None:
    """Watches until all jobs are over: what no worker holds any more goes back into the queue."""
    sign, keys = f"driver {plan.driver}", [job.key for job in jobs]
    watch, clock, archive = Watch(plan.grace), Clock(), Archive(Path(plan.folder))
    study.set_user_attr(sign, 0)
    live = Live(console=Console(), auto_refresh=False, transient=True)
    try:
        with live:
            crew.start()
            beat = 0
            while True:
                beat += 1
                study.set_user_attr(sign, beat)
                gone = crew.tend()
                trials = study.get_trials(deepcopy=False)
                with lock(plan):
                    for trial in trials:
                        if trial.state.name != "RUNNING" or "key" not in trial.user_attrs:  # or somebody else's
                            continue
                        if trial.user_attrs.get("worker") in gone or watch.is_stale(trial):
                            end(study, trial.number)
                    mend(study, plan.margin is not None)
                known = by_job(study.get_trials(deepcopy=False), plan.margin is not None)
                mine = [known[key] for key in keys]
                if not quiet:
                    records = archive.of(s for s in known.values() if s.state == "finished")
                    live.update(view(known, keys, epochs, records, clock, workers), refresh=True)
                if all(standing.is_over for standing in mine):
                    return
                time.sleep(plan.heartbeat)
    finally:
        try:
            study.set_user_attr(sign, STOP)
        finally:
            crew.stop()


class Watch:
    """Finds trials whose workers give no sign of life, by the clock of whoever watches.

    A worker counts in the study; what it is compared with is what was there before, so clocks need not agree.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.seen: dict[int, tuple[Any, float]] = {}

    def is_stale(self, trial: "FrozenTrial") -> bool:
        """Whether nothing has come for so long."""
        beat, now = trial.user_attrs.get("beat"), time.monotonic()
        before = self.seen.get(trial.number)
        if before is None or before[0] != beat:
            self.seen[trial.number] = beat, now
            return False
        return now - before[1] > self.grace
