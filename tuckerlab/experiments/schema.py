"""The columns of a run record: what every run must say, and what it may have measured.

Units: accuracies and compression rates are fractions of 1, `_ms` milliseconds, `_bytes` bytes, `seconds`
seconds, `multiply_adds` those of one image, `conv_parameters` and `parameters` the numbers stored.
"""

from functools import cache
from typing import Any

import pandas as pd

from tuckerlab.errors import DataError

_SIZE = {
    "conv_parameters": "float?",
    "parameters": "float?",
    "conv_compression": "float?",
    "compression": "float?",
}

SCHEMA: dict[str, dict[str, str]] = {
    "runs": {  # one row a run; "float?" marks a measurement, NaN where it was not taken
        "run": "str",
        "label": "str",
        "method": "str",  # "dense" is the reference that the others are compared with; "tucker", "pruning"
        "dataset": "str",
        "model": "str",
        "width": "float",
        "seed": "int",
        "epochs": "int",
        "batch_size": "int",
        "lr": "float",
        "ranks_policy": "str",
        "settings": "str?",  # all that decides the outcome, as JSON
        "gradient_evaluations": "float?",  # batches whose gradient the training took
        "test_accuracy": "float?",
        **_SIZE,
        "multiply_adds": "float?",
        "latency_1_ms": "float?",
        "latency_1_iqr_ms": "float?",
        "latency_128_ms": "float?",
        "latency_128_iqr_ms": "float?",
        "step_ms": "float?",
        "step_iqr_ms": "float?",
        "memory_weights_bytes": "float?",
        "memory_gradients_bytes": "float?",
        "memory_optimizer_bytes": "float?",
        "memory_activations_bytes": "float?",
        "memory_peak_bytes": "float?",
        "checkpoint_bytes": "float?",
        "train_seconds": "float?",
        "state": "str",  # "finished", "stopped", …
        "note": "str?",
        "date": "str",
        "commit": "str",
        "dirty": "int",
        "tuckerlab": "str",
        "torch": "str",
        "python": "str",
        "platform": "str",
        "device": "str",
        "cores": "int",
        "threads": "int",
    },
    "epochs": {  # one row a run and epoch
        "run": "str",
        "epoch": "int",
        "step": "int",
        "lr": "float?",
        "train_loss": "float?",
        "train_accuracy": "float?",
        "test_loss": "float?",
        "test_accuracy": "float?",
        "seconds": "float?",  # of training so far, as the clock on the wall has it
        "step_ms": "float?",  # the median of the epoch's steps, which other programs do not move
        **_SIZE,
    },
    "ranks": {  # one row a run, epoch, layer and mode
        "run": "str",
        "epoch": "int",
        "step": "int",
        "layer": "str",
        "mode": "int",
        "size": "int",
        "rank": "int",
    },
    "events": {  # one row for each time that a guard has stepped in; records without any may lack the table
        "run": "str",
        "epoch": "int",
        "step": "int",
        "rule": "str",  # that was broken: finite, loss, accuracy or cut; in older records floor and learning too
        "action": "str",
        "measured": "float?",
        "allowed": "float?",
        "said": "str",  # all of it in one sentence
    },
}

_DTYPES: dict[str, Any] = {"str": "str", "int": "int64", "float": "float64"}


def checked(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with the columns of table `name`, in their order and types; measurements not taken become NaN.

    Raises DataError, which names the column, for one that is unknown, missing or of the wrong type, and for
    an accuracy outside 0 … 1.
    """
    schema = SCHEMA[name]
    if unknown := [str(column) for column in frame.columns if column not in schema]:
        raise DataError(f"{name}: unknown column {', '.join(unknown)}; the columns are {', '.join(schema)}")
    if missing := [column for column, kind in schema.items() if column not in frame and kind[-1] != "?"]:
        raise DataError(f"{name}: missing column {', '.join(missing)}")
    if frame.empty:
        return _empty(name).copy()
    if _is_in_order(schema, frame):
        return frame[list(schema)]
    return pd.DataFrame({column: _column(name, column, kind, frame) for column, kind in schema.items()})


@cache
def _empty(name: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype=_DTYPES[kind.rstrip("?")]) for column, kind in SCHEMA[name].items()})


def _is_in_order(schema: dict[str, str], frame: pd.DataFrame) -> bool:
    """Whether there is nothing to convert and nothing to complain of, as in every part of a checked table."""
    types = frame.dtypes
    if any(str(types.get(column)) != _DTYPES[kind.rstrip("?")] for column, kind in schema.items()):
        return False
    full = frame[[column for column, kind in schema.items() if kind != "float?"]]
    shares = frame[[column for column in schema if column.endswith("accuracy")]].to_numpy()
    return not full.isna().to_numpy().any() and not ((shares < 0) | (shares > 1)).any()


def _column(name: str, column: str, kind: str, frame: pd.DataFrame) -> pd.Series:
    empty = "" if kind == "str?" else float("nan")
    values = frame[column] if column in frame else pd.Series(empty, index=frame.index)
    if kind == "str?":
        values = values.fillna("")
    elif kind != "float?" and values.isna().any():
        raise DataError(f"{name}: column {column} has a row without a value")
    dtype = _DTYPES[kind.rstrip("?")]
    try:
        typed: pd.Series = values.astype(dtype)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: column {column} needs {kind.rstrip('?')} values: {error}") from None
    if dtype == "int64" and (typed != values).any():
        raise DataError(f"{name}: column {column} needs whole numbers, given {values[typed != values].iloc[0]}")
    if column.endswith("accuracy") and not typed.dropna().between(0, 1).all():
        raise DataError(f"{name}: {column} {typed.max():g} is not a fraction between 0 and 1")
    return typed
