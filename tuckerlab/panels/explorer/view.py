"""The Tucker explorer as widgets."""

from html import escape

import ipywidgets

from tuckerlab.demos.decompositions import PHOTOS, Goal, Subject, subject
from tuckerlab.i18n import has_text, text
from tuckerlab.panels.explorer.model import ExplorerModel
from tuckerlab.panels.explorer.picture import ExplorerPicture, mode_name
from tuckerlab.panels.widgets import (
    LABELLED,
    Panel,
    bind,
    labelled,
    line_widget,
    picture_widget,
    problem_widget,
    set_line,
    tiles,
)

SLIDER = {"width": "100%", "max_width": "34rem"}  # a layout for each slider: they are hidden one by one
MOST_MODES = 4


class TuckerExplorer(Panel):
    """Choose a photograph or a kernel, move its ranks, and see what is left of it and what it takes to store.

    `subject` is a name from `tuckerlab.demos.decompositions.subjects()` or the beginning of one; with a `goal` the
    panel says whether it is reached.
    """

    model: ExplorerModel

    def __init__(
        self,
        subject: str = PHOTOS[0],
        tolerance: float = 0.15,
        goal: Goal | None = None,
        model: ExplorerModel | None = None,
    ) -> None:
        self.model = model or ExplorerModel(subject, tolerance, goal)
        self._pictures: dict[str, ExplorerPicture] = {}
        options = [(subject_name(name), name) for name in self.model.names]
        self.subject = labelled(ipywidgets.Dropdown, "explorer.subject", options=options, layout=SLIDER)
        self.tolerance = labelled(
            ipywidgets.FloatSlider, "explorer.tolerance", max=0.9, step=0.01, readout_format=".0%", layout=SLIDER
        )
        self.ranks = [ipywidgets.IntSlider(1, min=1, layout=SLIDER, style=LABELLED) for _ in range(MOST_MODES)]
        self.task, self.numbers, self.sentence = line_widget(), ipywidgets.HTML(), line_widget()
        self.picture = picture_widget(b"", text("explorer.alt"))
        self.picture.layout.align_self = "flex-start"  # not stretched: text stays sharp
        self._show()
        bind(self.model, subject=self.subject, tolerance=self.tolerance)
        self.model.observe(lambda _: self._show(), ["cut", "goal"])
        for slider in self.ranks:
            slider.observe(lambda _: self._moved(), "value")
        sliders = ipywidgets.GridBox(self.ranks, layout=ipywidgets.Layout(grid_template_columns="1fr 1fr"))
        super().__init__([
            self.task, self.subject, self.tolerance, sliders, self.numbers, self.picture, self.sentence,
            problem_widget(self.model),
        ])  # fmt: skip

    def _moved(self) -> None:
        if not self._filling:
            self.model.asked = tuple(slider.value for slider in self.ranks[: len(self.model.asked)])

    def _fill(self) -> None:
        """The rank sliders as the model has them."""
        of = self.model.cut.of
        self._filling = True
        for i, slider in enumerate(self.ranks):
            slider.layout.display = "" if i < len(of.shape) else "none"
            if i < len(of.shape):
                slider.description = text("explorer.rank", mode=mode_name(of.modes[i]))
                slider.max = of.shape[i]
                slider.value = self.model.asked[i]
        self._filling = False

    def _show(self) -> None:
        model, cut = self.model, self.model.cut
        self._fill()
        larger = cut.share >= 1
        share = text("explorer.larger" if larger else "explorer.of", share=100 * cut.share, count_=cut.original)
        sizes = " × ".join(str(rank) for rank in cut.ranks)
        within = text("explorer.within", value=100 * model.tolerance) if model.by == "tolerance" else ""
        self.numbers.value = tiles([
            (text("explorer.tile.stored"), text("unit.count", count_=cut.stored), share),
            (text("explorer.tile.core"), text("unit.count", count_=cut.core), sizes),
            (text("explorer.tile.factors"), text("unit.count", count_=cut.factors), text("explorer.factors")),
            (text("explorer.tile.error"), text("unit.percent", value=100 * cut.error), within),
        ])  # fmt: skip
        self._say()
        if cut.of.name not in self._pictures:
            self._pictures[cut.of.name] = ExplorerPicture(cut.of)
        self.picture.value = self._pictures[cut.of.name].png(cut)

    def _say(self) -> None:
        """The lines: what the ranks are, what could not be, and the task."""
        model, cut = self.model, self.model.cut
        said = [text(f"explorer.by.{model.by}", value=100 * model.tolerance)]
        said += [
            text("explorer.lowered", mode=mode_name(mode), asked=asked, rank=rank)
            for mode, asked, rank in model.lowered
        ]
        if cut.share >= 1:
            said.append(text("explorer.no_saving"))
        if not cut.of.is_photo:
            said.append(text("explorer.mosaic", out=cut.of.shape[0], into=cut.of.shape[1]))
        set_line(self.sentence, escape(" ".join(said)))
        if model.goal is None:
            return
        task = text("explorer.task", share=100 * model.goal.share, error=100 * model.goal.error)
        key = "explorer.solved" if model.solved else "explorer.not_yet"
        state = text(key, share=100 * cut.share, error=100 * cut.error)
        set_line(self.task, f"{escape(task)} <b>{escape(state)}</b>")


def subject_name(name: str) -> str:
    """What a subject is called."""
    key = f"explorer.subject.{name}"
    if has_text(key):
        return text(key)
    of: Subject = subject(name)
    return text("explorer.subject.kernel", layer=int(name.partition(".")[2]), out=of.shape[0], into=of.shape[1])
