"""Pictures of run records: records in, a figure out; each headline is computed from the numbers."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from tuckerlab.errors import DataError
from tuckerlab.experiments.cost_plots import ABOVE, accuracy_vs_costs
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import names, step_seconds
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import DPI, INK, TEXT, Picture, colours, styled


def accuracy_over_time(records: Records) -> Picture:
    """Test accuracy against the time of the training so far, of several seeds the mean; dotted the dense network's end.

    Times are those of steps, so that what a machine did beside does not count: of poc and the headline timed afterwards
    at the ranks of each epoch, else the median of each epoch. Where a record has none they are those of the clock.
    Raises DataError where there are no times.
    """
    times = step_seconds(records).fillna(records.epochs["seconds"])
    epochs = records.epochs.assign(name=records.epochs["run"].map(names(records)), seconds=times)
    epochs = epochs.dropna(subset=["seconds", "test_accuracy"])
    _require(not epochs.empty, "times of epochs")
    seeds = epochs.assign(accuracy=100 * epochs["test_accuracy"]).groupby(["name", "epoch"], sort=False)
    means = seeds[["seconds", "accuracy"]].mean().reset_index("epoch", drop=True)
    curves = {str(name): curve for name, curve in means.groupby(level=0, sort=False)}
    ends = {name: curve.iloc[-1] for name, curve in curves.items()}
    methods = dict(zip(names(records), records.runs["method"], strict=True))
    dense = [name for name in ends if methods[name] == "dense"]
    minutes = means["seconds"].max() > 180
    figure = Picture(figsize=(9, 5.2))
    x = _("training time, minutes") if minutes else _("training time, seconds")
    axes = styled(figure.subplots(), x=x, y=_("test accuracy, %"))
    colour = colours(curves, dense)
    for name, curve in curves.items():
        times = curve["seconds"] / (60 if minutes else 1)
        axes.plot(times, curve["accuracy"], "o-", markersize=4, linewidth=2, color=colour[name], label=name)
    for name in dense:
        axes.axhline(ends[name]["accuracy"], color=INK, linewidth=1, linestyle=":")
    best = max(end["accuracy"] for end in ends.values())
    axes.set_ylim(max(means["accuracy"].min(), best - 30), min(best + 2, 100 + ABOVE))
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    figure.headline(_race(curves, ends, dense, [name for name in ends if methods[name] == "tucker"]))
    return figure


def _race(
    curves: dict[str, pd.DataFrame], ends: dict[str, "pd.Series[float]"], dense: list[str], small: list[str]
) -> str:
    """Who is as accurate as the dense network, and when; or who comes nearest."""
    if len(dense) != 1 or not small:
        return _("Test accuracy against training time")
    [full] = dense
    goal = ends[full]
    there = {name: curves[name].loc[curves[name]["accuracy"] >= goal["accuracy"], "seconds"] for name in small}
    if first := min((name for name in small if len(there[name])), key=lambda name: there[name].iloc[0], default=""):
        share = 100 * there[first].iloc[0] / goal["seconds"]
        return _(
            "{name} is as accurate as {dense} after {share:.0f} % of its training time",
            name=first,
            dense=full,
            share=share,
        )
    nearest = max(small, key=lambda name: float(ends[name]["accuracy"]))
    return _(
        "{name} ends {points:.1f} points behind {dense}, in {share:.0f} % of its training time",
        name=nearest,
        dense=full,
        points=goal["accuracy"] - ends[nearest]["accuracy"],
        share=100 * ends[nearest]["seconds"] / goal["seconds"],
    )


def ranks_over_time(records: Records) -> Picture:
    """How much of each mode every layer of the last run with ranks keeps; right of each row, the rank it ends with.

    Raises DataError when there is none.
    """
    _require(not records.ranks.empty, "ranks")
    run = str(records.ranks["run"].iloc[-1])
    rows = records.ranks[records.ranks["run"] == run].sort_values("step", kind="stable")
    rows = rows.assign(kept=100 * rows["rank"] / rows["size"])
    grid = rows.pivot_table(index=["layer", "mode"], columns="epoch", values="kept", aggfunc="last", sort=False)
    figure = Picture(figsize=(9, 2 + 0.25 * len(grid)))
    axes = styled(figure.subplots(), x=_("epoch"), y="")
    shades = axes.pcolormesh(grid.to_numpy(), cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=0.6)
    axes.grid(visible=False)
    axes.invert_yaxis()
    places = np.arange(len(grid)) + 0.5
    channels = {0: _("output channels"), 1: _("input channels")}
    modes = [channels.get(mode) or _("kernel, side {side}", side=mode - 1) for _layer, mode in grid.index]
    axes.set_yticks(places, [f"{layer}: {said}" for (layer, _mode), said in zip(grid.index, modes, strict=True)])
    ticks = np.arange(0, grid.shape[1], -(-grid.shape[1] // 14))
    axes.set_xticks(ticks + 0.5, [str(epoch) for epoch in grid.columns[ticks]])
    last = rows.groupby(["layer", "mode"])[["rank", "size"]].last().loc[grid.index]
    right = axes.secondary_yaxis("right")
    right.set_yticks(places, [_("{rank:.0f} of {size:.0f}", rank=rank, size=size) for rank, size in last.to_numpy()])
    right.tick_params(length=0, labelsize=TEXT, labelcolor=INK)
    figure.colorbar(shades, ax=axes, pad=0.02).set_label(_("rank, % of full"), fontsize=TEXT, color=INK)
    mean = rows.groupby("epoch")["kept"].mean()
    said = {"name": names(records)[run], "first": mean.iloc[0], "last": mean.iloc[-1]}
    figure.headline(_("{name}: mean rank {first:.0f} % → {last:.0f} % of full", **said))
    return figure


DRAWN = (accuracy_over_time, ranks_over_time, accuracy_vs_costs)


def figures(records: Records) -> dict[str, Picture]:
    """All figures that the records can fill, by name: a dense network has no ranks, for example.

    Raises DataError when that is none of them.
    """
    drawn = {}
    for draw in DRAWN:
        try:
            drawn[draw.__name__] = draw(records)
        except DataError:
            continue
    _require(bool(drawn), "epochs, ranks or test accuracies")
    return drawn


def save_figures(records: Records, folder: str | os.PathLike[str]) -> list[Path]:
    """Write `figures(records)` into `folder` as PNG files, and return their paths."""
    paths = []
    for name, figure in figures(records).items():
        paths.append(Path(folder) / f"{name}.png")
        with atomic_path(paths[-1]) as path:
            figure.savefig(path, format="png", dpi=DPI)
    return paths


def _require(there: bool, what: str) -> None:
    if not there:
        raise DataError(f"no {what} in these records: there is nothing to draw")
