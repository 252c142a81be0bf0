"""How often networks are right against what they cost: size, the time of an answer or of a step, the file.

A method has a colour and a marker. Hollow are networks that were cut after training and not trained again; all others
were trained at their size.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import (
    TOLERATED,
    Network,
    front,
    networks_by,
    size_column,
    smallest_within,
)
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, QUIET, TEXT, Picture, styled, write_names
from tuckerlab.plotting.styles import look, method_name, ordered

NAMED = 6  # up to so many networks have their names beside their points
BELOW = 12.0  # points under the dense network where the picture ends
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least
ABOVE = 0.4  # points over 100 %: room for a mark, and none for a number on the axis
CLOSE = 1.3  # costs within about this factor have one label at the lower edge
FAR_APART = 5.0  # costs that differ by this factor stand on a logarithmic axis

AXES = {  # of each cost, the name of its axis, and how the cheapest network is spoken of
    "conv_parameters": (N_("convolution parameters stored"), N_("fewest convolution weights: {name}")),
    "parameters": (N_("parameters stored"), N_("fewest weights: {name}")),
    "latency_1_ms": (N_("time of one answer, ms"), N_("fastest answer: {name}")),
    "latency_128_ms": (N_("time of 128 answers at once, ms"), N_("fastest batch: {name}")),
    "step_ms": (N_("time of a training step, ms"), N_("fastest training step: {name}")),
    "checkpoint_bytes": (N_("file size"), N_("smallest file: {name}")),
}


def accuracy_vs_costs(records: Records) -> Picture:
    """Test accuracy against size, time of an answer and file, as far as these were measured.

    Sizes count convolution parameters, or all of them when a network has few in convolutions. Up to six networks have
    their names beside their points. What is more than 12 points below the dense network stands at the lower edge, with
    its accuracy written at it. Raises DataError when no run has an accuracy.
    """
    measured = {axis: networks_by(records, axis) for axis in (size_column(records), "latency_1_ms", "checkpoint_bytes")}
    found = {axis: networks for axis, networks in measured.items() if networks}
    if not found:
        raise DataError("no test accuracies with sizes, times or files in these records: there is nothing to draw")
    figure = Picture(figsize=(2.5 + 4 * max(2, len(found)), 6.2))
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    everything = [network for networks in found.values() for network in networks]
    for panel, (axis, networks) in zip(panels, found.items(), strict=True):
        draw_networks(panel, networks, axis, accuracy_limits(everything))
        panel.label_outer()
    figure.legend(handles=legend(everything), loc="outside lower center", ncols=5, fontsize=TEXT, frameon=False)
    figure.headline(_cheapest(found))
    for panel, networks in zip(panels, found.values(), strict=True):
        if len(networks) <= NAMED:
            bars = [(n.size, n.low, n.high) for n in networks]
            write_names(panel, [(n.name, n.size, n.accuracy) for n in networks], bars)
    return figure


def draw_networks(axes: Axes, networks: Sequence[Network], axis: str, limits: tuple[float, float]) -> list[Artist]:
    """Networks on axes of accuracy (limits as `accuracy_limits` gives them) against one cost, and the artists of them.

    Points are means over seeds, bars go from the worst to the best and from the least cost to the most. A line joins
    the sizes of a method. Grey steps join the networks that no other beats in both; of those with all seeds, for the
    mean of the seeds that did not diverge would flatter. Dotted are dense networks. Whose accuracy is below the limits
    stands at the lower edge, with its accuracy above it.
    """
    styled(axes, x=_(AXES[axis][0]), y=_("test accuracy, %"))
    lowest = limits[0]
    axes.set_ylim(*limits)
    _scale(axes, networks)
    milliseconds = axis.endswith("_ms")  # no thousandths of them
    unit = "B" if axis == "checkpoint_bytes" else ""
    axes.xaxis.set_major_formatter("{x:g}" if milliseconds else EngFormatter(unit=unit, sep=" " if unit else ""))
    drawn: list[Artist] = []
    for network in networks:
        if network.method == "dense":
            axes.axhline(network.accuracy, color=INK, linewidth=1, linestyle=":")
        inside = network.accuracy > lowest
        # the mean of equal numbers may come out a rounding error beside them
        up = [[max(0.0, network.accuracy - network.low)], [max(0.0, network.high - network.accuracy)]]
        wide = [[max(0.0, network.size - network.least)], [max(0.0, network.most - network.size)]]
        barred = inside and network.seeds > 1
        drawn += axes.errorbar(
            network.size, network.accuracy if inside else lowest, up if barred else None,
            wide if barred else None, **look(network.method).style, markersize=8, elinewidth=1, capsize=3,
            clip_on=inside, zorder=3,
        ).get_children()  # fmt: skip
    for method in dict.fromkeys(network.method for network in networks):
        own = sorted((n.size, n.accuracy) for n in networks if n.method == method and n.accuracy > lowest)
        axes.plot([x for x, _y in own], [y for _x, y in own], color=look(method).colour, linewidth=1, alpha=0.5)
    most = max(network.seeds for network in networks)
    best = [network for network in front(n for n in networks if n.seeds == most) if network.accuracy > lowest]
    axes.step([n.size for n in best], [n.accuracy for n in best], where="post", color=QUIET, linewidth=1.4, zorder=1)
    below: dict[int, list[Network]] = {}  # those of nearly the same cost have one label
    for network in networks:
        if network.accuracy <= lowest:
            below.setdefault(round(np.log(network.size) / np.log(CLOSE)), []).append(network)
    for i, (_about, group) in enumerate(sorted(below.items())):
        said = ", ".join(sorted(f"{network.accuracy:.0f}" for network in group))
        axes.annotate(
            _("{accuracies} %", accuracies=said), (group[0].size, lowest), (0, 9 + 14 * (i % 2)),
            textcoords="offset points", ha="center", fontsize=TEXT, color=QUIET,
        )  # fmt: skip
    if most > 1:
        note = _("points: mean of {seeds} seeds; bars: worst to best", seeds=most)
        axes.set_title(note, fontsize=TEXT, color=QUIET, loc="right")
    return drawn


def accuracy_limits(networks: Sequence[Network]) -> tuple[float, float]:
    """Limits of accuracy that do not blow up small differences, down to 12 points below the best dense network."""
    dense = [network.accuracy for network in networks if network.method == "dense"]
    low, high = min(network.low for network in networks), max(network.high for network in networks)
    low = max(low, (max(dense) if dense else high) - BELOW)
    room = max(0.1 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - room, min(high + room, 100 + ABOVE)


def legend(networks: Sequence[Network]) -> list[Line2D]:
    """A handle for each method, and for the steps through the best."""
    handles = [
        Line2D([], [], linestyle="", markersize=8, label=method_name(method), **look(method).style)
        for method in ordered({network.method for network in networks})
    ]
    return [*handles, Line2D([], [], color=QUIET, linewidth=1.4, label=_("no other is better in both"))]


def _cheapest(found: dict[str, list[Network]]) -> str:
    """Which small network costs least of those within a point of the dense one, on each axis.

    Networks with another optimizer than the dense one are left out: they would take credit for it.
    """
    said = []
    for axis, networks in found.items():
        dense = next((network for network in networks if network.method == "dense"), None)
        alike = [network for network in networks if not network.method.endswith("-adamw")]
        best = dense and smallest_within(alike, dense.accuracy, TOLERATED)
        if best and best is not dense:
            said.append(_(AXES[axis][1], name=best.name))
    if said:
        return _("Within a point of the full network: {best}", best="; ".join(said))
    return _("No small network is within a point of the full one at less cost")


def _scale(axes: Axes, networks: Sequence[Network]) -> None:
    """From nothing on, or logarithmic where costs are far apart."""
    least, most = min(network.least for network in networks), max(network.most for network in networks)
    if most > FAR_APART * least > 0:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.6, most * 1.6)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(_("{axis} (logarithmic)", axis=axes.get_xlabel()))
    else:
        axes.set_xlim(0, 1.12 * most)
