"""One look for all figures, and figures that need no global state.

>>> figure = Picture(figsize=(4, 3))
>>> axes = styled(figure.subplots(), x="epoch", y="accuracy, %")
>>> axes.get_xlabel()
'epoch'

A `Picture` shows itself in a notebook and is made without pyplot: nothing stays open behind it, and any
thread may draw one.
"""

import io
import textwrap
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

# Okabe and Ito's palette for every kind of colour vision, without the yellow that white paper swallows
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, QUIET = "#222222", "#767676"
TEXT, TITLE = 10.5, 13
DPI = 150


class Picture(Figure):
    """A figure that cuts nothing off, and that a notebook shows where a cell ends with it."""

    def __init__(self, figsize: tuple[float, float], **options: Any) -> None:
        super().__init__(figsize=figsize, layout="constrained", **options)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()

    def headline(self, text: str) -> None:
        """What the figure shows, in one sentence over all of it."""
        lines = textwrap.fill(text, width=int(self.get_figwidth() * 8.8))
        self.suptitle(lines, fontsize=TITLE, color=INK, x=0.01, ha="left", weight="bold")


def styled(axes: Axes, *, x: str, y: str, title: str = "") -> Axes:
    """Axes with legible labels, a quiet grid and no box."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left")
    axes.tick_params(which="both", labelsize=TEXT, color=QUIET, labelcolor=INK)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    return axes


def colours(names: Iterable[str], reference: Collection[str] = ()) -> dict[str, str]:
    """A colour for each name: ink for a reference, the palette for the others, or a scale for more.

    >>> colours(["dense", "Tucker"], reference=["dense"])
    {'dense': '#222222', 'Tucker': '#0072B2'}
    """
    names = list(names)
    others = [name for name in names if name not in reference]
    shades = PALETTE if len(others) <= len(PALETTE) else _scale(len(others))
    return dict.fromkeys(names, INK) | dict(zip(others, shades, strict=False))


def _scale(steps: int) -> tuple[str, ...]:
    return tuple(to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.9, steps)))
