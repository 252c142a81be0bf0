"""How networks stand over their seeds: a table for people, one row a network.

>>> from tuckerlab import recorded
>>> list(standings(recorded("accuracy-digits-vgg_small").records).index)
['dense', 'Tucker 90 %']
"""

import pandas as pd
from rich import box
from rich.table import Column, Table

from tuckerlab.finding import names
from tuckerlab.record import Records

HEADERS = {  # short enough for all of them in a terminal
    "test accuracy, %": "test\nacc., %",
    "worst to best": "worst to\nbest",
    "against dense": "against\ndense",
    "c.r. conv, %": "c.r.\nconv, %",
    "c.r. all, %": "c.r.\nall, %",
    "step, ms": "step,\nms",
    "training, s": "train,\ns",
    "file, kB": "file,\nkB",
}


def standings(records: Records, *, brief: bool = False) -> pd.DataFrame:
    """Mean and range of the test accuracy, the distance to the dense network, and what each network costs (means).

    >>> standings(Records()).empty
    True

    Rounded, with units; what no run has measured is left out. Times and sizes have the ratio to the dense network
    beside them, where there is one; `brief`: in their place.
    """
    runs = records.runs.assign(name=names(records).to_numpy()).dropna(subset=["test_accuracy"])
    groups = {str(name): rows for name, rows in runs.groupby("name", sort=False)}
    dense = {rows["dataset"].iloc[0]: rows for rows in groups.values() if rows["method"].iloc[0] == "dense"}
    rows = {name: _row(group, dense.get(group["dataset"].iloc[0]), brief) for name, group in groups.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return table.loc[:, [(table[column] != "").any() for column in table]]


def _row(group: pd.DataFrame, dense: pd.DataFrame | None, brief: bool) -> dict[str, str]:
    accuracy = 100 * group["test_accuracy"]
    row = {"test accuracy, %": f"{accuracy.mean():.2f}", "seeds": str(len(group))}
    row["worst to best"] = f"{accuracy.min():.2f}–{accuracy.max():.2f}" if len(group) > 1 else ""
    row["against dense"] = ""
    if dense is not None and dense is not group:
        row["against dense"] = f"{accuracy.mean() - 100 * dense['test_accuracy'].mean():+.2f}".replace("-", "−")
    for kind in ("conv", "all"):
        rate = group["conv_compression" if kind == "conv" else "compression"].mean()
        row[f"c.r. {kind}, %"] = "" if pd.isna(rate) else f"{100 * rate:.1f}"
    costs = {"step_ms": ("step, ms", 1.0), "train_seconds": ("training, s", 1.0), "checkpoint_bytes": ("file, kB", 1e3)}
    for column, (title, unit) in costs.items():
        value = group[column].mean()
        if not pd.isna(value):
            row[title] = _three_digits(value / unit)
            if dense is not None and dense is not group:
                ratio = f"{value / dense[column].mean():.2f}×"
                row[title] = ratio if brief else f"{row[title]} ({ratio})"
    return row


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rich_standings(records: Records) -> Table:
    """The table for a terminal.

    >>> rich_standings(Records()).row_count
    0
    """
    table = standings(records, brief=True)
    seeds = ", ".join(sorted(set(table.pop("seeds")))) if len(table) else ""
    shown = Table(Column(f"seeds:\n{seeds}", no_wrap=True), box=box.SIMPLE_HEAD, padding=0)
    for column in table.columns:
        shown.add_column(HEADERS.get(column, column), justify="right", no_wrap=True)
    for name, *cells in table.itertuples():
        shown.add_row(str(name), *cells)
    return shown
