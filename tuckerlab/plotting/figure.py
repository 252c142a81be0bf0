"""One look for all figures: axes, colours, letters, and names beside points.

A `Picture` shows itself in a notebook and is made without pyplot: nothing stays open behind it, and any thread may
draw one. Fonts come with packages, so that Japanese needs none on the machine; their licences permit to embed them.
"""

import base64
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter
from matplotlib.transforms import Bbox

from tuckerlab.i18n import UNITS, language, large

# Okabe and Ito's palette for every kind of colour vision, without the yellow that white paper swallows
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, QUIET = "#222222", "#767676"
TEXT, TITLE = 10.5, 13
DPI = 150
LEGIBLE = 11  # pixels of a browser that letters are high, at least
WIDE = 1.6  # letters' widths that a Japanese character takes
MARK = 7  # half the size of a point, in points of 1/72 inch
PLACES = ((1, 1), (-1, 1), (1, -1), (-1, -1))  # of a name beside its point, the best first
LATIN, JAPANESE = "DejaVu Sans", "IPAexGothic"
PAGE = "'Page', 'Page rest', sans-serif"  # the value of `font-family` for a page that has `font_faces` in it


class Picture(Figure):
    """A figure that cuts nothing off, in the letters of the language that it was made in; a notebook shows it."""

    def __init__(self, figsize: tuple[float, float], layout: Any = "constrained") -> None:
        super().__init__(figsize=figsize, layout=layout)
        self.fonts = families(language())

    def draw(self, renderer: RendererBase) -> None:
        """As matplotlib, with these fonts and no setting that other figures share."""
        if self.fonts != [LATIN]:  # which matplotlib takes by itself
            for axes in self.axes:
                axes.tick_params(which="both", labelfontfamily=self.fonts)  # also of ticks that are made later
            for text in self.findobj(Text):
                text.set(fontfamily=self.fonts, fontweight="normal")  # it would tell that none is bold
        super().draw(renderer)

    @property
    def said(self) -> str:
        """The figure in words, for those who do not see it: its headline, and what its axes show."""
        shown = [(axes.get_title("left"), axes.get_ylabel(), axes.get_xlabel()) for axes in self.axes]
        parts = [self.get_suptitle(), *(" / ".join(filter(None, texts)) for texts in shown)]
        return " ".join("; ".join(filter(None, parts)).split())

    def _repr_html_(self) -> str:
        """The figure where a cell ends with it; as HTML, since Jupyter gives a bare PNG no words."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        # rather scrolled than too small to read
        style = f"max-width:100%;min-width:{self.get_figwidth() * 72 * LEGIBLE / TEXT:.0f}px"
        return image_html(buffer.getvalue(), self.said, style)

    def headline(self, text: str) -> None:
        """What the figure shows, in one sentence over all of it."""
        lines = wrapped(text, int(self.get_figwidth() * 8.8))
        self.suptitle(lines, fontsize=TITLE, color=INK, x=0.01, ha="left", weight="bold")


def image_html(png: bytes, said: str, style: str) -> str:
    """A picture that a page holds itself, with what it shows in words."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(said)}" style="{style}">'


def wrapped(text: str, width: int) -> str:
    """The text in lines of so many Latin letters; Japanese breaks between any two characters, but not before a stop."""
    lines, used = [""], 0.0
    for part in re.findall(r"[^\s\u3000-\uffef]+ ?|[\u3000-\uffef][、。，．）」』％ー]*|\s", text):
        length = sum(WIDE if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in part.strip())
        if used + length > width and lines[-1]:
            lines, used = [*lines, ""], 0.0
        lines[-1] += part
        used += length + part.endswith(" ")
    return "\n".join(line.strip() for line in lines)


def styled(axes: Axes, *, x: str, y: str, title: str = "") -> Axes:
    """Axes with legible labels, a quiet grid and no box."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.set_title(title, fontsize=TEXT, color=INK, loc="left", y=1)  # a place of its own takes long to find
    axes.tick_params(which="both", labelsize=TEXT, color=QUIET, labelcolor=INK)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    return axes


def counts() -> Formatter:
    """What writes large counts along an axis: 30k, or as the language has it."""
    return FuncFormatter(lambda value, _place: large(value)) if language() in UNITS else EngFormatter(sep="")


def colours(names: Iterable[str], reference: Collection[str] = ()) -> dict[str, Any]:
    """A colour for each name: ink for a reference, the palette for the others, or a scale for more."""
    names = list(names)
    others = [name for name in names if name not in reference]
    shades = PALETTE if len(others) <= len(PALETTE) else colormaps["viridis"](np.linspace(0, 0.9, len(others)))
    return dict.fromkeys(names, INK) | dict(zip(others, shades, strict=False))


def write_names(axes: Axes, points: Sequence[tuple[str, float, float, float, float]]) -> None:
    """Writes the name of each point (name, x, y, lower and upper end of its bar) where it lies on nothing else."""
    figure: Any = axes.get_figure(root=True)  # a Picture
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    ends = [axes.transData.transform([(x, low), (x, high)]) for _name, x, _y, low, high in points]
    taken = [Bbox(pair).padded(MARK * figure.dpi / 72) for pair in ends]
    for name, x, y, _low, _high in points:
        for right, up in PLACES:
            label = axes.annotate(
                name, (x, y), (9 * right, 6 * up), textcoords="offset points", fontsize=TEXT, color=INK,
                family=figure.fonts,  # as measured, so drawn
                ha="left" if right > 0 else "right", va="bottom" if up > 0 else "top",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.7},  # what lies below shows
            )  # fmt: skip
            label.set_in_layout(False)
            box = label.get_window_extent(renderer)
            inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def families(language: str) -> list[str]:
    """The fonts of matplotlib's pictures in a language, the first first."""
    if language != "ja":
        return [LATIN]
    _japanese_font()
    return [JAPANESE, LATIN]


@cache
def _japanese_font() -> Path:
    """The Japanese font, known to matplotlib; the package that brings it would restyle all figures if imported."""
    file = Path(str(metadata.distribution("matplotlib-fontja").locate_file("matplotlib_fontja/fonts/ipaexg.ttf")))
    fontManager.addfont(file)
    return file


def font_faces(characters: Collection[str], language: str) -> str:
    """CSS that embeds the glyphs of these characters, for a page whose `font-family` is PAGE."""
    latin = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    wide = "" if language == "ja" else "‘’“”…"  # as wide as a Japanese character in the Japanese font
    faces = ("Page", _subset(_japanese_font(), set(characters) - set(wide))), ("Page rest", _subset(latin, characters))
    return "\n".join(
        f"@font-face {{ font-family: '{family}'; src: url(data:font/woff2;base64,{encoded}) format('woff2'); }}"
        for family, encoded in faces
    )


def _subset(file: Path, characters: Collection[str]) -> str:
    """The font with the glyphs of these characters alone, those that it has, as woff2 in base 64."""
    from fontTools.subset import Options, Subsetter, save_font  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    options = Options(flavor="woff2", hinting=False, layout_features=["kern", "liga", "locl", "mark"])
    options.drop_tables += ["FFTM"]  # when its editor saved it
    subsetter, written = Subsetter(options), io.BytesIO()
    subsetter.populate(text="".join(characters))
    with TTFont(file, lazy=True, recalcTimestamp=False) as font:
        subsetter.subset(font)
        save_font(font, written, options)
    return base64.b64encode(written.getvalue()).decode()
