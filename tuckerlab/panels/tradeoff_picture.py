"""The picture of the trade-off panel: how often networks are right against what they cost."""

from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from tuckerlab.experiments.cost_plots import accuracy_limits, draw_networks, legend
from tuckerlab.experiments.summary import Network, front
from tuckerlab.i18n import _
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled
from tuckerlab.plotting.labels import write_names
from tuckerlab.plotting.styles import method_name

GREEN = PALETTE[2]
CROWD = 12  # of more networks only the best are named
_RING: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": PALETTE[1], "markeredgewidth": 2.2}


class TradeOffPicture:
    """Drawn once for the networks along an axis, which has a title; `png` moves the band, the star and the ring.

    `full` is what they are compared with, in the picture or not. Networks that are more than 12 points below it stand
    at the lower edge.
    """

    def __init__(self, axis: str, title: str, found: Sequence[Network], full: Network | None) -> None:
        self.full = full
        figure = Picture(figsize=(10.6, 4.7))
        axes = figure.subplots()
        if found:
            draw_networks(axes, found, axis, accuracy_limits([*found, *([full] if full else [])]))
            if axis.endswith("_ms"):
                axes.xaxis.set_major_formatter("{x:g} ms")
        along = _("{axis} (logarithmic)", axis=title) if axes.get_xscale() == "log" else title
        styled(axes, x=along, y=_("right on new images, %"))
        axes.set_title(_("↖ better: costs less, right more often"), fontsize=TEXT, color=QUIET, loc="left")
        if full and full not in found:
            axes.axhline(full.accuracy, color=INK, linewidth=1, linestyle=":")
        best = front(found)
        named = [*best, *(network for network in found if network not in best)]
        if len(found) > CROWD:  # a name would stand at another's mark
            named = [network for network in named if network in best or network is full]
        self.band = Rectangle((0, 0), 1, 0, transform=axes.get_yaxis_transform(), color=GREEN, alpha=0.13, linewidth=0)
        axes.add_patch(self.band)
        [self.star] = axes.plot([1], [1], "*", color=GREEN, markersize=24, markeredgecolor="white", clip_on=False)
        [self.ring] = axes.plot([1], [1], "o", **_RING, markersize=22, clip_on=False)
        moving = [self.band, self.star, self.ring]
        for artist in moving:
            artist.set_in_layout(False)  # where they stand by and by does not shift the axes
        figure.legend(handles=self._legend(found), loc="outside lower center", ncols=4, fontsize=TEXT, frameon=False)
        points = [(network_name(n), n.size, n.accuracy) for n in named]
        write_names(axes, points, [(n.size, n.low, n.high) for n in found])
        self.moving = MovingPicture(figure, moving)

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

    def _legend(self, found: Sequence[Network]) -> list[Any]:
        dense = [Line2D([], [], color=INK, linewidth=1, linestyle=":", label=method_name("dense"))]
        star, ring = _("smallest that is good enough"), _("network to look at")
        return [
            *(dense if self.full and self.full not in found else []),
            *legend(found),
            Patch(color=GREEN, alpha=0.2, linewidth=0, label=_("accuracy good enough")),
            Line2D([], [], color=GREEN, marker="*", markersize=15, linestyle="", label=star),
            Line2D([], [], linestyle="", marker="o", **_RING, markersize=13, label=ring),
        ]


def network_name(network: Network) -> str:
    """What people call a network: its label, or the method where that is the label."""
    return method_name(network.method) if network.name == network.method else network.name
