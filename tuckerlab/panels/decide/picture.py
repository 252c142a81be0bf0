"""The picture of the decision panel: cash over time beside what moves it most, drawn as quickly as a slider asks for.

>>> from tuckerlab.decision.business_case import Assumptions, Basis, money
>>> png(money(Assumptions(), Basis()))[:4]
b'\\x89PNG'
"""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from tuckerlab.decision.business_case import Money
from tuckerlab.decision.plots import draw_fan, draw_tornado, make_room
from tuckerlab.decision.sensitivity import tornado
from tuckerlab.panels.fast_png import SCREEN_DPI
from tuckerlab.plotting.figure import Picture


def png(money: Money) -> bytes:
    """Both pictures side by side, in a fixed layout: finding one takes long. The panel has the headline."""
    figure = Picture(figsize=(10.6, 4.0))
    figure.set_layout_engine("none")
    figure.set_dpi(SCREEN_DPI)
    canvas = FigureCanvasAgg(figure)
    draw_fan(figure.add_axes((0.115, 0.14, 0.34, 0.77)), money)
    right = figure.add_axes((0.665, 0.14, 0.32, 0.77))
    draw_tornado(right, tornado(money), money.assumptions)
    make_room(right)
    canvas.draw()  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    Image.fromarray(pixels).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
