"""What a sweep does one after the other: `Job`, a method at a setting with a seed.

>>> [job.key for job in grid(["dense", "tucker"], tolerances=values("tolerances", "0.1:0.3:2"), seeds=1)]
['dense-seed0', 'tucker-0.1-seed0', 'tucker-0.3-seed0']
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.methods.registry import contender, method
from tuckerlab.tucker.layerwise import PerLayer
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

if TYPE_CHECKING:
    from optuna.trial import Trial

KINDS: dict[str, type[Budget] | type[Tolerance]] = {"tolerance": Tolerance, "compression": Budget}


@dataclass(frozen=True)
class Job:
    """A network to be trained; `attrs` and `params` are what the trial in the study has of it.

    >>> Job("tucker-0.1-seed0", {"method": "tucker", "tolerance": 0.1, "seed": 0}).contender().label
    'Tucker τ 0.1'
    """

    key: str
    attrs: dict[str, Any]
    params: dict[str, float] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of weights and order of images."""
        return int(self.attrs["seed"])

    def contender(self, taus: Sequence[float] = ()) -> Contender:
        """What is trained; `taus` are the tolerances of the layers where the study chooses them."""
        if taus:
            return contender(self.attrs["method"], PerLayer(tuple(taus)))
        policy: RankPolicy | None = None
        if "tolerance" in self.attrs:
            policy = Tolerance(self.attrs["tolerance"])
        elif "compression" in self.attrs:
            policy = Budget(self.attrs["compression"])
        return contender(self.attrs["method"], policy)


def grid(
    methods: Sequence[str], *, tolerances: Sequence[float] = (), compressions: Sequence[float] = (), seeds: int = 3
) -> list[Job]:
    """Each method at each setting that it understands, for each seed; all of the first seed come first.

    Raises TuckerlabError for a method that is unknown, or understands none of the settings.
    """
    if len({*methods}) < len(methods) or not methods:
        raise TuckerlabError(f"methods {', '.join(methods) or 'none'}: give one or more, each once")
    settings = [("tolerance", tau) for tau in tolerances] + [("compression", rate) for rate in compressions]
    chosen: list[dict[str, Any]] = []
    for name in methods:
        policies = method(name).policies
        fitting = [{kind: value} for kind, value in settings if KINDS[kind] in policies]
        if policies and not fitting:
            contender(name, Tolerance() if settings else None)  # says what it takes
        chosen += [{"method": name, **setting} for setting in fitting or [{}]]
    jobs = []
    for seed in range(seeds):
        for attrs in chosen:
            job = Job("", {**attrs, "seed": seed})
            jobs.append(Job(f"{job.contender().slug}-seed{seed}", job.attrs))
    return jobs


def search(starts: Sequence[float], layers: int, trials: int) -> list[Job]:
    """Jobs whose tolerances the study chooses layer by layer; the first have the same one everywhere.

    >>> [job.params for job in search([0.1], layers=2, trials=2)]
    [{'tau0': 0.1, 'tau1': 0.1}, {}]
    """
    jobs = []
    for number in range(trials):
        same = dict.fromkeys(names(layers), starts[number]) if number < len(starts) else {}
        jobs.append(Job(f"trial{number:04}", {"method": "tucker", "seed": 0}, same))
    return jobs


def names(layers: int) -> list[str]:
    """The parameters of a study that chooses layer by layer.

    >>> names(2)
    ['tau0', 'tau1']
    """
    return [f"tau{layer}" for layer in range(layers)]


def suggested(trial: "Trial", layers: int, bounds: Sequence[float]) -> list[float]:
    """The tolerances that the study suggests for a trial; ratios count, so it looks along the logarithm."""
    return [trial.suggest_float(name, min(bounds), max(bounds), log=True) for name in names(layers)]


def values(name: str, given: str | Sequence[float] | None) -> list[float]:
    """Numbers from a list, from `0.02,0.05,0.1`, or from `0.02:0.3:8`: eight from 0.02 to 0.3, at equal distances.

    >>> values("tolerances", "0.02:0.3:8")
    [0.02, 0.06, 0.1, 0.14, 0.18, 0.22, 0.26, 0.3]
    >>> values("tolerances", "0.1, 0.05")
    [0.1, 0.05]

    Raises TuckerlabError for what holds no number, or something else.
    """
    if given is None:
        return []
    wrong = f"{name} {given!r}: give numbers such as 0.02,0.05,0.1, or start:stop:count such as 0.02:0.3:8"
    try:
        if isinstance(given, str) and ":" in given:
            start, stop, count = given.split(":")
            found = [float(value) for value in np.linspace(float(start), float(stop), int(count))]
        else:
            parts = given.replace(",", " ").split() if isinstance(given, str) else given
            found = [float(value) for value in parts]
    except (TypeError, ValueError):
        raise TuckerlabError(wrong) from None
    if not found or not all(math.isfinite(value) for value in found):
        raise TuckerlabError(wrong)
    return list(dict.fromkeys(float(f"{value:.6g}") for value in found))  # as labels show them, each once
