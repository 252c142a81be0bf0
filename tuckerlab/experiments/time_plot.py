"""Who is as accurate as the full network, and when: accuracy against the time of training."""

import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import names
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, TEXT, Picture, colours, styled


def accuracy_over_time(records: Records) -> Picture:
    """Test accuracy against the time of the training so far, of several seeds the mean; dotted the dense network's end.

    Times are those of steps, so that what a machine did beside does not count: of the headline timed afterwards at the
    ranks of each epoch, else the median of each epoch. Where a record has none they are those of the clock. Raises
    DataError where there are no times, or less than two networks.
    """
    epochs = records.epochs.assign(name=records.epochs["run"].map(names(records)), seconds=training_seconds(records))
    epochs = epochs.dropna(subset=["seconds", "test_accuracy"])
    if epochs["name"].nunique() < 2:
        raise DataError("no times of two networks in these records: there is nothing to draw")
    seeds = epochs.assign(accuracy=100 * epochs["test_accuracy"]).groupby(["name", "epoch"], sort=False)
    curves = seeds[["seconds", "accuracy"]].mean().reset_index("epoch", drop=True)
    methods = dict(zip(names(records), records.runs["method"], strict=True))
    colour = colours(curves.index.unique(), {name for name in methods if methods[name] == "dense"})
    minutes = curves["seconds"].max() > 180
    unit = 60 if minutes else 1
    figure = Picture(figsize=(9, 5.2))
    x = _("training time, minutes") if minutes else _("training time, seconds")
    axes = styled(figure.subplots(), x=x, y=_("test accuracy, %"))
    ends = {}
    for name, curve in curves.groupby(level=0, sort=False):
        axes.plot(
            curve["seconds"] / unit, curve["accuracy"], "o-", markersize=4, linewidth=2, color=colour[str(name)],
            label=str(name),
        )  # fmt: skip
        ends[str(name)] = curve.iloc[-1]
    dense = [name for name in ends if methods[name] == "dense"]
    for reference in dense:
        axes.axhline(ends[reference]["accuracy"], color=INK, linewidth=1, linestyle=":")
    best = max(end["accuracy"] for end in ends.values())
    axes.set_ylim(max(curves["accuracy"].min(), best - 30), best + 2)
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=4, fontsize=TEXT, frameon=False)
    figure.headline(_race(curves, ends, dense, [name for name in ends if methods[name] == "tucker"]))
    return figure


def training_seconds(records: Records) -> "pd.Series[float]":
    """Seconds of training until the end of each row of `epochs`: of its steps, or of the clock where these lack."""
    epochs = records.epochs
    steps = epochs.groupby("run")["step"].diff().fillna(epochs["step"])
    of_steps = (steps * epochs["step_ms"] / 1e3).groupby(epochs["run"]).cumsum()
    known = epochs["step_ms"].notna().groupby(epochs["run"]).transform("all")
    return of_steps.where(known, epochs["seconds"])


def _race(curves: pd.DataFrame, ends: dict[str, "pd.Series[float]"], dense: list[str], small: list[str]) -> str:
    """Who is as accurate as the dense network, and when; or who comes nearest."""
    if len(dense) != 1 or not small:
        return _("Test accuracy against training time")
    goal = ends[dense[0]]
    shares = {}
    for name in small:
        there = curves.loc[[name]].query("accuracy >= @goal.accuracy")
        if len(there):
            shares[name] = 100 * float(there["seconds"].iloc[0] / goal["seconds"])
    if shares:
        first = min(shares, key=lambda name: shares[name])
        return _(
            "{name} is as accurate as {dense} after {share:.0f} % of its training time",
            name=first,
            dense=dense[0],
            share=shares[first],
        )
    nearest = max(small, key=lambda name: float(ends[name]["accuracy"]))
    found = {"points": goal["accuracy"] - ends[nearest]["accuracy"]}
    found["share"] = 100 * ends[nearest]["seconds"] / goal["seconds"]
    return _(
        "{name} ends {points:.1f} points behind {dense}, in {share:.0f} % of its training time",
        name=nearest,
        dense=dense[0],
        **found,
    )
