"""One look for all figures, and figures that need no global state.

A `Picture` shows itself in a notebook and is made without pyplot: nothing stays open behind it, and any
thread may draw one.
"""

import base64
import io
import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterable
from html import escape
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from tuckerlab.i18n import language
from tuckerlab.plotting.fonts import LATIN, families

# Okabe and Ito's palette for every kind of colour vision, without the yellow that white paper swallows
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, QUIET = "#222222", "#767676"
TEXT, TITLE = 10.5, 13
DPI = 150
LEGIBLE = 11  # pixels of a browser that letters are high, at least
DEFAULT = (LATIN,)  # what matplotlib takes by itself
WIDE = 1.6  # letters' widths that a Japanese character takes


class Picture(Figure):
    """A figure that cuts nothing off, and that a notebook shows where a cell ends with it.

    Its letters are of `fonts`, by default those of the language that it was made in.
    """

    def __init__(self, figsize: tuple[float, float], **options: Any) -> None:
        super().__init__(figsize=figsize, layout="constrained", **options)
        self.fonts = families(language())

    def draw(self, renderer: RendererBase) -> None:
        """As matplotlib, with these fonts and no setting that other figures share."""
        if self.fonts != DEFAULT:
            for axes in self.axes:
                axes.tick_params(which="both", labelfontfamily=list(self.fonts))  # also of ticks that are made later
            for text in self.findobj(Text):
                text.set_fontfamily(list(self.fonts))
        super().draw(renderer)

    @property
    def said(self) -> str:
        """The figure in words, for those who do not see it: its headline, and what its axes show."""
        shown = [
            " / ".join(filter(None, (axes.get_title("left"), axes.get_ylabel(), axes.get_xlabel())))
            for axes in self.axes
        ]
        return " ".join("; ".join(filter(None, [self.get_suptitle(), *shown])).split())

    def _repr_html_(self) -> str:
        """The figure where a cell ends with it; as HTML, since Jupyter gives a bare PNG no words."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        data = base64.b64encode(buffer.getvalue()).decode()
        # rather scrolled than too small to read
        style = f"max-width:100%;min-width:{self.get_figwidth() * 72 * LEGIBLE / TEXT:.0f}px"
        return f'<img src="data:image/png;base64,{data}" alt="{escape(self.said, quote=True)}" style="{style}">'

    def headline(self, text: str) -> None:
        """What the figure shows, in one sentence over all of it."""
        lines = wrapped(text, int(self.get_figwidth() * 8.8))
        self.suptitle(lines, fontsize=TITLE, color=INK, x=0.01, ha="left", weight="bold")


def wrapped(text: str, width: int) -> str:
    """The text in lines of so many Latin letters; Japanese breaks between any two characters, but not before a stop."""
    if not any(unicodedata.east_asian_width(letter) in "WF" for letter in text):
        return textwrap.fill(text, width)
    lines, used = [""], 0.0
    for part in re.findall(r"[!-~]+|.", text):
        length = sum(WIDE if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in part)
        if used + length > width and part not in "、。，．）」』％ー":
            lines, used = [*lines, ""], 0.0
        lines[-1] += part
        used += length
    return "\n".join(line.strip() for line in lines)


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
    """A colour for each name: ink for a reference, the palette for the others, or a scale for more."""
    names = list(names)
    others = [name for name in names if name not in reference]
    shades = PALETTE if len(others) <= len(PALETTE) else _scale(len(others))
    return dict.fromkeys(names, INK) | dict(zip(others, shades, strict=False))


def _scale(steps: int) -> tuple[str, ...]:
    return tuple(to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.9, steps)))
