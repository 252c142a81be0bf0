"""The cycle panel as widgets."""

from html import escape

import ipywidgets

from tuckerlab.demos.rank_cycle import TAU, TRUE_RANK
from tuckerlab.i18n import text
from tuckerlab.panels.cycle.model import CYCLES, FIRST, CycleModel
from tuckerlab.panels.cycle.picture import rank_paths
from tuckerlab.panels.widgets import Panel, bind, labelled, line_widget, picture_widget, problem_widget, set_line


class CyclePanel(Panel):
    """Move how often the ranks adapt, and see whether a layer that starts too small finds the true rank."""

    model: CycleModel

    def __init__(self, model: CycleModel | None = None) -> None:
        self.model = model or CycleModel()
        self.every = labelled(
            ipywidgets.SelectionSlider, "cycle.every", continuous_update=False,
            layout={"width": "100%", "max_width": "46rem"},
            options=[(text("cycle.every.value", count=every), every) for every in CYCLES],
        )  # fmt: skip
        self.sentence = line_widget()
        self.terms = line_widget(escape(text("cycle.terms", true=TRUE_RANK, tau=TAU)))
        self.picture = picture_widget(b"", text("cycle.alt"))
        self._show()
        bind(self.model, every=self.every)
        self.model.observe(self._show, ["chosen"])
        super().__init__([self.every, self.sentence, self.picture, self.terms, problem_widget(self.model)])

    def _show(self, _: object = None) -> None:
        model = self.model
        said = [text("cycle.says.each_step", rank=model.each_step[0].found)]
        if model.every != 1:
            told = {"first": FIRST[0], "every": model.every, "rank": model.chosen[0].found, "steps": model.steps}
            said.insert(0, text(f"cycle.says.{model.verdict}", true=TRUE_RANK, **told))
        set_line(self.sentence, escape(" ".join(said)))
        self.picture.value = rank_paths(model.each_step, model.chosen, TRUE_RANK)._repr_png_()
