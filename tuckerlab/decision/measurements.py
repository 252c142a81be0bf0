"""What was measured, each number with its spread and its origin: of one network, and of the small beside the full one.

What was not measured is None, a gap that the brief shows.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import memory_bytes
from tuckerlab.experiments.run_folder import RunFolder

TIMES = {"time_1": "latency_1", "time_128": "latency_128", "step": "step"}
QUANTITIES = ("accuracy", "parameters", "conv_parameters", "file", *TIMES, "memory")
BATCHES = {"time_1": 1, "time_128": 128}
RUNTIME = "onnxruntime"


@dataclass(frozen=True)
class Measured:
    """What was measured: `value` in the middle, `low` to `high` the spread (of seeds, or the interval of a timing)."""

    value: float
    low: float
    high: float
    origin: str = ""

    def __post_init__(self) -> None:
        """The mean of equal numbers may be rounded to just above them: the spread always holds the middle."""
        object.__setattr__(self, "low", min(self.low, self.value))  # these keep an end that is not a number
        object.__setattr__(self, "high", max(self.high, self.value))

    @classmethod
    def over(cls, values: Iterable[float], origin: str) -> "Measured | None":
        """The mean and the worst and best of several values; None, a visible gap, where one was not taken."""
        taken = np.asarray(list(values), dtype=float)
        if not taken.size or not np.isfinite(taken).all():
            return None
        return cls(float(taken.mean()), float(taken.min()), float(taken.max()), origin)

    def times(self, factor: float) -> "Measured":
        """So many times as much, in another unit; its negative for -1."""
        value, *ends = (factor * part + 0.0 for part in (self.value, self.low, self.high))  # no minus before a nought
        return Measured(value, min(ends), max(ends), self.origin)

    @property
    def has_spread(self) -> bool:
        """Whether there is more than one value behind it."""
        return not math.isclose(self.low, self.high)


# --- rows of a record ------------------------------------------------------------------------------------------------


def quantities(rows: pd.DataFrame) -> pd.DataFrame:
    """QUANTITIES of runs, a row each, and half of the interquartile range of each time.

    Per cent, numbers stored, kilobytes, milliseconds (an answer alone, 128 answers, a training step), megabytes.
    """
    found = rows[["seed", "parameters", "conv_parameters"]].assign(
        accuracy=100 * rows["test_accuracy"], file=1e-3 * rows["checkpoint_bytes"], memory=memory_bytes(rows) / 1e6
    )
    for name, column in TIMES.items():
        found[name], found[f"{name}_half"] = rows[f"{column}_ms"], rows[f"{column}_iqr_ms"].fillna(0) / 2
    return found


def measured(table: pd.DataFrame, quantity: str, origin: str) -> Measured | None:
    """The mean over the seeds, from the lowest to the highest; a time has its interquartile range in it as well."""
    values = table[quantity]
    if quantity not in TIMES or values.isna().any() or values.empty:
        return Measured.over(values, origin)
    most = values + table[f"{quantity}_half"]
    least = values**2 / most  # as far down in proportion: a record has no quartiles, and no time is below nothing
    return Measured(float(values.mean()), float(least.min()), float(most.max()), origin)


def share(small: pd.DataFrame, dense: pd.DataFrame, quantity: str, origin: str) -> Measured | None:
    """The small network's share of the full one's, seed by seed; of one seed with the spread of its times."""
    ratios = (_by_seed(small, quantity) / _by_seed(dense, quantity)).dropna()
    if len(ratios) != 1 or quantity not in TIMES:
        return Measured.over(ratios, origin)
    ours, full = measured(small, quantity, origin), measured(dense, quantity, origin)
    return None if ours is None or full is None else _ratio(float(ratios.iloc[0]), ours, full)


def change(small: pd.DataFrame, dense: pd.DataFrame, origin: str) -> Measured | None:
    """The change in accuracy from the full network to the small one of the same seed, in points."""
    return Measured.over((_by_seed(small, "accuracy") - _by_seed(dense, "accuracy")).dropna(), origin)


def _by_seed(table: pd.DataFrame, quantity: str) -> pd.Series:
    return table.groupby("seed")[quantity].mean()


def _ratio(value: float, small: Measured, dense: Measured) -> Measured:
    return Measured(value, small.low / dense.high, small.high / dense.low, small.origin)


# --- exported files --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """Times of both networks as ONNX files in fp32, by the names of BATCHES; `shares` are the small one's.

    `int8` is the small network in int8 against the full one in fp32: the share of the time of one answer, that of the
    file, and the change in accuracy in points; None where it was not measured. All of it was timed on `device`.
    """

    dense: Mapping[str, Measured]
    small: Mapping[str, Measured]
    shares: Mapping[str, Measured]
    int8: tuple[float, float, float] | None
    device: str
    threads: int


def exported(folder: RunFolder, mark: str, dense: str, small: str) -> Exported | None:
    """The times that `tuckerlab check` has left in a run folder: what will run is the exported file.

    None where it has not timed both networks in both batches, and for a table of other runs of them.
    """
    from tuckerlab.deploy.runtime import Deployment  # here: it loads the runtimes

    try:
        table = Deployment.load(folder.folder).rows
        runs = {folder.rows(label)["run"].iloc[0] for label in (dense, small)}
    except DataError:
        return None
    rows = table[table["network"].isin((dense, small)) & (table["runtime"] == RUNTIME)]
    if "run" not in rows or set(rows["run"]) != runs:
        return None
    forms = {key: row.iloc[0] for key, row in rows.groupby(["network", "precision", "batch"], sort=False)}
    if not {(network, "fp32", batch) for network in (dense, small) for batch in BATCHES.values()} <= forms.keys():
        return None  # one time of the record beside one of these would be of two machines

    def time(network: str, batch: int) -> Measured:
        row = forms[network, "fp32", batch]
        value, half = float(row["median_ms"]), float(row["iqr_ms"]) / 2
        return Measured(value, value**2 / (value + half), value + half, f"{mark} ONNX")

    full, ours = ({name: time(network, batch) for name, batch in BATCHES.items()} for network in (dense, small))
    faster = {name: float(forms[small, "fp32", batch]["faster"]) for name, batch in BATCHES.items()}
    shares = {name: _ratio(1 / faster[name], ours[name], full[name]) for name in BATCHES}
    int8, plain, first = None, forms[dense, "fp32", 1], rows.iloc[0]
    if (quantized := forms.get((small, "int8", 1))) is not None:
        time_share, file_share = (float(quantized[column] / plain[column]) for column in ("median_ms", "file_bytes"))
        int8 = time_share, file_share, 100 * float(quantized["accuracy"] - plain["accuracy"])
    return Exported(full, ours, shares, int8, str(first["device"]), int(first["threads"]))
