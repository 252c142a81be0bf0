"""A worker of a sweep: `work` trains what waits in the study, one network after the other, and writes the records.

Its state is in files: a checkpoint after every epoch, and the record at the end. So it may be killed at any time, and
whoever takes the network next goes on where it was.
"""

import _thread
import json
import os
import signal
import socket
import sys
import threading
import traceback
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import torch
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import facts
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena
from tuckerlab.experiments.sweep.grid import GridPoint
from tuckerlab.experiments.sweep.storage import SweepConfig, open_study, reachable
from tuckerlab.training.run import Callback, Run


def work(config: SweepConfig, *, once: bool = False, arena: Arena | None = None, progress: bool = False) -> None:
    """Trains what waits in the study until nothing does, or one network.

    arena: of the config, where it is there already. progress: a bar for each network. Raises TuckerlabError where the
    folder or the images on this machine are not the driver's, and for a storage that is gone.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if not config.marker.exists():
        raise TuckerlabError(
            f"{config.folder} is not there on {socket.gethostname()}: give an --out that all machines see"
        )
    arena = arena or _arena(config)
    study = open_study(config, arena.plan)
    train = Objective(config, arena, progress)
    with reachable(config.storage):
        while waits(study):
            try:
                study.optimize(train, n_trials=1, catch=(FailedError,))
            except ValueError:  # so says Optuna that a trial had ended before
                if not train.is_lost:
                    raise
            if once:
                return


@lru_cache(maxsize=1)
def _arena(config: SweepConfig) -> Arena:
    """Images are read once, and not for each network."""
    return config.arena()


def waits(study: Study) -> bool:
    """Whether there is something to train."""
    return bool(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


class FailedError(Exception):
    """A network could not be trained; the others may go well."""


class Objective:
    """What Optuna calls to train the network of a trial: writes its record, and returns its test accuracy."""

    def __init__(self, config: SweepConfig, arena: Arena, progress: bool) -> None:
        self.config, self.arena, self.progress = config, arena, progress
        self.is_lost = False

    def __call__(self, trial: Trial) -> float:
        self.is_lost, attrs = False, trial.user_attrs
        if "key" not in attrs:  # another took the last one that waited, and Optuna has made a new one
            raise FailedError
        point = GridPoint(**{field.name: attrs[field.name] for field in fields(GridPoint) if field.name in attrs})
        folder = Path(self.config.folder)
        try:
            trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
            contender, arena = point.contender, self.arena.of_seed(point.seed)
            progress = self.progress and contender.label
            training = Training(arena, folder / f"seed{point.seed}", progress=progress, callbacks=[Report(trial)])
            run = contender.train(training)
            row = facts(contender, run, arena)  # without what a clock says, which is measured later, in turn
            Records.single(row, run.epochs, run.ranks, run.events).save(folder / point.place)
            trial.set_user_attr("conv_parameters", row["conv_parameters"])
            return run.test_accuracy
        except UpdateFinishedTrialError:  # it was taken for dead, and another has the network
            self.is_lost = True
            raise
        except KeyboardInterrupt:
            trial.set_user_attr("interrupted", True)
            raise
        except (TrialPruned, StorageInternalError, SQLAlchemyError, OSError):  # the next would fare no better
            raise
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


def main() -> int:
    """A worker in a process of its own: the first line of its input is its config, and it ends when that input ends."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        _thread.interrupt_main(signal.SIGTERM)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a KeyboardInterrupt, which gives the network back
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver too, which ends the input
    config = SweepConfig(**json.loads(sys.stdin.readline()))
    threading.Thread(target=watch, daemon=True).start()
    try:
        work(config)
    except (TuckerlabError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0
