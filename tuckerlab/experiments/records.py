"""Run records: what was trained, how it went and what came out, in four tidy tables with their provenance.

The columns are listed in `tuckerlab.experiments.schema`. A record on disk is a folder of four Parquet files; one of
before there were events lacks that table, and has none.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.schema import SCHEMA, checked
from tuckerlab.files import atomic_path


@dataclass(eq=False, repr=False)
class Records:
    """Any number of runs: a row for each in `runs`, for each epoch in `epochs`, for each rank in `ranks`.

    In `events` there is one for each time that a guard has stepped in. Raises DataError for columns that the schema
    does not know or misses, for two rows of one run, and for epochs, ranks or events of a run that is not there.
    """

    runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs: pd.DataFrame = field(default_factory=pd.DataFrame)
    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        for name in SCHEMA:
            setattr(self, name, checked(name, getattr(self, name)))
        if self.runs["run"].duplicated().any():
            raise DataError(f"runs: run {self.runs['run'][self.runs['run'].duplicated()].iloc[0]!r} is there twice")
        for name in SCHEMA:
            if strangers := sorted(set(getattr(self, name)["run"]) - set(self.runs["run"])):
                raise DataError(f"{name}: rows of run {strangers[0]!r}, which is not among the runs")

    @classmethod
    def single(
        cls,
        run: Mapping[str, Any],
        epochs: Sequence[Mapping[str, Any]] = (),
        ranks: Sequence[Mapping[str, Any]] = (),
        events: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        """The record of one run; the rows of the other tables need not repeat its name."""
        tables = [[{"run": run.get("run"), **row} for row in rows] for rows in (epochs, ranks, events)]
        return cls(pd.DataFrame([dict(run)]), *map(pd.DataFrame, tables))

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """All runs of several records; of a run that is in two of them, the later one counts."""
        parts = list(parts) or [cls()]
        last = {run: i for i, part in enumerate(parts) for run in part.runs["run"]}
        kept = [part.only(run for run in part.runs["run"] if last[run] == i) for i, part in enumerate(parts)]
        return cls(*(pd.concat([getattr(part, name) for part in kept], ignore_index=True) for name in SCHEMA))

    def __add__(self, other: Self) -> Self:
        return self.concat([self, other])

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        return f"Records(runs={len(self)}, epochs={len(self.epochs)}, ranks={len(self.ranks)})"

    def only(self, runs: Iterable[str]) -> Self:
        """The record of these runs alone."""
        wanted = list(runs)
        frames = [getattr(self, name) for name in SCHEMA]
        return type(self)(*(frame[frame["run"].isin(wanted)].reset_index(drop=True) for frame in frames))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a table `NAME.parquet` for each name in the schema into `folder`, each atomically."""
        for name in reversed(SCHEMA):  # runs come last: where they are, the record is complete
            with atomic_path(Path(folder) / f"{name}.parquet") as path:
                getattr(self, name).to_parquet(path, engine="pyarrow", index=False)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the record in `folder` and all those in folders below it.

        Raises DataError, which names the file, when there is none or one is broken.
        """
        found = sorted(Path(folder).rglob("runs.parquet"))
        if not found:
            raise DataError(f"{folder}: no run record here or below; a record is a folder with runs.parquet in it")
        return cls.concat(cls._read(path.parent) for path in found)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        frames, path = {}, folder
        try:
            for name in SCHEMA:
                path = folder / f"{name}.parquet"
                if name != "events" or path.exists():
                    frames[name] = pd.read_parquet(path, engine="pyarrow")
            path = folder
            return cls(**frames)
        except (OSError, ValueError, DataError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: not a readable record ({reason}); delete the folder or run again") from None


def memory_bytes(runs: pd.DataFrame) -> pd.Series:
    """What the training of each run takes in memory, all parts of it; NaN where one was not measured."""
    parts = ("weights", "gradients", "optimizer", "activations")
    return runs[[f"memory_{part}_bytes" for part in parts]].sum(axis=1, skipna=False)
