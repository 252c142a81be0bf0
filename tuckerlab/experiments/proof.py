"""The main job: one network trained twice on the same images, dense and in Tucker format, compared in one record.

>>> import tempfile
>>> proof = run_poc(epochs=1, width=0.25, quiet=True, out=tempfile.mkdtemp())
>>> proof.records.runs["label"].tolist()
['dense', 'Tucker 90 %']

A finished run is found again by its settings, not trained again; one that was cut off is resumed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tuckerlab.data import load_data
from tuckerlab.errors import RankError
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import SIDE_BY_SIDE, Records
from tuckerlab.experiments.setup import Arena, digest, in_file_names, suited
from tuckerlab.experiments.standings import rich_standings, standings
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


@dataclass(frozen=True)
class Proof:
    """What the main job leaves behind: the record, and the folder with everything else."""

    records: Records
    folder: Path

    @property
    def finding(self) -> str:
        """The result in one line."""
        return finding(self.records)

    @property
    def figures(self) -> dict[str, Picture]:
        """Training curves, ranks over time, and accuracy against parameters."""
        return figures(self.records)

    @property
    def is_long(self) -> bool:
        """Whether there are more runs than can stand side by side, or several seeds of a network."""
        return len(self.records) > SIDE_BY_SIDE or bool(self.records.runs["label"].duplicated().any())

    def _repr_html_(self) -> str:
        table = standings(self.records).to_html(border=0) if self.is_long else self.records._repr_html_()
        return f"<p><b>{self.finding}</b></p>{table}"


def run_poc(
    *,
    dataset: str = "digits",
    image_size: int | None = None,
    model: str = "auto",
    width: float = 1.0,
    compression: "Rates" = None,
    tolerance: "Rates" = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] = "runs",
    device: str = "auto",
    resume: bool | None = None,
    quiet: bool = False,
) -> Proof:
    """Trains a network dense and in Tucker format, measures both, and writes a run folder below `out`.

    >>> run_poc(compression=0.9, tolerance=0.1)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.RankError: compression 0.9 and tolerance 0.1: give one of them, not both

    dataset: "digits", "cifar10" or "folder:PATH" (with `image_size`, pixels a side). model: a name from
    `tuckerlab.training.models.MODELS`, or "auto" for vgg_small (vgg16 on CIFAR-10). compression: the share of the
    convolution weights to remove, 0.9 if neither it nor a `tolerance` is given; of several, each trains a network.
    resume=False begins anew even if the folder holds a run of these settings. optimizer: "muon" (the default), "sgd" or
    "adamw"; lr is then what is usual for it. All networks get the same recipe, seed and order of images; a Tucker
    network starts small and never holds its full weights.

    The folder has the record (four Parquet files), a checkpoint of each network, and the pictures. Raises
    TuckerlabError for what cannot be asked for, before anything is trained.
    """
    contenders = [Dense(), *map(Tucker, _policies(compression, tolerance))]
    name = default_model(dataset) if model == "auto" else model
    resolve_device(device)  # before the images are read
    given: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr, "seed": seed}
    recipe = suited(recipe_for(dataset), name, **given)
    arena = Arena.of(contenders, load_data(dataset, image_size=image_size), name, width, recipe, device)
    facts = {"ranks": repr([contender.ranks for contender in contenders[1:]])}
    folder = f"poc-{in_file_names(dataset)}-{name}-seed{recipe.seed}-{digest({**arena.plan, **facts})}"
    place = Path(out) / folder
    return Proof(contest(contenders, arena, place, resume=resume is not False, quiet=quiet, facts=facts), place)


def show(proof: Proof) -> None:
    """Prints the table, the result in one line, and where everything lies."""
    console = Console()
    console.print(rich_standings(proof.records) if proof.is_long else proof.records.rich_table())
    console.print(f"[bold]{proof.finding}[/bold]")
    note = proof.records.runs["note"].iloc[0]
    if isinstance(note, str) and note:
        console.print(f"data: {note}", highlight=False)
    console.print(f"record, checkpoints and pictures: {proof.folder}", highlight=False, soft_wrap=True)


def recipe_for(dataset: str) -> Recipe:
    """What is known to work on a data set.

    >>> recipe_for("cifar10").batch_size
    128
    """
    return RECIPES["folder" if dataset.startswith("folder:") else dataset if dataset in RECIPES else "digits"]


def default_model(dataset: str) -> str:
    """The network that suits a data set.

    >>> default_model("digits")
    'vgg_small'
    """
    return "vgg16" if dataset == "cifar10" else "vgg_small"


Rates = float | Sequence[float] | None


def _policies(compression: Rates, tolerance: Rates) -> list[RankPolicy]:
    if compression is not None and tolerance is not None:
        raise RankError(f"compression {compression} and tolerance {tolerance}: give one of them, not both")
    if tolerance is not None:
        return [Tolerance(tau) for tau in _each(tolerance)]
    return [Budget(rate) for rate in _each(0.9 if compression is None else compression)]


def _each(rates: "float | Sequence[float]") -> Sequence[Any]:
    many = rates if isinstance(rates, list | tuple) else [rates]
    if not many:
        raise RankError(f"compression or tolerance {rates!r}: give one number or more")
    return many
