"""Pictures of an audit: its tables and maps in, a figure out, with a headline that the numbers make."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tuckerlab.data import ImageData
from tuckerlab.experiments.audit.answers import Floats, corruption
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

CLASSES, FLIPS, COLUMNS, NAME = 20, 8, 4, 16
NETWORKS = {"dense": N_("dense"), "compressed": N_("compressed")}
LOOKS = {
    "dense": {"color": INK, "marker": "o", "linestyle": "--"},
    "compressed": {"color": PALETTE[0], "marker": "s", "linestyle": "-"},
}
STRENGTHS = {"noise": N_("noise, standard deviation in pixel values"), "blur": N_("blur, standard deviation in pixels")}


def class_changes(per_class: pd.DataFrame) -> Picture:
    """The change in accuracy of each class with its 95 % interval; of many classes those that lose most."""
    rows = per_class.head(CLASSES)
    figure = Picture(figsize=(8.5, 2.1 + 0.36 * len(rows)))
    axes = styled(figure.subplots(), x=_("change in accuracy, points (bar: 95 % interval)"), y="")
    colours = np.select([rows["high"] < 0, rows["low"] > 0], PALETTE[1:3], QUIET).tolist()
    axes.hlines(range(len(rows)), rows["low"], rows["high"], colors=colours, linewidth=2.5)
    axes.scatter(rows["change"], range(len(rows)), color=colours, s=64, zorder=3)
    axes.axvline(0, color=INK, linewidth=1)
    names = [_("{name} ({count:,.0f} images)", name=name, count=count) for name, count in rows["count"].items()]
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    figure.headline(_(
        "The worst class, {name}, changes by {change:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}); {beyond} "
        "of {classes} changes are beyond their own 95 % interval",
        name=rows.index[0], beyond=sum(colour != QUIET for colour in colours), classes=len(rows), **rows.iloc[0],
    ))  # fmt: skip
    return figure


def robustness_curves(robustness: pd.DataFrame) -> Picture:
    """Accuracy of both networks against the strength of noise and of blur."""
    kinds = robustness["kind"].unique()
    figure = Picture(figsize=(5 * len(kinds) + 1, 4.4))
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        rows = robustness[robustness["kind"] == kind]
        styled(axes, x=_(STRENGTHS[kind]), y=_("test accuracy, %") if axes is panels[0] else "")
        for network, look in LOOKS.items():
            axes.plot(rows["strength"], rows[network], linewidth=2, label=_(NETWORKS[network]), **look)
        axes.set_xticks(rows["strength"], [f"{strength:g}" for strength in rows["strength"]])
    handles = panels[0].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    worst = robustness[robustness["strength"] > 0].sort_values("change", kind="stable").iloc[0]
    figure.headline(_(
        "Worst under {detail}: the compressed network differs from the dense one by {change:+.1f} points (95 % "
        "interval {low:+.1f} to {high:+.1f})",
        detail=corruption(worst), **{name: worst[name] for name in ("change", "low", "high")},
    ))  # fmt: skip
    return figure


def worst_flips(flips: pd.DataFrame, data: ImageData, gained: int) -> Picture:
    """The surest of the answers that went from right to wrong, each with both answers and their confidence."""
    rows = flips.head(FLIPS).replace(f"^(.{{{NAME - 1}}}).{{2,}}", r"\1…", regex=True)  # names that fit over a picture
    deep = -(-len(rows) // COLUMNS)
    columns = -(-len(rows) // deep)
    figure = Picture(figsize=(max(2.6 * columns, 6.5), 0.9 + 3.2 * deep))
    panels = figure.subplots(deep, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, row in zip(panels, rows.to_dict("records"), strict=False):
        _show(axes, data, row["index"])
        said = _(
            "is: {label}\ndense: {dense_answer} ({dense_confidence:.0f} %)\ncompressed: {compressed_answer} "
            "({compressed_confidence:.0f} %)", **{str(name): value for name, value in row.items()},
        )  # fmt: skip
        axes.set_title(said, fontsize=TEXT, loc="left")
    figure.headline(_(
        "Answers from right to wrong: {flips}, from wrong to right: {gained}; the {shown} surest errors",
        flips=len(flips), gained=gained, shown=len(rows),
    ))  # fmt: skip
    return figure


def attribution_maps(
    maps: dict[str, Floats], explained: Sequence[int], flips: pd.DataFrame, data: ImageData
) -> Picture:
    """Pictures over the maps of both networks: the worst flips, then some of those that both get right."""
    figure = Picture(figsize=(max(1.2 + 1.6 * len(explained), 6.5), 6.1))
    panels = figure.subplots(3, len(explained), squeeze=False)
    for column, index in enumerate(explained):
        _show(panels[0, column], data, index)
        title = _("right → wrong") if index in set(flips["index"]) else _("both right")
        panels[0, column].set_title(title, fontsize=TEXT, color=INK)
        for axes, network in zip(panels[1:, column], NETWORKS, strict=True):
            strengths = maps[network][column]
            # the strongest hundredth is cut, or else one pixel makes the others dark
            axes.imshow(strengths, cmap="magma", vmin=0, vmax=np.quantile(strengths, 0.99) or 1)
    for axes, name in zip(panels[:, 0], (_("image"), *map(_, NETWORKS.values())), strict=True):
        axes.set_ylabel(name, fontsize=TEXT, color=INK)
    for axes in panels.ravel():
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.headline(_("What the answers rest on: maps of both networks"))
    return figure


def _show(axes: Axes, data: ImageData, index: int) -> None:
    picture = data.test_images[index].permute(1, 2, 0).cpu().numpy()
    axes.imshow(picture.squeeze(-1) if picture.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=255)
