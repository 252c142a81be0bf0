"""The geometry panel as widgets."""

import math
from html import escape

import ipywidgets

from tuckerlab.i18n import text
from tuckerlab.panels.geometry.model import EXPONENTS, RATES, GeometryModel
from tuckerlab.panels.geometry.picture import GeometryPicture
from tuckerlab.panels.widgets import Panel, bind, labelled, line_widget, picture_widget, problem_widget, set_line

SLIDER = {"width": "100%", "max_width": "46rem"}
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PERCENT = 1e-4  # the least share that is said in per cent


class GeometryPanel(Panel):
    """Move how far the singular values fall, and see ordinary gradient descent stall or blow up beside ours."""

    model: GeometryModel

    def __init__(self, model: GeometryModel | None = None) -> None:
        self.model = model or GeometryModel()
        self._picture = GeometryPicture(self.model.steps)
        self.exponent = labelled(
            ipywidgets.SelectionSlider, "geometry.smallest", layout=SLIDER, continuous_update=False,
            options=[(text("geometry.smallest.value", count=10**exponent), exponent) for exponent in EXPONENTS],
        )  # fmt: skip
        self.lr = labelled(
            ipywidgets.Dropdown, "geometry.lr", options=[(text("geometry.lr.value", value=lr), lr) for lr in RATES]
        )
        self.sentence, self.terms = line_widget(), line_widget(escape(text("geometry.terms")))
        self.picture = picture_widget(b"", text("geometry.alt"))
        self._show()
        bind(self.model, exponent=self.exponent, lr=self.lr)
        self.model.observe(self._show, ["ours", "theirs"])
        super().__init__([
            self.exponent, self.lr, self.sentence, self.picture, self.terms, problem_widget(self.model),
        ])  # fmt: skip

    def _show(self, _: object = None) -> None:
        model = self.model
        ours, theirs = (share(value) for value in model.left)
        said = text(
            f"geometry.says.{model.verdict}", steps=model.steps, ours=ours, theirs=theirs, end=len(model.theirs)
        )
        set_line(self.sentence, escape(said))
        self.picture.value = self._picture.png(model.spectrum, model.ours, model.theirs)


def share(value: float) -> str:
    """A share of the first error, in per cent or as a power of ten.

    >>> share(0.0026), share(3e-16)
    ('0.26 %', '10⁻¹⁶')
    """
    if value >= PERCENT:
        return text("geometry.share", value=100 * value)
    exponent = str(round(math.log10(value))) if value else "-∞"
    return text("geometry.power", exponent=exponent.translate(SUPERSCRIPT))
