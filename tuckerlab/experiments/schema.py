"""The columns of a run record: what every run must say, and what it may have measured.

Units: accuracies and compression rates are fractions of 1, `_ms` milliseconds, `_bytes` bytes, `seconds`
seconds, `multiply_adds` those of one image, `conv_parameters` and `parameters` the numbers stored.
"""

from typing import Any

import pandas as pd

from tuckerlab.errors import DataError

_SIZE = "conv_parameters parameters conv_compression compression"
_TYPES: dict[str, Any] = {"str": "str", "int": "int64", "float": "float64"}

# The columns of each table by what they hold; "?" marks what may be missing, and is then NaN or an empty text.
# method: "dense" is the reference that the others are compared with. settings: all that decides the outcome, as JSON;
# by_class: what `tuckerlab.experiments.class_accuracy` reads, as JSON.
# gradient_evaluations: batches whose gradient the training took. Of epochs, seconds: of training so far, as the clock
# on the wall has it; step_ms: the median of the epoch's steps, which other programs do not move. Events: one for each
# time that a guard has stepped in; rule is what was broken, said is all of it in one sentence.
_COLUMNS = {
    "runs": {
        "str": "run label method dataset model ranks_policy state date commit tuckerlab torch python platform device",
        "int": "seed epochs batch_size dirty cores threads",
        "float": "width lr",
        "str?": "settings note by_class",
        "float?": f"gradient_evaluations test_accuracy {_SIZE} multiply_adds "
        "latency_1_ms latency_1_iqr_ms latency_128_ms latency_128_iqr_ms step_ms step_iqr_ms "
        "memory_weights_bytes memory_gradients_bytes memory_optimizer_bytes memory_activations_bytes "
        "memory_peak_bytes checkpoint_bytes train_seconds",
    },
    "epochs": {
        "str": "run",
        "int": "epoch step",
        "float?": f"lr train_loss train_accuracy test_loss test_accuracy seconds step_ms {_SIZE}",
    },
    "ranks": {"str": "run layer", "int": "epoch step mode size rank"},
    "events": {"str": "run rule action said", "int": "epoch step", "float?": "measured allowed"},
}

SCHEMA: dict[str, dict[str, str]] = {
    table: {column: kind for kind, columns in kinds.items() for column in columns.split()}
    for table, kinds in _COLUMNS.items()
}


def checked(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with the columns of table `name` in their types; measurements not taken become NaN.

    Raises DataError, which names the column, for one that is unknown, missing or of the wrong type, and for
    an accuracy outside 0 … 1.
    """
    schema = SCHEMA[name]
    if unknown := [str(column) for column in frame.columns if column not in schema]:
        raise DataError(f"{name}: unknown column {', '.join(unknown)}; the columns are {', '.join(schema)}")
    for column, kind in schema.items():
        if len(frame) and kind[-1] != "?" and (column not in frame or frame[column].isna().any()):
            raise DataError(f"{name}: column {column} is missing, or has a row without a value")
    texts = [column for column, kind in schema.items() if kind == "str?"]
    filled = {column: frame[column].astype(object).fillna("") if column in frame else "" for column in texts}
    try:
        frame = frame.assign(**filled).reindex(columns=list(schema)).astype(
            {column: _TYPES[kind.rstrip("?")] for column, kind in schema.items()}
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: a column has values of another type: {error}") from None
    shares = frame.filter(like="accuracy")
    if ((shares < 0) | (shares > 1)).any(axis=None):
        raise DataError(f"{name}: accuracy {shares.max().max():g} is not a fraction between 0 and 1")
    return frame
