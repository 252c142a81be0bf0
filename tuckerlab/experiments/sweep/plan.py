"""What every worker of a sweep is told: `Plan`, plain values that travel to another process or machine.

>>> from dataclasses import asdict
>>> plan = Plan("runs/sweep", "sqlite:///runs/study.db", "sweep", width=0.25)
>>> Plan(**json.loads(json.dumps(asdict(plan)))) == plan
True
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuckerlab.data import load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.proof import recipe_for
from tuckerlab.experiments.setup import Arena, suited

GRACE = 30
"""Signs of life that may fail to come before a worker, or its driver, is taken for gone."""


@dataclass(frozen=True)
class Plan:
    """Where a sweep keeps its results, what it trains on what, and how its workers behave.

    folder: for checkpoints and records; all machines see it. storage, study: of the Optuna study. margin: how far below
    a smaller one a trial may be, see `Hopeless`; None gives nothing up. bounds: of the tolerances, where the study
    chooses them layer by layer. heartbeat: seconds between two signs of life. driver: whose workers these are; they
    stop when it says so or gives no sign. threads: for torch.
    """

    folder: str
    storage: str
    study: str
    dataset: str = "digits"
    image_size: int | None = None
    model: str = "vgg_small"
    width: float = 1.0
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    lr: float | None = None
    device: str = "cpu"
    margin: float | None = 0.15
    bounds: list[float] | None = None
    heartbeat: float = 1.0
    driver: str = ""
    threads: int | None = None

    @property
    def grace(self) -> float:
        """Seconds without a sign after which somebody is gone."""
        return GRACE * self.heartbeat

    def arena(self) -> Arena:
        """What all networks share; TuckerlabError for what cannot be asked for."""
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "optimizer": self.optimizer, "lr": self.lr}
        recipe = suited(recipe_for(self.dataset), self.model, **given)
        data = load_data(self.dataset, image_size=self.image_size)
        return Arena.of([], data, self.model, self.width, recipe, self.device)

    def settings(self, arena: Arena) -> dict[str, Any]:
        """What all trials of a study have in common: with others their results could not be compared."""
        plan = {**arena.plan, "bounds": self.bounds}
        settings: dict[str, Any] = json.loads(json.dumps(plan))
        return settings

    @property
    def marker(self) -> Path:
        """A file by which a worker sees that the folder is the driver's."""
        return Path(self.folder) / "sweep.json"


def check_same(theirs: dict[str, Any], ours: dict[str, Any], what: str) -> None:
    """Raises TuckerlabError, which names what differs, where settings are not the same.

    >>> check_same({"recipe": {"epochs": 3}}, {"recipe": {"epochs": 5}}, "study s")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: study s has other settings: epochs 3 there, 5 here; give the same, or another name
    """
    there, here = _flat(theirs), _flat(ours)
    other = [k for k in {**there, **here} if there.get(k) != here.get(k)]
    if other:
        said = "; ".join(f"{k} {there.get(k)!r} there, {here.get(k)!r} here" for k in other)
        raise TuckerlabError(f"{what} has other settings: {said}; give the same, or another name")


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
