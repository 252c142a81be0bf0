"""The headline: a large network on CIFAR-10, dense, in Tucker format at several sizes, and pruned, over several seeds.

A call that asks for more networks or seeds trains those alone.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tuckerlab.errors import TuckerlabError, check_choice, check_number, check_whole
from tuckerlab.experiments.measuring import step_times
from tuckerlab.experiments.methods import make_method
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.methods.pruning import Pruned
from tuckerlab.experiments.run import run_experiment, say
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.setup import Experiment, set_up
from tuckerlab.files import atomic_path
from tuckerlab.training import processes
from tuckerlab.training.config import Recipe
from tuckerlab.training.machine import resolve_device
from tuckerlab.tucker.rank_policy import RAMP, Budget, RankPolicy

# One recipe for all networks: a large batch where a GPU has to be filled, a small one where steps are dear.
RECIPES = {
    "cuda": Recipe(epochs=40, batch_size=512, optimizer="muon", label_smoothing=0.1),
    "cpu": Recipe(epochs=12, batch_size=256, optimizer="muon", label_smoothing=0.1),
}
# The largest rank at the first step, as a share of the widest layer: steps are short from the beginning.
START = 0.25
SPARE = 0.2  # of a time limit, for tests, adaptations, measuring and pictures
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
    **settings: Any,
) -> RunFolder:
    """Trains all networks for each seed, and writes one record with its pictures below `out`.

    compression: the shares of the convolution weights that the Tucker networks do without. pruning: those at which the
    dense network is pruned beside them. equal: what Tucker networks have in common with the dense one, "epochs" or
    "time" or both: in equal time they get as many epochs as fit, by steps that are timed beforehand. rivals: more of
    `tuckerlab.experiments.methods.METHODS`, each at every compression. start: the largest rank of Tucker
    networks at the first step, as a share of the widest layer's size. minutes: fewer epochs, if need be, so that all
    ends within about so many minutes on this machine. settings: of
    `tuckerlab.experiments.setup.set_up`; the usual ones are vgg16 and what stands in `RECIPES` for the device.

    Raises TuckerlabError for what cannot be asked for, before anything is trained.
    """
    check_whole("seeds", seeds, 1)
    for value in equal or ("nothing",):
        check_choice("equal", value, ("epochs", "time"))
    check_number("start", start, above=0, most=1)
    if minutes is not None:
        check_number("minutes", minutes, above=0)
        if settings.get("epochs") is not None:
            raise TuckerlabError(f"minutes {minutes} and epochs {settings['epochs']}: give one of them, not both")
    networks = [Tucker(Budget(rate), start) for rate in compression]
    others: list[Method] = [Pruned(rate) for rate in pruning]
    others += [make_method(rival, Budget(rate)) for rival in rivals for rate in compression]
    recipe = RECIPES.get(resolve_device(settings.get("device", "auto")).type, RECIPES["cpu"])
    settings.setdefault("model", "vgg16")
    experiment = set_up([Dense(), *networks, *others], dataset=dataset, recipe=recipe, **settings)
    asked = {"start": start} | ({} if minutes is None else {"minutes": minutes, "seeds": seeds})
    folder = Path(out) / experiment.folder_name("headline", **asked)
    if not resume:
        processes.first(lambda: shutil.rmtree(folder, ignore_errors=True))
    equals = networks if "epochs" in equal else []
    if "time" in equal or minutes is not None:
        timed, budget = (networks, None) if minutes is None else ([*networks, *others], minutes / seeds)
        plan = partial(_planned, timed, equal, experiment, budget, folder / "epochs.json", quiet)
        epochs, in_equal_time = processes.first(plan)
        experiment = replace(experiment, recipe=replace(experiment.recipe, epochs=epochs))
        if "time" in equal:
            equals = [*(replace(network, epochs=in_equal_time[network.label]) for network in networks), *equals]
    return run_experiment([Dense(), *equals, *others], experiment, folder, seeds=seeds, extend=True, quiet=quiet)


def _planned(
    methods: Sequence[Method],
    equal: Sequence[str],
    experiment: Experiment,
    budget: float | None,
    file: Path,
    quiet: bool,
) -> tuple[int, dict[str, int]]:
    """The epochs of the dense network that fit `budget`, and by label those of Tucker networks in its time.

    They are decided once for each network, in `file`: an interrupted call goes on with them. budget: minutes a seed.
    """
    labels = [each.label for each in methods if isinstance(each, Tucker)]
    plan = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"equal_time": {}}
    epochs, in_equal_time = plan.get("epochs", experiment.recipe.epochs), plan["equal_time"]
    if file.exists() and {*labels} <= in_equal_time.keys():
        return epochs, in_equal_time
    say("timing training steps at ranks along the schedules", quiet)
    steps = _step_means([Dense(), *methods], experiment)
    full = steps[Dense().label]
    if budget is not None and "epochs" not in plan:
        taken = [("time" in equal) * full + ("epochs" in equal) * steps[label] for label in labels]
        taken += [step for label, step in steps.items() if label not in labels]
        epoch = sum(taken) / 60e3 * experiment.steps_per_epoch
        epochs = plan["epochs"] = int(min(epochs, (1 - SPARE) * budget / epoch))
        if epochs < 1:
            raise TuckerlabError(
                f"{budget:.2g} minutes for each seed: one epoch of all networks takes about {epoch:.2g} on this "
                "machine; give more time, or fewer seeds, networks or a smaller width"
            )
        say(f"{epochs} epochs, to end within the minutes", quiet)
    for label in labels:
        in_equal_time.setdefault(label, max(1, round(epochs * full / steps[label])))
    if "time" in equal:
        said = ", ".join(f"{label} {in_equal_time[label]}" for label in labels)
        say(f"epochs in the time of {epochs} of the dense network: {said}", quiet)
    with atomic_path(file) as path:
        path.write_text(json.dumps(plan), encoding="utf-8")
    return epochs, in_equal_time


def _step_means(methods: Sequence[Method], experiment: Experiment) -> dict[str, float]:
    """By label, what a training step takes on average over a run, in milliseconds."""
    ways: dict[Method, list[RankPolicy | None]] = {}
    for each in methods:
        ways[each] = [None]
        if isinstance(each, Tucker) and isinstance(each.ranks, Budget):
            schedule = replace(each.ranks, steps=1000)
            ways[each] = [Budget(schedule.target(int(1000 * way))) for way in ON_THE_WAY]
    return {
        each.label: RAMP * np.trapezoid(times, ON_THE_WAY) + (1 - RAMP) * times[-1] if times[1:] else times[0]
        for each, times in step_times(ways, experiment).items()
    }
