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
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from tuckerlab.atomic import atomic_path
from tuckerlab.contest import Arena, Contender, contest, digest, on_meta
from tuckerlab.datasets import load_data
from tuckerlab.device import resolve_device
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.evaluate import evaluate
from tuckerlab.measure import interleave
from tuckerlab.models import MODELS
from tuckerlab.plots import save_figures
from tuckerlab.proof import Proof, tucker
from tuckerlab.ranks import RAMP, Budget
from tuckerlab.recipe import Recipe
from tuckerlab.record import Records

# One recipe for all networks: a large batch where a GPU has to be filled, a small one where steps are dear.
RECIPES = {
    "cuda": Recipe(epochs=40, batch_size=512, lr=0.4, label_smoothing=0.1),
    "cpu": Recipe(epochs=12, batch_size=128, lr=0.1, label_smoothing=0.1),
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
    batch_size, lr: those of `RECIPES` for the device.

    Raises TuckerlabError for what cannot be asked for, before anything is trained.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise TuckerlabError(f"seeds {seeds!r}: allowed are whole numbers from 1")
    if minutes is not None and not minutes > 0:
        raise TuckerlabError(f"minutes {minutes}: allowed are numbers above 0")
    if epochs is not None and minutes is not None:
        raise TuckerlabError(f"epochs {epochs} and minutes {minutes:g}: give one of them, not both")
    if model not in MODELS:
        raise TuckerlabError(f"unknown model {model!r}: known are {', '.join(MODELS)}")
    contenders = [Contender("dense"), *(tucker(Budget(rate)) for rate in compression)]
    contenders += [Contender(f"pruned {100 * Budget(rate).compression:g} %", pruned=rate) for rate in pruning]
    if len({contender.label for contender in contenders}) < len(contenders):
        raise RankError(f"compression {list(compression)}, pruning {list(pruning)}: give each number once")
    place = resolve_device(device)
    given = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    given = {name: value for name, value in given.items() if value is not None}
    recipe = replace(RECIPES.get(place.type, RECIPES["cpu"]), **given)  # type: ignore[arg-type]
    data = load_data(dataset)
    spec: dict[str, Any] = {"name": model, "num_classes": data.num_classes, "in_channels": data.channels}
    spec |= {"image_size": data.image_size, "width": width}
    for contender in contenders:  # refuses a budget that cannot be met
        replace(recipe, ranks=contender.ranks).make_optimizer(on_meta(spec), 1)

    arena = Arena(spec, data, recipe, place)
    asked = {**arena.plan, "contenders": [repr(c) for c in contenders], "minutes": minutes, "device": place.type}
    folder = Path(out) / f"headline-{dataset.replace(':', '-').replace('/', '-')}-{model}-{digest(asked)}"
    if minutes is not None:
        arena = replace(arena, recipe=_fitted(contenders, arena, seeds, minutes, folder, resume=resume, quiet=quiet))
    parts = []
    for seed in range(seeds):
        of_seed = replace(arena, recipe=replace(arena.recipe, seed=seed))
        if not quiet:
            Console().print(f"seed {seed}, {seed + 1} of {seeds}: {len(contenders)} networks", highlight=False)
        parts.append(contest(contenders, of_seed, folder / f"seed{seed}", resume=resume, quiet=quiet))
    records = Records.concat(parts)
    save_figures(records, folder)
    records.save(folder)
    return Proof(records, folder)


def _fitted(
    contenders: Sequence[Contender],
    arena: Arena,
    seeds: int,
    minutes: float,
    folder: Path,
    *,
    resume: bool,
    quiet: bool,
) -> Recipe:
    """The recipe with as many epochs as fit the time; decided once, so that an interrupted call goes on with them."""
    file = folder / "epochs.json"
    if file.exists() and resume:
        return replace(arena.recipe, epochs=int(json.loads(file.read_text(encoding="utf-8"))["epochs"]))
    epoch = seeds * seconds_per_epoch(contenders, arena)
    epochs = max(1, min(arena.recipe.epochs, int((1 - SPARE) * 60 * minutes / epoch)))
    if not quiet:
        text = f"{epochs} epochs each: about {epochs * epoch / 60:.1f} minutes on this machine, of {minutes:g}"
        Console().print(text, highlight=False)
    with atomic_path(file) as path:
        path.write_text(json.dumps({"epochs": epochs, "seconds_per_epoch": epoch}), encoding="utf-8")
    return replace(arena.recipe, epochs=epochs)


def seconds_per_epoch(contenders: Sequence[Contender], arena: Arena) -> float:
    """What an epoch of all networks takes on this machine, from a few steps of each and a small test.

    A Tucker network is timed at its first ranks and at its last: a schedule that comes down by the third power over
    `RAMP` of the run spends about a quarter of that near the first, and the rest near the last.
    """
    recipe, data = arena.recipe, arena.data
    steps = len(data.train_images) // min(recipe.batch_size, len(data.train_images))
    tested = min(TESTED, len(data.test_images))
    few = data.subset(test=tested).to(arena.device)
    networks: dict[str, nn.Module] = {}
    shares: dict[str, float] = {}
    for contender in contenders:
        first = networks[contender.label] = contender.network(arena.spec, 0).to(arena.device)
        shares[contender.label] = 1.0
        if contender.ranks is not None:
            last = networks[f"{contender.label}, last"] = copy.deepcopy(first)
            replace(recipe, ranks=contender.ranks).make_optimizer(last, 1).adapt(grow=False)
            shares |= {contender.label: RAMP / 4, f"{contender.label}, last": 1 - RAMP / 4}
    times = interleave({name: arena.stepper(network) for name, network in networks.items()}, repeats=3, warmup=2)
    tests = interleave({name: partial(evaluate, networks[name], few) for name in shares}, repeats=1, warmup=1)
    per_image = len(data.test_images) / tested
    return sum(s * (steps * times[n].median_ms + per_image * tests[n].median_ms) for n, s in shares.items()) / 1e3
