"""What networks cost against how often they are right, and the smallest that is right often enough."""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network, networks_by, size_column, smallest_within
from tuckerlab.training.run import ENDED

AXES = ("conv_parameters", "parameters", "latency_1_ms", "latency_128_ms", "step_ms", "checkpoint_bytes")
"""Columns of the runs that cost something: the less the better."""


@dataclass(frozen=True)
class Answer:
    """Which network is the smallest that loses at most so much accuracy; `full` is the dense one.

    `kind` is "smaller": `best` is smaller than `full`; "larger": it is not; "full": `full` is itself the smallest, and
    `nearest` the next; "none": no other loses so little, and `nearest` comes closest; "alone": there is no other.
    """

    kind: str
    full: Network
    best: Network | None = None
    nearest: Network | None = None


@dataclass(frozen=True)
class Tradeoff:
    """Runs that can be compared: one data set, one network, one machine."""

    records: Records

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The costs that were measured; those of convolutions only where convolutions are most of the network."""
        sized = size_column(self.records)
        return tuple(axis for axis in AXES if self._along[axis] and (axis != "conv_parameters" or axis == sized))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods, the dense network first."""
        return tuple(sorted(self.records.runs["method"].unique(), key=lambda method: method != "dense"))

    @cached_property
    def _along(self) -> dict[str, tuple[Network, ...]]:
        return {axis: tuple(networks_by(self.records, axis)) for axis in AXES}

    def along(self, axis: str, methods: Collection[str] | None = None) -> tuple[Network, ...]:
        """The networks whose cost on this axis was measured, of these methods or of all."""
        return tuple(n for n in self._along[axis] if methods is None or n.method in methods)

    def full(self, axis: str) -> Network | None:
        """The dense network, the most accurate of several; None where there is none."""
        return max(self.along(axis, ["dense"]), key=lambda network: network.accuracy, default=None)

    def answer(self, axis: str, points: float, methods: Collection[str] | None = None) -> Answer | None:
        """The smallest network of these methods that loses at most so many points; None without a dense one."""
        full = self.full(axis)
        return None if full is None else answer(self.along(axis, methods), full, points)

    @property
    def origin(self) -> dict[str, Any]:
        """On what, when and on how many seeds this was measured: texts of the devices, cores, days, and two numbers."""
        runs = self.records.runs
        days = runs["date"].str[:10]
        seeds = runs.groupby("label")["seed"].size()
        return {
            "device": ", ".join(runs["device"].unique()),
            "cores": ", ".join(map(str, runs["cores"].unique())),
            "date": " … ".join(dict.fromkeys([days.min(), days.max()])),
            "fewest": int(seeds.min()),
            "most": int(seeds.max()),
        }


def answer(found: Iterable[Network], full: Network, points: float) -> Answer:
    """The answer for these networks; `full` is what they are compared with, and may be one of them."""
    found = list(found)
    others = [network for network in found if network is not full]
    if not others:
        return Answer("alone", full)
    best = smallest_within(others, full.accuracy, points)
    if best is None:
        return Answer("none", full, nearest=max(others, key=lambda network: network.accuracy))
    if best.size < full.size:
        return Answer("smaller", full, best)
    return Answer("full", full, full, nearest=best) if full in found else Answer("larger", full, best)


def comparable(records: Records) -> list[Tradeoff]:
    """The runs sorted into those that can be compared: the same images, network, training length and machine.

    Runs that did not finish, or have no accuracy, are left out.
    """
    runs = records.runs[records.runs["state"].isin(ENDED)]
    conditions = pd.Series([_conditions(run) for _, run in runs.iterrows()], index=runs.index, dtype=str)
    found = [Tradeoff(records.only(names)) for _, names in runs.groupby(conditions, sort=False)["run"]]
    return [tradeoff for tradeoff in found if tradeoff.axes]


def tradeoffs(folder: str | os.PathLike[str]) -> list[Tradeoff]:
    """What can be compared of the runs in `folder` and below it; none where there are no runs.

    Raises DataError, which names the file, when one is broken.
    """
    paths = sorted(Path(folder).rglob("runs.parquet"))
    if not paths:
        return []
    try:  # without epochs and ranks: they take most of the time, and say nothing here
        runs = pd.concat([pd.read_parquet(path, engine="pyarrow") for path in paths])
        records = Records(runs.drop_duplicates("run", keep="last").reset_index(drop=True))
    except (OSError, ValueError, KeyError):
        records = Records.load(folder)  # knows which file is to blame
    return comparable(records)


def _conditions(run: "pd.Series[Any]") -> str:
    settings = json.loads(run["settings"] or "{}")
    told = [run[name] for name in ("dataset", "model", "width", "device", "cores")]
    told.append(settings.get("epochs_of_others", run["epochs"]))
    return str([*told, settings.get("data"), settings.get("spec", {}).get("image_size")])
