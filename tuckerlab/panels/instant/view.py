"""The instant slider as widgets."""

from html import escape

import ipywidgets

from tuckerlab.experiments.size_table import Sizes
from tuckerlab.i18n import has_text, text
from tuckerlab.panels.instant.model import HIGHEST_PRICE, MOST_ANSWERS, InstantModel
from tuckerlab.panels.instant.picture import InstantPicture
from tuckerlab.panels.widgets import Panel, bind, labelled, line_widget, picture_widget, problem_widget, set_line, tiles

SLIDER = {"width": "100%", "max_width": "46rem"}


class InstantSlider(Panel):
    """Move the size of a network, and see accuracy, parameters, file, time and cost move at once.

    `sizes` names a recorded table, or is one of your own networks (`Sizes.of`). exercise: the panel asks for the
    smallest network that loses at most so many points, and says when it is found.
    """

    model: InstantModel

    def __init__(self, sizes: str | Sizes = "slider-digits", *, exercise: float | None = None) -> None:
        self.model = InstantModel(sizes, exercise)
        self._pictures: dict[str, tuple[Sizes, InstantPicture]] = {}
        self.source = labelled(ipywidgets.Dropdown, "instant.source", options=self._sources(), value=self.model.source)
        self.compression = labelled(ipywidgets.SelectionSlider, "instant.compression", options=[0], layout=SLIDER)
        self.tolerance = labelled(ipywidgets.SelectionSlider, "instant.tolerance", options=[0], layout=SLIDER)
        self.answers = labelled(ipywidgets.BoundedFloatText, "instant.answers", min=0, max=MOST_ANSWERS, step=1e5)
        self.price = labelled(ipywidgets.BoundedFloatText, "instant.price", min=0, max=HIGHEST_PRICE, step=0.01)
        self.numbers, self.sentence, self.origin = ipywidgets.HTML(), line_widget(), line_widget()
        self.task = line_widget()
        self.picture = picture_widget(b"", text("instant.alt"))
        if not self.model.source:
            self.source.layout.display = "none"
        self._fill()
        bind(self.model, answers=self.answers, price=self.price)
        if self.model.source:
            bind(self.model, source=self.source)
        self.model.observe(lambda _: self._fill(), "sizes")
        self.model.observe(lambda _: self._show(), ["size", "answers", "price"])
        for name in ("compression", "tolerance"):
            widget = getattr(self, name)
            widget.observe(lambda change, name=name: self._moved(name, change.new), "value")
            self.model.observe(lambda change: self._place(change.name, change.new), name)
        super().__init__([
            self.source, self.compression, self.tolerance, self.numbers, self.sentence, self.picture, self.task,
            ipywidgets.HBox([self.answers, self.price], layout=ipywidgets.Layout(flex_flow="row wrap")),
            self.origin, problem_widget(self.model),
        ])  # fmt: skip

    def _sources(self) -> list[tuple[str, str]]:
        return [(_source_name(name), name) for name in self.model.sources] if self.model.source else [("", "")]

    def _moved(self, name: str, value: float) -> None:
        if not self._filling:
            setattr(self.model, name, value)

    def _place(self, name: str, value: float) -> None:
        """Puts a slider where the model is, unless its settings are still those of the table before."""
        widget = getattr(self, name)
        if value in (setting for _, setting in widget.options):
            widget.value = value

    def _fill(self) -> None:
        """The sliders for another table."""
        self._filling = True
        for by in ("compression", "tolerance"):
            widget = getattr(self, by)
            settings = self.model.settings(by)
            widget.options = [(self._setting(by, value, trained), value) for value, trained in settings] or [("", 0.0)]
            widget.value = getattr(self.model, by) if settings else 0.0
            widget.layout.display = "" if settings else "none"
        self._filling = False
        origin = self.model.sizes.origin
        set_line(
            self.origin,
            escape(text("instant.origin", **origin | {"date": str(origin["date"])[:10]})) if "device" in origin else "",
        )
        self._show()

    def _setting(self, by: str, value: float, trained: bool) -> str:
        said = text(f"instant.setting.{by}", value=100 * value)
        return text("instant.setting.trained", setting=said) if trained else said

    def _show(self) -> None:
        model, size, full = self.model, self.model.size, self.model.full
        costs = model.cost(full), model.cost(size)
        points = round(100 * (size.test_accuracy - full.test_accuracy), 1)
        verdict = text("instant.same") if points >= 0 else text("unit.points", points=points)
        self.numbers.value = tiles([
            (text("instant.tile.accuracy"), text("unit.percent", value=100 * size.test_accuracy), verdict),
            (text("instant.tile.parameters"), text("unit.count", count_=size.parameters),
             _times(full.parameters / size.parameters)),
            (text("instant.tile.file"), text("unit.kilobytes", value=size.file_bytes / 1e3),
             text("instant.of_full", share=100 * size.file_bytes / full.file_bytes)),
            (text("instant.tile.latency"), text("unit.milliseconds", value=size.latency_1_ms),
             text("instant.of_full", share=100 * size.latency_1_ms / full.latency_1_ms)),
            (text("instant.tile.cost"), text("unit.money", value=costs[1]),
             _saved(costs[0] - costs[1])),
        ])  # fmt: skip
        kind = "full" if size.setting == 0 else "trained" if size.trained else "cut"
        if kind == "cut" and size.conv_compression <= 0:
            kind = "larger"
        set_line(
            self.sentence,
            escape(
                text(f"instant.is.{kind}", source=text("instant.full") if size.source == full.source else size.source)
            ),
        )
        if model.exercise is not None:
            found = text("instant.solved" if model.solved else "instant.not_yet")
            set_line(self.task, f"{escape(text('instant.exercise', points=model.exercise))} <b>{escape(found)}</b>")
        if self._pictures.get(model.by, (None,))[0] is not model.sizes:
            self._pictures[model.by] = model.sizes, InstantPicture(model.sizes, model.by)
        self.picture.value = self._pictures[model.by][1].png(size, costs)


def _times(factor: float) -> str:
    if round(factor, 1) == 1:
        return text("instant.of_full", share=100 / factor)
    return text("instant.times_fewer", times=factor) if factor > 1 else text("instant.times_more", times=1 / factor)


def _saved(value: float) -> str:
    if round(value, 2) == 0:
        return text("instant.as_dear")
    return text("instant.saved" if value > 0 else "instant.dearer", value=abs(value))


def _source_name(name: str) -> str:
    key = f"data.{name}"
    return text(key) if has_text(key) else name
