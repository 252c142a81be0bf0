"""The runs of the training panel: what is asked for, what is seen while they go, and what is kept of them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from tuckerlab.experiments.methods.base import Contender, in_file_names
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.proof import arranged
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.schema import SCHEMA
from tuckerlab.experiments.setup import Arena
from tuckerlab.i18n import _
from tuckerlab.training import checkpoint as checkpoints
from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.weight import TuckerLayer

LOOKS = 80  # looks at the sizes in a run


class Look(NamedTuple):
    """Sizes at one step: convolution weights stored, as a share of the dense ones, and each layer's share of rank."""

    step: int
    stored: float
    kept: dict[str, float]


@dataclass
class Trace:
    """The history of one run. One thread appends, others may read at any time."""

    label: str
    method: str
    total_steps: int
    steps_per_epoch: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    accuracies: list[tuple[int, float]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)  # when the safety valve acted, and what it did

    @property
    def at(self) -> int:
        """The last step."""
        return self.losses[-1][0] if self.losses else 0

    def step(self, run: Run) -> None:
        """After a step of the run, or a return to an earlier one."""
        self.follow(run)
        if self.at < run.step:
            self.losses.append((run.step, run.loss))
            if run.step in (1, run.total_steps) or run.step % max(1, run.total_steps // LOOKS) == 0:
                self.look(run)

    def follow(self, run: Run) -> None:
        """Notes what the safety valve has done, and takes away what it has undone."""
        self.events += [(event["step"] - run.steps_before, event["said"]) for event in run.events[len(self.events) :]]
        if self.at > run.step:
            self.losses = [point for point in self.losses if point[0] <= run.step]
            self.accuracies = [point for point in self.accuracies if point[0] <= run.step]
            self.looks = [look for look in self.looks if look.step <= run.step]
            self.look(run)

    def look(self, run: Run) -> None:
        """At the sizes."""
        kept = {
            name: sum(layer.ranks) / sum(layer.shape[mode] for mode in layer.modes)
            for name, layer in run.model.named_modules()
            if isinstance(layer, TuckerLayer)
        }
        self.looks.append(Look(run.step, 1 - count_parameters(run.model).conv_compression, kept))


@dataclass(frozen=True)
class Plan:
    """What is to be trained: the networks of `contenders`, one after the other, on the same images."""

    contenders: tuple[Contender, ...]
    dataset: str = "digits"
    image_size: int | None = None
    network: str = "auto"
    width: float = 1.0
    epochs: int | None = None
    seed: int = 0
    device: str = "auto"
    guard: bool = False

    def arena(self) -> Arena:
        """Reads the images; raises TuckerlabError for what cannot be asked for."""
        return arranged(
            self.contenders, dataset=self.dataset, image_size=self.image_size, model=self.network, width=self.width,
            epochs=self.epochs, seed=self.seed, device=self.device,
        )  # fmt: skip


@dataclass(eq=False)
class Trained:
    """A run that has ended: its record and its network; the panel gives it a name that no other has."""

    plan: Plan
    trace: Trace
    records: Records
    model: nn.Module
    name: str = ""

    @property
    def facts(self) -> Any:
        """The row of the record."""
        return self.records.runs.iloc[0]

    @property
    def said(self) -> str:
        """Its name, how often it is right, and how large it is."""
        return _(
            "{name}: {accuracy:.1f} % right, {removed:.0f} % of the convolution weights removed, file "
            "{kilobytes:,.0f} kB",
            name=self.name,
            accuracy=100 * self.facts["test_accuracy"],
            removed=100 * self.facts["conv_compression"],
            kilobytes=self.facts["checkpoint_bytes"] / 1e3,
        )

    @property
    def conditions(self) -> Plan:
        """What runs must have in common to be compared: all but the networks themselves."""
        return replace(self.plan, contenders=())


def free_name(label: str, runs: Sequence[Trained]) -> str:
    """A name like the label that none of the runs has."""
    taken, name, number = {run.name for run in runs}, label, 1
    while name in taken:
        number += 1
        name = f"{label} ({number})"
    return name


def records_of(runs: Sequence[Trained]) -> Records:
    """The record of the runs, each under its name."""
    parts = []
    for run in runs:
        name = run.facts["run"] + run.name.removeprefix(str(run.facts["label"]))
        frames = [getattr(run.records, table).assign(run=name) for table in SCHEMA]
        parts.append(Records(frames[0].assign(label=run.name), *frames[1:]))
    return Records.concat(parts)


def numbers(runs: Sequence[Trained]) -> dict[str, float]:
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


def step_said(runs: Sequence[Trained], large: float, small: float) -> str:
    """What the step from one share of removed weights to another costs, once both have been trained alike."""
    found: list[Trained] = []
    for share in (large, small):
        near = [run for run in runs if run.facts["method"] == "tucker"
                and abs(run.facts["conv_compression"] - share) < 0.015
                and (not found or run.conditions == found[0].conditions)]  # fmt: skip
        if not near:
            return _(
                "Not yet: no run has come to {removed:.0f} % removed. Train one in the panel above, then run "
                "this cell again.",
                removed=100 * share,
            )
        found.append(near[-1])
    before, after = (100 * run.facts["test_accuracy"] for run in found)
    return _(
        "✓ {points}: from {before:.1f} to {after:.1f} % right on new images. With another seed it may be "
        "a few tenths more or less.",
        points=_("{points:+.1f} points", points=after - before),
        before=before,
        after=after,
    )


def save(runs: Sequence[Trained], out: str) -> Path:
    """Writes a new folder below `out`: record, networks, pictures. It is there whole or not at all."""
    folder = Path(out) / f"panel-{datetime.now():%Y%m%d-%H%M%S-%f}"
    try:
        for run in runs:
            checkpoints.save(folder / f"{in_file_names(run.name)}.safetensors", run.model)
        records = records_of(runs)
        save_figures(records, folder)
        records.save(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
