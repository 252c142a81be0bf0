"""Pictures of run records: records in, a figure out; each headline is computed from the numbers."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tuckerlab.errors import DataError
from tuckerlab.experiments.cost_plots import NAMED, accuracy_vs_parameters
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding, names
from tuckerlab.experiments.time_plot import accuracy_over_time
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _
from tuckerlab.plotting.figure import DPI, INK, QUIET, TEXT, Picture, colours, styled


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
    for axes, quantity, scale, unit in ((left, "accuracy", 100, _("accuracy, %")), (right, "loss", 1, _("loss"))):
        styled(axes, x=_("epoch"), y=unit)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for network, rows in epochs.groupby("name", sort=False):
            for split, style in styles.items():
                seeds = (scale * rows.set_index("epoch")[f"{split}_{quantity}"]).dropna().groupby("epoch")
                mean, look = seeds.mean(), {"color": colour[str(network)]}
                axes.plot(mean.index, mean, style, linewidth=2, marker="o" if len(mean) == 1 else "", **look)
                if split == "test" and name.duplicated().any():
                    axes.fill_between(mean.index, seeds.min(), seeds.max(), alpha=0.2, linewidth=0, **look)
    handles = [Line2D([], [], color=c, linewidth=5, label=label) for label, c in colour.items()]
    test = _("test, worst to best seed shaded") if name.duplicated().any() else _("test")
    for split, style in styles.items():
        handles += axes.plot([], [], style, color=QUIET, label=test if split == "test" else _("train"))
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
        channels = {0: _("output channels"), 1: _("input channels")}
        title = channels.get(mode) or _("kernel, side {side}", side=mode - 1)
        _rank_map(axes, rows[rows["mode"] == mode], layers, title)
    bar = figure.colorbar(panels[0].collections[0], ax=panels, shrink=0.8, pad=0.02)
    bar.set_label(_("rank, % of full"), fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=TEXT, labelcolor=INK)
    mean = rows.groupby("epoch")["kept"].mean()
    kept = rows.groupby(["layer", "mode"])["kept"].last().groupby("layer").mean()
    said = {"name": names(records)[run], "first": mean.iloc[0], "last": mean.iloc[-1]}
    said |= {"most": kept.max(), "most_layer": kept.idxmax(), "least": kept.min(), "least_layer": kept.idxmin()}
    several = _(
        "{name}: mean rank {first:.0f} % → {last:.0f} % of full; {most_layer} keeps most ({most:.0f} %), {least_layer} "
        "least ({least:.0f} %)",
        **said,
    )
    alone = _("{name}: mean rank {first:.0f} % → {last:.0f} % of full", **said)
    figure.headline(several if len(layers) > 1 else alone)
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
