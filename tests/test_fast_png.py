"""Moving pictures are what matplotlib draws as a whole, wherever their artists have moved to."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.panels.fast_png import SCREEN_DPI, MovingPicture
from tuckerlab.plotting.figure import PALETTE, Picture, styled

Drawn = tuple[Picture, Axes, Line2D, Text]


def drawn(end: float = 1.0) -> Drawn:
    """A figure with a curve that stays, and a line and a label that move."""
    figure = Picture(figsize=(4, 3))
    axes = styled(figure.subplots(), x="step", y="loss", title="a title")
    axes.plot([0, 1, 2], [2, 1, 0.5], color=PALETTE[1])
    axes.set_xlim(0, 2)
    axes.set_ylim(0, 3)
    [line] = axes.plot([0, 2], [end, end], color=PALETTE[0], linewidth=3)
    return figure, axes, line, axes.text(1, end, f"{end:g}", fontsize=11)


def moved(line: Line2D, label: Text, end: float) -> None:
    line.set_ydata([end, end])
    label.set_y(end)
    label.set_text(f"{end:g}")


def stretched(end: float) -> Picture:
    """The same, laid out as it was before its axis went to 6."""
    figure, axes, line, label = drawn()
    figure.set_dpi(SCREEN_DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    axes.set_ylim(0, 6)
    moved(line, label, end)
    return figure


def pixels(png: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int16)


def whole(figure: Picture) -> NDArray[np.int16]:
    """What `savefig` makes of a figure in which nothing is animated."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=SCREEN_DPI)
    return pixels(buffer.getvalue())


def differ(one: NDArray[np.int16], other: NDArray[np.int16], tolerance: int = 8) -> float:
    """The share of the pixels that differ."""
    assert one.shape == other.shape
    return float((np.abs(one - other).max(axis=2) > tolerance).mean())


def test_it_moves() -> None:
    figure, _, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    for end in (2.5, 0.2, 1.0):  # nothing of the place before is left behind
        moved(line, label, end)
        assert differ(pixels(moving.png()), whole(drawn(end)[0])) < 1e-4
    moved(line, label, 2.5)
    assert differ(pixels(moving.png()), whole(drawn(1.0)[0])) > 1e-3


def test_an_axis_that_changes_needs_to_settle() -> None:
    figure, axes, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    moving.png()
    axes.set_ylim(0, 6)
    wanted = whole(stretched(1.0))
    assert differ(pixels(moving.png()), wanted) > 1e-3
    moving.settle()
    assert differ(pixels(moving.png()), wanted) < 1e-4
    moved(line, label, 5.0)
    assert differ(pixels(moving.png()), whole(stretched(5.0))) < 1e-4
