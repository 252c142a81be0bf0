"""Experiments: networks trained on the same images in the same order, and measured in turn.

`run_poc` trains a network dense and in Tucker format, `run_compare` makes it small in every way there is; both are
`run_experiment` with other methods. What is finished is found again by its settings and not trained again; what was
cut off goes on where it was.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tuckerlab.errors import DivergedError, RankError, TuckerlabError, check_whole
from tuckerlab.experiments import methods as registry
from tuckerlab.experiments.measuring import facts, measurements, steps_by_epoch
from tuckerlab.experiments.methods.base import Dense, Method, OneRun, Tucker
from tuckerlab.experiments.methods.tucker_variants import CutNested
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.setup import UNFINISHED, Experiment, set_up
from tuckerlab.experiments.sweep import values
from tuckerlab.i18n import _
from tuckerlab.training import checkpoint as checkpoints, processes
from tuckerlab.training.run import Run
from tuckerlab.tucker.nested import Nested
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

SIZES = (0.8, 0.9, 0.95)  # of one training for any size, beside its largest


def run_experiment(
    methods: Sequence[Method],
    experiment: Experiment,
    folder: Path,
    *,
    seeds: int | None = None,
    resume: bool = True,
    extend: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Trains networks by these methods, measures them in turn, and leaves record, checkpoints and pictures in `folder`.

    extend: a later call may ask for more methods, and trains only those. What diverges is left out, and noted.
    """
    if not resume:
        processes.first(lambda: shutil.rmtree(folder, ignore_errors=True))
    if seeds is None:
        return RunFolder(_run(methods, experiment, folder, extend, quiet), folder)
    parts = []
    for seed in range(seeds):
        place = folder / f"seed{seed}"
        found = ", a record is there" if (place / "runs.parquet").exists() else ""
        say(f"seed {seed}, {seed + 1} of {seeds}: {len(methods)} networks{found}", quiet)
        parts.append(_run(methods, experiment.of_seed(seed), place, extend, quiet))
    records = Records.concat(parts)
    if processes.number() == 0:
        save_figures(records, folder)
        records.save(folder)
    return RunFolder(records, folder)


def say(text: str, quiet: bool = False, *, stderr: bool = False) -> None:
    if not quiet:
        Console(stderr=stderr).print(text, highlight=False, soft_wrap=True)


def _run(methods: Sequence[Method], experiment: Experiment, folder: Path, extend: bool, quiet: bool) -> Records:
    is_there = (folder / "runs.parquet").exists
    there = processes.first(lambda: Records.load(folder) if is_there() else Records())
    missing = {method.label for method in methods} - set(there.runs["label"])
    if len(there) and not (extend and missing):
        return there
    folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out now, not afterwards
    _("epoch")  # and so is a language that there is no catalogue for
    runs: dict[Method, Run] = {}
    diverged: dict[str, DivergedError] = {}
    for method in methods:
        try:
            progress = not quiet and f"{method.label:12s}"
            runs[method] = method.train(replace(experiment, folder=folder, progress=progress))
        except DivergedError as error:
            diverged[method.label] = error
            say(f"{method.label} is left out: {error}", stderr=True)
    if not runs:
        raise next(iter(diverged.values()))
    note = f"left out, since training diverged: {', '.join(diverged)}" if diverged else ""
    if (several := processes.count()) > 1:
        note = "; ".join(filter(None, [note, f"trained by {several} processes; steps and their memory are of one"]))
    return processes.first(lambda: _record(runs, there, experiment, folder, note, extend, quiet))


def _record(
    runs: dict[Method, Run], there: Records, experiment: Experiment, folder: Path, note: str, extend: bool, quiet: bool
) -> Records:
    """Measures what was trained, and writes it down beside what is there."""
    say("measuring steps, answers and memory, the networks in turn", quiet)
    measured = measurements(runs, experiment)
    if extend or all(isinstance(method, OneRun) for method in runs):
        for method, times in steps_by_epoch(runs, experiment).items():
            for row, step_ms in zip(runs[method].epochs, times, strict=True):
                row["step_ms"] = step_ms
    parts = []
    for method, run in runs.items():
        row = facts(method, run, experiment) | measured[method]
        row["note"] = "; ".join(filter(None, [row["note"], note]))
        parts.append(Records.single(row, run.epochs, run.ranks, run.events))
    trained = {method.label for method in runs}
    records = Records.concat([there.only(there.runs["run"][~there.runs["label"].isin(trained)]), *parts])
    save_figures(records, folder)
    for method, run in runs.items():
        checkpoints.save(folder / f"{method.slug}.safetensors", run.network, facts=experiment.plan)
    records.save(folder)  # last: where a record is, the folder is complete
    if not extend:
        for file in folder.glob(f"*{UNFINISHED}"):
            file.unlink(missing_ok=True)
    return records


def run_poc(
    *,
    dataset: str = "mnist",
    compression: float | Sequence[float] | None = None,
    tolerance: float | None = None,
    any_size: bool = False,
    seed: int = 0,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Any,
) -> RunFolder:
    """Trains a network dense and in Tucker format, measures both, and writes a run folder below `out`.

    >>> run_poc(compression=0.9, tolerance=0.1)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.RankError: compression 0.9 and tolerance 0.1: give one of them, not both

    dataset: "mnist", "digits", "cifar10" or "folder:PATH". compression: the share of the convolution weights to remove,
    0.95 if neither it nor a `tolerance` is given; of several, each trains a network. any_size: one training for all
    sizes (`Nested`), of which SIZES are measured; they are cut from one file. settings: of `set_up`.
    resume=False begins anew even if the folder holds a run of these settings. All networks get the same recipe, seed
    and order of images; a Tucker network starts small and never holds its full weights.

    The folder has the record, a checkpoint of each network, and the pictures. Raises TuckerlabError for what cannot be
    asked for, before anything is trained.
    """
    if compression is not None and tolerance is not None:
        raise RankError(f"compression {compression} and tolerance {tolerance}: give one of them, not both")
    if any_size and (compression, tolerance) != (None, None):
        raise RankError("one training for any size takes neither a compression nor a tolerance")
    compression = 0.95 if compression is None else compression
    rates = values("compression", [compression] if isinstance(compression, int | float) else compression)
    policies: list[RankPolicy] = [Budget(rate) for rate in rates] if tolerance is None else [Tolerance(tolerance)]
    if any_size:
        policies = [Nested()]
    methods = [Dense(), *map(Tucker, policies), *(CutNested(Budget(rate)) for rate in SIZES if any_size)]
    experiment = set_up(methods, dataset=dataset, seed=seed, **settings)
    folder = Path(out) / experiment.folder_name("poc", f"seed{seed}", ranks=repr(policies))
    return run_experiment(methods, experiment, folder, resume=resume, quiet=quiet)


def run_compare(
    *,
    dataset: str = "mnist",
    methods: Sequence[str] | None = None,
    compression: Sequence[float] = (0.8, 0.9, 0.95),
    seeds: int = 3,
    out: str | os.PathLike[str] = "runs",
    resume: bool = True,
    quiet: bool = False,
    **settings: Any,
) -> RunFolder:
    """Trains a network with every method at every compression for each seed, and measures them all in turn.

    All get the same number of gradient evaluations. methods: names from `METHODS`; None: all that these settings suit.
    settings: of `set_up`. Raises TuckerlabError for what cannot be asked for, before anything is trained.
    """
    check_whole("seeds", seeds, 1)
    budgets = [Budget(rate) for rate in values("compression", compression)]
    names = registry.METHODS if methods is None else methods
    found = [registry.make_method(name, budget) for name in names for budget in budgets]
    if not found:
        raise TuckerlabError("nothing to compare: give one method and one compression, or more")
    experiment, chosen = set_up(dataset=dataset, **settings), list[Method]()
    for one in dict.fromkeys([Dense(), *found]):  # what has no setting is there once
        try:
            one.check(experiment)
            chosen.append(one)
        except TuckerlabError as error:
            if methods is not None or one.name in ("dense", "tucker"):  # the settings are to blame
                raise
            say(f"left out: {one.label}: {error}", quiet)
    experiment.for_all(chosen)
    say(f"{len(chosen)} networks for each of {seeds} seeds, {experiment.steps:,} gradient evaluations each", quiet)
    identities = f"[{', '.join(each.identity for each in chosen)}]"
    folder = Path(out) / experiment.folder_name("compare", contenders=identities)
    return run_experiment(chosen, experiment, folder, seeds=seeds, resume=resume, quiet=quiet)
