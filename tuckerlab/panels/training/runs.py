"""Runs that have ended: what they say side by side, and how they are saved.

>>> records_of([]), numbers([]), difference([], 0.9, 0.95)
(Records(runs=0, epochs=0, ranks=0), {}, 0.9)
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.schema import SCHEMA
from tuckerlab.panels.training.job import Plan, Result
from tuckerlab.panels.training.trace import Trace
from tuckerlab.training import checkpoint as checkpoints


@dataclass(frozen=True, eq=False)
class Kept:
    """A run that has ended, under a name that no other has; runs of one job have the same plan."""

    name: str
    plan: Plan
    trace: Trace
    result: Result

    @property
    def facts(self) -> Any:
        """The row of the record."""
        return self.result.records.runs.iloc[0]

    @property
    def conditions(self) -> Plan:
        """What runs must have in common to be compared: all but the networks themselves."""
        return replace(self.plan, contenders=())


def records_of(runs: Sequence[Kept]) -> Records:
    """The record of the runs, each under its name."""
    parts = []
    for run in runs:
        part = run.result.records
        name = part.runs["run"] + run.name.removeprefix(str(run.facts["label"]))
        frames = [getattr(part, table).assign(run=name.iloc[0]) for table in SCHEMA]
        parts.append(Records(frames[0].assign(label=run.name), *frames[1:]))
    return Records.concat(parts)


def numbers(runs: Sequence[Kept]) -> dict[str, float]:
    """Accuracies and sizes of the last job's runs, by method."""
    found: dict[str, float] = {}
    for run in runs:
        if run.plan is runs[-1].plan:
            method = str(run.facts["method"])
            found[f"{method}_accuracy"] = float(run.facts["test_accuracy"])
            found[f"{method}_parameters"] = float(run.facts["parameters"])
            if method == "tucker":
                found["removed"] = float(run.facts["conv_compression"])
    return found


def difference(runs: Sequence[Kept], *removed: float) -> tuple[Kept, Kept] | float:
    """The last Tucker runs at two shares of removed weights, trained alike, or the first share that is missing."""
    found: list[Kept] = []
    for share in removed:
        near = [run for run in runs if run.facts["method"] == "tucker" and _near(run, share)]
        near = [run for run in near if not found or run.conditions == found[0].conditions]
        if not near:
            return share
        found.append(near[-1])
    return found[0], found[1]


def save(runs: Sequence[Kept], out: str) -> Path:
    """Writes a new folder below `out`: record, networks, pictures. It is there whole or not at all."""
    folder = Path(out) / f"panel-{datetime.now():%Y%m%d-%H%M%S-%f}"
    try:
        for run in runs:
            checkpoints.save(folder / f"{in_file_names(run.name)}.safetensors", run.result.model)
        records = records_of(runs)
        save_figures(records, folder)
        records.save(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _near(run: Kept, share: float) -> bool:
    return bool(abs(run.facts["conv_compression"] - share) < 0.015)
