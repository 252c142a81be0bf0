"""What has become of each job: many trials may have been begun for it, one of them counts.

A trial is finished ("COMPLETE" in the study), given up ("PRUNED"), running, waiting, or ended without a result
("FAIL"): because training failed, its worker died, or it was given back. What ended without a fault of its own is run
again: `mend` puts it back into the queue.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuckerlab.experiments.sweep.job import Job

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

RETRIES = 3
"""So many workers may die over a job until it is to blame."""

ORDER = ("FAIL", "WAITING", "RUNNING", "PRUNED", "COMPLETE")


@dataclass(frozen=True)
class Standing:
    """The trial that counts for a job, and how many of its workers have died."""

    trial: "FrozenTrial"
    losses: int

    @property
    def state(self) -> str:
        """finished, given up, running, waiting, failed, or lost: to be run again."""
        known = {"COMPLETE": "finished", "PRUNED": "given up", "RUNNING": "running", "WAITING": "waiting"}
        return known.get(self.trial.state.name) or ("failed" if self.problem else "lost")

    @property
    def problem(self) -> str:
        """Why it has failed."""
        if self.trial.state.name != "FAIL":
            return ""
        said = str(self.trial.user_attrs.get("error", ""))
        return said or (f"{self.losses} workers died while they trained it" if self.losses > RETRIES else "")

    @property
    def label(self) -> str:
        """The name of its network, once a worker has begun it."""
        return str(self.trial.user_attrs.get("label", self.trial.user_attrs["key"]))

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("finished", "given up", "failed")

    @property
    def now(self) -> dict[str, Any]:
        """Epoch, epochs in all, accuracy and parameters, as far as it is; empty before the first epoch."""
        now: dict[str, Any] = self.trial.user_attrs.get("now", {})
        return now


def by_job(trials: Iterable["FrozenTrial"], pruning: bool = True) -> dict[str, Standing]:
    """What counts for each job, by key; without pruning, a trial that was given up is to be run again."""
    found: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if "key" in trial.user_attrs:
            found.setdefault(trial.user_attrs["key"], []).append(trial)

    def order(trial: "FrozenTrial") -> tuple[int, int]:
        place = ORDER.index(trial.state.name)
        if trial.state.name == "PRUNED" and not pruning:
            place = 0
        return place, trial.number if place == 0 else -trial.number

    return {
        key: Standing(max(same, key=order), sum(t.state.name == "FAIL" and "end" not in t.user_attrs for t in same))
        for key, same in found.items()
    }


def enqueue(study: "Study", jobs: Sequence[Job], pruning: bool = True) -> None:
    """Puts the jobs into the queue that are not in it, running or done; those that failed are tried again.

    Call it with the study's lock.
    """
    known = by_job(study.get_trials(deepcopy=False), pruning)
    for job in jobs:
        before = known.get(job.key)
        if before is None:
            study.enqueue_trial(job.params, user_attrs={"key": job.key, **job.attrs})
        elif before.state in ("lost", "failed") or (before.state == "given up" and not pruning):
            again(study, before.trial)


def mend(study: "Study", pruning: bool) -> None:
    """Puts back into the queue what was lost. Call it with the study's lock."""
    for standing in by_job(study.get_trials(deepcopy=False), pruning).values():
        if standing.state == "lost":
            again(study, standing.trial)


def again(study: "Study", trial: "FrozenTrial") -> None:
    """A new trial for the job of an old one, with what the study has suggested for it."""
    kept = ("key", "method", "tolerance", "compression", "seed")
    params = trial.params or trial.system_attrs.get("fixed_params", {})
    study.enqueue_trial(params, user_attrs={k: trial.user_attrs[k] for k in kept if k in trial.user_attrs})


def claim(study: "Study", worker: str, pruning: bool = True) -> "Trial | None":
    """Takes the next trial out of the queue; None where it is empty. Call it with the study's lock.

    Two drivers that open a study at the same moment, on machines that share no lock, may have queued a job twice: the
    second is dropped here.
    """
    from optuna.trial import TrialState

    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        trial = study.ask()
        trials = study.get_trials(deepcopy=False)
        counts = by_job(trials, pruning).get(trial.user_attrs.get("key", ""))
        if counts is not None and counts.trial.number == trial.number:
            trial.set_user_attr("worker", worker)
            return trial
        end(study, trial.number, trial, "dropped")
    return None


def end(study: "Study", number: int, trial: "Trial | None" = None, how: str = "") -> None:
    """Ends a trial without a result; without a word of how, its worker has died."""
    from optuna.trial import TrialState

    if trial is not None and how:
        trial.set_user_attr("end", how)
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
