"""How networks stand: the table for people, with means over the seeds and ratios to the dense network."""

import textwrap
from typing import Any

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Column, Table

from tuckerlab.experiments.class_accuracy import class_accuracies, is_unbalanced
from tuckerlab.experiments.records import Records, memory_bytes
from tuckerlab.experiments.summary import size_column, step_seconds
from tuckerlab.files import file_size
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.styles import label_name

COSTS = {  # what people call them, and the unit they are shown in; a file says its own
    "conv_parameters": (N_("conv parameters"), 1.0),
    "parameters": (N_("all parameters"), 1.0),
    "multiply_adds": (N_("multiply-adds, M"), 1e6),
    "gradient_evaluations": (N_("gradients"), 1.0),
    "train_seconds": (N_("training, s"), 1.0),
    "step_ms": (N_("step, ms"), 1.0),
    "latency_1_ms": (N_("answer, ms"), 1.0),
    "latency_128_ms": (N_("128 answers, ms"), 1.0),
    "memory_bytes": (N_("training memory, MB"), 1e6),
    "memory_peak_bytes": (N_("peak on the GPU, MB"), 1e6),
    "checkpoint_bytes": (N_("file"), 1.0),
}
IN_BRIEF = ("step_ms", "latency_1_ms", "latency_128_ms", "checkpoint_bytes")
SIDE_BY_SIDE = 4  # networks; where there are more, they have rows, and there is room for costs in brief

HEADS = {column: head for column, (head, _unit) in COSTS.items()} | {
    "test_accuracy": N_("test accuracy, %"),
    "balanced_accuracy": N_("balanced accuracy, %"),
    "seeds": N_("seeds"),
    "range": N_("worst to best"),
    "against_dense": N_("against dense"),
    "conv_compression": N_("c.r. conv, %"),
    "compression": N_("c.r. all, %"),
}


def standings(records: Records) -> pd.DataFrame:
    """Means of each network: a column each while there are few, of two with what changes; else a row each."""
    table = _cells(records, "{ratio} ({value})")
    if is_long := len(table) > SIDE_BY_SIDE:
        table = _cells(records, "{ratio}")
        corner = _("seeds:\n{seeds}", seeds=", ".join(sorted(set(table.pop("seeds")))))
        table = table.rename_axis(columns=corner)
    elif len(table) == 2 and "against_dense" in table:
        small = table.index[table["against_dense"] != ""][0]
        table, changed = _cells(records, "{value}"), _cells(records, "{change}").loc[small]
        change = changed.where(changed != table.loc[small], "")
        change["test_accuracy"] = _("{points} points", points=changed["against_dense"])
        table = pd.concat([change.to_frame(_("change")).T, table]).drop(columns="against_dense")
    table = table.rename(index=label_name, columns=lambda column: _(HEADS[column]))
    return table if is_long else table.T


def rich_standings(records: Records) -> Table:
    """The table for a terminal: a column for each network while there are few, else a row with ratios alone."""
    table = standings(records)
    is_long, corner = table.columns.name is not None, str(table.columns.name or "")
    heads = [textwrap.fill(name, 7, break_long_words=False) if is_long else name for name in map(str, table)]
    columns = [Column(head, justify="right", no_wrap=is_long) for head in heads]
    layout: dict[str, Any] = {"padding": 0, "show_edge": False} if is_long else {}
    shown = Table(Column(corner, no_wrap=is_long), *columns, box=box.SIMPLE_HEAD, **layout)
    for name, *cells in table.itertuples():
        shown.add_row(escape(str(name)), *cells)
    return shown


def _cells(records: Records, form: str) -> pd.DataFrame:
    """A row for each network; `form` is that of a cost beside the dense network's."""
    runs = records.runs.assign(name=records.names.to_numpy(), memory_bytes=memory_bytes(records.runs))
    of_steps = runs["run"].map(step_seconds(records).groupby(records.epochs["run"]).last())  # as pictures show it
    runs["train_seconds"] = of_steps.fillna(runs["train_seconds"])
    groups = {str(name): rows for name, rows in runs.dropna(subset="test_accuracy").groupby("name", sort=False)}
    dense = {rows["dataset"].iloc[0]: name for name, rows in groups.items() if rows["method"].iloc[0] == "dense"}
    rows = {}
    for name, group in groups.items():
        full = dense.get(group["dataset"].iloc[0], name)
        rows[name] = _row(group, None if full == name else groups[full], form)
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    if form == "{ratio}":
        table.pop("compression" if size_column(records) == "conv_parameters" else "conv_compression")
    return table.loc[:, [(table[column] != "").any() for column in table]]


def _row(group: pd.DataFrame, full: pd.DataFrame | None, form: str) -> dict[str, str]:
    accuracy = 100 * group["test_accuracy"]
    row = {"test_accuracy": f"{accuracy.mean():.2f}", "seeds": str(len(group))}
    row["range"] = f"{accuracy.min():.2f}–{accuracy.max():.2f}" if len(group) > 1 else ""
    change = None if full is None else accuracy.mean() - 100 * full["test_accuracy"].mean()
    row["against_dense"] = "" if change is None else f"{change:+.2f}".replace("-", "−")
    if is_unbalanced(group):
        row["balanced_accuracy"] = f"{class_accuracies(group).mean():.2f}"
    for column in ("conv_compression", "compression"):
        row[column] = "" if pd.isna(rate := group[column].mean()) else f"{100 * rate:.1f}"
    for column in IN_BRIEF if form == "{ratio}" else COSTS:
        if not pd.isna(value := group[column].mean()):
            row[column] = _said(column, value)
            if full is not None and (reference := full[column].mean()) > 0:
                ratio = value / reference
                row[column] = form.format(value=row[column], ratio=f"{ratio:.2f}×", change=_change(ratio))
    return row


def _change(ratio: float) -> str:
    times = f"{max(ratio, 1 / ratio):.2g}" if 0.1 < ratio < 10 else f"{max(ratio, 1 / ratio):.0f}"
    if times == "1":
        return _("the same")
    return _("{times}× less", times=times) if ratio < 1 else _("{times}× more", times=times)


def _said(column: str, value: float) -> str:
    if column == "checkpoint_bytes":
        return file_size(value)
    value /= COSTS[column][1]
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
