"""The main job, `run_poc`: one network trained twice on the same images, dense and in Tucker format, in one record.

A finished run is found again by its settings, not trained again; one that was cut off is resumed. What is here of all
experiments: what suits a data set, and `Proof`, their outcome.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from rich.console import Console
from rich.table import Table

from tuckerlab.data import load_data
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena, digest, in_file_names
from tuckerlab.experiments.standings import rich_standings, standings
from tuckerlab.experiments.summary import finding
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.config import Recipe
from tuckerlab.training.environment import resolve_device
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

# What is known to work, by data set; the command line's options change single fields.
RECIPES = {
    "mnist": Recipe(epochs=4, batch_size=32, optimizer="muon"),
    "digits": Recipe(epochs=30, batch_size=64, optimizer="muon"),
    "folder": Recipe(epochs=20, batch_size=64, optimizer="muon", label_smoothing=0.1, class_weights=True),
    "cifar10": Recipe(epochs=12, batch_size=128, optimizer="muon"),
}
NETWORKS = {"mnist": ("vgg_small", 2.0), "cifar10": ("vgg16", 1.0)}  # what "auto" is, and its width
Rates = float | Sequence[float] | None


@dataclass(frozen=True)
class Proof:
    """What an experiment leaves behind: the record, and the folder with everything else."""

    records: Records
    folder: Path

    @property
    def shown(self) -> Records:
        """What the tables show."""
        return self.records

    @property
    def finding(self) -> str:
        """The result in one line."""
        return finding(self.records)

    @property
    def remarks(self) -> list[str]:
        """What has to be known beside the table."""
        return [note for note in self.records.runs["note"].unique() if note]

    @property
    def figures(self) -> dict[str, Picture]:
        """Accuracy over time, ranks over time, and accuracy against all costs, as far as the record has them."""
        return figures(self.records)

    def rich_table(self) -> Table:
        """The table for a terminal."""
        return rich_standings(self.shown)

    def _repr_html_(self) -> str:
        return f"<p><b>{self.finding}</b></p>{standings(self.shown).to_html(border=0)}"


def show(result: Proof) -> None:
    """Prints the table, the result in one line, what has to be known beside it, and where to look next."""
    console = Console()
    console.print(result.rich_table())
    if result.finding:
        console.print(f"[bold]{result.finding}[/bold]")
    for remark in result.remarks:
        console.print(remark, highlight=False, soft_wrap=True, markup=False)
    console.print(f"record, checkpoints and pictures: {result.folder}", highlight=False, soft_wrap=True)
    if pictures := sorted(result.folder.glob("*.png")):
        console.print(f"to look at first: {pictures[0]}", highlight=False, soft_wrap=True)
    console.print("to go on: make lab opens the course", highlight=False)


class Settings(TypedDict, total=False):
    """Of an experiment, as its function takes them; what is left out, or None, is what suits the data set."""

    image_size: int | None  # pixels a side, of a folder's images
    model: str  # a name from `tuckerlab.training.models.MODELS`, or "auto": see `NETWORKS`, and else vgg_small
    width: float | None  # of all layers, as a multiple of the published one
    epochs: int | None
    batch_size: int | None
    optimizer: str | None  # "muon", "sgd" or "adamw"
    lr: float | None  # None: what is usual for the optimizer
    precision: str | None  # "auto", "fp32" or "bf16"
    device: str  # "auto", "cpu", "cuda" or "mps"


def arranged(
    contenders: Sequence[Contender] = (),
    *,
    dataset: str = "mnist",
    recipe: Recipe | None = None,
    seed: int = 0,
    **settings: Unpack[Settings],
) -> Arena:
    """The arena of an experiment; TuckerlabError for what cannot be asked for.

    recipe: what the settings change; None: what is known to work on the data set.
    """
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    device, model, width = given.pop("device", "auto"), given.pop("model", "auto"), 1.0
    if model == "auto":
        model, width = NETWORKS.get(dataset, ("vgg_small", 1.0))
    width, image_size = given.pop("width", width), given.pop("image_size", None)
    if model not in MODELS:
        raise TuckerlabError(f"unknown model {model!r}: known are {', '.join(MODELS)}")
    resolve_device(device)  # before the images are read
    recipe = replace(recipe or recipe_for(dataset), seed=seed, **given)
    return Arena.of(contenders, load_data(dataset, image_size=image_size), model, width, recipe, device)


def recipe_for(dataset: str) -> Recipe:
    """What is known to work on a data set."""
    return RECIPES.get(dataset.partition(":")[0], RECIPES["digits"])


def run_poc(
    *,
    dataset: str = "mnist",
    compression: Rates = None,
    tolerance: Rates = None,
    seed: int = 0,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Proof:
    """Trains a network dense and in Tucker format, measures both, and writes a run folder below `out`.

    >>> run_poc(compression=0.9, tolerance=0.1)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.RankError: compression 0.9 and tolerance 0.1: give one of them, not both

    dataset: "mnist", "digits", "cifar10" or "folder:PATH". compression: the share of the convolution weights to remove,
    0.95 if neither it nor a `tolerance` is given; of several, each trains a network. settings: see `Settings`.
    resume=False begins anew even if the folder holds a run of these settings. All networks get the same recipe, seed
    and order of images; a Tucker network starts small and never holds its full weights.

    The folder has the record (four Parquet files), a checkpoint of each network, and the pictures. Raises
    TuckerlabError for what cannot be asked for, before anything is trained.
    """
    policies = _policies(compression, tolerance)
    contenders = [Dense(), *map(Tucker, policies)]
    arena = arranged(contenders, dataset=dataset, seed=seed, **settings)
    settled = digest({**arena.plan, "ranks": repr(policies)})
    place = Path(out) / f"poc-{in_file_names(dataset)}-{arena.spec['name']}-seed{seed}-{settled}"
    if not resume:
        shutil.rmtree(place, ignore_errors=True)
    return Proof(contest(contenders, arena, place, quiet=quiet), place)


def _policies(compression: Rates, tolerance: Rates) -> list[RankPolicy]:
    if compression is not None and tolerance is not None:
        raise RankError(f"compression {compression} and tolerance {tolerance}: give one of them, not both")
    rates = (0.95 if compression is None else compression) if tolerance is None else tolerance
    many: Any = rates if isinstance(rates, list | tuple) else [rates]
    if not many:
        raise RankError(f"compression or tolerance {rates!r}: give one number or more")
    return [Budget(rate) if tolerance is None else Tolerance(rate) for rate in many]
