"""What was not measured, or not well enough, each with what to do about it."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tuckerlab.decision.tables import table, told
from tuckerlab.experiments.records import Records

GAPS = {key: {"kind": kind, **row} for kind, rows in table("gaps").items() for key, row in rows.items()}
ENOUGH_SEEDS = 3
SETTLED = 1.0  # points that the accuracy may still rise by in the last tenth of the epochs
CHANCE = 1.5  # a network that is right at most so many times as often as a guess has not learned


@dataclass(frozen=True)
class Gap:
    """Something that was not measured, or not well enough: one of the table, with the values of its sentence."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What follows from it: "no_comparison", "no_audit", or "care"."""
        return str(GAPS[self.key]["kind"])

    @property
    def said(self) -> str:
        """In a sentence, with what to do."""
        return told(GAPS[self.key]["said"], GAPS[self.key].get("many", ""), **self.values)


def find_gaps(records: Records, dense: pd.DataFrame, small: pd.DataFrame, pairs: int) -> Iterator[Gap]:
    """What is missing in the rows of the full network and of the small one, of which so many seeds are the same."""
    if dense.empty or small.empty:
        yield Gap("no_dense" if dense.empty else "no_small")
        return
    both = pd.concat([dense, small])
    if both["test_accuracy"].isna().any():
        yield Gap("no_accuracy")
    if (both["state"] != "finished").any():
        yield Gap("unfinished")
    if set(dense["epochs"]) != set(small["epochs"]):
        yield Gap("recipes")
    settings = records.runs["settings"].iloc[0]
    guess = 1 / (json.loads(settings)["spec"]["num_classes"] if settings else 10)
    if dense["test_accuracy"].mean() <= CHANCE * guess:
        yield Gap("guess", {"accuracy": 100 * float(dense["test_accuracy"].mean()), "guess": 100 * guess})
    elif (rise := max(_rise(records, rows) for rows in (dense, small))) > SETTLED:
        yield Gap("unsettled", {"points": rise})
    if not pairs:
        yield Gap("no_pairs")
    elif pairs < ENOUGH_SEEDS:
        yield Gap("one_seed", {"count": pairs})
    if len(both[["device", "threads"]].drop_duplicates()) > 1:
        yield Gap("hardware")


def _rise(records: Records, rows: pd.DataFrame) -> float:
    """How much the accuracy, a mean over the seeds, rose in the last tenth of the epochs; all of it in a single one."""
    epochs = records.epochs[records.epochs["run"].isin(rows["run"])].dropna(subset=["test_accuracy"])
    course = 100 * epochs.groupby("epoch")["test_accuracy"].mean()
    if course.empty:  # a record without its course cannot be blamed
        return 0.0
    before = course.iloc[: -math.ceil(len(course) / 10)]
    return float(course.iloc[-1] - (before.iloc[-1] if len(before) else 0.0))
