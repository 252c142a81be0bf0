"""What run records say of networks: how often they are right against what they cost, the best of them, and one line."""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from tuckerlab.experiments.class_accuracy import learned_nothing
from tuckerlab.experiments.records import Records
from tuckerlab.i18n import N_, _, day
from tuckerlab.plotting.styles import label_name
from tuckerlab.training.run import ENDED

TOLERATED = 1.0  # the line speaks of the smallest network that loses at most this much accuracy, in points
ROUNDING = 1e-9  # means of the same accuracies may differ by this much, in points
EQUAL = 1.02  # costs that differ by less than this factor count as equal: methods meet a target more or less closely
AXES = ("conv_parameters", "parameters", "latency_1_ms", "latency_128_ms", "step_ms", "checkpoint_bytes")
OURS = ("tucker", "nested")  # trained on the manifold: at one size, or at all
COUNTED = {"conv_parameters": N_("conv parameters"), "parameters": N_("parameters")}


def step_seconds(records: Records) -> "pd.Series[float]":
    """Seconds of training steps until the end of each row of `epochs`; unknown for a run with an epoch without one."""
    epochs = records.epochs
    steps = epochs.groupby("run")["step"].diff().fillna(epochs["step"])
    known = epochs["step_ms"].notna().groupby(epochs["run"]).transform("all")
    return (steps * epochs["step_ms"] / 1e3).groupby(epochs["run"]).cumsum().where(known)


class Network(NamedTuple):
    """The runs of one name: means over their seeds; accuracies in per cent, `size` in what they are compared by."""

    name: str
    method: str
    size: float
    accuracy: float
    low: float
    high: float
    seeds: int


def networks_by(records: Records, column: str) -> list[Network]:
    """The networks of the runs that have a test accuracy, with this column of the runs for their size."""
    runs = records.runs.assign(name=records.names.to_numpy()).dropna(subset=["test_accuracy", column])
    runs = runs.assign(size=runs[column], accuracy=100 * runs["test_accuracy"])
    table = runs.groupby("name", sort=False).agg(
        method=("method", "first"), size=("size", "mean"), accuracy=("accuracy", "mean"), low=("accuracy", "min"),
        high=("accuracy", "max"), seeds=("size", "size"),
    )  # fmt: skip
    return [Network(*row) for row in table.itertuples()]


def size_column(records: Records) -> str:
    """What sizes count: convolution parameters where these are most of each dense network, or else all."""
    runs = records.runs.dropna(subset=["test_accuracy", "conv_parameters", "parameters"])
    dense = runs["method"] == "dense"
    reference = runs[dense] if dense.any() else runs
    most = (reference["conv_parameters"] > 0.5 * reference["parameters"]).all()
    return "conv_parameters" if most else "parameters"


def front(found: Iterable[Network]) -> list[Network]:
    """The networks that no other beats in both size and accuracy, from the smallest."""
    best: list[Network] = []
    for network in sorted(found, key=lambda network: (network.size, -network.accuracy)):
        if not best or network.accuracy > best[-1].accuracy:
            best.append(network)
    return best


def smallest_within(found: Iterable[Network], accuracy: float, points: float) -> Network | None:
    """The smallest of the networks that lose at most `points` of this accuracy (of equals the best), or None."""
    near = [network for network in found if network.accuracy >= accuracy - points - ROUNDING]
    least = min((network.size for network in near), default=0.0)
    return max((n for n in near if n.size <= EQUAL * least), key=lambda network: network.accuracy, default=None)


def finding(records: Records) -> str:
    """The result in one line, of the smallest Tucker network within a point of the dense one, or the most accurate.

    Where one of the two has learned nothing, that is the result. Empty where there is not one dense network to compare.
    """
    column = size_column(records)
    found = networks_by(records, column)
    nothing = learned_nothing(records)
    dense = [network for network in found if network.method == "dense"]
    others = [network for network in found if network.method in OURS]
    if len(dense) != 1 or not others or records.runs["dataset"].nunique() > 1:
        return " ".join(nothing.values())
    [full] = dense
    near = smallest_within((n for n in others if n.size < full.size), full.accuracy, TOLERATED)
    best = near or max(others, key=lambda network: network.accuracy)
    if lost := [nothing[name] for name in (full.name, best.name) if name in nothing]:
        return " ".join(lost)
    factor, change = full.size / best.size, best.accuracy - full.accuracy
    ratio = max(factor, 1 / factor)
    times = f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}"
    fewer = _("{times}× fewer", times=times) if factor > 1 else _("{times}× more", times=times)
    points = _("{points:+.1f} points of test accuracy", points=change)
    return _(
        "{name}: {fewer} {parameters}, {points}",
        name=label_name(best.name),
        parameters=_(COUNTED[column]),
        fewer=fewer if ratio >= 1.005 else _("as many"),
        points=points if round(change, 1) else _("the same test accuracy"),
    )


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
        return tuple(sorted(self.records.runs["method"].unique(), key=lambda method: method != "dense"))

    @cached_property
    def _along(self) -> dict[str, list[Network]]:
        return {axis: networks_by(self.records, axis) for axis in AXES}

    def along(self, axis: str, methods: Collection[str] | None = None) -> tuple[Network, ...]:
        return tuple(n for n in self._along[axis] if methods is None or n.method in methods)

    def full(self, axis: str) -> Network | None:
        """The dense network, the most accurate of several; None where there is none."""
        return max(self.along(axis, ["dense"]), key=lambda network: network.accuracy, default=None)

    @property
    def origin(self) -> dict[str, Any]:
        """On what, when and on how many seeds this was measured."""
        runs = self.records.runs
        days, seeds = runs["date"].str[:10], runs.groupby("label").size()
        date = " … ".join(map(day, dict.fromkeys([days.min(), days.max()])))
        said = {"device": runs["device"].iloc[0], "cores": runs["cores"].iloc[0], "date": date}
        return said | {"fewest": int(seeds.min()), "most": int(seeds.max())}


def comparable(records: Records) -> list[Tradeoff]:
    """The runs that finished, sorted into those of the same images, network, training length and machine."""
    runs = records.runs[records.runs["state"].isin(ENDED)]
    conditions = pd.Series([_conditions(run) for _, run in runs.iterrows()], index=runs.index, dtype=str)
    found = [Tradeoff(records.only(names)) for _, names in runs.groupby(conditions, sort=False)["run"]]
    return [tradeoff for tradeoff in found if tradeoff.axes]


def _conditions(run: "pd.Series[Any]") -> str:
    settings = json.loads(run["settings"] or "{}")
    told = [run[name] for name in ("dataset", "model", "width", "device", "cores")]
    told.append(settings.get("epochs_of_others", run["epochs"]))
    return str([*told, settings.get("data"), settings.get("spec", {}).get("image_size")])


def tradeoffs(folder: str | os.PathLike[str]) -> list[Tradeoff]:
    """What can be compared of the runs in `folder` and below it; DataError for a broken record."""
    there = any(Path(folder).rglob("runs.parquet"))
    return comparable(Records.load(folder, tables=["runs"])) if there else []
