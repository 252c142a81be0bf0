"""The comparison: one network made small in every way there is, on the same images, with the same training budget.

All methods get the same number of gradient evaluations for each network; what they do with them is theirs. An
interrupted call goes on where it was; what is finished is not trained again.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from rich.console import Console

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import check_seeds, over_seeds
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.cost_plots import accuracy_vs_costs
from tuckerlab.experiments.methods.base import Contender, Dense
from tuckerlab.experiments.methods.registry import METHODS, contender
from tuckerlab.experiments.proof import Proof, Settings, arranged
from tuckerlab.experiments.setup import Arena, digest, identities, in_file_names
from tuckerlab.experiments.standings import ALL_COSTS
from tuckerlab.experiments.sweep.grid import values
from tuckerlab.files import atomic_path
from tuckerlab.plotting.figure import DPI
from tuckerlab.tucker.rank_policy import Budget


def run_compare(
    *,
    dataset: str = "digits",
    methods: Sequence[str] | None = None,
    compression: Sequence[float] = (0.8, 0.9, 0.95),
    seeds: int = 3,
    workers: int = 1,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Proof:
    """Trains a network with every method at every compression for each seed, and measures them all in turn.

    methods: names from `tuckerlab.experiments.methods.registry.METHODS`, the dense network is always there; None: all
    that these settings suit, and those that they do not are named. compression: the shares of the convolution weights
    to remove. workers: processes that train side by side. settings: see `tuckerlab.experiments.proof.Settings`.

    Writes one record with its pictures below `out`. Raises TuckerlabError for what cannot be asked for, before anything
    is trained.
    """
    check_seeds(seeds)
    compression = values("compression", compression)
    chosen(list(METHODS) if methods is None else methods, compression)  # refuses what there is not
    arena = arranged(dataset=dataset, **settings)
    if methods is None:
        methods, unsuited = suiting(arena, compression)
        for said in () if quiet else unsuited:
            Console().print(f"left out: {said}", highlight=False, soft_wrap=True)
    contenders = chosen(methods, compression)
    arena.for_all(contenders)
    if not quiet:
        each = Training(arena).steps
        said = f"{len(contenders)} networks for each of {seeds} seeds, {each:,} gradient evaluations each"
        Console().print(said, highlight=False)
    asked = {**arena.plan, "contenders": identities(contenders)}
    folder = Path(out) / f"compare-{in_file_names(dataset)}-{arena.spec['name']}-{digest(asked)}"
    if not resume and folder.exists():
        shutil.rmtree(folder)
    trained = folder / "training"
    if workers != 1 and not any(folder.glob("seed*/runs.parquet")):
        from tuckerlab.experiments.sweep.study import run_sweep

        run_sweep(
            dataset=dataset, compressions=compression, seeds=seeds, methods=[*dict.fromkeys(["dense", *methods])],
            pruning=False, workers=workers, study=trained.name, out=folder, quiet=quiet, **settings,
        )  # fmt: skip
    there = trained if trained.exists() else None
    records = over_seeds(contenders, arena, seeds, folder, quiet=quiet, trained=there)
    shutil.rmtree(trained, ignore_errors=True)
    with atomic_path(folder / "accuracy_vs_costs.png") as path:
        accuracy_vs_costs(records).savefig(path, format="png", dpi=DPI)
    return Proof(records, folder, ALL_COSTS)


def chosen(methods: Sequence[str], compression: Sequence[float]) -> list[Contender]:
    """The contenders of these methods, the dense network first; what has no setting is there once.

    Raises TuckerlabError for a method that is unknown, and where nothing is asked for.
    """
    if not methods or not compression:
        raise TuckerlabError("nothing to compare: give one method and one compression, or more")
    found = [Dense(), *(contender(name, Budget(rate)) for name in methods for rate in compression)]
    return list(dict.fromkeys(found))


def suiting(arena: Arena, compression: Sequence[float]) -> tuple[list[str], list[str]]:
    """The methods that an arena suits at all of these compressions, and why it does not suit the others.

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
