"""The picture of the training panel: loss, accuracy and size of all runs, and the ranks of the last one by layer."""

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from tuckerlab.experiments.class_accuracy import class_accuracies, is_unbalanced
from tuckerlab.i18n import _
from tuckerlab.panels.training_job import Trained
from tuckerlab.panels.widgets import tiles
from tuckerlab.plotting.figure import QUIET, TEXT, Picture, colours, styled

POINTS = 160  # of a curve
RIGHT = (0, 50, 80, 90, 95, 98, 99, 99.5)  # ticks of the accuracy, whose axis shows small errors as well as large ones
LEAST_ERROR = 0.3  # per cent; a network that is always right is drawn here
LONGEST_NAME = 14  # of a layer, beside the map


def draw(runs: Mapping[str, Trained]) -> Picture:
    """Curves of the runs by name, in the order given, as they are now."""
    figure = Picture(figsize=(10.1, 6.0))
    figure.set_layout_engine("none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.93, "bottom": 0.14, "top": 0.95, "wspace": 0.3, "hspace": 0.42}
    (losses, accuracies), (sizes, ranks) = figure.subplots(2, 2, gridspec_kw=margins)
    epochs = max(trained.run.total_epochs for trained in runs.values())
    for axes, title in (
        (losses, _("training loss (lower is better; ▼ the safety valve acted)")),
        (accuracies, _("right on new images, %")),
        (sizes, _("convolution weights stored, % of the full network")),
        (ranks, _("rank of each layer, % of full")),
    ):
        styled(axes, x=_("pass over the images"), y="", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlim(0, epochs)
    for axes in (losses, accuracies, sizes):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    accuracies.set_ylim(100, LEAST_ERROR)
    accuracies.set_yticks([100 - right for right in RIGHT], [f"{right:g}" for right in RIGHT])
    sizes.set_ylim(0.9, 140)
    sizes.set_yticks([1, 2, 5, 10, 20, 50, 100])
    sizes.yaxis.set_major_formatter("{x:g}")
    losses.yaxis.set_major_formatter("{x:g}")

    shades = colours(runs, {name for name, trained in runs.items() if trained.contender.method == "dense"})
    for name, colour in shades.items():
        run, rows = runs[name].run, runs[name].run.epochs[:]
        steps, values = _thinned(runs[name].losses[:])
        losses.plot(steps / run.steps_per_epoch, values, color=colour, linewidth=2)
        acted = [event["step"] / run.steps_per_epoch for event in run.events[:]]
        losses.plot(acted, [0.96] * len(acted), "v", color=colour, markersize=8, transform=losses.get_xaxis_transform())
        passes = [row["epoch"] for row in rows]
        errors = [max(100 - 100 * row["test_accuracy"], LEAST_ERROR) for row in rows]
        accuracies.plot(passes, errors, "o-", color=colour, linewidth=2, markersize=4)
        stored = [runs[name].stored, *(1 - row["conv_compression"] for row in rows)]
        sizes.plot([0, *passes], [100 * share for share in stored], "o-", color=colour, linewidth=2, markersize=3)
    low, high = losses.dataLim.intervaly if any(trained.losses for trained in runs.values()) else (0.001, 10)
    losses.set_ylim(min(1e-3, low), max(10.0, 2 * high))
    _draw_ranks(ranks, next((trained for trained in reversed([*runs.values()]) if trained.run.ranks), None))
    handles = [Line2D([], [], color=colour, linewidth=5, label=name) for name, colour in shades.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=TEXT, frameon=False)
    return figure


def _thinned(losses: list[float]) -> NDArray[np.float64]:
    """Steps and mean losses over equal stretches: single steps are noisy, and thousands of points take long to draw."""
    length = max(1, -(-len(losses) // POINTS))
    parts = [losses[i : i + length] for i in range(0, len(losses), length)]
    ends = [min((i + 1) * length, len(losses)) for i in range(len(parts))]
    return np.array([ends, [np.mean(part) for part in parts]])


def _draw_ranks(axes: Axes, trained: Trained | None) -> None:
    """A row a layer, a column a pass, empty where it has not got to yet."""
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_yticks([])
    if trained is None:
        return
    sums = pd.DataFrame(trained.run.ranks[:]).groupby(["layer", "epoch"], sort=False)[["rank", "size"]].sum()
    kept = (100 * sums["rank"] / sums["size"]).unstack("epoch")
    kept = kept.reindex(list(dict.fromkeys(sums.index.get_level_values("layer"))))
    image = axes.imshow(
        kept, cmap="Blues", vmin=0, vmax=100, aspect="auto", interpolation="nearest",
        extent=(-0.5, kept.shape[1] - 0.5, len(kept), 0),
    )  # fmt: skip
    axes.set_xlim(-0.5, trained.run.total_epochs + 0.5)
    axes.set_yticks(np.arange(len(kept)) + 0.5, [_short(layer) for layer in kept.index])
    place = axes.get_position()
    bar = axes.figure.colorbar(image, cax=axes.figure.add_axes((0.945, place.y0, 0.012, place.height)))
    bar.ax.tick_params(labelsize=TEXT, color=QUIET)


def _short(layer: str) -> str:
    """The end of a long name: it says which layer it is."""
    return layer if len(layer) <= LONGEST_NAME else f"…{layer[-LONGEST_NAME:]}"


def tiles_html(runs: Mapping[str, Trained]) -> str:
    """The numbers of each run as they are now, and class by class at the end."""
    cells = []
    for name, trained in runs.items():
        rows = trained.run.epochs
        accuracy = _("{value:.1f} %", value=100 * rows[-1]["test_accuracy"]) if rows else "–"
        removed = 100 * (rows[-1]["conv_compression"] if rows else 1 - trained.stored)
        cells.append((name, accuracy, _("right; {removed:.0f} % of the convolution weights removed", removed=removed)))
    return tiles(cells) + _classes_html({name: trained.records.runs for name, trained in runs.items()})


def _classes_html(runs: Mapping[str, pd.DataFrame]) -> str:
    """How often trained networks are right in each class, and on a class on average, where classes differ in size."""
    found = {name: class_accuracies(rows) for name, rows in runs.items() if len(rows) and is_unbalanced(rows)}
    if not found:
        return ""
    table = pd.DataFrame(found)
    mean = pd.DataFrame(table.mean()).T.set_axis([_("all classes alike (balanced accuracy)")])
    shown = pd.concat([mean, table]).to_html(border=0, float_format="{:.1f}".format, na_rep="")
    return f"<p>{escape(_('Classes differ in size. Right on new images of each class, %:'))}</p>{shown}"


def events_html(runs: Mapping[str, Trained]) -> str:
    """What the safety valve did, a line each."""
    acted = [f"{name}: {event['said']}" for name, trained in runs.items() for event in trained.run.events[:]]
    lines = "".join(f"<li>{escape(line)}</li>" for line in acted)
    return f"{escape(_('What the safety valve did:'))}<ul>{lines}</ul>" if lines else ""
