"""What the Tucker format is, drawn: one large block of weights, and the core with two factors that stand for it."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from tuckerlab.i18n import _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, TITLE, Picture

BLOCK, CORE, FACTOR = "#d9d9d9", PALETTE[0], PALETTE[4]


def format_picture(share: float = 0.25) -> Picture:
    """The full block beside its parts, each side of the core `share` of the block's; areas are numbers of weights.

    >>> picture = format_picture()
    """
    figure = Picture(figsize=(8.2, 3.1))
    axes = figure.subplots()
    axes.set(xlim=(-0.05, 3.1), ylim=(-0.22, 1.2), aspect="equal")
    axes.axis("off")
    _block(axes, 0, 0, 1, 1, BLOCK, _("weights"), INK)
    axes.text(1.16, 0.5, "=", fontsize=24, ha="center", va="center", color=INK)
    left, top = 1.35, 1 - share
    _block(axes, left, 0, share, 1, FACTOR, _("factor"), INK, rotation=90)
    _block(axes, left + share + 0.08, top, share, share, CORE, _("core"), "white")
    _block(axes, left + 2 * share + 0.16, top, 1, share, FACTOR, _("factor"), INK)
    end = left + share + 0.08
    axes.add_patch(FancyArrowPatch((end, top - 0.09), (end + share, top - 0.09), arrowstyle="<->", mutation_scale=12,
                                   color=QUIET))  # fmt: skip
    axes.text(end + share / 2, top - 0.24, _("rank"), fontsize=TEXT, ha="center", va="center", color=INK)
    axes.text(0, 1.08, _("as usual"), fontsize=TITLE, color=INK, weight="bold")
    axes.text(left, 1.08, _("small from the start"), fontsize=TITLE, color=INK, weight="bold")
    kept = 2 * share + share * share
    axes.text(0, -0.14, "100 %", fontsize=TEXT, color=INK)
    axes.text(left, -0.14, _("{kept:.0%} of the numbers, at this rank", kept=kept), fontsize=TEXT, color=INK)
    return figure


def _block(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str, label: str, ink: str, rotation: float = 0
) -> None:
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=INK, linewidth=1))
    axes.text(x + width / 2, y + height / 2, label, fontsize=TEXT, ha="center", va="center", color=ink,
              rotation=rotation)  # fmt: skip
