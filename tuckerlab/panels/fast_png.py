"""Pictures that move: of a figure drawn once, only the artists that change are drawn again.

A whole figure takes matplotlib a tenth of a second to a quarter, which is too much beside a training run and under a
slider.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tuckerlab.plotting.figure import Picture

SCREEN_DPI = 110


class MovingPicture:
    """A figure, and the artists in it that move; the others are drawn for the first picture, and after `settle`."""

    def __init__(self, figure: Picture, moving: Sequence[Artist], *, dpi: float = SCREEN_DPI) -> None:
        self.figure, self.moving = figure, list(moving)
        figure.set_dpi(dpi)
        for artist in self.moving:
            artist.set_animated(True)
        self.canvas = FigureCanvasAgg(figure)
        self.settle()
        if figure.get_constrained_layout():  # labels get their room now
            self._draw_background()

    def settle(self) -> None:
        """Draws what does not move anew, with the next picture: after a change of an axis. Labels keep their room."""
        self.background: Any = None

    def _draw_background(self) -> None:
        self.canvas.draw()  # type: ignore[no-untyped-call]
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)  # type: ignore[no-untyped-call]
        self.figure.set_layout_engine("none")  # nothing shifts later, and the layout is what takes longest

    def png(self) -> bytes:
        """The picture as it is now."""
        if self.background is None:
            self._draw_background()
        self.canvas.restore_region(self.background)  # type: ignore[no-untyped-call]
        renderer = self.canvas.get_renderer()  # type: ignore[no-untyped-call]
        for artist in self.moving:
            artist.draw(renderer)
        return encoded(self.canvas)


def encoded(canvas: FigureCanvasAgg) -> bytes:
    """What is drawn on the canvas as PNG, as quickly as a slider asks for."""
    buffer, pixels = io.BytesIO(), canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    Image.fromarray(np.asarray(pixels)).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
