"""Run records: what was trained, how it went and what came out, in four tidy tables with their provenance.

The columns are listed in `tuckerlab.experiments.schema`. A record on disk is a folder of four Parquet files; one of
before there were events lacks that table, and has none.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.schema import SCHEMA, checked
from tuckerlab.files import atomic_path
from tuckerlab.i18n import N_, _

if TYPE_CHECKING:
    from rich.table import Table

SIDE_BY_SIDE = 4
"""Up to this many runs stand side by side in a terminal; of more, a line each with these columns."""

HEADS = {
    "label": N_("network"),
    "dataset": N_("data"),
    "seed": N_("seed"),
    "test_accuracy": N_("test accuracy, %"),
    "conv_parameters": N_("conv parameters"),
    "parameters": N_("all parameters"),
    "conv_compression": N_("c.r. conv, %"),
    "compression": N_("c.r. all, %"),
    "multiply_adds": N_("multiply-adds, M"),
    "latency_1_ms": N_("latency of 1 image, ms"),
    "latency_128_ms": N_("latency of 128, ms"),
    "step_ms": N_("training step, ms"),
    "train_seconds": N_("training, s"),
    "memory_bytes": N_("training memory, MB"),
    "memory_peak_bytes": N_("peak on the GPU, MB"),
    "checkpoint_bytes": N_("file, kB"),
    "state": N_("state"),
    "note": N_("note"),
}

IN_BRIEF = ["seed", "test_accuracy", "conv_parameters", "conv_compression", "compression"]


@dataclass(eq=False, repr=False)
class Records:
    """Any number of runs: a row for each in `runs`, for each epoch in `epochs`, for each rank in `ranks`.

    In `events` there is one for each time that a guard has stepped in. Raises DataError for columns that the schema
    does not know or misses, for two rows of one run, and for epochs, ranks or events of a run that is not there.
    """

    runs: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(SCHEMA["runs"])))
    epochs: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(SCHEMA["epochs"])))
    ranks: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(SCHEMA["ranks"])))
    events: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(SCHEMA["events"])))

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
        tables = []
        for name, rows in (("epochs", epochs), ("ranks", ranks), ("events", events)):
            named = [{"run": run.get("run"), **row} for row in rows]
            tables.append(pd.DataFrame(named, columns=None if named else list(SCHEMA[name])))
        return cls(pd.DataFrame([dict(run)]), *tables)

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """All runs of several records; of a run that is in two of them, the later one counts."""
        parts = list(parts)
        last = {run: i for i, part in enumerate(parts) for run in part.runs["run"]}
        kept = []
        for i, part in enumerate(parts):
            mine = [run for run in part.runs["run"] if last[run] == i]
            kept.append(part if len(mine) == len(part) else part.only(mine))
        kept = kept or [cls()]
        return cls(*(pd.concat([getattr(part, name) for part in kept], ignore_index=True) for name in SCHEMA))

    def __add__(self, other: Self) -> Self:
        return self.concat([self, other])

    def __len__(self) -> int:
        return len(self.runs)

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
        frames = []
        for name in SCHEMA:
            path = folder / f"{name}.parquet"
            if name == "events" and not path.exists():
                continue
            try:
                frames.append(pd.read_parquet(path, engine="pyarrow"))
            except (OSError, ValueError) as error:
                reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
                raise DataError(f"{path}: not a readable record ({reason}); delete the folder or run again") from None
        try:
            return cls(*frames)
        except DataError as error:
            raise DataError(f"{folder}: {error}") from None

    def table(self) -> pd.DataFrame:
        """One row a run for people to read: rounded, with units; what no run has measured is left out."""
        return _in_words(self._cells())

    def _cells(self) -> pd.DataFrame:
        runs = self.runs
        columns = {
            "label": runs["label"],
            "dataset": runs["dataset"] if runs["dataset"].nunique() > 1 else _blank(runs),
            "seed": runs["seed"].astype(str) if runs["label"].duplicated().any() else _blank(runs),
            "test_accuracy": _rounded(100 * runs["test_accuracy"], ".1f"),
            "conv_parameters": _rounded(runs["conv_parameters"], ",.0f"),
            "parameters": _rounded(runs["parameters"], ",.0f"),
            "conv_compression": _rounded(100 * runs["conv_compression"], ".1f"),
            "compression": _rounded(100 * runs["compression"], ".1f"),
            "multiply_adds": _rounded(runs["multiply_adds"] / 1e6, ",.2f"),
            "latency_1_ms": _spread(runs["latency_1_ms"], runs["latency_1_iqr_ms"]),
            "latency_128_ms": _spread(runs["latency_128_ms"], runs["latency_128_iqr_ms"]),
            "step_ms": _spread(runs["step_ms"], runs["step_iqr_ms"]),
            "train_seconds": _rounded(runs["train_seconds"], ",.1f"),
            "memory_bytes": _rounded(memory_bytes(runs) / 1e6, ",.1f"),
            "memory_peak_bytes": _rounded(runs["memory_peak_bytes"] / 1e6, ",.1f"),
            "checkpoint_bytes": _rounded(runs["checkpoint_bytes"] / 1e3, ",.0f"),
            "state": runs["state"].where(runs["state"] != "finished", ""),
            "note": runs["note"],
        }
        table = pd.DataFrame(columns)
        return table.loc[:, [(table[column] != "").any() or column == "label" for column in table]]

    def rich_table(self) -> "Table":
        """`table()` for a terminal: a column for each run while there are few, else a row in brief."""
        from rich import box
        from rich.table import Table

        table = self._cells().set_index("label")
        if len(table) <= SIDE_BY_SIDE:
            table, corner = _in_words(table).T, ""
        else:
            brief = [column for column in IN_BRIEF if column in table]
            table, corner = _in_words(table[brief]), _(HEADS["label"])
        shown = Table(corner, box=box.SIMPLE_HEAD)
        for column in table.columns:
            shown.add_column(str(column), justify="right")
        for name, *cells in table.itertuples():
            shown.add_row(str(name), *cells)
        return shown

    def __repr__(self) -> str:
        return f"Records(runs={len(self)}, epochs={len(self.epochs)}, ranks={len(self.ranks)})"

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False, border=0)


def memory_bytes(runs: pd.DataFrame) -> pd.Series:
    """What the training of each run takes in memory, all parts of it; NaN where one was not measured."""
    return runs[[f"memory_{part}_bytes" for part in PARTS_OF_MEMORY]].sum(axis=1, skipna=False)


PARTS_OF_MEMORY = ("weights", "gradients", "optimizer", "activations")


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={str(column): _(HEADS[str(column)]) for column in table})


def _blank(frame: pd.DataFrame) -> pd.Series:
    return pd.Series("", index=frame.index)


def _rounded(values: pd.Series, spec: str) -> pd.Series:
    return values.map(lambda value: "" if pd.isna(value) else format(value, spec)).astype(str)


def _spread(median: pd.Series, iqr: pd.Series) -> pd.Series:
    texts = _rounded(median, ",.3g").where(median < 100, _rounded(median, ",.0f"))
    return texts.where(iqr.isna() | (texts == ""), texts + " ± " + _rounded(iqr, ".2g"))
