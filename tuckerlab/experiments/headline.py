"""The headline: a large network on CIFAR-10, dense, in Tucker format at several sizes, and pruned, over several seeds.

One recipe for all networks, and equal epochs or equal time. An interrupted call goes on where it was; what is finished
is not trained again, and a call that asks for more networks or seeds trains those alone.
"""

import copy
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Unpack

from rich.console import Console
from torch import nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.contest import check_seeds, over_seeds
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.methods.magnitude_pruning import Pruned
from tuckerlab.experiments.methods.registry import contender
from tuckerlab.experiments.proof import Proof, Settings, arranged
from tuckerlab.experiments.setup import Arena, digest, identities, in_file_names
from tuckerlab.files import atomic_path
from tuckerlab.training.config import Recipe
from tuckerlab.training.device import resolve_device
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.timing import interleave
from tuckerlab.tucker.rank_policy import RAMP, Budget

# One recipe for all networks: a large batch where a GPU has to be filled, a small one where steps are dear.
RECIPES = {
    "cuda": Recipe(epochs=40, batch_size=512, optimizer="muon", label_smoothing=0.1),
    "cpu": Recipe(epochs=12, batch_size=256, optimizer="muon", label_smoothing=0.1),
}
SPARE = 0.1  # of the time limit, for measuring, pictures and what a machine does beside
TESTED = 1024  # test images that are timed
EQUAL = ("epochs", "time")
# The largest rank at the first step, as a share of the widest layer. Wide layers, which give up most of their ranks in
# any case, begin small, and narrow ones as ever: steps are short from the beginning, and more of them fit the time.
START = 0.25
ON_THE_WAY = (0.0, 0.125, 0.25, 0.5, 1.0)  # of the way down to the last ranks: where a step is timed


def run_headline(
    *,
    dataset: str = "cifar10",
    compression: Sequence[float] = (0.9, 0.95, 0.97, 0.98),
    pruning: Sequence[float] = (0.97, 0.98),
    equal: Sequence[str] = ("epochs",),
    rivals: Sequence[str] = (),
    start: float = START,
    seeds: int = 3,
    minutes: float | None = None,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Unpack[Settings],
) -> Proof:
    """Trains all networks for each seed, and writes one record with its pictures below `out`.

    compression: the shares of the convolution weights that the Tucker networks do without. pruning: those at which the
    dense network is pruned beside them (unstructured, by magnitude, in the same number of steps). equal: what Tucker
    networks have in common with the dense one, "epochs" or "time" or both: in equal time they get as many epochs as
    fit, by steps that are timed beforehand at ranks along their schedule. rivals: more methods of
    `tuckerlab.experiments.methods.registry.METHODS`, each at every compression. start: the largest rank of
    Tucker networks at the first step, as a share of the widest layer's size. minutes: fewer
    epochs, if need be, so that everything ends within so many minutes on this machine. settings: see
    `tuckerlab.experiments.proof.Settings`; the usual ones are vgg16 and what stands in `RECIPES` for the device.

    Raises TuckerlabError for what cannot be asked for, before anything is trained.
    """
    check_seeds(seeds)
    if unknown := [value for value in equal if value not in EQUAL] or ([] if equal else ["nothing"]):
        raise TuckerlabError(f"equal {unknown[0]!r}: allowed are {' and '.join(EQUAL)}, one of them or both")
    if not 0 < start <= 1:
        raise TuckerlabError(f"start {start}: allowed are shares of the widest layer, above 0 and up to 1")
    if minutes is not None and not 0 < minutes < math.inf:
        raise TuckerlabError(f"minutes {minutes}: allowed are numbers above 0")
    if settings.get("epochs") is not None and minutes is not None:
        raise TuckerlabError(f"epochs {settings['epochs']} and minutes {minutes:g}: give one of them, not both")
    networks = [Tucker(Budget(rate), start) for rate in compression]
    others: list[Contender] = [Pruned(rate) for rate in pruning]
    others += [contender(rival, Budget(rate)) for rival in rivals for rate in compression]
    contenders = [Dense(), *networks, *others]
    recipe = RECIPES.get(resolve_device(settings.get("device", "auto")).type, RECIPES["cpu"])
    settings.setdefault("model", "vgg16")
    arena = arranged(contenders, dataset=dataset, recipe=recipe, **settings)
    asked = arena.plan | {"start": start}
    if minutes is not None:  # the time, and what it is for, decide on the epochs
        asked |= {"minutes": minutes, "seeds": seeds, "contenders": identities(contenders), "equal": [*equal]}
    folder = Path(out) / f"headline-{in_file_names(dataset)}-{arena.spec['name']}-{digest(asked)}"
    if not resume and folder.exists():
        shutil.rmtree(folder)
    if minutes is not None or "time" in equal:
        epochs, equal_time = _planned(contenders, "time" in equal, arena, seeds, minutes, folder, quiet=quiet)
        arena = replace(arena, recipe=replace(arena.recipe, epochs=epochs))
        if "time" in equal:
            longer = [replace(network, epochs=equal_time[network.label]) for network in networks]
            contenders = [Dense(), *longer, *(networks if "epochs" in equal else []), *others]
    return Proof(over_seeds(contenders, arena, seeds, folder, quiet=quiet, extend=True), folder)


def _planned(
    contenders: Sequence[Contender],
    equal_time: bool,
    arena: Arena,
    seeds: int,
    minutes: float | None,
    folder: Path,
    *,
    quiet: bool,
) -> tuple[int, dict[str, int]]:
    """The epochs of the dense network, and by label those of each Tucker network in equal time, as fit the time.

    They are decided once for each network: an interrupted call goes on with them.
    """
    file = folder / "epochs.json"
    there = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"equal_time": {}}
    networks = [c.label for c in contenders if isinstance(c, Tucker)]
    missing = equal_time and not set(networks) <= there["equal_time"].keys()
    if (minutes is None or "epochs" in there) and not missing:
        return there.get("epochs", arena.recipe.epochs), there["equal_time"]
    if not quiet:
        Console().print("timing training steps at ranks along the schedules", highlight=False)
    timed = [c for c in contenders if minutes is not None or isinstance(c, Dense | Tucker)]
    steps, tests = seconds_per_epoch(timed, arena)
    ratios = {label: steps[Dense().label] / steps[label] for label in networks}
    epochs = arena.recipe.epochs
    if minutes is not None:
        each = {label: ratios[label] if equal_time and label in ratios else 1.0 for label in steps}
        epoch = seeds * sum(each[label] * (steps[label] + tests[label]) for label in steps)
        epochs = int(min(epochs, (1 - SPARE) * 60 * minutes / epoch))
        if epochs < 1:
            raise TuckerlabError(
                f"minutes {minutes:g}: one epoch of {len(contenders)} networks with {seeds} seeds takes about "
                f"{epoch / 60:.2g} minutes on this machine; give more time, or fewer seeds, networks or a smaller width"
            )
        there |= {"epochs": epochs, "seconds_per_epoch": epoch}
        if not quiet:
            said = f"{epochs} epochs: about {epochs * epoch / 60:.1f} minutes on this machine, of {minutes:g}"
            Console().print(said, highlight=False)
    if equal_time:
        there["equal_time"] = {n: max(1, round(epochs * ratio)) for n, ratio in ratios.items()} | there["equal_time"]
        if not quiet:
            said = ", ".join(f"{label} {there['equal_time'][label]}" for label in networks)
            Console().print(f"epochs in the time of {epochs} of the dense network: {said}", highlight=False)
    with atomic_path(file) as path:
        path.write_text(json.dumps(there), encoding="utf-8")
    return epochs, there["equal_time"]


def seconds_per_epoch(contenders: Sequence[Contender], arena: Arena) -> tuple[dict[str, float], dict[str, float]]:
    """What the training steps and the test of an epoch take on this machine, by label, from a few of each.

    A Tucker network is timed at several ranks on the way to its last ones, and its steps are the mean over a run. What
    comes once in many steps (adaptations, checkpoints, measuring at the end) is left out.
    """
    recipe, data = arena.recipe, arena.data
    tested = min(TESTED, len(data.test_images))
    few = data.subset(test=tested).to(arena.device)
    networks: dict[str, nn.Module] = {}
    ways: dict[str, dict[float, str]] = {}  # of each contender, the names of its networks
    for each in contenders:
        network = each.network(arena.spec, 0).to(arena.device)
        ways[each.label] = {}
        for way in ON_THE_WAY if isinstance(each.ranks, Budget) else (1.0,):
            name = ways[each.label][way] = f"{each.label}, {way:g} of the way"
            networks[name] = network = copy.deepcopy(network)
            if isinstance(each.ranks, Budget):
                so_far = replace(each.ranks, compression=replace(each.ranks, steps=1000).target(int(1000 * way)))
                replace(recipe, ranks=so_far).make_optimizer(network, 1).adapt(grow=False)
    timed = interleave({name: arena.stepper(network) for name, network in networks.items()}, repeats=3, warmup=1)
    answer = {label: partial(evaluate, networks[names[1.0]], few) for label, names in ways.items()}
    tests = interleave(answer, repeats=1, warmup=1)
    steps: dict[str, float] = {}
    for label, names in ways.items():
        at = [(way, timed[name].median_ms) for way, name in names.items()]
        down = sum((b - a) * (u + v) / 2 for (a, u), (b, v) in pairwise(at))
        steps[label] = at[-1][1] if len(at) == 1 else RAMP * down + (1 - RAMP) * at[-1][1]
    count = len(data.train_images) // arena.step_size
    per_image = len(data.test_images) / tested
    return (
        {label: count * milliseconds / 1e3 for label, milliseconds in steps.items()},
        {label: per_image * timing.median_ms / 1e3 for label, timing in tests.items()},
    )
