"""Who trains a sweep: `work` does, in this process or on the workers of a dask scheduler, one here if none is given.

The state of a worker is in files: a checkpoint after every epoch, and the record at the end. So it may be killed at any
time, and whoever takes the network next goes on where it was.
"""

import contextlib
import logging
import os
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from optuna import Trial, TrialPruned
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.measuring import facts
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena, arranged
from tuckerlab.experiments.sweep.grid import GridPoint
from tuckerlab.experiments.sweep.storage import SweepConfig, open_study, reachable
from tuckerlab.training.run import Callback, Run

ANSWER = 10.0
"""Seconds that a scheduler gets to answer, to have a worker, and to come back."""


# --- what a worker does ----------------------------------------------------------------------------------------------


def work(config: SweepConfig, *, arena: Arena | None = None, progress: bool = False) -> None:
    """Trains one of the networks that wait in the study, if there is one.

    arena: of the config, where it is there already. progress: shows a bar. Raises TuckerlabError where the folder or
    the images on this machine are not the driver's, and for a storage that is gone.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if not config.marker.exists():
        raise TuckerlabError(
            f"{config.folder} is not there on {socket.gethostname()}: give an --out that all machines see"
        )
    arena = arena or _arena(config)
    study = open_study(config, arena.plan)
    # a ValueError is Optuna's, of a trial that was taken for dead: another has the network
    with reachable(), contextlib.suppress(ValueError, UpdateFinishedTrialError):
        if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.optimize(lambda trial: train(trial, config, arena, progress), n_trials=1, catch=(FailedError,))


@lru_cache(maxsize=1)
def _arena(config: SweepConfig) -> Arena:
    """Images are read once, and not for each network."""
    return arranged(dataset=config.dataset, **config.settings)


class FailedError(Exception):
    """A network could not be trained; the others may go well."""


def train(trial: Trial, config: SweepConfig, arena: Arena, progress: bool) -> float:
    """Trains the network of a trial, writes its record, and returns its test accuracy."""
    attrs, folder = trial.user_attrs, Path(config.folder)
    if "key" not in attrs:  # another took the last one that waited, and Optuna has made a new one
        raise FailedError
    try:
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        point = GridPoint(**{field.name: attrs[field.name] for field in fields(GridPoint)})
        contender, arena = point.contender, arena.of_seed(point.seed)
        shown = progress and contender.label
        run = contender.train(
            replace(arena, folder=folder / f"seed{point.seed}", progress=shown, callbacks=[Report(trial)])
        )
        row = facts(contender, run, arena)  # without what a clock says, which is measured later, in turn
        Records.single(row, run.epochs, run.ranks, run.events).save(folder / point.place)
        trial.set_user_attr("conv_parameters", row["conv_parameters"])
        return run.test_accuracy
    except (TrialPruned, UpdateFinishedTrialError, StorageInternalError, SQLAlchemyError, OSError):
        raise  # not the network's fault
    except Exception as error:
        if not isinstance(error, TuckerlabError):  # a defect of ours, or no memory
            traceback.print_exc()
        trial.set_user_attr("error", " ".join(f"{error}".split()) or type(error).__name__)
        raise FailedError from error


class Report(Callback):
    """Tells the study of each epoch, and ends a trial that the pruner gives up."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.parameters: list[float] = []

    def on_start(self, run: Run) -> None:
        """Epochs that another worker has trained."""
        if run.epochs and not self.parameters:
            self.trial.set_user_attr("resumed_epochs", len(run.epochs))
        self._tell(run)

    def on_epoch(self, run: Run) -> None:
        """The epoch that has just ended."""
        self._tell(run)
        if run.step < run.total_steps and self.trial.should_prune():
            raise TrialPruned

    def _tell(self, run: Run) -> None:
        new = run.epochs[len(self.parameters) :]
        self.parameters += [row["parameters"] for row in new]
        self.trial.set_user_attr("parameters", self.parameters)
        self.trial.set_user_attr("epochs", run.epochs_before + run.total_epochs)
        for row in new:
            self.trial.report(row["test_accuracy"], row["epoch"])


# --- many workers ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(config: SweepConfig, workers: int, scheduler: str | None) -> Iterator[Callable[[int], None]]:
    """A dask client of a scheduler, or of one with so many processes here, which share the threads and end with it.

    Yields what the driver calls with the number of networks that wait: each worker gets one at a time, those that come
    later too, with the threads it has. Raises TuckerlabError for a scheduler that does not answer, and for what a
    worker raises: the next network would fare no better.
    """
    import distributed

    dask: Any = distributed  # published without types
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            local = dask.LocalCluster(
                n_workers=workers, threads_per_worker=max(1, torch.get_num_threads() // workers), memory_limit=0,
                dashboard_address=None, silence_logs=logging.CRITICAL,
            )  # fmt: skip
            scheduler = stack.enter_context(local).scheduler_address
        try:
            if not re.fullmatch(r"\w+://\S+|[^\s/:]+:\d+", scheduler):  # a client would leave a traceback behind
                raise ValueError
            client = dask.Client(scheduler, timeout=ANSWER, set_as_default=False)
            stack.callback(client.close, timeout=5)
            client.wait_for_workers(1, timeout=ANSWER)
        except (OSError, ValueError):  # TimeoutError among them
            raise TuckerlabError(
                f"scheduler {scheduler} does not answer, or has no workers; start it with `dask scheduler`, and `dask "
                f"worker {scheduler}` on each machine, and give its address, such as tcp://host:8786"
            ) from None
        futures: dict[str, Any] = {}

        def advance(waiting: int) -> None:
            time.sleep(config.heartbeat)
            if client.status == "closed":  # it has tried to come back
                said = "finished parts are kept: start it and give the command again"
                raise TuckerlabError(f"scheduler {scheduler} is gone; {said}")
            if client.status != "running":
                return
            for name, about in client.scheduler_info(n_workers=-1)["workers"].items():
                future = futures.get(name)
                if future is not None and future.status == "pending":  # at work
                    continue
                if future is not None and future.status == "error":
                    error = future.exception()
                    raise error if isinstance(error, TuckerlabError) else TuckerlabError(f"worker {name}: {error!r}")
                if waiting > 0:
                    waiting -= 1
                    settings = replace(config, threads=about["nthreads"])
                    futures[name] = client.submit(work, settings, workers=[name], pure=False, retries=0)

        yield advance
