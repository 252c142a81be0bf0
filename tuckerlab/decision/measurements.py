"""What was measured, each number with its spread and its origin: of one network, and of the small beside the full one.

What was not measured is None, a gap that the brief shows.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import memory_bytes
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.i18n import N_

TIMES = {"time_1": "latency_1", "time_128": "latency_128", "step": "step"}
QUANTITIES = ("accuracy", "parameters", "conv_parameters", "file", *TIMES, "memory")
BATCHES = {"time_1": 1, "time_128": 128}
WEIGHT_BYTES = 4
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
    found = {
        "seed": rows["seed"],
        "accuracy": 100 * rows["test_accuracy"],
        "parameters": rows["parameters"],
        "conv_parameters": rows["conv_parameters"],
        "file": 1e-3 * rows["checkpoint_bytes"],
        "memory": memory_bytes(rows) / 1e6,
    }
    for name, column in TIMES.items():
        found |= {name: rows[f"{column}_ms"], f"{name}_half": rows[f"{column}_iqr_ms"].fillna(0) / 2}
    return pd.DataFrame(found)


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
        table = Deployment.load(folder.path).rows
    except DataError:
        return None
    if "run" not in table or not {dense, small} <= set(folder.labels):
        return None
    rows = table[table["network"].isin((dense, small)) & (table["runtime"] == RUNTIME)]
    if set(rows["run"]) != {folder.rows(label)["run"].iloc[0] for label in (dense, small)}:
        return None
    forms = {key: row.iloc[0] for key, row in rows.groupby(["network", "precision", "batch"], sort=False)}
    if not {(network, "fp32", batch) for network in (dense, small) for batch in BATCHES.values()} <= forms.keys():
        return None  # one time of the record beside one of these would be of two machines

    def time(network: str, name: str) -> Measured:
        row = forms[network, "fp32", BATCHES[name]]
        value, half = float(row["median_ms"]), float(row["iqr_ms"]) / 2
        return Measured(value, value**2 / (value + half), value + half, f"{mark} ONNX")

    full, ours = ({name: time(network, name) for name in BATCHES} for network in (dense, small))
    faster = {name: float(forms[small, "fp32", batch]["faster"]) for name, batch in BATCHES.items()}
    int8 = None
    if (quantized := forms.get((small, "int8", 1))) is not None:
        plain = forms[dense, "fp32", 1]
        time_share, file_share = (float(quantized[column] / plain[column]) for column in ("median_ms", "file_bytes"))
        int8 = time_share, file_share, 100 * float(quantized["accuracy"] - plain["accuracy"])
    first = rows.iloc[0]
    shares = {name: _ratio(1 / faster[name], ours[name], full[name]) for name in BATCHES}
    return Exported(full, ours, shares, int8, str(first["device"]), int(first["threads"]))


# --- what the money needs --------------------------------------------------------------------------------------------

RATIOS = {
    "accuracy": N_("Change in accuracy, points"),
    "time_1": N_("Time of an answer, one at a time, against the full network’s"),
    "time_128": N_("Time of an answer in batches, against the full network’s"),
    "file": N_("File, against the full network’s"),
    "memory": N_("Memory, against the full network’s"),
    "training": N_("Training time, against the full network’s"),
}
"""What people call the measurements of `Basis`."""


@dataclass(frozen=True)
class Basis:
    """What the business case needs of the runs: shares of the full network's, None where they were not measured.

    `accuracy` is no share but the change in points; `time_1` and `time_128` are of an image alone and in a batch of
    128, `file` of the checkpoint, `memory` of the weights, `training` of the time that a training step takes. `full` is
    what was measured of the full network itself, by the assumptions whose defaults it replaces: see `full_network`.
    """

    accuracy: Measured | None = None
    time_1: Measured | None = None
    time_128: Measured | None = None
    file: Measured | None = None
    memory: Measured | None = None
    training: Measured | None = None
    full: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, Measured]:
        """The shares that there are."""
        return {name: ratio for name in RATIOS if (ratio := getattr(self, name)) is not None}


def full_network(numbers: Mapping[str, Measured | None]) -> dict[str, Measured]:
    """`Basis.full`: QUANTITIES of a full network, by the names and in the units of the assumptions."""
    found = {
        "ms_1": (numbers.get("time_1"), 1.0),
        "ms_128": (numbers.get("time_128"), 1 / BATCHES["time_128"]),
        "file_mb": (numbers.get("file"), 1e-3),
        "memory_mb": (numbers.get("parameters"), WEIGHT_BYTES / 1e6),
    }
    return {key: number.times(scale) for key, (number, scale) in found.items() if number is not None}
