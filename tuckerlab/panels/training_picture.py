"""What the training panel shows of its runs as they are now: loss, accuracy, size and ranks, and the numbers."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator

from tuckerlab.experiments.class_accuracy import class_accuracies, is_unbalanced
from tuckerlab.files import file_size
from tuckerlab.i18n import _
from tuckerlab.panels.training_job import Trained
from tuckerlab.panels.widgets import tiles
from tuckerlab.plotting.figure import TEXT, Picture, colours, styled
from tuckerlab.plotting.styles import label_name

POINTS = 160  # of a curve
RIGHT = (0, 50, 80, 90, 95, 98, 99, 99.5)  # ticks of the accuracy, whose axis shows small errors as well as large ones
LEAST_ERROR = 0.3  # per cent; a network that is always right is drawn here
LONGEST_NAME = 14  # of a layer, beside the map


def draw(runs: Sequence[Trained]) -> Picture:
    """Curves of the runs as they are now, and the map of the ranks of the last one that has any."""
    figure = Picture(figsize=(10.1, 6.0), layout="none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.14, "top": 0.95, "wspace": 0.3, "hspace": 0.42}
    (losses, accuracies), (sizes, ranks) = figure.subplots(2, 2, gridspec_kw=margins)
    epochs = max(trained.run.total_epochs for trained in runs)
    for axes, title in (
        (losses, _("training loss (lower is better; ▼ the safety valve acted)")),
        (accuracies, _("right on new images, %")),
        (sizes, _("convolution weights stored, % of the full network")),
        (ranks, _("rank of each layer: darker is larger")),
    ):
        styled(axes, x=_("pass over the images"), y="", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlim(0, epochs)
    for axes in (losses, accuracies, sizes):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
    accuracies.set_ylim(100, LEAST_ERROR)
    accuracies.set_yticks([100 - right for right in RIGHT], [f"{right:g}" for right in RIGHT])
    sizes.set_ylim(0.9, 140)
    sizes.set_yticks([1, 2, 5, 10, 20, 50, 100])

    shades = colours([run.name for run in runs], [run.name for run in runs if run.method.name == "dense"])
    for trained in runs:
        run, rows, colour = trained.run, trained.run.epochs[:], shades[trained.name]
        # means over equal stretches: single steps are noisy, and thousands of points take long to draw
        parts = np.array_split(trained.losses[:], max(1, min(POINTS, len(trained.losses))))
        steps = np.cumsum([len(part) for part in parts])
        means = [np.mean(part) if len(part) else np.nan for part in parts]
        losses.plot(steps / run.steps_per_epoch, means, color=colour, linewidth=2, label=label_name(trained.name))
        acted = [event["step"] / run.steps_per_epoch for event in run.events[:]]
        losses.plot(acted, [0.96] * len(acted), "v", color=colour, markersize=8, transform=losses.get_xaxis_transform())
        passes = [row["epoch"] for row in rows]
        errors = [max(100 - 100 * row["test_accuracy"], LEAST_ERROR) for row in rows]
        accuracies.plot(passes, errors, "o-", color=colour, linewidth=2, markersize=4)
        stored = [trained.stored, *(1 - row["conv_compression"] for row in rows)]
        sizes.plot([0, *passes], [100 * share for share in stored], "o-", color=colour, linewidth=2, markersize=3)
    ranks.grid(visible=False)
    ranks.set_yticks([])
    if found := [trained for trained in runs if trained.run.ranks]:
        kept = rank_map(found[-1].run.ranks[:])
        extent = (-0.5, kept.shape[1] - 0.5, len(kept), 0)
        ranks.imshow(kept, cmap="Blues", vmin=0, vmax=100, aspect="auto", interpolation="nearest", extent=extent)
        ranks.set_xlim(-0.5, found[-1].run.total_epochs + 0.5)
        ranks.set_yticks(np.arange(len(kept)) + 0.5, [layer[-LONGEST_NAME:] for layer in kept.index])
    figure.legend(loc="lower center", ncols=3, fontsize=TEXT, frameon=False)
    return figure


def rank_map(ranks: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The ranks in per cent of full ones: a row a layer, a column a pass."""
    table = pd.DataFrame(ranks)
    rank, size = (table.pivot_table(of, "layer", "epoch", aggfunc="sum", sort=False) for of in ("rank", "size"))
    return 100 * rank / size


def numbers_html(runs: Sequence[Trained]) -> str:
    """The numbers of each run as they are now, and class by class at the end, where classes differ in size."""
    cells = []
    for trained in runs:
        rows, ended = trained.run.epochs, len(trained.records) > 0
        accuracy = _("{value:.1f} %", value=100 * rows[-1]["test_accuracy"]) if rows else "–"
        removed = 100 * (rows[-1]["conv_compression"] if rows else 1 - trained.stored)
        said = _("right; {removed:.0f} % of the convolution weights removed", removed=removed)
        if ended:
            size = file_size(trained.facts["checkpoint_bytes"])
            said = _("{said}; file {size}", said=said, size=size)
        cells.append((label_name(trained.name), accuracy, said))
    found = {trained.name: trained.records.runs for trained in runs if is_unbalanced(trained.records.runs)}
    if not found:
        return tiles(cells)
    table = pd.DataFrame({label_name(name): class_accuracies(rows) for name, rows in found.items()})
    mean = pd.DataFrame(table.mean()).T.set_axis([_("all classes alike (balanced accuracy)")])
    shown = pd.concat([mean, table]).to_html(border=0, float_format="{:.1f}".format, na_rep="")
    title = _("Classes differ in size. Right on new images of each class, %:")
    return f"{tiles(cells)}<p>{escape(title)}</p>{shown}"


def events_html(runs: Sequence[Trained]) -> str:
    """What the safety valve did, a line each."""
    named = [(label_name(trained.name), event["said"]) for trained in runs for event in trained.run.events]
    acted = [_("{name}: {value}", name=name, value=said) for name, said in named]
    lines = "".join(f"<li>{escape(line)}</li>" for line in acted)
    title = escape(_("What the safety valve did:"))
    return f"{title}<ul>{lines}</ul>" if lines else ""
