"""The decision panel: your numbers, and whether the small network of a run pays back with them."""

import dataclasses
import math
import os
from functools import partial
from html import escape
from typing import Any

import ipywidgets

from tuckerlab.decision.assumptions import DEFAULT, KINDS, MOST_YEARS, RATES, Assumptions, parsed, scaled, written
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.plots import money_picture
from tuckerlab.decision.recommendation import judge, lacks, plan, recommend
from tuckerlab.decision.report import account_html, plan_html, table_html, write_brief
from tuckerlab.decision.wording import chance, totals, turn_line, unbroken, uncounted, verdict_line
from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import names
from tuckerlab.i18n import _, language
from tuckerlab.panels import widgets
from tuckerlab.panels.field import Field
from tuckerlab.panels.widgets import SLIDER, Line, Panel, PictureBox, button, labelled, row, unwatched, watch
from tuckerlab.plotting.styles import label_name

SLIDERS = ("answers_a_day", "server_hour", "day_rate", "devices")  # what a manager changes first
ORIGIN = {"flex": "1 1 14rem", "min_width": "0"}  # beside the field, in as many lines as it takes
REACH = 3.0  # powers of ten that a slider goes to both sides of the default


class DecidePanel(Panel):
    """Move your numbers, and see at once whether the small network of a run pays back, and what that hangs on.

    `run` names a recorded result, or is the path of a run folder; `network` is the label of the network to decide on.
    `money` and `evidence` are what is shown. What cannot be is a `problem`, and all stays as it was. DataError for a
    run or network that is not there from the start.
    """

    def __init__(
        self, run: str | os.PathLike[str] = "compare-folder-neu_steel", network: str | None = None,
        assumptions: Assumptions | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.written = ""  # the file of the last brief
        self._read(str(run), network)
        self._count(assumptions or Assumptions())
        self.run = labelled(
            ipywidgets.Combobox, _("Run"), _("the name of a recorded result, or the folder of a run of yours"),
            options=names(), continuous_update=False, layout={"width": "34rem", "max_width": "100%"},
        )  # fmt: skip
        self.network = labelled(ipywidgets.Dropdown, _("Network"))
        self.sliders = {
            key: labelled(
                ipywidgets.FloatLogSlider, _(KINDS[key].name), style={"description_width": "17rem"}, layout=SLIDER,
                readout_format=",.3r", continuous_update=False, step=0.05,
            )
            for key in SLIDERS
        }  # fmt: skip
        self.verdict, self.notes, self.turns, self.answer, self.progress = Line(), Line(), Line(), Line(), Line()
        self.numbers, self.account, self.plan = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.picture = PictureBox(_("What was spent and saved over time, and what moves it most"))
        room = {"width": "38rem", "max_width": "100%"}  # for three numbers of eleven digits
        style = {"description_width": "18rem"}
        self.fields = {
            key: Field(_(kind.name), self.assumptions[key], partial(parsed, key), written, layout=room, style=style)
            for key, kind in KINDS.items()
        }
        self.origins = {key: ipywidgets.HTML(layout=ORIGIN) for key in KINDS}
        self.years = labelled(
            ipywidgets.IntSlider, _("Years to look ahead"), min=1, max=MOST_YEARS, continuous_update=False
        )
        self.currency, self.rate = labelled(ipywidgets.Dropdown, _("Currency"), options=[*RATES]), Line()
        self.file = labelled(
            ipywidgets.Text, _("File of assumptions"), value="assumptions.toml", continuous_update=False
        )
        self.out = labelled(ipywidgets.Text, _("Brief"), value="decision.html", continuous_update=False)
        self.write = button(_("Write the brief"), self.write_brief, button_style="primary")
        self._inputs = [
            self.run, self.network, self.years, self.currency, *self.sliders.values(), *self.fields.values()
        ]  # fmt: skip
        self.children = [
            self.alert, row(self.run, self.network), *self.sliders.values(), self.verdict, self.numbers, self.picture,
            self.turns, self.notes, self.answer, self._folds(), row(self.out, self.write), self.progress,
        ]  # fmt: skip
        watch(self._changed, *self._inputs)
        self._show()

    def load(self) -> None:
        """Takes assumptions from the file."""
        with self.reporting():
            self._count(Assumptions.load(self.file.value))
        self._show()

    def save(self) -> None:
        """Keeps what was entered in the file."""
        with self.reporting():
            self.assumptions.save(self.file.value)

    def write_brief(self) -> None:
        """Begins to write the brief, and comes back at once; nothing happens while one is being written."""
        if refused := [_(KINDS[key].name) for key, field in self.fields.items() if field.is_refused]:
            fields = ", ".join(refused)
            said = _("Not written: what was typed for {fields} could not be taken. Mend it first.", fields=fields)
            self.progress.say(said)
        elif not self.write.disabled:
            self.written, self.write.disabled = "", True
            self.in_background(self._write, self.assumptions)

    def _table(self) -> str:
        """The assumptions where there is no kernel, which fields need."""
        ranges = self.money.assumptions.ranges
        rows = [[_(KINDS[key].name), written(it), self._origin(key)] for key, it in ranges.items()]
        return table_html([_("Assumption"), _("Low / likely / high"), _("Unit · origin")], rows)

    def _folds(self) -> ipywidgets.Accordion:
        rows = [row(self.fields[key], self.origins[key]) for key in KINDS]
        file = row(self.file, button(_("Load"), self.load), button(_("Save"), self.save))
        hint = ipywidgets.Label(_("Type one number that you know, or three: low / likely / high."))
        years = row(self.years, self.currency, self.rate)
        assumptions = ipywidgets.VBox([hint, years, *rows, file])
        assumptions.static = self._table
        titles = [_("All assumptions"), _("The account, line by line"), _("The plan")]
        return ipywidgets.Accordion([assumptions, self.account, self.plan], titles=titles, selected_index=None)

    def _write(self, assumptions: Assumptions) -> None:
        out, network = self.out.value.strip(), self.evidence.small.label or None
        with self.reporting():
            brief = write_brief(
                [self._run], out, lang=language(), assumptions=assumptions, network=network, report=self.progress.say
            )
            self.written = str(brief.paths[0])
        self.progress.say(_("Written: {path}", path=self.written) if self.written else "")
        self.write.disabled = False

    def _read(self, run: str, network: str | None) -> None:
        """What a run says of a network; None: of the one that it suggests."""
        if not run:  # which would be the present folder
            raise DataError(_("no run was given: type the name of a recorded result, or the folder of a run of yours"))
        self.evidence = Evidence([run], network, audit=False)  # which takes minutes: the brief has it
        self._run = run

    def _count(self, assumptions: Assumptions) -> None:
        self.money, self.assumptions = Money(assumptions, self.evidence.measured), assumptions

    def _changed(self, change: Any) -> None:
        owner, value, assumptions = change.owner, change.new, self.assumptions
        with self.reporting():
            if owner is self.run:
                self._read(value.strip(), None)
            elif owner is self.network:
                self._read(self._run, value)
            elif owner in (self.years, self.currency):
                assumptions = dataclasses.replace(assumptions.converted(self.currency.value), years=self.years.value)
            else:
                key = next(key for key in KINDS if owner in (self.fields[key], self.sliders.get(key)))
                is_typed, old = owner is self.fields[key], self.money.assumptions[key]
                one = value if is_typed else scaled(key, old, float(f"{value:.3g}"))
                assumptions = dataclasses.replace(assumptions, given={**assumptions.given, key: one})
            self._count(assumptions)
            if not self.write.disabled:
                self.progress.say("")
        self._show()

    def _show(self) -> None:
        """Puts all fields where the case is, and draws it."""
        with unwatched(self._changed, *self._inputs):
            self._fill()
        money = self.money
        self.verdict.show(unbroken(f"<b>{escape(verdict_line(money))}</b>"))
        after = money.payback.median
        back = _("{years:.1f} years", years=after) if math.isfinite(after) else _("never")
        paid = _("Paid back after"), back, _("in the middle of the cases")
        within = _("Pays back within {years:.0f} years", years=money.assumptions.years)
        pays = within, chance(money.pays), _("of the cases")
        self.numbers.value = unbroken(widgets.tiles([pays, paid, *totals(money)]))
        self.picture.show(money_picture(money))
        self.turns.show(unbroken(self._turns()))
        self.notes.say(uncounted(money))
        criteria = judge(self.evidence, money)
        said = [_("Recommendation: {answer}.", answer=_(recommend(criteria).value))]
        if lacking := _("; ").join(lacks(criteria)):
            said.append(_("What stands in the way: {criteria}. The brief has the details.", criteria=lacking))
        self.answer.say(unbroken(" ".join(said)))
        self.account.value = account_html(money)
        self.plan.value = plan_html(plan(money.assumptions, label_name(self.evidence.small.label)))

    def _turns(self) -> str:
        """Single numbers that would make half of the cases pay back."""
        items = "".join(f"<li>{escape(line)}</li>" for key in SLIDERS if (line := turn_line(self.money, key)))
        if not items:
            return escape(_("No single number here, moved alone, makes half of the cases pay back."))
        title = _("Half of the cases pay back with, everything else as it is:")
        return f"{escape(title)} <ul style='margin:0'>{items}</ul>"

    def _fill(self) -> None:
        assumptions, found = self.money.assumptions, self.evidence
        self.run.value = self._run
        smaller = [one.name for one in found.networks if not one.method.startswith("dense")]
        self.network.options = [(label_name(name), name) for name in smaller]
        self.network.value = found.small.label if found.small.label in smaller else None
        self.years.value, self.currency.value = assumptions.years, assumptions.currency
        rate = assumptions.amount(RATES[assumptions.currency])
        self.rate.say(_("Prices are converted at {rate} for $1, an assumption too.", rate=rate))
        widgets.set_visible(self.rate, assumptions.currency != "$")
        for key, field in self.fields.items():
            field.value = assumptions[key]
            said = escape(self._origin(key))
            self.origins[key].value = f'<div style="line-height:1.35;padding:.3rem 0">{said}</div>'
        for key, slider in self.sliders.items():
            if KINDS[key].yen:
                slider.description = _("{name}, {unit}", name=_(KINDS[key].name), unit=assumptions.unit(key))
            middle = math.log10(Assumptions(currency=assumptions.currency)[key].likely)
            with slider.hold_trait_notifications():  # the ends are in no order while they move
                slider.min, slider.max = middle - REACH, middle + REACH
                slider.value = max(assumptions[key].likely, 10.0**slider.min)

    def _origin(self, key: str) -> str:
        """The unit of an assumption, where it comes from, and for a default why it is that."""
        assumptions, why = self.money.assumptions, _(KINDS[key].why)
        origin = assumptions[key].origin
        said = _("default: {why}", why=why) if origin == DEFAULT else _(origin)
        return _("{unit} · {origin}", unit=assumptions.unit(key), origin=said)
