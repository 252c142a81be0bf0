"""The comparison: one network made small in every way there is, on the same images, with the same training budget.

>>> import tempfile
>>> comparison = run_compare(methods=["tucker", "cut"], compression=[0.9], seeds=1, epochs=1, width=0.25, quiet=True,
...                          out=tempfile.mkdtemp())
>>> comparison.records.runs["label"].tolist()
['dense', 'Tucker 90 %', 'cut 90 %']

All methods get the same number of gradient evaluations for each network; what they do with them is theirs. An
interrupted call goes on where it was; what is finished is not trained again.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tuckerlab.data import load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import check_seeds, over_seeds
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.cost_plots import accuracy_vs_costs
from tuckerlab.experiments.methods.base import Contender, Dense
from tuckerlab.experiments.methods.registry import METHODS, contender
from tuckerlab.experiments.proof import Proof, default_model, recipe_for
from tuckerlab.experiments.setup import Arena, digest, in_file_names, suited
from tuckerlab.experiments.standings import ALL_COSTS, IN_BRIEF, rich_standings, standings
from tuckerlab.experiments.sweep.grid import values
from tuckerlab.files import atomic_path
from tuckerlab.plotting.figure import DPI, Picture
from tuckerlab.training.device import resolve_device
from tuckerlab.tucker.rank_policy import Budget

COMPRESSION = (0.8, 0.9, 0.95)


class Comparison(Proof):
    """The record, and the folder with everything else."""

    @property
    def figures(self) -> dict[str, Picture]:
        """Those of a proof, and accuracy against all costs."""
        return {"accuracy_vs_costs": accuracy_vs_costs(self.records), **super().figures}

    def _repr_html_(self) -> str:
        return standings(self.records, costs=ALL_COSTS).to_html(border=0)


def run_compare(
    *,
    dataset: str = "digits",
    image_size: int | None = None,
    model: str = "auto",
    width: float = 1.0,
    methods: Sequence[str] | None = None,
    compression: Sequence[float] = COMPRESSION,
    seeds: int = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    workers: int = 1,
    out: str | os.PathLike[str] = "runs",
    device: str = "auto",
    resume: bool = True,
    quiet: bool = False,
) -> Comparison:
    """Trains a network with every method at every compression for each seed, and measures them all in turn.

    methods: names from `tuckerlab.experiments.methods.registry.METHODS`, the dense network is always there; None: all
    that these settings suit, and those that they do not are named. compression: the shares of the convolution weights
    to remove. workers: processes that train side by side. The other settings are those of `run_poc`.

    Writes one record with its pictures below `out`. Raises TuckerlabError for what cannot be asked for, before anything
    is trained.
    """
    check_seeds(seeds)
    resolve_device(device)  # before the images are read
    compression = values("compression", compression)
    contenders = chosen(list(METHODS) if methods is None else methods, compression)
    name = default_model(dataset) if model == "auto" else model
    recipe = suited(recipe_for(dataset), name, epochs=epochs, batch_size=batch_size, optimizer=optimizer, lr=lr)
    data = load_data(dataset, image_size=image_size)
    if methods is None:
        arena = Arena.of([Dense()], data, name, width, recipe, device)
        methods, unsuited = suiting(arena, compression)
        contenders = chosen(methods, compression)
        for said in () if quiet else unsuited:
            Console().print(f"left out: {said}", highlight=False, soft_wrap=True)
    arena = Arena.of(contenders, data, name, width, recipe, device)
    if not quiet:
        each = Training(arena).steps
        said = f"{len(contenders)} networks for each of {seeds} seeds, {each:,} gradient evaluations each"
        Console().print(said, highlight=False)
    asked = {**arena.plan, "contenders": repr(contenders)}
    folder = Path(out) / f"compare-{in_file_names(dataset)}-{name}-{digest(asked)}"
    if not resume and folder.exists():
        shutil.rmtree(folder)
    trained = folder / "training"
    if workers != 1 and not any(folder.glob("seed*/runs.parquet")):
        from tuckerlab.experiments.sweep.study import run_sweep

        run_sweep(
            dataset=dataset, image_size=image_size, model=name, width=width, compressions=compression, seeds=seeds,
            methods=[*dict.fromkeys(["dense", *methods])], epochs=epochs, batch_size=batch_size,
            optimizer=optimizer, lr=lr, pruning=False, workers=workers, study=trained.name, out=folder, device=device,
            quiet=quiet,
        )  # fmt: skip
    there = trained if trained.exists() else None
    comparison = Comparison(over_seeds(contenders, arena, seeds, folder, quiet=quiet, trained=there), folder)
    shutil.rmtree(trained, ignore_errors=True)
    with atomic_path(folder / "accuracy_vs_costs.png") as path:
        accuracy_vs_costs(comparison.records).savefig(path, format="png", dpi=DPI)
    return comparison


def chosen(methods: Sequence[str], compression: Sequence[float]) -> list[Contender]:
    """The contenders of these methods, the dense network first; what has no setting is there once.

    >>> [contender.label for contender in chosen(["tucker"], [0.8, 0.9])]
    ['dense', 'Tucker 80 %', 'Tucker 90 %']

    Raises TuckerlabError for a method that is unknown, and where nothing is asked for.
    """
    if not methods or not compression:
        raise TuckerlabError("nothing to compare: give one method and one compression, or more")
    found = [Dense(), *(contender(name, Budget(rate)) for name in methods for rate in compression)]
    return list(dict.fromkeys(found))


def suiting(arena: Arena, compression: Sequence[float]) -> tuple[list[str], list[str]]:
    """The methods that an arena suits at all of these compressions, and why it does not suit the others.

    >>> from tuckerlab.training.config import Recipe
    >>> arena = Arena.of([Dense()], load_data("digits"), "vgg_small", 0.25, Recipe(epochs=3), "cpu")
    >>> methods, unsuited = suiting(arena, [0.9])
    >>> "tucker" in methods, unsuited[0].split(":")[0]
    (True, 'two-gradients')

    What ours cannot do raises: then the settings are to blame.
    """
    methods, unsuited = [], []
    for name in METHODS:
        try:
            for one in chosen([name], compression):
                one.check(arena)
        except TuckerlabError as error:
            if name == "tucker":
                raise
            unsuited.append(f"{name}: {error}")
        else:
            methods.append(name)
    return methods, unsuited


def show(comparison: Comparison) -> None:
    """Prints the table, and where everything lies."""
    console = Console()
    console.print(rich_standings(comparison.records, {cost: ALL_COSTS[cost] for cost in IN_BRIEF}))
    for note in comparison.records.runs["note"].unique():
        if note:
            console.print(note, highlight=False, soft_wrap=True)
    console.print(f"record, checkpoints and pictures: {comparison.folder}", highlight=False, soft_wrap=True)
