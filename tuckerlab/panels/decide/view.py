"""The decision panel as widgets."""

import math
import os
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from tuckerlab.decision.assumptions import KINDS, LEADING, MOST_YEARS, Assumptions
from tuckerlab.decision.wording import (
    chance,
    gap_lines,
    html_table,
    notes,
    outcome_line,
    table,
    turn_line,
    unbroken,
    verdict_line,
)
from tuckerlab.i18n import text
from tuckerlab.panels.decide.model import DecideModel, Outcome
from tuckerlab.panels.decide.picture import png
from tuckerlab.panels.widgets import (
    Panel,
    bind,
    button,
    folded,
    labelled,
    line_widget,
    picture_widget,
    problem_html,
    problem_widget,
    set_line,
    tiles,
)

ROW = {"flex_flow": "row wrap"}
SLIDER = {"width": "100%", "max_width": "46rem"}
FIELD = {"width": "34rem", "max_width": "100%"}
RANGE = {"width": "38rem", "max_width": "100%"}  # three numbers of eleven digits
ORIGIN = {"flex": "1 1 14rem", "min_width": "0"}  # beside the field, in as many lines as it takes
REACH = 3.0  # powers of ten that a slider goes to both sides of the default
STEP = 0.05
FILE = "assumptions.toml"


class DecidePanel(Panel):
    """Move your numbers, and see at once whether the small network of a run pays back, and what that hangs on.

    `run` names a recorded result, or is the path of a run folder; `network` is the label of the network to decide on.
    """

    model: DecideModel

    def __init__(
        self,
        run: str | os.PathLike[str] = "compare-folder-neu_steel",
        network: str | None = None,
        assumptions: Assumptions | None = None,
        model: DecideModel | None = None,
    ) -> None:
        self.model = model or DecideModel(run, network, assumptions=assumptions or Assumptions())
        self._filling = False
        self.run = labelled(
            ipywidgets.Combobox, "decide.run", options=self.model.recorded, continuous_update=False, layout=FIELD
        )
        self.network = labelled(ipywidgets.Dropdown, "decide.network")
        self.sliders = {key: self._slider(key) for key in LEADING}
        self.verdict, self.turns, self.notes, self.answer = (line_widget() for _ in range(4))
        self.numbers, self.account, self.plan = (ipywidgets.HTML() for _ in range(3))
        self.picture = picture_widget(b"", text("decide.alt"))
        self.fields = {key: self._field(key) for key in KINDS}
        self.origins = {key: ipywidgets.HTML(layout=ORIGIN) for key in KINDS}
        self.years = labelled(ipywidgets.IntSlider, "decide.years", min=1, max=MOST_YEARS, continuous_update=False)
        self.currency = labelled(
            ipywidgets.Combobox, "decide.currency", options=["$", "¥", "€", "£"], continuous_update=False
        )
        self.file = labelled(ipywidgets.Text, "decide.file", value=FILE, continuous_update=False)
        self.out = labelled(ipywidgets.Text, "decide.out", continuous_update=False)
        self.write = button("decide.write", self.model.write, button_style="primary")
        self.progress = line_widget()
        self.folds = self._folds()
        bind(self.model, out=self.out)
        for name, widget in {"run": self.run, "network": self.network}.items():
            widget.observe(lambda change, name=name: self._chosen(name, change.new), "value")
        for name, widget in {"years": self.years, "currency": self.currency}.items():
            widget.observe(lambda change, name=name: self._set(**{name: change.new}), "value")
        self.model.observe(self._show, ["outcome", "problem", "run", "network"])
        self.model.observe(self._show_writing, ["writing", "written", "step"])
        self._drawn: Outcome | None = None
        self._show()
        super().__init__([
            problem_widget(self.model), ipywidgets.HBox([self.run, self.network], layout=ROW),
            *self.sliders.values(), self.verdict, self.numbers, self.picture, self.turns, self.notes, self.answer,
            self.folds, ipywidgets.HBox([self.out, self.write], layout=ROW), self.progress,
        ])  # fmt: skip

    def static(self) -> str:
        """As all panels, with the assumptions as a table: their fields need a kernel."""
        rows = [[it.name, it.said, self._origin(it.key)] for it in self.model.money.assumptions]
        head = [text(f"decide.column.{column}") for column in ("assumption", "range", "origin")]
        return super().static() + folded(text("decide.assumptions"), html_table(head, rows))

    def _slider(self, key: str) -> ipywidgets.FloatLogSlider:
        slider = ipywidgets.FloatLogSlider(
            description=text(f"money.name.{key}"), style={"description_width": "12rem"}, layout=SLIDER,
            readout_format=",.3r", continuous_update=False, step=STEP,
        )  # fmt: skip
        slider.observe(lambda change: self._typed(self.model.slide, key, change.new), "value")
        return slider

    def _field(self, key: str) -> ipywidgets.Text:
        field = ipywidgets.Text(
            description=text(f"money.name.{key}"), style={"description_width": "18rem"}, layout=RANGE,
            continuous_update=False,
        )  # fmt: skip
        field.observe(lambda change: self._entered(key, change.new), "value")
        return field

    def _folds(self) -> ipywidgets.Accordion:
        rows = [ipywidgets.HBox([self.fields[key], self.origins[key]], layout=ROW) for key in KINDS]
        file = [
            self.file,
            button("decide.load", lambda: self.model.load(self.file.value)),
            button("decide.save", lambda: self.model.save(self.file.value)),
            button("decide.reset", self.model.reset),
        ]
        assumptions = ipywidgets.VBox([
            ipywidgets.Label(text("decide.assumptions.how")), ipywidgets.HBox([self.years, self.currency], layout=ROW),
            *rows, ipywidgets.HBox(file, layout=ROW),
        ])  # fmt: skip
        named = {"assumptions": assumptions, "lines": self.account, "plan": self.plan}
        return ipywidgets.Accordion(
            list(named.values()), titles=[text(f"decide.{name}") for name in named], selected_index=None
        )

    def _chosen(self, name: str, value: Any) -> None:
        if not self._filling and value is not None:
            setattr(self.model, name, value)

    def _typed(self, change: Callable[[str, Any], None], key: str, value: Any) -> None:
        if not self._filling:
            change(key, value)

    def _entered(self, key: str, said: str) -> None:
        """What cannot be is told beside the field too: the line over the panel may be out of sight."""
        if not self._filling:
            self.model.edit(key, said)
            if self.model.problem:
                self.origins[key].value = problem_html(self.model.problem, "")

    def _set(self, **settings: Any) -> None:
        if not self._filling:
            self.model.set(**settings)

    def _show(self, _: object = None) -> None:
        outcome = self.model.outcome
        if outcome is None:
            return
        self._fill()  # what cannot be goes back to what is
        if outcome is self._drawn:
            return
        self._drawn, money = outcome, outcome.money
        set_line(self.verdict, unbroken(f"<b>{escape(verdict_line(money))}.</b> {escape(outcome_line(money))}"))
        self.numbers.value = unbroken(tiles(_numbers(outcome)))
        self.picture.value = png(money)
        set_line(self.turns, unbroken(_turns(outcome)))
        set_line(self.notes, unbroken("<br>".join(escape(line) for line in (*gap_lines(money), *notes(money)))))
        set_line(self.answer, escape(_answer(outcome)))
        self.account.value, self.plan.value = unbroken(table(money)), unbroken(outcome.plan._repr_html_())

    def _fill(self) -> None:
        """Puts all fields where the model is."""
        model, assumptions = self.model, self.model.money.assumptions
        self._filling = True
        try:
            self.run.value = model.run
            self.network.options = model.networks
            self.network.value = model.network if model.network in model.networks else None
            self.years.value, self.currency.value = assumptions.years, assumptions.currency
            for key, field in self.fields.items():
                field.value, self.origins[key].value = assumptions[key].said, _beside(self._origin(key))
            for key, slider in self.sliders.items():
                middle = math.log10(Assumptions(currency=assumptions.currency)[key].likely)
                slider.min, slider.max = min(slider.min, middle - REACH), max(slider.max, middle + REACH)
                slider.min, slider.max = middle - REACH, middle + REACH
                slider.value = max(assumptions[key].likely, 10.0**slider.min)
        finally:
            self._filling = False

    def _origin(self, key: str) -> str:
        assumptions = self.model.money.assumptions
        return text("decide.unit", unit=assumptions.unit(key), origin=assumptions[key].said_origin)

    def _show_writing(self, _: object = None) -> None:
        model = self.model
        self.write.disabled = model.writing
        done = text("decide.written", path=model.written) if model.written else ""
        set_line(self.progress, escape(text("decide.writing", step=model.step) if model.writing else done))


def _beside(said: str) -> str:
    return f'<div style="line-height:1.35;padding:.3rem 0">{escape(said)}</div>'


def _numbers(outcome: Outcome) -> list[tuple[str, str, str]]:
    money = outcome.money
    amount, years = money.assumptions.amount, money.assumptions.years

    def span(spread: Any) -> str:
        return text("decide.tile.range", low=amount(spread.low), high=amount(spread.high))

    after, saves = money.payback.median, money.yearly.median >= 0
    yearly = money.yearly if saves else -money.yearly
    key = "value" if math.isfinite(after) else "never"
    return [
        (text("decide.tile.chance", years=years), chance(money.pays), text("decide.tile.chance.means")),
        (
            text("decide.tile.payback"),
            text(f"decide.tile.payback.{key}", years=after),
            text("decide.tile.payback.means"),
        ),
        (text("decide.tile.yearly" if saves else "decide.tile.costs"), amount(yearly.median), span(yearly)),
        (text("decide.tile.once"), amount(-money.once.median), span(-money.once)),
        (text("decide.tile.worth", years=years), amount(money.worth.median), span(money.worth)),
    ]


def _turns(outcome: Outcome) -> str:
    said = [line for turn in outcome.turns if (line := turn_line(outcome.money, turn))]
    if not said:
        return escape(text("decide.no_turns"))
    items = "".join(f"<li>{escape(line)}</li>" for line in said)
    return f"{escape(text('decide.turns'))} <ul style='margin:0'>{items}</ul>"


def _answer(outcome: Outcome) -> str:
    said = text(f"decide.answer.{outcome.answer}")
    if not outcome.missing:
        return said
    open_ = ", ".join(text(f"decide.criterion.{key}") for key in outcome.missing)
    return f"{said} {text('decide.criteria', criteria=open_)}"
