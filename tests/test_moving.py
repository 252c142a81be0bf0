"""Moving pictures are what matplotlib draws as a whole, wherever their artists have moved to."""

import io
import threading
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.panels.fast_png import COLOURS, SCREEN_DPI, MovingPicture
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


def test_at_first_it_is_the_whole_figure() -> None:
    figure, _, line, label = drawn()
    assert differ(pixels(MovingPicture(figure, [line, label]).png(exact=True)), whole(drawn()[0])) < 1e-4


def test_it_moves() -> None:
    figure, _, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    for end in (2.5, 0.2, 1.0):  # nothing of the place before is left behind
        moved(line, label, end)
        assert differ(pixels(moving.png(exact=True)), whole(drawn(end)[0])) < 1e-4
    moved(line, label, 2.5)
    assert differ(pixels(moving.png(exact=True)), whole(drawn(1.0)[0])) > 1e-3


def test_few_colours_look_alike() -> None:
    figure, _, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    for end in (1.0, 2.0):
        moved(line, label, end)
        quick, exact = pixels(moving.png()), pixels(moving.png(exact=True))
        assert len(np.unique(quick.reshape(-1, 3), axis=0)) <= COLOURS
        assert differ(quick, exact, tolerance=32) < 0.002


def test_an_axis_that_changes_needs_to_settle() -> None:
    figure, axes, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    moving.png()
    axes.set_ylim(0, 6)
    wanted = whole(stretched(1.0))
    assert differ(pixels(moving.png(exact=True)), wanted) > 1e-3
    moving.settle()
    assert differ(pixels(moving.png(exact=True)), wanted) < 1e-4
    moved(line, label, 5.0)
    assert differ(pixels(moving.png(exact=True)), whole(stretched(5.0))) < 1e-4
    assert differ(pixels(moving.png()), pixels(moving.png(exact=True)), tolerance=32) < 0.002


def test_nothing_shifts_when_a_label_grows() -> None:
    figure, axes, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    before = axes.get_position().bounds
    label.set_text("a label that is a great deal longer than there is room for")
    moving.png()
    moving.settle()
    assert axes.get_position().bounds == before


def test_any_thread_draws_its_own() -> None:
    ends = [0.5, 1.0, 1.5, 2.0]
    found: dict[float, list[NDArray[np.int16]]] = {end: [] for end in ends}

    def draw(end: float) -> None:
        figure, _, line, label = drawn()
        moving = MovingPicture(figure, [line, label])
        for now in (2.7, end, 0.1, end):
            moved(line, label, now)
            found[end].append(pixels(moving.png(exact=True)))

    in_threads([lambda end=end: draw(end) for end in ends])
    for end in ends:
        assert len(found[end]) == 4
        assert differ(found[end][1], whole(drawn(end)[0])) < 1e-4
        assert np.array_equal(found[end][1], found[end][3])


def test_made_in_one_thread_and_drawn_in_another() -> None:
    figure, _, line, label = drawn()
    moving = MovingPicture(figure, [line, label])
    moved(line, label, 2.0)
    found: list[bytes] = []
    in_threads([lambda: found.append(moving.png(exact=True))])
    assert differ(pixels(found[0]), whole(drawn(2.0)[0])) < 1e-4


def in_threads(tasks: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
