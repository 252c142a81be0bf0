"""What run folders say about one decision: the full network, the small one, what else was tried, what is not known.

Nothing is made up: a number that no run has measured is None, and the reason is among the gaps.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tuckerlab.decision.business_case import RATIOS, Basis
from tuckerlab.decision.gaps import Gap, find_gaps
from tuckerlab.decision.measurements import (
    BATCHES,
    QUANTITIES,
    TIMES,
    Exported,
    Measured,
    change,
    exported,
    measured,
    quantities,
    share,
)  # fmt: skip
from tuckerlab.decision.pair_audit import PairAudit, audit_pair, open_sources
from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.summary import ROUNDING, TOLERATED, Network, networks_by, smallest_within

OURS = ("tucker", "tucker-adamw")
MORE_ACCURATE, CHEAPER = 0.1, 0.95  # points; of the cost: less is within the noise of a timing
SIZES = {"accuracy": "parameters", "file": "checkpoint_bytes", "time_1": "latency_1_ms", "time_128": "latency_128_ms"}
PROVENANCE = ("device", "threads", "platform", "torch", "tuckerlab", "commit", "dirty", "epochs", "seed", "note")
WEIGHT_BYTES = 4


@dataclass(frozen=True)
class Subject:
    """One of the two networks, and what was measured of it, by the names of QUANTITIES."""

    label: str
    method: str
    seeds: int
    numbers: Mapping[str, Measured | None]

    def __getitem__(self, quantity: str) -> Measured | None:
        return self.numbers[quantity]


@dataclass(frozen=True)
class Other:
    """A network that is the best of all in one of SIZES: how much more accurate it is, and its share of our cost."""

    quantity: str
    network: Network
    points: float
    cost: float


@dataclass(frozen=True)
class Evidence:
    """All that the brief knows of runs.

    - `pairs`: how many seeds both networks were trained with.
    - `change`: in accuracy, points, the small network against the full one of the same seed.
    - `shares`: of the small network in the full one's, by the names of QUANTITIES.
    - `networks`: all in the record; `others`: those that are better than the small one in something.
    - `pair_audit`: of one pair of networks, where they are there.
    - `exported`: both as exported files, whose times then stand in the place of the record's.
    - `origin`: the marks of the sources that both networks are from.
    - `provenance`: devices, threads, dates, commits and versions, each a tuple of what the rows say.
    """

    sources: Mapping[str, RunFolder]
    dataset: str
    model: str
    allowed: float
    dense: Subject | None
    small: Subject | None
    origin: str
    pairs: int
    change: Measured | None
    shares: Mapping[str, Measured | None]
    networks: tuple[Network, ...]
    others: tuple[Other, ...]
    pair_audit: PairAudit | None
    exported: Exported | None
    gaps: tuple[Gap, ...]
    provenance: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(
        cls,
        runs: Sequence[str | os.PathLike[str]],
        network: str | None = None,
        *,
        allowed: float = TOLERATED,
        audit: bool = True,
    ) -> "Evidence":
        """Reads run folders of one data set and one network; `network` is the label of the small one.

        Without it that is the smallest network in Tucker format that loses at most `allowed` points against the full
        one, or the most accurate if all lose more. Where both networks are there they are audited, unless `audit` is
        False. Raises DataError for folders that do not belong together, and for a label that is not there.
        """
        sources = open_sources(runs)
        records = Records.concat(folder.records for folder in sources.values())
        table = records.runs
        small_label = choose_small(records, network, allowed)
        dense_label = reference(records, small_label)
        small, dense = table[table["label"] == small_label], table[table["label"] == dense_label]
        pairs = len(set(dense["seed"]) & set(small["seed"]))
        gaps = list(find_gaps(records, dense, small, pairs))
        files, looked = None, None
        if small_label and dense_label:
            each = (exported(folder, mark, dense_label, small_label) for mark, folder in sources.items())
            files = next(filter(None, each), None)
            looked = audit_pair(sources, dense_label, small_label) if audit else None
        if isinstance(looked, Gap):
            gaps.append(looked)
        wanted = {small_label, dense_label}
        origin = " ".join(mark for mark, folder in sources.items() if wanted & set(folder.labels))
        ours, full = quantities(small), quantities(dense)
        if any(gap.key == "hardware" for gap in gaps):  # times of several machines cannot be compared
            ours[list(TIMES)] = full[list(TIMES)] = math.nan

        def subject(rows: pd.DataFrame, table: pd.DataFrame, times: Mapping[str, Measured]) -> Subject | None:
            if rows.empty:
                return None
            numbers = {name: measured(table, name, origin) for name in QUANTITIES} | dict(times)
            first = rows.iloc[0]
            return Subject(str(first["label"]), str(first["method"]), int(rows["seed"].nunique()), numbers)

        return cls(
            sources=sources,
            dataset=str(table["dataset"].iloc[0]),
            model=str(table["model"].iloc[0]),
            allowed=allowed,
            dense=subject(dense, full, files.dense if files else {}),
            small=subject(small, ours, files.small if files else {}),
            origin=origin,
            pairs=pairs,
            change=change(ours, full, origin),
            shares={name: share(ours, full, name, origin) for name in QUANTITIES} | dict(files.shares if files else {}),
            networks=tuple(networks_by(records, "parameters")),
            others=tuple(better(records, small_label, dense_label, allowed)) if small_label else (),
            pair_audit=looked if isinstance(looked, PairAudit) else None,
            exported=files,
            gaps=tuple(gaps),
            provenance=_provenance(pd.concat([dense, small]) if small_label and dense_label else table),
        )

    @property
    def is_valid(self) -> bool:
        """Whether there is a comparison to decide on at all."""
        return not any(gap.kind == "no_comparison" for gap in self.gaps)

    @property
    def timed_on(self) -> tuple[str, int]:
        """The device that the answers were timed on, and its threads: that of the exported files, or of the record."""
        if self.exported:
            return self.exported.device, self.exported.threads
        return str(self.provenance["device"][0]), int(self.provenance["threads"][0])

    @property
    def basis(self) -> Basis:
        """What the money needs of it."""
        memory, training = self.shares["parameters"], self.shares["step"]
        shares = {**self.shares, "accuracy": self.change, "memory": memory, "training": training}
        full = {} if self.dense is None else self.dense.numbers
        units = {  # of the assumptions
            "ms_1": ("time_1", 1.0),
            "ms_128": ("time_128", 1 / BATCHES["time_128"]),
            "file_mb": ("file", 1e-3),
            "memory_mb": ("parameters", WEIGHT_BYTES / 1e6),
        }
        known = {name: found for name in RATIOS if (found := shares.get(name))}
        of_full = {key: number.times(unit) for key, (name, unit) in units.items() if (number := full.get(name))}
        return Basis(known, of_full)


def choose_small(records: Records, network: str | None, allowed: float) -> str | None:
    """The label of the small network: the one asked for, or as `Evidence.of` says; None without any.

    DataError for a label that is not there, or that is a full network's.
    """
    runs = records.runs
    small = runs[~runs["method"].str.startswith("dense")]
    if network is not None:
        there = list(dict.fromkeys(small["label"]))
        if network not in there:
            raise DataError(f"network {network!r}: there is no small one of that label; name one of {', '.join(there)}")
        return network
    networks = networks_by(records, "parameters")
    for method in OURS:
        found = [one for one in networks if one.method == method]
        full = next((one for one in networks if one.method == _full(method)), None)
        if found:
            near = smallest_within(found, full.accuracy, allowed) if full else None
            return (near or max(found, key=lambda one: one.accuracy)).name
    ours = small.loc[small["method"].isin(OURS), "label"]
    return None if ours.empty else str(ours.iloc[0])  # one without an accuracy, which is then a gap


def reference(records: Records, small: str | None) -> str | None:
    """The label of the full network that was trained with the same optimizer, or as usual; None without any."""
    runs = records.runs
    wanted = (*map(_full, set(runs.loc[runs["label"] == small, "method"])), "dense")
    return next((str(label) for method in wanted for label in runs.loc[runs["method"] == method, "label"]), None)


def _full(method: str) -> str:
    """The method of the full network that is trained with the same optimizer."""
    return "dense-adamw" if method.endswith("-adamw") else "dense"


def better(records: Records, small: str, dense: str | None, allowed: float) -> Iterator[Other]:
    """The most accurate, and those of the smallest file and the shortest times that lose at most `allowed` points."""
    for quantity, column in SIZES.items():
        found = {network.name: network for network in networks_by(records, column)}
        ours, full = found.pop(small, None), found.pop(dense or "", None)
        if ours is None or not found:
            continue
        if quantity == "accuracy":
            best = max(found.values(), key=lambda network: network.accuracy)
            is_better = best.accuracy >= ours.accuracy + MORE_ACCURATE
        else:
            least = (full or ours).accuracy - allowed - ROUNDING
            near = [network for network in found.values() if network.accuracy >= least]
            best = min(near, key=lambda network: network.size, default=ours)
            is_better = best.size <= CHEAPER * ours.size
        if is_better:
            yield Other(quantity, best, best.accuracy - ours.accuracy, best.size / ours.size)


def _provenance(runs: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    days = sorted(str(date)[:10] for date in runs["date"])
    told = {column: tuple(dict.fromkeys(runs[column])) for column in PROVENANCE}
    return told | {"dates": tuple(dict.fromkeys((days[0], days[-1])))}
