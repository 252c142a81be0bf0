"""The decision panel: your numbers, and whether the small network of a run pays back with them."""

import dataclasses
import math
import os
from functools import partial
from html import escape
from operator import attrgetter
from typing import Any

import ipywidgets

from tuckerlab.decision.assumptions import KINDS, LEADING, MOST_YEARS, Assumptions, parsed, scaled
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.pages import account, fill, notes
from tuckerlab.decision.wording import outcome_line, unbroken, verdict_line
from tuckerlab.experiments.run_folder import names
from tuckerlab.i18n import _, language
from tuckerlab.panels.decide_case import Outcome, advice, count, draw, folder_of, read_evidence, tiles_html, turns_html
from tuckerlab.panels.field import Field
from tuckerlab.panels.widgets import (
    ROW,
    SLIDER,
    Line,
    Panel,
    PictureBox,
    button,
    folded,
    labelled,
    row,
    unwatched,
    watch,
)

FIELD = {"width": "34rem", "max_width": "100%"}
RANGE = {"width": "38rem", "max_width": "100%"}  # three numbers of eleven digits
ORIGIN = {"flex": "1 1 14rem", "min_width": "0"}  # beside the field, in as many lines as it takes
REACH = 3.0  # powers of ten that a slider goes to both sides of the default
STEP = 0.05
FILE, BRIEF = "assumptions.toml", "decision.html"


class DecidePanel(Panel):
    """Move your numbers, and see at once whether the small network of a run pays back, and what that hangs on.

    `run` names a recorded result, or is the path of a run folder; `network` is the label of the network to decide on.
    `outcome` is what is shown. What cannot be is a `problem`, and all stays as it was. DataError for a run or network
    that is not there from the start.
    """

    def __init__(
        self,
        run: str | os.PathLike[str] = "compare-folder-neu_steel",
        network: str | None = None,
        assumptions: Assumptions | None = None,
    ) -> None:
        super().__init__()
        self.writing, self.written = False, ""  # a brief, and the file of the last one
        self._written_of: Outcome | None = None
        self._drawn: Outcome | None = None
        self._set(str(run), network, assumptions or Assumptions())
        self.run = labelled(
            ipywidgets.Combobox, _("Run"), _("the name of a recorded result, or the folder of a run of yours"),
            options=names(), continuous_update=False, layout=FIELD,
        )  # fmt: skip
        self.network = labelled(ipywidgets.Dropdown, _("Network"))
        usual = Assumptions()
        self.sliders = {
            key: labelled(
                ipywidgets.FloatLogSlider, usual[key].name, style={"description_width": "12rem"}, layout=SLIDER,
                readout_format=",.3r", continuous_update=False, step=STEP,
            )
            for key in LEADING
        }  # fmt: skip
        self.verdict, self.turns, self.notes, self.answer, self.progress = Line(), Line(), Line(), Line(), Line()
        self.numbers, self.account, self.plan = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.picture = PictureBox(_("What was spent and saved over time, and what moves it most"))
        self.fields = {
            key: Field(
                usual[key].name, usual[key], partial(parsed, key), attrgetter("said"), layout=RANGE,
                style={"description_width": "18rem"},
            )
            for key in KINDS
        }  # fmt: skip
        self.origins = {key: ipywidgets.HTML(layout=ORIGIN) for key in KINDS}
        self.years = labelled(
            ipywidgets.IntSlider, _("Years to look ahead"), min=1, max=MOST_YEARS, continuous_update=False
        )
        self.currency = labelled(
            ipywidgets.Combobox, _("Currency"), _("a symbol; nothing is converted"), options=["$", "¥", "€", "£"],
            continuous_update=False,
        )  # fmt: skip
        self.file = labelled(ipywidgets.Text, _("File of assumptions"), value=FILE, continuous_update=False)
        self.out = labelled(ipywidgets.Text, _("Brief"), value=BRIEF, continuous_update=False)
        self.write = button(_("Write the brief"), self.write_brief, button_style="primary")
        self._inputs = [
            self.run, self.network, self.years, self.currency, *self.sliders.values(), *self.fields.values()
        ]  # fmt: skip
        self.children = [
            self.alert, row(self.run, self.network),
            *self.sliders.values(), self.verdict, self.numbers, self.picture, self.turns, self.notes, self.answer,
            self._folds(), row(self.out, self.write), self.progress,
        ]  # fmt: skip
        watch(self._changed, *self._inputs)
        self._show()

    @property
    def money(self) -> Money:
        """The case in money, with all assumptions."""
        return self.outcome.money

    @property
    def evidence(self) -> Evidence:
        """What the run says of the network."""
        return read_evidence(self._run, self._network or None)

    def load(self, path: str) -> None:
        """Takes assumptions from a file."""
        with self.reporting():
            self._set(self._run, self._network, Assumptions.load(path))
        self._show()

    def save(self, path: str) -> None:
        """Keeps what was entered in a file."""
        with self.reporting():
            self.assumptions.save(path)

    def write_brief(self) -> None:
        """Begins to write the brief, and comes back at once; nothing happens while one is being written."""
        if self.writing:
            return
        self.writing, self.written, self._written_of = True, "", self.outcome
        self._show_writing("")
        self.in_background(self._write)

    def static(self) -> str:
        """As all panels, with the assumptions as a table: their fields need a kernel."""
        rows = [[it.name, it.said, self._origin(it.key)] for it in self.money.assumptions]
        head = [_("Assumption"), _("Low / likely / high"), _("Unit · origin")]
        return super().static() + folded(_("All assumptions"), fill("table", head=head, rows=rows))

    def _folds(self) -> ipywidgets.Accordion:
        rows = [ipywidgets.HBox([self.fields[key], self.origins[key]], layout=ROW) for key in KINDS]
        load = button(_("Load"), lambda: self.load(self.file.value))
        save = button(_("Save"), lambda: self.save(self.file.value))
        hint = ipywidgets.Label(_("Type one number that you know, or three: low / likely / high."))
        years = row(self.years, self.currency)
        assumptions = ipywidgets.VBox([hint, years, *rows, row(self.file, load, save)])
        titles = [_("All assumptions"), _("The account, line by line"), _("The plan")]
        return ipywidgets.Accordion([assumptions, self.account, self.plan], titles=titles, selected_index=None)

    def _write(self) -> None:
        from tuckerlab.decision.report import write_brief  # here: fonts and templates are read when they are needed

        with self.reporting():
            brief = write_brief(
                [folder_of(self._run)],
                self.out.value.strip(),
                lang=language(),
                assumptions=self.money.assumptions,
                network=self._network or None,
                report=self._show_writing,
            )
            self.written = str(brief.paths[0])
        self.writing = False
        self._show_writing("")

    def _show_writing(self, step: str) -> None:
        self.write.disabled = self.writing
        written = _("Written: {path}", path=self.written) if self.written else ""
        if self.written and self.outcome is not self._written_of:
            written = _("{path} has the numbers from before your last move: write it again.", path=self.written)
        being = _(
            "The brief is being written, which takes a minute where the networks are there to be audited. {step}",
            step=step,
        )
        self.progress.say(being if self.writing else written)

    def _set(self, run: str, network: str | None, assumptions: Assumptions) -> None:
        """Another case; where it cannot be counted, what there was stays. None: the network that the run suggests."""
        found = read_evidence(run, network)
        network = found.small.label if found.small else ""
        self.outcome = count(run, network, assumptions)
        self._run, self._network, self.assumptions = run, network, assumptions
        self._networks = [one.name for one in found.networks if not one.method.startswith("dense")]

    def _changed(self, change: Any) -> None:
        """What was moved, chosen or typed."""
        owner, value = change.owner, change.new
        key = next((key for key in KINDS if owner in (self.fields[key], self.sliders.get(key))), "")
        with self.reporting():
            if owner is self.run:
                self._set(value.strip(), None, self.assumptions)
            elif owner is self.network:
                self._set(self._run, value, self.assumptions)
            else:
                self._set(self._run, self._network or None, self._changed_assumptions(owner, key, value))
        self._show()

    def _changed_assumptions(self, owner: ipywidgets.Widget, key: str, value: Any) -> Assumptions:
        if not key:
            return dataclasses.replace(self.assumptions, **{"years" if owner is self.years else "currency": value})
        is_typed, likely = owner is self.fields[key], self.money.assumptions[key]
        one = value if is_typed else scaled(likely, float(f"{value:.3g}"))
        return dataclasses.replace(self.assumptions, given={**self.assumptions.given, key: one})

    def _show(self) -> None:
        """Puts all fields where the case is, and draws it anew where it is another one."""
        with unwatched(self._changed, *self._inputs):
            self._fill()
        outcome, money = self.outcome, self.money
        if outcome is self._drawn:
            return
        self._drawn = outcome
        self.verdict.show(unbroken(f"<b>{escape(verdict_line(money))}.</b> {escape(outcome_line(money))}"))
        self.numbers.value = unbroken(tiles_html(outcome))
        self.picture.show(draw(money))
        self.turns.show(unbroken(turns_html(outcome)))
        self.notes.show(notes(money))
        self.answer.say(advice(outcome))
        self._show_writing("")
        self.account.value, self.plan.value = account(money), unbroken(outcome.plan._repr_html_())

    def _fill(self) -> None:
        assumptions = self.money.assumptions
        self.run.value, self.network.options = self._run, self._networks
        self.network.value = self._network if self._network in self._networks else None
        self.years.value, self.currency.value = assumptions.years, assumptions.currency
        for key, field in self.fields.items():
            field.value = assumptions[key]
            beside = f'<div style="line-height:1.35;padding:.3rem 0">{escape(self._origin(key))}</div>'
            self.origins[key].value = beside
        for key, slider in self.sliders.items():
            middle = math.log10(Assumptions(currency=assumptions.currency)[key].likely)
            slider.min, slider.max = min(slider.min, middle - REACH), max(slider.max, middle + REACH)
            slider.min, slider.max = middle - REACH, middle + REACH
            slider.value = max(assumptions[key].likely, 10.0**slider.min)

    def _origin(self, key: str) -> str:
        assumptions = self.money.assumptions
        return _("{unit} · {origin}", unit=assumptions.unit(key), origin=assumptions[key].said_origin)
