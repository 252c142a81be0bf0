"""The comparison: one network made small in every way there is, on the same images, with the same training budget.

All methods get the same number of gradient evaluations for each network; what they do with them is theirs. An
interrupted call goes on where it was; what is finished is not trained again.
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Unpack

from rich.console import Console

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import check_seeds, over_seeds
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, Dense
from tuckerlab.experiments.methods.registry import METHODS, contender
from tuckerlab.experiments.proof import Proof, Settings, arranged
from tuckerlab.experiments.setup import Arena, digest, identities, in_file_names
from tuckerlab.experiments.sweep.grid import values
from tuckerlab.tucker.rank_policy import Budget


def run_compare(
    *,
    dataset: str = "mnist",
    methods: Sequence[str] | None = None,
    compression: Sequence[float] = (0.8, 0.9, 0.95),
    seeds: int = 3,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Proof:
    """Trains a network with every method at every compression for each seed, and measures them all in turn.

    methods: names from `tuckerlab.experiments.methods.registry.METHODS`, the dense network is always there; None: all
    that these settings suit, and those that they do not are named. compression: the shares of the convolution weights
    to remove. settings: see `tuckerlab.experiments.proof.Settings`.

    Writes one record with its pictures below `out`. Raises TuckerlabError for what cannot be asked for, before anything
    is trained.
    """
    check_seeds(seeds)
    compression = values("compression", compression)
    contenders = chosen(METHODS if methods is None else methods, compression)  # refuses what there is not
    arena = arranged(dataset=dataset, **settings)
    if methods is None:
        contenders = suiting(arena, contenders, quiet=quiet)
    arena.for_all(contenders)
    if not quiet:
        each = Training(arena).steps
        said = f"{len(contenders)} networks for each of {seeds} seeds, {each:,} gradient evaluations each"
        Console().print(said, highlight=False)
    asked = {**arena.plan, "contenders": identities(contenders)}
    folder = Path(out) / f"compare-{in_file_names(dataset)}-{arena.spec['name']}-{digest(asked)}"
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    return Proof(over_seeds(contenders, arena, seeds, folder, quiet=quiet), folder)


def chosen(methods: Iterable[str], compression: Sequence[float]) -> list[Contender]:
    """The contenders of these methods, the dense network first; what has no setting is there once.

    Raises TuckerlabError for a method that is unknown, and where nothing is asked for.
    """
    found = [Dense(), *(contender(name, Budget(rate)) for name in methods for rate in compression)]
    if len(found) == 1:
        raise TuckerlabError("nothing to compare: give one method and one compression, or more")
    return list(dict.fromkeys(found))


def suiting(arena: Arena, contenders: Sequence[Contender], *, quiet: bool) -> list[Contender]:
    """The contenders that an arena suits; says which it does not suit, and why.

    What ours cannot do raises: then the settings are to blame.
    """
    found = []
    for one in contenders:
        try:
            one.check(arena)
            found.append(one)
        except TuckerlabError as error:
            if one.method in ("dense", "tucker"):
                raise
            if not quiet:
                Console().print(f"left out: {one.label}: {error}", highlight=False, soft_wrap=True)
    return found
