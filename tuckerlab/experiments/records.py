"""Run records: what was trained, how it went and what came out, in four tidy tables with their provenance.

Units: accuracies and compression rates are fractions of 1, `_ms` milliseconds, `_bytes` bytes, `seconds` seconds,
`multiply_adds` those of one image, `conv_parameters` and `parameters` the numbers stored.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.files import atomic_path

# method: "dense" is the reference. settings: all that decides the outcome, as JSON. by_class: of each class train and
# test images, those named rightly, and how often it was named, as JSON. gradient_evaluations: batches whose gradient
# the training took. epochs.seconds: of training so far, by the clock. events: each time that a guard has stepped in.
_SIZE = "conv_parameters parameters conv_compression compression"
_COLUMNS = {
    "runs": {
        "str": "run label method dataset model ranks_policy state date commit tuckerlab torch python platform device "
        "settings note by_class",
        "int64": "seed epochs batch_size dirty cores threads",
        "float64": f"width lr gradient_evaluations test_accuracy {_SIZE} multiply_adds "
        "latency_1_ms latency_1_iqr_ms latency_128_ms latency_128_iqr_ms step_ms step_iqr_ms "
        "memory_weights_bytes memory_gradients_bytes memory_optimizer_bytes memory_activations_bytes "
        "memory_peak_bytes checkpoint_bytes train_seconds",
    },
    "epochs": {
        "str": "run",
        "int64": "epoch step",
        "float64": f"lr train_loss train_accuracy test_loss test_accuracy seconds step_ms {_SIZE}",
    },
    "ranks": {"str": "run layer", "int64": "epoch step mode size rank"},
    "events": {"str": "run rule action said", "int64": "epoch step", "float64": "measured allowed"},
}
SCHEMA: dict[str, dict[str, str]] = {
    table: {column: dtype for dtype, columns in dtypes.items() for column in columns.split()}
    for table, dtypes in _COLUMNS.items()
}


@dataclass(eq=False, repr=False)
class Records:
    """Any number of runs, as tables with the columns of `SCHEMA`; what is not there is empty, or NaN."""

    runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs: pd.DataFrame = field(default_factory=pd.DataFrame)
    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        for name in SCHEMA:
            setattr(self, name, _checked(name, getattr(self, name)))
            if strangers := sorted(set(getattr(self, name)["run"]) - set(self.runs["run"])):
                raise DataError(f"{name}: rows of run {strangers[0]!r}, which is not among the runs")
        if (twice := self.runs["run"].duplicated()).any():
            raise DataError(f"runs: run {self.runs['run'][twice].iloc[0]!r} is there twice")

    @classmethod
    def single(
        cls,
        run: Mapping[str, Any],
        epochs: Sequence[Mapping[str, Any]] = (),
        ranks: Sequence[Mapping[str, Any]] = (),
        events: Sequence[Mapping[str, Any]] = (),
    ) -> Self:
        tables = [[{"run": run["run"], **row} for row in rows] for rows in (epochs, ranks, events)]
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

    @property
    def names(self) -> "pd.Series[str]":
        """What people call each run, by run: its label, with the data set where there are several."""
        runs = self.runs.set_index("run")
        return runs["label"] + (" · " + runs["dataset"] if runs["dataset"].nunique() > 1 else "")

    def only(self, runs: Iterable[str]) -> Self:
        """The record of these runs alone."""
        wanted = list(runs)
        frames = [getattr(self, name) for name in SCHEMA]
        return type(self)(*(frame[frame["run"].isin(wanted)].reset_index(drop=True) for frame in frames))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes a table `NAME.parquet` for each name in the schema into `folder`, each atomically."""
        for name in reversed(SCHEMA):  # runs come last: where they are, the record is complete
            with atomic_path(Path(folder) / f"{name}.parquet") as path:
                getattr(self, name).to_parquet(path, engine="pyarrow", index=False)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], tables: Collection[str] = tuple(SCHEMA)) -> Self:
        """The record in `folder` and all those in folders below it; DataError for none, and for a broken one."""
        found = sorted(Path(folder).rglob("runs.parquet"))
        if not found:
            raise DataError(f"{folder}: no run record here or below; a record is a folder with runs.parquet in it")
        return cls.concat(cls._read(path.parent, tables) for path in found)

    @classmethod
    def _read(cls, folder: Path, tables: Collection[str]) -> Self:
        try:
            files = {name: folder / f"{name}.parquet" for name in tables}
            return cls(**{name: pd.read_parquet(file) for name, file in files.items() if file.exists()})
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{folder}: not a readable record ({reason}); delete the folder or run again") from None


def _checked(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with the columns of table `name` in their types."""
    schema = SCHEMA[name]
    if unknown := [str(column) for column in frame.columns if column not in schema]:
        raise DataError(f"{name}: unknown column {', '.join(unknown)}; the columns are {', '.join(schema)}")
    texts = [column for column, dtype in schema.items() if dtype == "str"]
    frame = frame.reindex(columns=list(schema))
    try:
        frame = frame.assign(**frame[texts].astype(object).fillna("")).astype(schema)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: a column lacks a value, or has one of another type: {error}") from None
    shares = frame.filter(like="accuracy")
    if ((shares < 0) | (shares > 1)).any(axis=None):
        raise DataError(f"{name}: accuracy {shares.max().max():g} is not a fraction between 0 and 1")
    return frame


def memory_bytes(runs: pd.DataFrame) -> pd.Series:
    """What the training of each run takes in memory, all parts of it; NaN where one was not measured."""
    parts = ("weights", "gradients", "optimizer", "activations")
    return runs[[f"memory_{part}_bytes" for part in parts]].sum(axis=1, skipna=False)
