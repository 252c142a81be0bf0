"""The main job, `run_poc`: one network trained twice on the same images, dense and in Tucker format, in one record.

A finished run is found again by its settings, not trained again; one that was cut off is resumed. What is here of all
experiments: what suits a data set, and `Proof`, their outcome.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from rich.console import Console
from rich.table import Table

from tuckerlab.data import load_data
from tuckerlab.errors import RankError
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.cost_plots import accuracy_vs_costs
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import SIDE_BY_SIDE, Records
from tuckerlab.experiments.setup import Arena, digest, in_file_names, suited
from tuckerlab.experiments.standings import ALL_COSTS, COSTS, IN_BRIEF, rich_standings, standings
from tuckerlab.experiments.summary import finding
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.config import Recipe
from tuckerlab.training.device import resolve_device
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

# What is known to work, by data set; the command line's options change single fields.
RECIPES = {
    "digits": Recipe(epochs=30, batch_size=64, optimizer="muon"),
    "folder": Recipe(epochs=20, batch_size=64, optimizer="muon", label_smoothing=0.1),
    "cifar10": Recipe(epochs=12, batch_size=128, optimizer="muon"),
}
Rates = float | Sequence[float] | None


@dataclass(frozen=True)
class Proof:
    """What an experiment leaves behind: the record, and the folder with everything else.

    costs: what tables show of what a network costs, and in which unit.
    """

    records: Records
    folder: Path
    costs: Mapping[str, float] = field(default_factory=lambda: COSTS)

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
        """Training curves, ranks over time, and accuracy against parameters; of a comparison, against all costs."""
        costs = {} if self.costs is COSTS else {"accuracy_vs_costs": accuracy_vs_costs(self.records)}
        return costs | figures(self.records)

    @property
    def is_long(self) -> bool:
        """Whether there are more runs than can stand side by side, or several seeds of a network."""
        few = len(self.records) <= SIDE_BY_SIDE and not self.records.runs["label"].duplicated().any()
        return not few or self.costs is not COSTS

    def rich_table(self) -> Table:
        """The table for a terminal, which has no room for all that a comparison shows."""
        costs = self.costs if self.costs is COSTS else {cost: ALL_COSTS[cost] for cost in IN_BRIEF}
        return rich_standings(self.shown, costs) if self.is_long else self.shown.rich_table()

    def _repr_html_(self) -> str:
        table = standings(self.shown, costs=self.costs).to_html(border=0) if self.is_long else self.shown._repr_html_()
        return f"<p><b>{self.finding}</b></p>{table}"


def show(result: Proof) -> None:
    """Prints the table, the result in one line, what has to be known beside it, and where everything lies."""
    console = Console()
    console.print(result.rich_table())
    if result.finding:
        console.print(f"[bold]{result.finding}[/bold]")
    for remark in result.remarks:
        console.print(remark, highlight=False, soft_wrap=True, markup=False)
    console.print(f"record, checkpoints and pictures: {result.folder}", highlight=False, soft_wrap=True)


class Settings(TypedDict, total=False):
    """Of an experiment, as its function takes them; what is left out, or None, is what suits the data set."""

    image_size: int | None  # pixels a side, of a folder's images
    model: str  # a name from `tuckerlab.training.models.MODELS`, or "auto": vgg_small, and vgg16 on CIFAR-10
    width: float  # of all layers, as a multiple of the published one
    epochs: int | None
    batch_size: int | None
    optimizer: str | None  # "muon", "sgd" or "adamw"
    lr: float | None  # None: what is usual for the optimizer
    precision: str | None  # "auto", "fp32", "bf16" or "fp16"
    device: str  # "auto", "cpu", "cuda" or "mps"


def arranged(
    contenders: Sequence[Contender] = (),
    *,
    dataset: str = "digits",
    recipe: Recipe | None = None,
    seed: int = 0,
    **settings: Unpack[Settings],
) -> Arena:
    """The arena of an experiment; TuckerlabError for what cannot be asked for.

    recipe: what the settings change; None: what is known to work on the data set.
    """
    given: dict[str, Any] = {**settings}
    device, model = given.pop("device", "auto"), given.pop("model", "auto")
    width, image_size = given.pop("width", 1.0), given.pop("image_size", None)
    resolve_device(device)  # before the images are read
    name = default_model(dataset) if model == "auto" else model
    recipe = suited(recipe or recipe_for(dataset), name, **given, seed=seed)
    return Arena.of(contenders, load_data(dataset, image_size=image_size), name, width, recipe, device)


def run_poc(
    *,
    dataset: str = "digits",
    compression: Rates = None,
    tolerance: Rates = None,
    seed: int = 0,
    out: str | os.PathLike[str] = "runs",
    resume: bool | None = None,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Proof:
    """Trains a network dense and in Tucker format, measures both, and writes a run folder below `out`.

    >>> run_poc(compression=0.9, tolerance=0.1)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.RankError: compression 0.9 and tolerance 0.1: give one of them, not both

    dataset: "digits", "cifar10" or "folder:PATH". compression: the share of the convolution weights to remove, 0.9 if
    neither it nor a `tolerance` is given; of several, each trains a network. settings: see `Settings`. resume=False
    begins anew even if the folder holds a run of these settings. All networks get the same recipe, seed and order of
    images; a Tucker network starts small and never holds its full weights.

    The folder has the record (four Parquet files), a checkpoint of each network, and the pictures. Raises
    TuckerlabError for what cannot be asked for, before anything is trained.
    """
    contenders = [Dense(), *map(Tucker, _policies(compression, tolerance))]
    arena = arranged(contenders, dataset=dataset, seed=seed, **settings)
    about = {"ranks": repr([contender.ranks for contender in contenders[1:]])}
    name = f"{in_file_names(dataset)}-{arena.spec['name']}-seed{seed}-{digest({**arena.plan, **about})}"
    place = Path(out) / f"poc-{name}"
    return Proof(contest(contenders, arena, place, resume=resume is not False, quiet=quiet, about=about), place)


def recipe_for(dataset: str) -> Recipe:
    """What is known to work on a data set."""
    return RECIPES["folder" if dataset.startswith("folder:") else dataset if dataset in RECIPES else "digits"]


def default_model(dataset: str) -> str:
    """The network that suits a data set."""
    return "vgg16" if dataset == "cifar10" else "vgg_small"


def _policies(compression: Rates, tolerance: Rates) -> list[RankPolicy]:
    if compression is not None and tolerance is not None:
        raise RankError(f"compression {compression} and tolerance {tolerance}: give one of them, not both")
    kind, rates = (Budget, 0.9 if compression is None else compression) if tolerance is None else (Tolerance, tolerance)
    many = rates if isinstance(rates, list | tuple) else [rates]
    if not many:
        raise RankError(f"compression or tolerance {rates!r}: give one number or more")
    make: Any = kind
    return [make(rate) for rate in many]
