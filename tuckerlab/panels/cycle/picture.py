"""The picture of the cycle panel: ranks and errors along the way, from too small and from too large a rank.

>>> from tuckerlab.demos.rank_cycle import Path
>>> low, high = Path(20, (2, 8), (1.0, 1e-9), found=8), Path(20, (17, 8), (1.0, 1e-9), found=8)
>>> len(rank_paths([low, high], [low, high], true_rank=8).axes)
2
"""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from tuckerlab.demos.rank_cycle import Path
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled

BLUE, RED = PALETTE[0], PALETTE[1]
BELOW = 1e-13
"""Errors below this are rounding, and are drawn here."""


def rank_paths(each_step: Sequence[Path], chosen: Sequence[Path], true_rank: int) -> Picture:
    """Left the rank within the tolerance before each step, right the error; of each the path from below comes first."""
    figure = Picture(figsize=(10.6, 4.3))
    left, right = figure.subplots(1, 2)
    styled(left, x=text("cycle.axis.step"), y=text("cycle.axis.rank"))
    styled(right, x=text("cycle.axis.step"), y=text("cycle.axis.error"))
    groups = [(RED, text("cycle.each_step"), each_step)]
    if chosen[0].every != 1:
        groups.append((BLUE, text("cycle.cycle", count=chosen[0].every), chosen))
    for colour, name, paths in groups:
        for key, style, path in zip(("below", "above"), ("-", "--"), paths, strict=True):
            left.plot(path.ranks, style, color=colour, linewidth=2.2, drawstyle="steps-post")
            errors = [max(loss, BELOW) for loss in path.losses]
            label = text(f"cycle.from_{key}", name=name)
            right.plot(errors, style, color=colour, linewidth=2.2, label=label)
    left.axhline(true_rank, color=INK, linewidth=1, linestyle=":")
    left.annotate(
        text("cycle.true_rank", rank=true_rank), (0.98, true_rank), (0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", fontsize=TEXT, color=INK,
    )  # fmt: skip
    left.set_ylim(0, 2 + max(true_rank, *(rank for path in (*each_step, *chosen) for rank in path.ranks)))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(yscale="log", ylim=(BELOW / 10, 100))
    figure.legend(loc="outside lower center", ncols=2, fontsize=TEXT, frameon=False)
    return figure
