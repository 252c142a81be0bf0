"""Networks trained on the same images in the same order, and measured in turn: the record of a comparison."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from tuckerlab.errors import DivergedError, TuckerlabError, is_whole
from tuckerlab.experiments.context import UNFINISHED, Training
from tuckerlab.experiments.methods.base import Contender, OneRun, Tucker
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import Arena, digest
from tuckerlab.i18n import _
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.benchmark import interleave, latencies, training_memory
from tuckerlab.training.metrics import answers_by_class, multiply_adds
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.rank_policy import RankPolicy, Spectrum


def contest(
    contenders: Sequence[Contender],
    arena: Arena,
    folder: str | os.PathLike[str],
    *,
    quiet: bool = False,
    extend: bool = False,
) -> Records:
    """Trains the contenders one after the other, measures them in turn, and leaves everything in `folder`.

    The folder gets the record (four Parquet files), a checkpoint of each network, and the pictures. If it was cut off
    it goes on where it was; a folder with a record is complete and is read. extend: a later call may ask for more
    contenders; those that are there are not trained again, but all that it asks for are measured again, in turn. The
    steps of each epoch are timed afterwards in turn too, with `extend`, or where every contender trains in one run. A
    contender that diverges is left out, and the record's note says so; DivergedError if nothing is left.
    """
    folder, there = Path(folder), Records()
    if (folder / "runs.parquet").exists():
        there = Records.load(folder)
        if not extend or {contender.label for contender in contenders} <= set(there.runs["label"]):
            return there
    folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out now, not afterwards
    _("epoch")  # and so is a language that there is no catalogue for
    runs: dict[Contender, Run] = {}
    diverged: dict[str, DivergedError] = {}
    for contender in contenders:
        try:
            runs[contender] = contender.train(Training(arena, folder, progress=not quiet and f"{contender.label:12s}"))
        except DivergedError as error:
            diverged[contender.label] = error
            Console(stderr=True).print(f"{contender.label} is left out: {error}", highlight=False, soft_wrap=True)
    if not runs:
        raise next(iter(diverged.values()))
    if not quiet:
        Console().print("measuring steps, answers and memory, the networks in turn", highlight=False)
    measured = measurements(runs, arena)
    if extend or all(isinstance(contender, OneRun) for contender in runs):
        for contender, times in steps_by_epoch(runs, arena).items():
            for row, step_ms in zip(runs[contender].epochs, times, strict=True):
                row["step_ms"] = step_ms
    records = Records.concat(
        Records.single(facts(contender, run, arena) | measured[contender], run.epochs, run.ranks, run.events)
        for contender, run in runs.items()
    )
    if diverged:
        note = f"left out, since training diverged: {', '.join(diverged)}"
        records.runs["note"] = [f"{said}; {note}" if said else note for said in records.runs["note"]]
    others = ~there.runs["label"].isin(records.runs["label"])
    records = there.only(there.runs["run"][others]) + records
    save_figures(records, folder)
    for contender, run in runs.items():
        checkpoints.save(folder / f"{contender.slug}.safetensors", run.network, facts=arena.plan)
    records.save(folder)  # last: where a record is, the folder is complete
    if not extend:
        for file in folder.glob(f"*{UNFINISHED}"):
            file.unlink(missing_ok=True)
    return records


def over_seeds(
    contenders: Sequence[Contender],
    arena: Arena,
    seeds: int,
    folder: Path,
    *,
    quiet: bool = False,
    extend: bool = False,
) -> Records:
    """A contest for each seed in a folder of its own, and the record of them all; resumes as `contest` does."""
    parts = []
    for seed in range(seeds):
        place = folder / f"seed{seed}"
        if not quiet:
            found = ", a record is there" if (place / "runs.parquet").exists() else ""
            Console().print(f"seed {seed}, {seed + 1} of {seeds}: {len(contenders)} networks{found}", highlight=False)
        parts.append(contest(contenders, arena.of_seed(seed), place, quiet=quiet, extend=extend))
    records = Records.concat(parts)
    save_figures(records, folder)
    records.save(folder)
    return records


def check_seeds(seeds: int) -> int:
    """The number of seeds, if it is one; TuckerlabError otherwise."""
    if not is_whole(seeds) or seeds < 1:
        raise TuckerlabError(f"seeds {seeds!r}: allowed are whole numbers from 1")
    return seeds


def facts(contender: Contender, run: Run, arena: Arena) -> dict[str, Any]:
    """The row of a run in the record: all that is known of it without a clock."""
    spec, data, recipe = arena.spec, arena.data, contender.recipe(arena.recipe)
    settings = {**arena.plan, "recipe": replace(recipe, ranks=contender.ranks).settings()}
    if contender.method not in ("dense", "tucker"):
        settings["contender"] = contender.identity
    if isinstance(contender, Tucker) and contender.start is not None:
        settings["start"] = contender.start
    if recipe.epochs != arena.recipe.epochs:  # what it is compared with had so many
        settings["epochs_of_others"] = arena.recipe.epochs
    shape = (data.channels, data.image_size, data.image_size)
    told = {  # the digest: in a tree of records no two runs are taken for one
        "run": f"{data.name}-{spec['name']}-{contender.label}-seed{recipe.seed}-{digest(settings)}",
        "label": contender.label, "method": contender.method, "dataset": data.name, "model": spec["name"],
        "width": spec["width"], "seed": recipe.seed, "epochs": recipe.epochs, "batch_size": recipe.batch_size,
        "lr": recipe.rate, "ranks_policy": "" if contender.ranks is None else repr(contender.ranks),
        "settings": json.dumps(settings, sort_keys=True), "gradient_evaluations": run.evaluations,
        "test_accuracy": run.test_accuracy, "multiply_adds": multiply_adds(to_plain(run.network), shape),
        "checkpoint_bytes": contender.file_bytes(run.network, arena),
        "train_seconds": run.seconds, "state": run.state, "note": data.note,
        "by_class": json.dumps(answers_by_class(contender.answering(run.network, arena), data), ensure_ascii=False),
    }  # fmt: skip
    return told | contender.counts(run.network, arena).row | run.origin


def measurements(runs: Mapping[Contender, Run], arena: Arena) -> dict[Contender, dict[str, float | None]]:
    """Times of a training step and of answers, the networks in turn, and the memory of a step.

    What was trained twice, before and after a cut, has steps of two kinds: its step is not measured.
    """
    whole = {contender: run for contender, run in runs.items() if not run.steps_before}
    steppers = {
        c.label: replace(arena, recipe=c.recipe(arena.recipe)).stepper(run.model, c.make_optimizer)
        for c, run in whole.items()
    }
    steps = interleave(steppers, repeats=10)
    plains = {
        c.label: c.answering(run.network, arena).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for c, run in runs.items()
    }
    one, many = (latencies(plains, arena.batch(n)[0], repeats=repeats) for n, repeats in ((1, 40), (128, 12)))
    batch = arena.batch(arena.step_size)
    measured: dict[Contender, dict[str, float | None]] = {}
    for contender in runs:
        name = contender.label
        measured[contender] = {
            "latency_1_ms": one[name].median_ms, "latency_1_iqr_ms": one[name].iqr_ms,
            "latency_128_ms": many[name].median_ms, "latency_128_iqr_ms": many[name].iqr_ms,
            "threads": torch.get_num_threads(),  # of the times, whoever has trained
        }  # fmt: skip
    for contender, run in whole.items():
        memory = training_memory(run.model, run.optimizer, partial(arena.loss, batch=batch))
        measured[contender] |= {
            "step_ms": steps[contender.label].median_ms, "step_iqr_ms": steps[contender.label].iqr_ms,
            "memory_weights_bytes": memory.weights, "memory_gradients_bytes": memory.gradients,
            "memory_optimizer_bytes": memory.optimizer_state + contender.mask_bytes(run.model),
            "memory_activations_bytes": memory.activations,
        }  # fmt: skip
    return measured


@dataclass(frozen=True)
class _At(RankPolicy):
    """The ranks of one moment of a run, whatever the singular values."""

    ranks: tuple[tuple[int, ...], ...] = ()

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        return [*self.ranks]


def steps_by_epoch(runs: Mapping[Contender, Run], arena: Arena) -> dict[Contender, list[float]]:
    """The time of a training step in each epoch, in milliseconds: at the ranks that the run had then, all in turn.

    So it does not count what else the machine did while a network trained. For those that train in one run.
    """
    moments: dict[Contender, list[RankPolicy | None]] = {}
    for contender, run in runs.items():
        if isinstance(contender, OneRun):
            epochs = pd.DataFrame(run.ranks, columns=["epoch", "layer", "rank"]).groupby("epoch")
            layers = [tuple(rows.groupby("layer", sort=False)["rank"].agg(tuple)) for _, rows in epochs]
            moments[contender] = [_At(ranks=ranks) for ranks in layers] or [None]
    return {  # the ranks of an epoch lie between those at its two ends
        contender: [(a + b) / 2 for a, b in pairwise(times)] or times * len(runs[contender].epochs)
        for contender, times in step_times(moments, arena).items()
    }


def step_times(moments: Mapping[Contender, Sequence[RankPolicy | None]], arena: Arena) -> dict[Contender, list[float]]:
    """What a training step takes at the ranks of each of these policies (None: as it begins), in milliseconds.

    All are timed in turn. The policies of a contender must come down, from one to the next.
    """
    steppers = {}
    for contender, policies in moments.items():
        recipe = contender.recipe(arena.recipe)
        network = contender.network(arena.spec, recipe.seed).to(arena.device)
        for policy in dict.fromkeys(policies):
            if policy is not None:
                contender.make_optimizer(replace(recipe, ranks=policy), network, 1).adapt(grow=False)
            stepper = replace(arena, recipe=recipe).stepper(network, contender.make_optimizer)
            steppers[f"{contender.label} {policy}"] = stepper
    timed = interleave(steppers, repeats=5, warmup=1)
    return {c: [timed[f"{c.label} {policy}"].median_ms for policy in policies] for c, policies in moments.items()}
