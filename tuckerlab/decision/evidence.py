"""What run folders say about one decision: the full network, the small one, what else was tried, what is not known.

>>> from tuckerlab.experiments.recorded import found_folder
>>> evidence = Evidence.of([found_folder("compare-folder-neu_steel")])
>>> evidence.small.label, round(evidence.change.value, 1), evidence.change.origin, evidence.is_valid
('Tucker 95 %', 0.1, '[1]', True)
>>> [gap.key for gap in evidence.gaps]
['no_networks']

Nothing is made up: a number that no run has measured is None, and the reason is among the gaps.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tuckerlab.decision.basis import Basis, full_network
from tuckerlab.decision.closer import Look, look_closer
from tuckerlab.decision.deployed import Deployed, deployed
from tuckerlab.decision.gaps import INVALID, Gap, gaps_of_runs
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.numbers import QUANTITIES, change, measured, share
from tuckerlab.decision.others import Other, better
from tuckerlab.decision.sources import Source, chosen, open_sources, origin, reference, together
from tuckerlab.experiments.summary import TOLERATED, Network, networks_by


@dataclass(frozen=True)
class Subject:
    """One of the two networks, and what was measured of it, by the names of `QUANTITIES`."""

    label: str
    method: str
    seeds: int
    numbers: Mapping[str, Measured | None]

    def __getitem__(self, quantity: str) -> Measured | None:
        return self.numbers[quantity]


@dataclass(frozen=True)
class Evidence:
    """All that the brief knows of runs.

    - `pairs`: how many seeds both networks were trained with.
    - `change`: in accuracy, points, the small network against the full one of the same seed.
    - `shares`: of the small network in the full one's, by the names of `QUANTITIES`.
    - `compression`, `conv_compression`: the part of the numbers that is saved, of all and of the convolutions.
    - `networks`: all in the record; `others`: those that are better than the small one in something.
    - `origin`: the marks of the sources that both networks are from.
    - `closer`: the audit of one pair of networks, where they are there.
    - `deployed`: both as exported files, whose times then stand in the place of the record's.
    - `provenance`: devices, threads, dates, commits and versions, each a tuple of what the rows say.
    """

    sources: tuple[Source, ...]
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
    closer: Look | None
    deployed: Deployed | None
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
        records = together(sources)
        table = records.runs
        small_label = chosen(records, network, allowed)
        dense_label = reference(records, small_label)
        small, dense = table[table["label"] == small_label], table[table["label"] == dense_label]
        pairs = len(set(dense["seed"]) & set(small["seed"]))
        gaps = list(gaps_of_runs(records, dense, small, pairs))
        closer = exported = None
        if small_label and dense_label:
            exported = deployed(sources, dense_label, small_label)
        if audit and small_label and dense_label:
            found = look_closer(sources, dense_label, small_label)
            closer = found if isinstance(found, Look) else None
            gaps += [found] if isinstance(found, Gap) else []
        marks = origin(sources, filter(None, (small_label, dense_label)))
        no_times = any(gap.key == "hardware" for gap in gaps)
        shown = [name for name, quantity in QUANTITIES.items() if not (no_times and quantity.is_time)]
        shares = {name: share(small, dense, name, marks) if name in shown else None for name in QUANTITIES}
        return cls(
            sources=sources,
            dataset=str(table["dataset"].iloc[0]),
            model=str(table["model"].iloc[0]),
            allowed=allowed,
            dense=_subject(dense, shown, marks, exported.dense if exported else {}),
            small=_subject(small, shown, marks, exported.small if exported else {}),
            origin=marks,
            pairs=pairs,
            change=change(small, dense, marks),
            shares=shares | dict(exported.shares if exported else {}),
            networks=tuple(networks_by(records, "parameters")),
            others=better(records, small_label, dense_label, allowed) if small_label else (),
            closer=closer,
            deployed=exported,
            gaps=tuple(gaps),
            provenance=_provenance(pd.concat([dense, small]) if small_label and dense_label else table),
        )

    @property
    def is_valid(self) -> bool:
        """Whether there is a comparison to decide on at all."""
        return not any(gap.key in INVALID for gap in self.gaps)

    @property
    def timed_on(self) -> tuple[str, int]:
        """The device that the answers were timed on, and its threads: that of the exported files, or of the record."""
        if self.deployed:
            return self.deployed.device, self.deployed.threads
        return str(self.provenance["device"][0]), int(self.provenance["threads"][0])

    @property
    def basis(self) -> Basis:
        """What the money needs of it."""
        of, full = self.shares, full_network(self.dense.numbers if self.dense else {})
        return Basis(self.change, of["time_1"], of["time_128"], of["file"], of["parameters"], of["step"], full)


def _subject(rows: pd.DataFrame, shown: Sequence[str], origin: str, times: Mapping[str, Measured]) -> Subject | None:
    if rows.empty:
        return None
    numbers = {name: measured(rows, name, origin) if name in shown else None for name in QUANTITIES}
    numbers |= times
    first = rows.iloc[0]
    return Subject(str(first["label"]), str(first["method"]), int(rows["seed"].nunique()), numbers)


def _provenance(runs: pd.DataFrame) -> dict[str, tuple[Any, ...]]:
    columns = ("device", "threads", "platform", "torch", "tuckerlab", "commit", "dirty", "epochs", "seed", "note")
    told = {column: tuple(dict.fromkeys(runs[column])) for column in columns}
    days = sorted(str(date)[:10] for date in runs["date"])
    return told | {"dates": tuple(dict.fromkeys((days[0], days[-1])))}
