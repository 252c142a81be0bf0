"""How networks stand over their seeds: a table for people, one row a network."""

import textwrap
from collections.abc import Mapping

import pandas as pd
from rich import box
from rich.table import Column, Table

from tuckerlab.experiments.records import HEADS as OF_RECORDS, Records
from tuckerlab.experiments.summary import names
from tuckerlab.i18n import N_, _

COSTS = {"step_ms": 1.0, "train_seconds": 1.0, "checkpoint_bytes": 1e3}
"""What is shown of what a network costs, and the unit it is shown in."""

ALL_COSTS = {
    "gradient_evaluations": 1.0, "train_seconds": 1.0, "step_ms": 1.0, "latency_1_ms": 1.0, "latency_128_ms": 1.0,
    "checkpoint_bytes": 1e3,
}  # fmt: skip
"""What a comparison of methods shows."""

IN_BRIEF = ("latency_1_ms", "latency_128_ms", "checkpoint_bytes")
"""What of it a terminal has room for: the budget is the same for all."""


HEADS = OF_RECORDS | {
    "seeds": N_("seeds"),
    "range": N_("worst to best"),
    "against_dense": N_("against dense"),
    "gradient_evaluations": N_("gradients"),
    "step_ms": N_("step, ms"),
    "latency_1_ms": N_("answer, ms"),
    "latency_128_ms": N_("128 answers, ms"),
}


def standings(records: Records, *, brief: bool = False, costs: Mapping[str, float] = COSTS) -> pd.DataFrame:
    """Mean and range of the test accuracy, the distance to the dense network, and what each network costs (means).

    Rounded, with units; what no run has measured is left out. Times and sizes have the ratio to the dense network
    beside them, where there is one; `brief`: in their place.
    """
    return _cells(records, brief, costs).rename(columns=lambda column: _(HEADS[column]))


def _cells(records: Records, brief: bool, costs: Mapping[str, float]) -> pd.DataFrame:
    runs = records.runs.assign(name=names(records).to_numpy()).dropna(subset=["test_accuracy"])
    groups = {str(name): rows for name, rows in runs.groupby("name", sort=False)}
    dense = {rows["dataset"].iloc[0]: rows for rows in groups.values() if rows["method"].iloc[0] == "dense"}
    rows = {name: _row(group, dense.get(group["dataset"].iloc[0]), brief, costs) for name, group in groups.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return table.loc[:, [(table[column] != "").any() for column in table]]


def _row(group: pd.DataFrame, dense: pd.DataFrame | None, brief: bool, costs: Mapping[str, float]) -> dict[str, str]:
    accuracy = 100 * group["test_accuracy"]
    row = {"test_accuracy": f"{accuracy.mean():.2f}", "seeds": str(len(group))}
    row["range"] = f"{accuracy.min():.2f}–{accuracy.max():.2f}" if len(group) > 1 else ""
    row["against_dense"] = ""
    if dense is not None and dense is not group:
        row["against_dense"] = f"{accuracy.mean() - 100 * dense['test_accuracy'].mean():+.2f}".replace("-", "−")
    for column in ("conv_compression", "compression"):
        rate = group[column].mean()
        row[column] = "" if pd.isna(rate) else f"{100 * rate:.1f}"
    for column, unit in costs.items():
        value = group[column].mean()
        if not pd.isna(value):
            row[column] = _three_digits(value / unit)
            if dense is not None and dense is not group:
                ratio = f"{value / dense[column].mean():.2f}×"
                row[column] = ratio if brief else f"{row[column]} ({ratio})"
    return row


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rich_standings(records: Records, costs: Mapping[str, float] = COSTS) -> Table:
    """The table for a terminal."""
    table = _cells(records, brief=True, costs=costs)
    seeds = ", ".join(sorted(set(table.pop("seeds")))) if len(table) else ""
    corner = _("seeds:\n{seeds}", seeds=seeds)
    shown = Table(Column(corner, no_wrap=True), box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in table.columns:
        shown.add_column(textwrap.fill(_(HEADS[column]), 7, break_long_words=False), justify="right", no_wrap=True)
    for name, *cells in table.itertuples():
        shown.add_row(str(name), *cells)
    return shown
