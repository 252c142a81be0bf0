"""`run_sweep`: methods × settings × seeds as an Optuna study, trained by one worker or many.

A second call finds what is there, and trains the rest. Any number of drivers may be at a study at once.
"""

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import TrialState

from tuckerlab.errors import TuckerlabError, check_whole
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.setup import set_up
from tuckerlab.experiments.summary import front, networks_by, size_column
from tuckerlab.experiments.sweep import grid, values
from tuckerlab.experiments.sweep.worker import (
    HEARTBEAT,
    STORAGE_ERRORS,
    SweepConfig,
    by_point,
    open_study,
    patiently,
    queue,
    work,
)
from tuckerlab.training.fit import progress_bar

COMPRESSIONS = (0.8, 0.9, 0.95, 0.98)
"""What is tried where nothing is asked for."""

ANSWER = 10.0
"""Seconds that a scheduler gets to answer, to have a worker, and to come back."""


def run_sweep(
    *,
    dataset: str = "mnist",
    methods: Sequence[str] | None = None,
    tolerances: str | Sequence[float] | None = None,
    compressions: str | Sequence[float] | None = None,
    seeds: int = 3,
    workers: int = 1,
    scheduler: str | None = None,
    storage: str | None = None,
    study: str | None = None,
    out: str | os.PathLike[str] = "runs",
    quiet: bool = False,
    **settings: Any,
) -> "Sweep":
    """Trains each method at each tolerance and target compression for each seed, and finds the front.

    methods: names from `tuckerlab.experiments.methods.METHODS`; "dense" and "tucker" if none. tolerances, compressions:
    lists, or texts such as "0.02,0.1" and "0.02:0.3:8"; compressions of 0.8 to 0.98 if neither is given. workers:
    processes on this machine (a script that asks for several needs `if __name__ == "__main__":`); one trains in this
    one. scheduler: of a dask cluster, whose workers train instead. storage: URL of a data base, for several machines; a
    file in the folder if not given. study: its name; made of the settings if not given. settings: of
    `tuckerlab.experiments.setup.set_up`.

    Whatever was killed goes on where it was when the same call is made again. Raises TuckerlabError for what cannot be
    asked for, for a storage or scheduler that does not answer, and for a study of other settings.
    """
    check_whole("workers", workers, 1)
    if study is not None and not re.fullmatch(r"\w[\w.-]*", study):
        raise TuckerlabError(f"study {study!r}: give a name of letters, digits, '.', '-' and '_'")
    taus, rates = values("tolerances", tolerances), values("compressions", compressions)
    if not taus and not rates:
        rates = [*COMPRESSIONS]
    points = grid(methods or ("dense", "tucker"), taus, rates, check_whole("seeds", seeds, 1))
    experiment = set_up([point.make_method() for point in points if point.seed == 0], dataset=dataset, **settings)
    settings |= {"dataset": dataset, "device": experiment.device.type}  # whatever the worker's machine has
    study = study or experiment.folder_name("sweep")
    folder = (Path(out) / study).resolve()
    config = SweepConfig(folder, storage or f"sqlite:///{folder / 'study.db'}", settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = open_study(config, experiment.plan)
        left = queue(opened, config, points)
        if scheduler is None and workers == 1:
            work(config, experiment=experiment, progress=not quiet)
        elif left:
            _on_cluster(opened, config, workers, scheduler, total=len(left), quiet=quiet)
        return _gathered(opened, folder)
    except (*STORAGE_ERRORS, ImportError) as error:  # ImportError: there is no driver for it
        cause = error.__cause__ or error
        said = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]  # without the URL and its password
        raise TuckerlabError(
            f"storage: {said}; give the URL of a data base that answers, such as sqlite:///study.db or "
            "postgresql://user@host/name; finished parts are kept"
        ) from None


def _on_cluster(
    study: optuna.Study, config: SweepConfig, workers: int, scheduler: str | None, *, total: int, quiet: bool
) -> None:
    """Has the workers of a dask scheduler train, or so many processes here, which end with this."""
    import distributed

    client_of: Any = partial(distributed.Client, set_as_default=False)  # published without types
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    here = {"n_workers": workers, "threads_per_worker": max(1, torch.get_num_threads() // workers), "memory_limit": 0}
    quietly = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with contextlib.ExitStack() as stack:
        try:
            if scheduler and not re.fullmatch(r"\w+://\S+|[^\s/:]+:\d+", scheduler):  # a client would leave a traceback
                raise ValueError
            client = client_of(**here, **quietly) if scheduler is None else client_of(scheduler, timeout=ANSWER)
            stack.callback(client.close, timeout=5)
            client.wait_for_workers(1, timeout=ANSWER)
        except (OSError, ValueError):  # TimeoutError among them
            raise TuckerlabError(
                f"scheduler {scheduler} does not answer, or has no workers; start it with `dask scheduler`, and `dask "
                f"worker {scheduler}` on each machine, and give its address, such as tcp://host:8786"
            ) from None
        at_work: dict[str, Any] = {}  # by address
        bar = stack.enter_context(progress_bar(shown=not quiet, total=total, desc="networks"))
        while left := len(patiently(queue, study, config)):
            if client.status == "closed":  # it has tried to come back
                raise TuckerlabError(f"scheduler {scheduler} is gone; finished parts are kept: give the command again")
            for address, about in client.scheduler_info(n_workers=-1).get("workers", {}).items():
                if address not in at_work:  # also one that comes later, or again
                    at_work[address] = client.submit(
                        work, config, about["nthreads"], workers=[address], pure=False, retries=0
                    )
            for future in at_work.values():
                if future.status == "error":
                    future.result()
            if not quiet and bar.disable and total - left > bar.n:
                print(f"networks: {total - left} of {total}", file=sys.stderr, flush=True)
            bar.n = total - left
            bar.refresh()
            time.sleep(HEARTBEAT)


def _gathered(study: optuna.Study, folder: Path) -> "Sweep":
    """All that the trials of a study have come to; TuckerlabError where that is nothing."""
    last = {trials[-1].user_attrs["place"]: trials[-1] for trials in by_point(study).values()}
    records = [Records.load(folder / place) for place, trial in last.items() if trial.state == TrialState.COMPLETE]
    failed = {
        place: str(trial.user_attrs.get("error", "its workers died"))
        for place, trial in last.items()
        if trial.state == TrialState.FAIL
    }
    if failed and not records:
        raise TuckerlabError(f"no network could be trained: {'; '.join(map(': '.join, failed.items()))}")
    return Sweep(Records.concat(records), folder, study=study, failed=failed)


@dataclass(frozen=True)
class Sweep(RunFolder):
    """What a sweep leaves behind: the record of all finished trials, the study, the folder, and what has failed why."""

    study: optuna.Study
    failed: dict[str, str]

    @property
    def shown(self) -> Records:
        """The networks that no other beats in size and accuracy, of as many seeds as any, and the dense one."""
        runs, found = self.records.runs, networks_by(self.records, size_column(self.records))
        most = max((network.seeds for network in found), default=0)
        best = {network.name for network in front(network for network in found if network.seeds == most)}
        return self.records.only(runs["run"][runs["label"].isin(best) | (runs["method"] == "dense")])

    @property
    def remarks(self) -> list[str]:
        failed = [f"failed: {place}: {problem}" for place, problem in self.failed.items()]
        return ["in the table: the best at their size, and dense", *failed, *super().remarks]
