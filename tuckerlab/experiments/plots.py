"""Pictures of run records: records in, a figure out, nothing read or kept elsewhere.

>>> training_curves(Records())
Traceback (most recent call last):
    ...
tuckerlab.errors.DataError: no epochs in these records: there is nothing to draw

Each headline says what the numbers say; it is computed from them.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from tuckerlab.errors import DataError
from tuckerlab.experiments.pareto import front
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network, finding, names, networks
from tuckerlab.experiments.time_plot import accuracy_over_time
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _, text
from tuckerlab.plotting.figure import DPI, INK, QUIET, TEXT, Picture, colours, styled

NAMED = 6
"""Up to this many networks a picture tells apart one by one."""


def training_curves(records: Records) -> Picture:
    """Accuracy and loss per epoch, test solid and training dashed; of several seeds the mean, test as a band.

    More than six networks show their test curves alone.

    Raises DataError when there are no epochs.
    """
    _require(not records.epochs.empty, "epochs")
    name = names(records)
    colour = colours(name.unique(), set(name[(records.runs["method"] == "dense").to_numpy()]))
    epochs = records.epochs.assign(name=records.epochs["run"].map(name))
    styles = {"test": "-", "train": "--"} if len(colour) <= NAMED else {"test": "-"}
    figure = Picture(figsize=(10, 4.6))
    left, right = figure.subplots(1, 2)
    for axes, quantity, scale in ((left, "accuracy", 100), (right, "loss", 1)):
        styled(axes, x=_("epoch"), y=text(f"plots.{quantity}"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for network, rows in epochs.groupby("name", sort=False):
            for split, style in styles.items():
                seeds = (scale * rows.set_index("epoch")[f"{split}_{quantity}"]).dropna().groupby("epoch")
                mean, look = seeds.mean(), {"color": colour[str(network)]}
                axes.plot(mean.index, mean, style, linewidth=2, marker="o" if len(mean) == 1 else "", **look)
                if split == "test" and name.duplicated().any():
                    axes.fill_between(mean.index, seeds.min(), seeds.max(), alpha=0.2, linewidth=0, **look)
    handles = [Line2D([], [], color=c, linewidth=5, label=label) for label, c in colour.items()]
    for split, style in styles.items():
        banded = split == "test" and name.duplicated().any()
        handles += axes.plot([], [], style, color=QUIET, label=text("plots.test_band" if banded else f"plots.{split}"))
    columns = min(len(handles), 5)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=TEXT, frameon=False)
    figure.headline(finding(records) or _("Accuracy and loss per epoch"))
    return figure


def ranks_over_time(records: Records, run: str | None = None) -> Picture:
    """How much of each mode every layer keeps, epoch by epoch; right of each row, the rank it ends with.

    `run` is the run to show, without it the last one with ranks. Raises DataError when there is none.
    """
    _require(not records.ranks.empty, "ranks")
    run = run or str(records.ranks["run"].iloc[-1])
    rows = records.ranks[records.ranks["run"] == run].sort_values("step", kind="stable")
    if rows.empty:
        raise DataError(f"no ranks of run {run!r}; those of {', '.join(records.ranks['run'].unique())} are here")
    rows = rows.assign(kept=100 * rows["rank"] / rows["size"])
    layers, modes = list(rows["layer"].unique()), sorted(rows["mode"].unique())
    figure = Picture(figsize=(3.2 + 3.6 * len(modes), 2.2 + 0.3 * len(layers)))
    panels = np.atleast_1d(figure.subplots(1, len(modes), sharey=True))
    for axes, mode in zip(panels, modes, strict=True):
        title = text(f"plots.mode.{mode}") if mode < 2 else _("kernel, side {side}", side=mode - 1)
        _rank_map(axes, rows[rows["mode"] == mode], layers, title)
    bar = figure.colorbar(panels[0].collections[0], ax=panels, shrink=0.8, pad=0.02)
    bar.set_label(_("rank, % of full"), fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=TEXT, labelcolor=INK)
    mean = rows.groupby("epoch")["kept"].mean()
    kept = rows.groupby(["layer", "mode"])["kept"].last().groupby("layer").mean()
    said = {"name": names(records)[run], "first": mean.iloc[0], "last": mean.iloc[-1]}
    if len(layers) > 1:
        said |= {"most": kept.max(), "most_layer": kept.idxmax(), "least": kept.min(), "least_layer": kept.idxmin()}
    figure.headline(text("plots.ranks_of_layers" if len(layers) > 1 else "plots.ranks", **said))
    return figure


def _rank_map(axes: Axes, rows: pd.DataFrame, layers: list[str], title: str) -> None:
    grid = rows.pivot_table(index="layer", columns="epoch", values="kept", aggfunc="last").reindex(layers)
    axes.pcolormesh(grid.to_numpy(), cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=0.6)
    styled(axes, x=_("epoch"), y="", title=title).grid(visible=False)
    places = np.arange(len(layers)) + 0.5
    axes.set_yticks(places, layers)
    axes.set_ylim(len(layers), 0)
    ticks = np.arange(0, grid.shape[1], -(-grid.shape[1] // 7))
    axes.set_xticks(ticks + 0.5, [str(epoch) for epoch in grid.columns[ticks]])
    last = rows.groupby("layer")[["rank", "size"]].last().reindex(layers).to_numpy(dtype=float)
    right = axes.secondary_yaxis("right")
    ends = ["" if np.isnan(rank) else _("{rank:.0f} of {size:.0f}", rank=rank, size=size) for rank, size in last]
    right.set_yticks(places, ends)
    right.tick_params(length=0, labelsize=TEXT, labelcolor=INK)
    right.spines["right"].set_visible(False)


def accuracy_vs_parameters(records: Records) -> Picture:
    """Test accuracy against parameters stored: a point a network, its bar from the worst seed to the best.

    Convolution parameters, or all of them when a network has no convolution. Grey steps join the networks
    that no other beats in both. More than six networks are coloured by method.

    Raises DataError when no run has an accuracy.
    """
    found, counted = networks(records)
    _require(bool(found), "test accuracies")
    figure = Picture(figsize=(9, 5.2))
    axes = styled(
        figure.subplots(), x=_("{parameters} stored (log scale)", parameters=counted), y=_("test accuracy, %")
    )
    few = len(found) <= NAMED
    group = {network.name: network.name if few else network.method for network in found}
    dense = [network for network in found if network.method == "dense"]
    colour = colours(dict.fromkeys(group.values()), {group[network.name] for network in dense})
    for network in found:
        # the mean of equal numbers may come out a rounding error beside them
        bar = [[max(0.0, network.accuracy - network.low)], [max(0.0, network.high - network.accuracy)]]
        axes.errorbar(
            network.size,
            network.accuracy,
            bar if network.seeds > 1 else None,
            color=colour[group[network.name]],
            marker="D" if network in dense else "o",
            markersize=9,
            capsize=5,
            zorder=3,
        )
    for network in dense:
        axes.axhline(network.accuracy, color=INK, linewidth=1, linestyle=":")
    if len(found) > 2:
        best = front(found)
        axes.step([n.size for n in best], [n.accuracy for n in best], where="post", color=QUIET, linewidth=1, zorder=1)
    if few:
        _write_names(axes, found)
    else:
        handles = [
            Line2D([], [], color=c, marker="D" if name == "dense" else "o", linestyle="", label=name)
            for name, c in colour.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=TEXT, frameon=False)
    _frame(axes, found)
    figure.headline(finding(records) or _("Test accuracy against parameters"))
    return figure


def _write_names(axes: Axes, found: list[Network]) -> None:
    """Each network's name beside its point, on the side towards the middle; below it where another is close above."""
    middle = np.sqrt(min(network.size for network in found) * max(network.size for network in found))
    span = max(network.high for network in found) - min(network.low for network in found)
    ordered = sorted(found, key=lambda network: -network.accuracy)
    for i, network in enumerate(ordered):
        side = 1 if network.size < middle else -1
        crowded = any(
            above.accuracy - network.accuracy < 0.15 * max(span, 2) and 0.4 < above.size / network.size < 2.5
            for above in ordered[:i]
        )
        axes.annotate(
            network.name,
            (network.size, network.accuracy),
            (10 * side, -20 if crowded else 8),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            fontsize=TEXT,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    seeds = max(network.seeds for network in found)
    if seeds > 1:
        note = _("points: mean of {seeds} seeds; bars: worst to best", seeds=seeds)
        axes.text(0.99, 0.02, note, transform=axes.transAxes, ha="right", fontsize=TEXT, color=QUIET)


def _frame(axes: Axes, found: list[Network]) -> None:
    """Limits that do not blow up small differences, sizes as 20k and 1M, and compression rates above."""
    low, high = min(network.low for network in found), max(network.high for network in found)
    room = max(0.2 * (high - low), 2 - (high - low) / 2)
    axes.set_ylim(low - room, min(high + room, max(100.2, high + 0.1)))  # nobody is right more often than always
    axes.set_xscale("log")
    left = min(network.size for network in found) / 1.6
    right = max(network.size for network in found) * 1.6
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    if len({round(network.full) for network in found}) > 1:  # no common scale of compression
        return
    rates = np.array([0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999])
    sizes = found[0].full * (1 - rates)
    near = (sizes >= left) & (sizes <= right)
    top = axes.secondary_xaxis("top")
    top.set_xticks(sizes[near], [_("{rate:g} %", rate=100 * rate) for rate in rates[near]])
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel(_("compression rate"), fontsize=TEXT, color=INK)
    top.tick_params(labelsize=TEXT, color=QUIET, labelcolor=INK)
    top.spines["top"].set_color(QUIET)


def figures(records: Records) -> dict[str, Picture]:
    """All figures that the records can fill, by name: a dense network has no ranks, for example.

    Raises DataError when that is none of them.
    """
    drawn = {}
    for draw in (training_curves, accuracy_over_time, ranks_over_time, accuracy_vs_parameters):
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
