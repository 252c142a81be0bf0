"""The picture of the trade-off panel: how often networks are right against what they cost."""

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from tuckerlab.experiments.cost_plots import BELOW, FAR_APART
from tuckerlab.experiments.pareto import front
from tuckerlab.experiments.summary import Network
from tuckerlab.i18n import _, ngettext, text
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled
from tuckerlab.plotting.labels import write_names
from tuckerlab.plotting.styles import look, method_name

GREEN = PALETTE[2]
CROWD = 12  # of more networks only the best are named
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least
UNITS = {"checkpoint_bytes": "B"}
_RING: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": PALETTE[1], "markeredgewidth": 2.2}


class TradeOffPicture:
    """Drawn once for the networks along an axis; `png` moves the band, the star and the ring.

    `full` is what they are compared with, in the picture or not. Networks that are more than 12 points below it lie
    outside.
    """

    def __init__(self, axis: str, found: Sequence[Network], full: Network | None) -> None:
        self.full = full
        figure = Picture(figsize=(10.6, 4.7))
        axes = styled(figure.subplots(), x=text(f"tradeoff.axis.{axis}"), y=_("right on new images, %"))
        axes.set_title(_("↖ better: costs less, right more often"), fontsize=TEXT, color=QUIET, loc="left")
        every = [*found, *([full] if full else [])]
        if every:
            _frame(axes, every, axis, full)
        hidden = [n for n in found if full and n.accuracy < full.accuracy - BELOW]
        if hidden:
            said = ngettext(
                "below the picture: {count} network, more than {points:g} points behind",
                "below the picture: {count} networks, more than {points:g} points behind",
                count=len(hidden),
                points=BELOW,
            )
            axes.text(0.99, 0.03, said, transform=axes.transAxes, ha="right", fontsize=TEXT, color=QUIET)
        if full:
            axes.axhline(full.accuracy, color=INK, linewidth=1.2, linestyle=":")
        best = front(found)
        axes.step(
            [n.size for n in best], [n.accuracy for n in best], where="post", color=QUIET, linewidth=1.2, zorder=1
        )
        points = [artist for n in found if n not in hidden for artist in self._draw_point(axes, n)]
        self._draw_moving(axes)
        figure.legend(handles=self._legend(found), loc="outside lower center", ncols=4, fontsize=TEXT, frameon=False)
        ordered = [*best, *(network for network in found if network not in best)]
        if len(found) > CROWD:  # a name would stand at another's mark
            ordered = [network for network in ordered if network in best or network is full]
        write_names(
            axes, [(network_name(n), n.size, n.accuracy) for n in ordered], [(n.size, n.low, n.high) for n in found]
        )
        self.moving = MovingPicture(figure, [self.band, *points, self.star, self.ring])  # points above the band

    def png(self, points: float, best: Network | None, chosen: Network | None) -> bytes:
        """The picture with the tolerated band, a star on the best network and a ring around the chosen one."""
        if self.full:
            self.band.set_y(self.full.accuracy - points)
            self.band.set_height(200)
        for mark, network in ((self.star, best), (self.ring, chosen)):
            mark.set_visible(network is not None)
            if network:
                mark.set_data([network.size], [network.accuracy])
        return self.moving.png()

    def _draw_point(self, axes: Axes, network: Network) -> Sequence[Artist]:
        up = [[max(0.0, network.accuracy - network.low)], [max(0.0, network.high - network.accuracy)]]
        across = [[max(0.0, network.size - network.least)], [max(0.0, network.most - network.size)]]
        bars: dict[str, Any] = {"yerr": up, "xerr": across} if network.seeds > 1 else {}
        drawn = axes.errorbar(
            network.size, network.accuracy, **bars, **look(network.method).style, markersize=9, capsize=4,
            elinewidth=1.2, zorder=3,
        )  # fmt: skip
        return drawn.get_children()

    def _draw_moving(self, axes: Axes) -> None:
        self.band = Rectangle((0, 0), 1, 0, transform=axes.get_yaxis_transform(), color=GREEN, alpha=0.13, linewidth=0)
        axes.add_patch(self.band)
        [self.star] = axes.plot([1], [1], "*", color=GREEN, markersize=24, markeredgecolor="white", clip_on=False)
        [self.ring] = axes.plot([1], [1], "o", **_RING, markersize=22, clip_on=False)
        for artist in (self.band, self.star, self.ring):
            artist.set_in_layout(False)  # where they stand by and by does not shift the axes

    def _legend(self, found: Sequence[Network]) -> list[Any]:
        points = [
            Line2D([], [], **look(m).style, markersize=9, linestyle="", label=method_name(m))
            for m in dict.fromkeys(network.method for network in found)
        ]
        if self.full and self.full not in found:
            points.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=":", label=method_name("dense")))
        return [
            *points,
            Line2D([], [], color=QUIET, linewidth=1.2, label=_("no other is better in both")),
            Patch(color=GREEN, alpha=0.2, linewidth=0, label=_("accuracy good enough")),
            Line2D(
                [], [], color=GREEN, marker="*", markersize=15, linestyle="", label=_("smallest that is good enough")
            ),
            Line2D([], [], linestyle="", marker="o", **_RING, markersize=13, label=_("network to look at")),
        ]


def network_name(network: Network) -> str:
    """What people call a network: its label, or the method where that is the label."""
    return method_name(network.method) if network.name == network.method else network.name


def _frame(axes: Axes, found: Sequence[Network], axis: str, full: Network | None) -> None:
    """Limits that do not blow up small differences, from nothing on, or logarithmic where costs are far apart."""
    low, high = min(n.low for n in found), max(n.high for n in found)
    if full:
        low = max(low, full.accuracy - BELOW)
    room = max(0.15 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    axes.set_ylim(
        low - room, min(high + room, max(100.3, high + 0.15 * room))
    )  # nobody is right more often than always
    least, most = min(n.least for n in found), max(n.most for n in found)
    if most > FAR_APART * least > 0:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.5, most * 1.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(_("{axis} (logarithmic)", axis=axes.get_xlabel()))
    else:
        axes.set_xlim(0, most * 1.12)
        axes.xaxis.set_major_locator(MaxNLocator(6))
    if axis.endswith("_ms"):
        axes.xaxis.set_major_formatter(lambda value, place: _("{value:g} ms", value=value))
    else:
        unit = UNITS.get(axis, "")
        axes.xaxis.set_major_formatter(EngFormatter(unit=unit, sep=" " if unit else ""))
