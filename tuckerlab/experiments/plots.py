"""Pictures of run records: records in, a figure out; each headline is computed from the numbers.

Hollow are networks that were cut after training and not trained again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network, finding, front, networks_by, size_column, step_seconds
from tuckerlab.files import atomic_path
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import DPI, INK, QUIET, TEXT, Picture, colours, counts, styled, write_names
from tuckerlab.plotting.styles import label_name, look, method_name, ordered

NAMED = 6  # up to so many networks have their names beside their points
BELOW = 12.0  # points under the dense network where the picture ends
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least
CLOSE = 1.3  # costs within about this factor have one label at the lower edge
ABOVE = 0.4  # points over 100 %: room for a mark, and none for a number on the axis
FAR_APART = 5.0  # costs that differ by this factor stand on a logarithmic axis

COSTS = {
    "conv_parameters": N_("convolution parameters stored"),
    "parameters": N_("parameters stored"),
    "latency_1_ms": N_("time of one answer, ms"),
    "checkpoint_bytes": N_("file size"),
}


def accuracy_vs_costs(records: Records) -> Picture:
    """Test accuracy against size, time of an answer and file, as far as these were measured; DataError for none."""
    measured = {axis: networks_by(records, axis) for axis in (size_column(records), "latency_1_ms", "checkpoint_bytes")}
    found = {axis: networks for axis, networks in measured.items() if networks}
    _require(found, "test accuracies with sizes, times or files")
    figure = Picture(figsize=(2.2 + 4 * max(2, len(found)), 6.2))
    panels = dict(zip(found, np.atleast_1d(figure.subplots(1, len(found), sharey=True)), strict=True))
    everything = [network for networks in found.values() for network in networks]
    for axis, panel in panels.items():
        draw_networks(panel, found[axis], axis, accuracy_limits(everything))
        x = _(COSTS[axis])
        x = _("{axis} (logarithmic)", axis=x) if panel.get_xscale() == "log" else x
        styled(panel, x=x, y=_("test accuracy, %")).label_outer()
        if most := max(network.seeds for network in found[axis]) - 1:
            note = _("points: mean of {seeds} seeds; bars: worst to best", seeds=most + 1)
            panel.set_title(note, fontsize=TEXT, color=QUIET, loc="right")
    figure.legend(handles=legend(everything), loc="outside lower center", ncols=5, fontsize=TEXT, frameon=False)
    figure.headline(finding(records) or _("Test accuracy against costs"))
    for axis, networks in found.items():
        if len(networks) <= NAMED:
            write_names(panels[axis], [(label_name(n.name), n.size, n.accuracy, n.low, n.high) for n in networks])
    return figure


def draw_networks(axes: Axes, networks: Sequence[Network], axis: str, limits: tuple[float, float]) -> None:
    """Networks on axes of accuracy against one cost; grey steps join those that no other beats in both.

    Only of those with all seeds: the mean of the seeds that did not diverge would flatter. Whose accuracy is below the
    limits stands at the lower edge, with its accuracy above it.
    """
    lowest = limits[0]
    axes.set_ylim(*limits)
    least, most = min(network.size for network in networks), max(network.size for network in networks)
    if most > FAR_APART * least > 0:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.6, most * 1.6)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, 1.12 * most)
    written = EngFormatter(unit="B") if axis == "checkpoint_bytes" else counts()
    axes.xaxis.set_major_formatter("{x:g}" if axis.endswith("_ms") else written)  # no thousandths of milliseconds
    for network in networks:
        if network.method == "dense":
            axes.axhline(network.accuracy, color=INK, linewidth=1, linestyle=":")
        inside = network.accuracy > lowest
        # the mean of equal numbers may come out a rounding error beside them
        ends = [[max(0.0, network.accuracy - network.low)], [max(0.0, network.high - network.accuracy)]]
        axes.errorbar(
            network.size, network.accuracy if inside else lowest, ends if inside and network.seeds > 1 else None,
            **look(network.method).style, markersize=8, elinewidth=1, capsize=3, clip_on=inside, zorder=3,
        )  # fmt: skip
    below: dict[int, list[Network]] = {}  # those of nearly the same cost have one label
    for network in (network for network in networks if network.accuracy <= lowest):
        below.setdefault(round(np.log(network.size) / np.log(CLOSE)), []).append(network)
    for place, (_about, group) in enumerate(sorted(below.items())):
        axes.annotate(
            _("{accuracies} %", accuracies=", ".join(sorted(f"{network.accuracy:.0f}" for network in group))),
            (group[0].size, lowest), (0, 9 + 14 * (place % 2)), textcoords="offset points", ha="center",
            fontsize=TEXT, color=QUIET,
        )  # fmt: skip
    for method in dict.fromkeys(network.method for network in networks):
        own = sorted((n.size, n.accuracy) for n in networks if n.method == method and n.accuracy > lowest)
        axes.plot([x for x, _y in own], [y for _x, y in own], color=look(method).colour, linewidth=1, alpha=0.5)
    seeds = max(network.seeds for network in networks)
    best = [network for network in front(n for n in networks if n.seeds == seeds) if network.accuracy > lowest]
    axes.step([n.size for n in best], [n.accuracy for n in best], where="post", color=QUIET, linewidth=1.4, zorder=1)


def accuracy_limits(networks: Sequence[Network]) -> tuple[float, float]:
    """Limits of accuracy that do not blow up small differences, down to 12 points below the best dense network."""
    dense = [network.accuracy for network in networks if network.method == "dense"]
    low, high = min(network.low for network in networks), max(network.high for network in networks)
    low = max(low, (max(dense) if dense else high) - BELOW)
    room = max(0.1 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - room, min(high + room, 100 + ABOVE)


def legend(networks: Sequence[Network]) -> list[Line2D]:
    handles = [
        Line2D([], [], linestyle="", markersize=8, label=method_name(method), **look(method).style)
        for method in ordered({network.method for network in networks})
    ]
    return [*handles, Line2D([], [], color=QUIET, linewidth=1.4, label=_("no other is better in both"))]


def accuracy_over_time(records: Records) -> Picture:
    """Test accuracy against the time of training steps so far, or else the clock's; dotted the dense network's end."""
    times = step_seconds(records).fillna(records.epochs["seconds"])
    runs = records.runs.set_index("run").assign(name=records.names)
    epochs = records.epochs.assign(seconds=times, accuracy=100 * records.epochs["test_accuracy"])
    epochs = epochs.join(runs[["name", "method"]], on="run").dropna(subset=["seconds", "accuracy"])
    epochs = epochs[epochs["method"] != "nested"]  # of a training that is there once
    _require(len(epochs), "times of epochs")
    means = epochs.groupby(["name", "method", "epoch"], sort=False)[["seconds", "accuracy"]].mean().reset_index()
    ends = means.groupby("name", sort=False).last()
    dense = ends[ends["method"] == "dense"]
    minutes = means["seconds"].max() > 180
    figure = Picture(figsize=(9, 5.2))
    x = _("training time, minutes") if minutes else _("training time, seconds")
    axes = styled(figure.subplots(), x=x, y=_("test accuracy, %"))
    for name, colour in colours(ends.index, dense.index).items():
        curve = means[means["name"] == name]
        seconds = curve["seconds"] / (60 if minutes else 1)
        axes.plot(seconds, curve["accuracy"], "o-", markersize=4, linewidth=2, color=colour, label=label_name(name))
    for accuracy in dense["accuracy"]:
        axes.axhline(accuracy, color=INK, linewidth=1, linestyle=":")
    best = ends["accuracy"].max()
    axes.set_ylim(max(means["accuracy"].min(), best - 30), min(best + 2, 100 + ABOVE))
    axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=3, fontsize=TEXT, frameon=False)
    figure.headline(_race(means, ends, dense))
    return figure


def _race(means: pd.DataFrame, ends: pd.DataFrame, dense: pd.DataFrame) -> str:
    """Which Tucker network is as accurate as the dense one first, and when; or which comes nearest."""
    small = ends[ends["method"] == "tucker"]
    if len(dense) != 1 or small.empty:
        return _("Test accuracy against training time")
    goal, full = dense.iloc[0], label_name(dense.index[0])
    there = means[means["name"].isin(small.index) & (means["accuracy"] >= goal["accuracy"])]
    if not there.empty:
        first = there.sort_values("seconds").iloc[0]
        told = {"name": label_name(first["name"]), "dense": full, "share": 100 * first["seconds"] / goal["seconds"]}
        return _("{name} is as accurate as {dense} after {share:.0f} % of its training time", **told)
    nearest = small.sort_values("accuracy").iloc[-1]
    told = {"name": label_name(str(nearest.name)), "dense": full, "share": 100 * nearest["seconds"] / goal["seconds"]}
    told["points"] = goal["accuracy"] - nearest["accuracy"]
    return _("{name} ends {points:.1f} points behind {dense}, in {share:.0f} % of its training time", **told)


def ranks_over_time(records: Records) -> Picture:
    """How much of each mode every layer of the last run with ranks keeps, with the rank it ends with."""
    _require(len(records.ranks), "ranks")
    run = str(records.ranks["run"].iloc[-1])
    rows = records.ranks[records.ranks["run"] == run].sort_values("step", kind="stable")
    rows = rows.assign(kept=100 * rows["rank"] / rows["size"])
    grid = rows.pivot_table(index=["layer", "mode"], columns="epoch", values="kept", aggfunc="last", sort=False)
    figure = Picture(figsize=(9, 2 + 0.25 * len(grid)))
    axes = styled(figure.subplots(), x=_("epoch"), y="")
    shades = axes.pcolormesh(grid.to_numpy(), cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=0.6)
    axes.grid(visible=False)
    axes.invert_yaxis()
    modes = {0: _("output channels"), 1: _("input channels")}
    modes |= {mode: _("kernel, side {side}", side=mode - 1) for _layer, mode in grid.index if mode not in modes}
    last = rows.groupby(["layer", "mode"])[["rank", "size"]].last().loc[grid.index]
    said = [
        f"{layer}: {modes[mode]}, " + _("{rank:.0f} of {size:.0f}", rank=rank, size=size)
        for (layer, mode), (rank, size) in zip(grid.index, last.to_numpy(), strict=True)
    ]
    axes.set_yticks(np.arange(len(grid)) + 0.5, said)
    ticks = np.arange(0, grid.shape[1], -(-grid.shape[1] // 14))
    axes.set_xticks(ticks + 0.5, [str(epoch) for epoch in grid.columns[ticks]])
    figure.colorbar(shades, ax=axes, pad=0.02).set_label(_("rank, % of full"), fontsize=TEXT, color=INK)
    mean = rows.groupby("epoch")["kept"].mean()
    told = {"name": label_name(records.names[run]), "first": mean.iloc[0], "last": mean.iloc[-1]}
    figure.headline(_("{name}: mean rank {first:.0f} % → {last:.0f} % of full", **told))
    return figure


def figures(records: Records) -> dict[str, Picture]:
    """All figures that the records can fill, by name; DataError when that is none."""
    drawn = {}
    for draw in (accuracy_over_time, ranks_over_time, accuracy_vs_costs):
        try:
            drawn[draw.__name__] = draw(records)
        except DataError:
            continue
    _require(drawn, "epochs, ranks or test accuracies")
    return drawn


def save_figures(records: Records, folder: str | os.PathLike[str]) -> None:
    for name, figure in figures(records).items():
        with atomic_path(Path(folder) / f"{name}.png") as path:
            figure.savefig(path, format="png", dpi=DPI)


def _require(there: object, what: str) -> None:
    if not there:
        raise DataError(f"no {what} in these records: there is nothing to draw")
