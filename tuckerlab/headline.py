"""The headline: a large network on CIFAR-10, dense, in Tucker format at several sizes, and pruned, over several seeds.

>>> import tempfile
>>> headline = run_headline(dataset="digits", model="vgg_small", width=0.25, compression=[0.9], pruning=[], seeds=1,
...                         epochs=1, out=tempfile.mkdtemp(), quiet=True)
>>> headline.records.runs["label"].tolist()
['dense', 'Tucker 90 %']

One recipe for all networks. An interrupted call goes on where it was; what is finished is not trained again.
"""

import copy
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import nn

from tuckerlab.arena import Arena, digest, in_file_names, suited
from tuckerlab.atomic import atomic_path
from tuckerlab.budget import Budget
from tuckerlab.contender import Contender, Dense, Tucker
from tuckerlab.contest import check_seeds, over_seeds
from tuckerlab.datasets import load_data
from tuckerlab.device import resolve_device
from tuckerlab.errors import TuckerlabError
from tuckerlab.evaluate import evaluate
from tuckerlab.measure import count_parameters, interleave
from tuckerlab.proof import Proof
from tuckerlab.ranks import RAMP
from tuckerlab.recipe import Recipe
from tuckerlab.rivals.magnitude import Pruned

# One recipe for all networks: a large batch where a GPU has to be filled, a small one where steps are dear.
RECIPES = {
    "cuda": Recipe(epochs=40, batch_size=512, optimizer="muon", label_smoothing=0.1),
    "cpu": Recipe(epochs=12, batch_size=128, optimizer="muon", label_smoothing=0.1),
}
SPARE = 0.1  # of the time limit, for measuring, pictures and what a machine does beside
TESTED = 1024  # test images that are timed


def run_headline(
    *,
    dataset: str = "cifar10",
    model: str = "vgg16",
    width: float = 1.0,
    compression: Sequence[float] = (0.9, 0.95, 0.97, 0.98),
    pruning: Sequence[float] = (0.97, 0.98),
    seeds: int = 3,
    epochs: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    out: str | os.PathLike[str] = "runs",
    device: str = "auto",
    resume: bool = True,
    quiet: bool = False,
) -> Proof:
    """Trains all networks for each seed, and writes one record with its pictures below `out`.

    compression: the shares of the convolution weights that the Tucker networks do without. pruning: those at which the
    dense network is pruned beside them (unstructured, by magnitude, in the same number of steps). epochs: 40 on CUDA
    and 12 elsewhere; minutes: fewer, if need be, so that everything ends within so many minutes on this machine.
    batch_size, optimizer, lr: those of `RECIPES` for the device.

    Raises TuckerlabError for what cannot be asked for, before anything is trained.
    """
    check_seeds(seeds)
    if minutes is not None and not 0 < minutes < math.inf:
        raise TuckerlabError(f"minutes {minutes}: allowed are numbers above 0")
    if epochs is not None and minutes is not None:
        raise TuckerlabError(f"epochs {epochs} and minutes {minutes:g}: give one of them, not both")
    contenders = [Dense(), *(Tucker(Budget(rate)) for rate in compression)]
    contenders += [Pruned(rate) for rate in pruning]
    kind = resolve_device(device).type
    given = {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr}
    recipe = suited(RECIPES.get(kind, RECIPES["cpu"]), model, **given)
    arena = Arena.of(contenders, load_data(dataset), model, width, recipe, device)
    asked = {**arena.plan, "contenders": repr(contenders)}
    if minutes is not None:
        asked |= {"minutes": minutes, "seeds": seeds}  # they decide on the epochs
    folder = Path(out) / f"headline-{in_file_names(dataset)}-{model}-{digest(asked)}"
    if not resume and folder.exists():
        shutil.rmtree(folder)
    if minutes is not None:
        arena = replace(arena, recipe=_fitted(contenders, arena, seeds, minutes, folder, quiet=quiet))
    return Proof(over_seeds(contenders, arena, seeds, folder, quiet=quiet), folder)


def _fitted(
    contenders: Sequence[Contender], arena: Arena, seeds: int, minutes: float, folder: Path, *, quiet: bool
) -> Recipe:
    """The recipe with as many epochs as fit the time; decided once, so that an interrupted call goes on with them."""
    file = folder / "epochs.json"
    if file.exists():
        return replace(arena.recipe, epochs=int(json.loads(file.read_text(encoding="utf-8"))["epochs"]))
    epoch = seeds * seconds_per_epoch(contenders, arena)
    epochs = int(min(arena.recipe.epochs, (1 - SPARE) * 60 * minutes / epoch))
    if epochs < 1:
        raise TuckerlabError(
            f"minutes {minutes:g}: one epoch of {len(contenders)} networks with {seeds} seeds takes about "
            f"{epoch / 60:.2g} minutes on this machine; give more time, or fewer seeds, networks or a smaller width"
        )
    if not quiet:
        text = f"{epochs} epochs each: about {epochs * epoch / 60:.1f} minutes on this machine, of {minutes:g}"
        Console().print(text, highlight=False)
    with atomic_path(file) as path:
        path.write_text(json.dumps({"epochs": epochs, "seconds_per_epoch": epoch}), encoding="utf-8")
    return replace(arena.recipe, epochs=epochs)


def seconds_per_epoch(contenders: Sequence[Contender], arena: Arena) -> float:
    """What an epoch of all networks takes on this machine, from a few steps of each and a small test.

    >>> data = load_data("digits")
    >>> contenders = [Dense(), Tucker(Budget(0.9))]
    >>> seconds_per_epoch(contenders, Arena.of(contenders, data, "vgg_small", 0.25, Recipe(), "cpu")) > 0
    True

    A Tucker network is timed at its first ranks and at its last; `share_at_first` says how it goes from one to the
    other. What comes once in many steps (adaptations, checkpoints, measuring at the end) is for `SPARE`.
    """
    recipe, data = arena.recipe, arena.data
    steps = len(data.train_images) // arena.step_size
    tested = min(TESTED, len(data.test_images))
    few = data.subset(test=tested).to(arena.device)
    networks: dict[str, nn.Module] = {}
    shares: dict[str, float] = {}
    for contender in contenders:
        first = networks[contender.label] = contender.network(arena.spec, 0).to(arena.device)
        shares[contender.label] = 1.0
        if isinstance(contender.ranks, Budget):
            last = networks[f"{contender.label}, last"] = copy.deepcopy(first)
            replace(recipe, ranks=contender.ranks).make_optimizer(last, 1).adapt(grow=False)
            share = share_at_first(contender.ranks.compression, count_parameters(first).conv_compression)
            shares |= {contender.label: share, f"{contender.label}, last": 1 - share}
    times = interleave({name: arena.stepper(network) for name, network in networks.items()}, repeats=3, warmup=2)
    tests = interleave({name: partial(evaluate, networks[name], few) for name in shares}, repeats=1, warmup=1)
    per_image = len(data.test_images) / tested
    return sum(s * (steps * times[n].median_ms + per_image * tests[n].median_ms) for n, s in shares.items()) / 1e3


def share_at_first(compression: float, start: float) -> float:
    """The part of a run that a network under a budget spends near its first size, when it starts at a c.r. of `start`.

    >>> round(share_at_first(0.95, 0.0), 2), round(share_at_first(0.95, 0.36), 2)
    (0.15, 0.22)

    Its size is taken for a mixture of the first and the last; the part is the mean over the run.
    """
    if compression <= start:
        return 0.0
    budget = Budget(compression, steps=1000)
    ramp = [max(start, budget.target(step)) for step in range(1000)]
    return RAMP * sum((compression - rate) / (compression - start) for rate in ramp) / len(ramp)
