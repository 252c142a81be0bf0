"""The picture of a folder: a row for each class, with a few of its images and how many there are to train and to test.

>>> from tuckerlab.data.folder_check import Count
>>> grey = np.zeros((64, 64), dtype=np.uint8)
>>> figure = folder_picture({"bad": Count(30, 8), "good": Count(300, 75)}, {"bad": (grey,), "good": (grey, grey)})
>>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
['bad', 'good']
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tuckerlab.data.folder_check import SAMPLES, Count
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture

ROWS = 8  # classes shown
GAP = 5  # pixels between images
LONGEST = 24  # letters of a name
BARS = 0.5  # of the width of the images

Pixels = NDArray[np.uint8]


def folder_picture(counts: Mapping[str, Count], samples: Mapping[str, Sequence[Pixels]]) -> Picture:
    """Images of each class (uint8, square, of one size) and bars of the numbers to train and to test."""
    names = list(counts)[:ROWS]
    side = next((len(picture) for name in names for picture in samples[name]), 1)
    step, width = side + GAP, (side + GAP) * SAMPLES - GAP
    figure = Picture(figsize=(10.6, 1.1 + 0.64 * len(names)))
    axes = figure.subplots()
    axes.imshow(_mosaic([samples[name] for name in names], side), interpolation="nearest")
    middles = step * np.arange(len(names)) + (side - 1) / 2
    axes.set_yticks(middles, [_short(name) for name in names], parse_math=False)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=TEXT, labelcolor=INK)
    axes.spines[:].set_visible(False)

    # Bars beside the images, in the images' own units, so that rows stay in line
    begin, longest = width + 2 * GAP, BARS * width
    most = max((max(counts[name]) for name in names), default=0) or 1
    for part, shift, colour in (("train", -0.2, PALETTE[0]), ("test", 0.2, PALETTE[5])):
        values = np.array([getattr(counts[name], part) for name in names])
        places = middles + shift * side
        label = text(f"folder.picture.{part}")
        axes.barh(places, values / most * longest, 0.36 * side, begin, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            at, said = begin + value / most * longest + GAP, text("unit.count", count_=int(value))
            axes.text(at, place, said, va="center", fontsize=TEXT - 0.5, color=INK)
    end = begin + 1.16 * longest
    axes.set_xlim(-0.5, end)
    axes.set_ylim(step * len(names) - GAP, -0.5)
    axes.axvline(begin, color=QUIET, linewidth=1)
    axes.set_title(text("folder.picture.samples"), loc="left", fontsize=TEXT, color=INK)
    above = {"bbox_to_anchor": (begin / end, 1.0), "borderaxespad": 0.4, "handlelength": 1.2}
    axes.legend(loc="lower left", ncols=2, fontsize=TEXT, frameon=False, **above)
    if len(counts) > ROWS:
        axes.set_xlabel(text("folder.picture.more", count=len(counts) - ROWS), fontsize=TEXT, color=QUIET, loc="left")
    return figure


def _mosaic(rows: Sequence[Sequence[Pixels]], side: int) -> Pixels:
    """All images in one, white where there is none."""
    step = side + GAP
    canvas = np.full((max(1, step * len(rows) - GAP), step * SAMPLES - GAP, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row[:SAMPLES]):
            colours = picture if picture.ndim == 3 else picture[..., None]
            canvas[step * i : step * i + side, step * j : step * j + side] = colours
    return canvas


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
