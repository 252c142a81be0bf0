"""What a record says of trained networks: facts that need no clock, and times, the networks in turn."""

import copy
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from tuckerlab.experiments.methods.base import Method, OneRun, Tucker
from tuckerlab.experiments.setup import Experiment, digest
from tuckerlab.training.machine import Times, interleave, iqr, latencies, training_memory
from tuckerlab.training.metrics import answers_by_class, multiply_adds
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.nested import SIZES, Nested, is_nested
from tuckerlab.tucker.rank_policy import RankPolicy, Spectrum
from tuckerlab.tucker.weight import TuckerLayer


def facts(method: Method, run: Run, experiment: Experiment) -> dict[str, Any]:
    """The row of a run in the record: all that is known of it without a clock."""
    spec, data, recipe = experiment.spec, experiment.data, method.recipe(experiment.recipe)
    settings = {**experiment.plan, "recipe": replace(recipe, ranks=method.ranks).settings()}
    if method.name not in ("dense", "tucker"):
        settings["contender"] = method.identity
    if isinstance(method, Tucker) and method.start is not None:
        settings["start"] = method.start
    if recipe.epochs != experiment.recipe.epochs:  # what it is compared with had so many
        settings["epochs_of_others"] = experiment.recipe.epochs
    shape = (data.channels, data.image_size, data.image_size)
    row = {  # the digest: in a tree of records no two runs are taken for one
        "run": f"{data.name}-{spec['name']}-{method.label}-seed{recipe.seed}-{digest(settings)}",
        "label": method.label, "method": method.name, "dataset": data.name, "model": spec["name"],
        "width": spec["width"], "seed": recipe.seed, "epochs": recipe.epochs, "batch_size": recipe.batch_size,
        "lr": recipe.rate, "ranks_policy": "" if method.ranks is None else repr(method.ranks),
        "settings": json.dumps(settings, sort_keys=True), "gradient_evaluations": run.evaluations,
        "test_accuracy": run.test_accuracy, "multiply_adds": multiply_adds(to_plain(run.network), shape),
        "checkpoint_bytes": method.file_bytes(run.network),
        "train_seconds": run.seconds, "state": run.state, "note": data.note,
        "by_class": json.dumps(answers_by_class(to_plain(run.network), data), ensure_ascii=False),
    }  # fmt: skip
    return row | method.counts(run.network, experiment).row | run.origin


def measurements(runs: Mapping[Method, Run], experiment: Experiment) -> dict[Method, dict[str, float | None]]:
    """Times of steps and answers, and a step's memory; what was trained twice, before and after a cut, has no step."""
    plain = {
        c.label: to_plain(run.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for c, run in runs.items()
    }
    # the threads are of the times, whoever has trained
    measured: dict[Method, dict[str, float | None]] = {method: {"threads": torch.get_num_threads()} for method in runs}
    for count, repeats in ((1, 40), (128, 12)):
        answers = latencies(plain, experiment.batch(count)[0], repeats=repeats)
        for method in runs:
            measured[method] |= _middle(f"latency_{count}", answers[method.label])
    whole = {method: run for method, run in runs.items() if not run.steps_before}
    steps = interleave({c.label: stepper(c, run.model, experiment) for c, run in whole.items()}, repeats=10)
    batch = experiment.batch(experiment.step_size)
    for method, run in whole.items():
        memory = training_memory(run.model, run.optimizer, partial(experiment.loss, batch=batch))
        measured[method] |= _middle("step", steps[method.label] / steps_timed(run.model))
        measured[method] |= {f"memory_{part}_bytes": size for part, size in memory._asdict().items()}
    return measured


def _middle(what: str, times: Times) -> dict[str, float]:
    return {f"{what}_ms": float(np.median(times)), f"{what}_iqr_ms": iqr(times)}


def stepper(method: Method, model: nn.Module, experiment: Experiment) -> Callable[[], object]:
    """Forward, backward and optimizer step of a copy of the model at its ranks, as a function to be timed.

    Of a network that is trained at many sizes it is two steps, of the smallest size and of the next of the others.
    """
    recipe = replace(method.recipe(experiment.recipe), ranks=None, lr=1e-6)  # a hundred steps must not lead anywhere
    model, batch = copy.deepcopy(model).train(), experiment.batch(experiment.step_size)
    optimizer = method.make_optimizer(recipe, model, 1)
    pair, sizes = steps_timed(model), itertools.count()
    turns = [Nested().turn(number) for number in range(2 * SIZES)]
    layers = [module for module in model.modules() if isinstance(module, TuckerLayer) and module.smallest]
    ranks = {layer: [layer.ranks_at(turn) for turn in turns] for layer in layers}

    def gradient() -> float:
        optimizer.zero_grad()
        experiment.loss(model, batch).backward()  # type: ignore[no-untyped-call]
        return 0.0  # nobody looks at the loss: that would hold up a GPU

    def step() -> None:
        for _ in range(optimizer.evaluations - 1):
            gradient()
        for number in itertools.islice(sizes, pair):
            for layer in layers:
                layer.active = ranks[layer][number % len(turns)]
            optimizer.step(gradient)

    return step


def steps_timed(model: nn.Module) -> int:
    """In one call of what `stepper` gives."""
    return 2 if is_nested(model) else 1


@dataclass(frozen=True)
class _At(RankPolicy):
    """The ranks of one moment of a run, whatever the singular values."""

    ranks: tuple[tuple[int, ...], ...] = ()

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        return [*self.ranks]


def steps_by_epoch(runs: Mapping[Method, Run], experiment: Experiment) -> dict[Method, list[float]]:
    """What a training step took in each epoch in milliseconds, timed afterwards in turn at the ranks it had then."""
    moments: dict[Method, list[RankPolicy | None]] = {}
    for method, run in runs.items():
        if isinstance(method, OneRun):
            epochs = pd.DataFrame(run.ranks, columns=["epoch", "layer", "rank"]).groupby("epoch")
            layers = [tuple(rows.groupby("layer", sort=False)["rank"].agg(tuple)) for _, rows in epochs]
            moments[method] = [_At(ranks=ranks) for ranks in layers] or [None]
    return {  # the ranks of an epoch lie between those at its two ends
        method: [(a + b) / 2 for a, b in itertools.pairwise(times)] or times * len(runs[method].epochs)
        for method, times in step_times(moments, experiment).items()
    }


def step_times(
    moments: Mapping[Method, Sequence[RankPolicy | None]], experiment: Experiment
) -> dict[Method, list[float]]:
    """What a step takes at the ranks of each policy (None: as it begins) in ms; they come down from one to the next."""
    steppers = {}
    for method, policies in moments.items():
        recipe = method.recipe(experiment.recipe)
        network = method.network(experiment.spec, recipe.seed).to(experiment.device)
        for policy in dict.fromkeys(policies):
            if policy is not None:
                method.make_optimizer(replace(recipe, ranks=policy), network, 1).adapt(grow=False)
            steppers[f"{method.label} {policy}"] = stepper(method, network, experiment)
    timed = interleave(steppers, repeats=5, warmup=1)
    return {
        c: [float(np.median(timed[f"{c.label} {policy}"])) for policy in policies] for c, policies in moments.items()
    }
