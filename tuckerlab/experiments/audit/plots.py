"""Pictures of an audit: its tables and maps in, a figure out, with a headline that the numbers make."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tuckerlab.data import ImageData
from tuckerlab.experiments.audit.predictions import SHOWN, Attribution, Floats
from tuckerlab.experiments.audit.tables import NETWORKS, beyond, corruption
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

CLASSES, FLIPS, COLUMNS, NAME = 20, 8, 4, 16
LOOKS = {
    "dense": {"color": INK, "marker": "o", "linestyle": "--"},
    "compressed": {"color": PALETTE[0], "marker": "s", "linestyle": "-"},
}
STRENGTHS = {"noise": N_("noise, standard deviation in pixel values"), "blur": N_("blur, standard deviation in pixels")}


def class_changes(per_class: pd.DataFrame) -> Picture:
    """The change in accuracy of each class with its 95 % interval; of many classes those that lose most."""
    rows = per_class.sort_values("change", kind="stable").head(CLASSES)
    figure = Picture(figsize=(8.5, 2.1 + 0.36 * len(rows)))
    axes = styled(figure.subplots(), x=_("change in accuracy, points (bar: 95 % interval)"), y="")
    for (low, change, high), place in zip(rows[["low", "change", "high"]].to_numpy(), range(len(rows)), strict=True):
        colour = PALETTE[1] if high < 0 else PALETTE[2] if low > 0 else QUIET
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5)
        axes.plot([change], [place], "o", color=colour, markersize=8)
    axes.axvline(0, color=INK, linewidth=1)
    names = [
        _("{name} ({images})", name=name, images=ngettext("{count:,.0f} image", "{count:,.0f} images", count=count))
        for name, count in rows["count"].items()
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    worst = rows.iloc[0]
    said = N_("No class loses accuracy; {beyond} of {classes} changes are beyond their own 95 % interval")
    if worst["change"] < 0:
        said = N_(
            "Class {name} loses most: {change:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}); {beyond} of "
            "{classes} changes are beyond their own 95 % interval"
        )
    figure.headline(_(said, name=worst.name, beyond=int(beyond(rows).sum()), classes=len(rows), **_change(worst)))
    return figure


def robustness_curves(robustness: pd.DataFrame) -> Picture:
    """Accuracy of both networks against the strength of noise and of blur."""
    kinds = list(robustness["kind"].unique())
    figure = Picture(figsize=(5 * len(kinds) + 1, 4.4))
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
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
        "interval {low:+.1f} to {high:+.1f})", detail=corruption(worst), **_change(worst),
    ))  # fmt: skip
    return figure


def worst_flips(flips: pd.DataFrame, data: ImageData, gained: int) -> Picture:
    """The surest of the answers that went from right to wrong, each with both answers and their confidence."""
    rows = flips.head(FLIPS)
    deep = -(-len(rows) // COLUMNS)
    columns = -(-len(rows) // deep)
    figure = Picture(figsize=(max(2.6 * columns, 6.5), 0.9 + 3.2 * deep))
    panels = np.atleast_1d(figure.subplots(deep, columns)).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, (_index, row) in zip(panels, rows.iterrows(), strict=False):
        _show(axes, data, int(row["index"]))
        said = _(
            "is: {label}\ndense: {dense_answer} ({dense_confidence:.0f} %)\ncompressed: {compressed_answer} "
            "({compressed_confidence:.0f} %)", **{str(name): _short(value) for name, value in row.items()},
        )  # fmt: skip
        axes.set_title(said, fontsize=TEXT, loc="left")
    figure.headline(_(
        "Answers from right to wrong: {flips}, from wrong to right: {gained}; the {shown} surest errors",
        flips=len(flips), gained=gained, shown=len(rows),
    ))  # fmt: skip
    return figure


def attribution_maps(found: Attribution, data: ImageData) -> Picture:
    """Pictures over the maps of both networks: the worst flips, then some of those that both get right."""
    chosen = [*range(found.flips), *range(found.flips, min(found.flips + SHOWN, len(found.index)))]
    figure = Picture(figsize=(max(1.2 + 1.6 * len(chosen), 6.5), 6.1))
    panels = figure.subplots(3, len(chosen), squeeze=False)
    for column, place in enumerate(chosen):
        _show(panels[0, column], data, int(found.index[place]))
        title = _("right → wrong") if place < found.flips else _("both right")
        panels[0, column].set_title(title, fontsize=TEXT, color=INK)
        for axes, network in zip(panels[1:, column], NETWORKS, strict=True):
            axes.imshow(_scaled(found.maps[network][place]), cmap="magma", vmin=0, vmax=1)
    for axes, name in zip(panels[:, 0], (_("image"), *map(_, NETWORKS.values())), strict=True):
        axes.set_ylabel(name, fontsize=TEXT, color=INK)
    for axes in panels.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    said = N_("What the answers rest on: maps of both networks")
    if found.sample > 1:
        said = N_(
            "What the answers rest on: mean rank correlation of both maps {similarity:.2f} over {images:.0f} images "
            "({chance:.2f} for maps of different images)"
        )
    figure.headline(_(said, similarity=found.similarity, chance=found.chance, images=found.sample))
    return figure


def _change(row: pd.Series) -> dict[str, float]:
    return {name: row[name] for name in ("change", "low", "high")}


def _show(axes: Axes, data: ImageData, index: int) -> None:
    picture = data.test_images[index].permute(1, 2, 0).cpu().numpy()
    axes.imshow(picture.squeeze(-1) if picture.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=255)


def _short(value: Any) -> Any:
    """A class's name that fits over a picture; numbers as they are."""
    return f"{value[: NAME - 1]}…" if isinstance(value, str) and len(value) > NAME else value


def _scaled(values: Floats) -> Floats:
    """To 0..1; the strongest hundredth is cut, or else one pixel makes the others dark."""
    top = np.quantile(values, 0.99)
    return np.clip(values / top, 0, 1) if top > 0 else values
