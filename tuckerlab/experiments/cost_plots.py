"""Ways to a small network side by side: accuracy against what is stored, what an answer takes, and the file.

>>> from tuckerlab import recorded
>>> picture = accuracy_vs_costs(recorded("headline-cpu").records)
>>> len(picture.axes)
3

A method has a colour and a marker, and a line through its sizes. Hollow are networks that were cut after training
and not trained again; all others were trained at their size.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from tuckerlab.errors import DataError
from tuckerlab.experiments.pareto import front
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import TOLERATED, Network, counts_convolutions, networks_by, smallest_within
from tuckerlab.i18n import _, text
from tuckerlab.plotting.figure import INK, QUIET, TEXT, Picture, styled
from tuckerlab.plotting.styles import look, method_name, ordered

BELOW = 12.0  # points under the dense network where the picture ends
CLOSE = 1.3  # sizes within this factor have one label there
FAR_APART = 5.0  # costs that differ by this factor stand on a logarithmic axis
UNITS = {"checkpoint_bytes": "B"}


def accuracy_vs_costs(records: Records, axes: Sequence[str] | None = None) -> Picture:
    """Test accuracy against each cost of `axes` (columns of the runs): by default size, time of an answer, file.

    Points are means over seeds, bars go from the worst to the best. Grey steps join the networks that no other beats in
    both. What is more than 12 points below the dense network stands at the lower edge, with its accuracy written at it.

    Raises DataError when none of the costs was measured.
    """
    wanted = axes or (_size_column(records), "latency_1_ms", "checkpoint_bytes")
    found = {axis: networks_by(records, axis) for axis in wanted}
    found = {axis: networks for axis, networks in found.items() if networks}
    if not found:
        raise DataError("no test accuracies with sizes, times or files in these records: there is nothing to draw")
    figure = Picture(figsize=(14.5, 6.2))
    panels = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
    everything = [network for networks in found.values() for network in networks]
    lowest, highest = limits(everything)
    for panel, (axis, networks) in zip(panels, found.items(), strict=True):
        styled(panel, x=text(f"comparison.axis.{axis}"), y="")
        draw_networks(panel, networks, axis, lowest)
    panels[0].set_ylabel(_("test accuracy, %"), fontsize=TEXT, color=INK)
    panels[0].set_ylim(lowest, highest)
    figure.legend(handles=handles(everything), loc="outside lower center", ncols=5, fontsize=TEXT, frameon=False)
    figure.headline(headline(found))
    return figure


def headline(found: dict[str, list[Network]]) -> str:
    """Which small network costs least of those within a point of the dense one, on each axis.

    Networks with another optimizer than the dense one are left out: they would take credit for it.

    >>> headline({})
    'Accuracy against cost'
    """
    said = []
    for axis, networks in found.items():
        dense = next((network for network in networks if network.method == "dense"), None)
        alike = [network for network in networks if not network.method.endswith("-adamw")]
        best = dense and smallest_within(alike, dense.accuracy, TOLERATED)
        if best and best is not dense:
            said.append(text(f"comparison.best.{axis}", name=best.name))
    if said:
        return _("Within a point of the full network: {best}", best="; ".join(said))
    return text("comparison.none" if any(found.values()) else "comparison.untitled")


def _size_column(records: Records) -> str:
    return "conv_parameters" if counts_convolutions(records.runs.dropna(subset="conv_parameters")) else "parameters"


def limits(networks: Sequence[Network]) -> tuple[float, float]:
    """The lowest and the highest accuracy of a chart."""
    dense = [network.accuracy for network in networks if network.method == "dense"]
    high = max(network.high for network in networks)
    lowest = max((max(dense) if dense else high) - BELOW, min(network.low for network in networks) - 1)
    return lowest - 0.06 * (high - lowest), high + 0.06 * (high - lowest)


def draw_networks(axes: Axes, networks: Sequence[Network], axis: str, lowest: float, *, across: bool = False) -> None:
    """The networks along a cost, and the steps that join those that no other beats; across: with ranges of the cost.

    What is less accurate than `lowest` stands at that edge, with its accuracy written at it.
    """
    _scale(axes, networks)
    milliseconds = axis.endswith("_ms")  # no thousandths of them
    axes.xaxis.set_major_formatter("{x:g}" if milliseconds else EngFormatter(unit=UNITS.get(axis, ""), sep=""))
    for network in networks:
        if network.method == "dense":
            axes.axhline(network.accuracy, color=INK, linewidth=1, linestyle=":")
    for method in dict.fromkeys(network.method for network in networks):
        own = sorted((n for n in networks if n.method == method), key=lambda network: network.size)
        inside = [n for n in own if n.accuracy > lowest]
        axes.plot(
            [n.size for n in inside], [n.accuracy for n in inside], color=look(method).colour, linewidth=1, alpha=0.5
        )
        for network in own:
            _draw_network(axes, network, lowest, across)
    most = max(network.seeds for network in networks)  # the mean of those that did not diverge would flatter
    best = [network for network in front(n for n in networks if n.seeds == most) if network.accuracy > lowest]
    axes.step([n.size for n in best], [n.accuracy for n in best], where="post", color=QUIET, linewidth=1.4, zorder=1)
    _write_below(axes, [network for network in networks if network.accuracy <= lowest], lowest)


def _draw_network(axes: Axes, network: Network, lowest: float, across: bool) -> None:
    inside, style = network.accuracy > lowest, look(network.method).style
    up = [[max(0.0, network.accuracy - network.low)], [max(0.0, network.high - network.accuracy)]]
    along = [[max(0.0, network.size - network.least)], [max(0.0, network.most - network.size)]]
    has_bars = inside and network.seeds > 1
    axes.errorbar(
        network.size, network.accuracy if inside else lowest, up if has_bars else None,
        along if has_bars and across else None, **style, markersize=8, elinewidth=1, capsize=3, clip_on=inside,
        zorder=3,
    )  # fmt: skip


def _write_below(axes: Axes, networks: Sequence[Network], lowest: float) -> None:
    """Their accuracies above the lower edge, those that stand close together in one line."""
    groups: list[list[Network]] = []
    for network in sorted(networks, key=lambda network: network.size):
        if groups and network.size < CLOSE * groups[-1][0].size:
            groups[-1].append(network)
        else:
            groups.append([network])
    for i, group in enumerate(groups):
        numbers = sorted(f"{network.accuracy:.0f}" for network in group)
        axes.annotate(
            _("{accuracies} %", accuracies=", ".join(numbers)), (group[0].size, lowest), (0, 9 + 14 * (i % 2)),
            textcoords="offset points", ha="center", fontsize=TEXT, color=QUIET,
        )  # fmt: skip


def _scale(axes: Axes, networks: Sequence[Network]) -> None:
    """From nothing on, or logarithmic where costs are far apart."""
    least, most = min(network.size for network in networks), max(network.size for network in networks)
    if most > FAR_APART * least > 0:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.6, most * 1.3)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(_("{axis} (logarithmic)", axis=axes.get_xlabel()))
    else:
        axes.set_xlim(0, 1.08 * most)


def handles(networks: Sequence[Network]) -> list[Line2D]:
    """A legend: the methods, and the steps."""
    methods = [
        Line2D([], [], linestyle="", markersize=8, label=method_name(method), **look(method).style)
        for method in ordered({network.method for network in networks})
    ]
    return [*methods, Line2D([], [], color=QUIET, linewidth=1.4, label=_("no other is better in both"))]
