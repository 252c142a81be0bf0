"""Run folders as the sources of one brief: numbered, put together, and which two networks it is about.

>>> from tuckerlab.experiments.recorded import found_folder
>>> sources = open_sources([found_folder("compare-folder-neu_steel")])
>>> records = together(sources)
>>> small = chosen(records, None, allowed=1.0)
>>> small, reference(records, small), origin(sources, [small])
('Tucker 95 %', 'dense', '[1]')
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.summary import networks_by, smallest_within

OURS = ("tucker", "tucker-adamw")
ADAMW = "-adamw"


@dataclass(frozen=True)
class Source:
    """A run folder, and what the brief's footnotes call it."""

    mark: str
    folder: RunFolder

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.path.resolve().name


def open_sources(runs: Sequence[str | os.PathLike[str]]) -> tuple[Source, ...]:
    """The folders in their order. DataError for none, and for those that do not belong together."""
    if not runs:
        raise DataError("no runs were given: give the folder of one, as tuckerlab poc has left it")
    folders = {Path(run).resolve(): run for run in runs}  # the same one twice is one
    found = tuple(Source(f"[{i}]", RunFolder.open(path)) for i, path in enumerate(folders.values(), start=1))
    for column in ("dataset", "model", "width"):
        kinds = sorted({str(source.folder.records.runs[column].iloc[0]) for source in found})
        if len(kinds) > 1:
            raise DataError(f"the runs are of several kinds ({column}: {', '.join(kinds)}); give those of one kind")
    return found


def together(sources: Iterable[Source]) -> Records:
    """The record of all of them."""
    return Records.concat(source.folder.records for source in sources)


def origin(sources: Iterable[Source], labels: Iterable[str]) -> str:
    """The marks of the folders that any of these networks are from."""
    wanted = set(labels)
    return " ".join(source.mark for source in sources if wanted & set(source.folder.labels))


def chosen(records: Records, network: str | None, allowed: float) -> str | None:
    """The label of the small network: the one asked for, or the smallest in Tucker format that loses little.

    That is at most `allowed` points against the full one. If all lose more it is the most accurate, and None without
    any. Raises DataError for a label that is not there, or that is a full network's.
    """
    runs = records.runs
    small = runs[~runs["method"].str.startswith("dense")]
    if network is not None:
        there = list(dict.fromkeys(small["label"]))
        if network not in there and network in set(runs["label"]):
            raise DataError(
                f"network {network!r}: that is the full network, which is compared with; name a small one of "
                f"{', '.join(there) or 'none'}"
            )
        if network not in there:
            raise DataError(f"network {network!r}: there is none of that label; there are {', '.join(there) or 'none'}")
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
    methods = set(runs.loc[runs["label"] == small, "method"])
    for method in (*map(_full, methods), "dense"):
        if (runs["method"] == method).any():
            return str(runs.loc[runs["method"] == method, "label"].iloc[0])
    return None


def _full(method: str) -> str:
    return "dense" + (ADAMW if method.endswith(ADAMW) else "")
