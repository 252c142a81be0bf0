"""The case of the decision panel: what the numbers of one run and network come to, in words and as a picture."""

import dataclasses
import math
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import Basis, Money, money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.plots import draw_fan, draw_tornado
from tuckerlab.decision.recommendation import Answer, judge, lacks, recommend
from tuckerlab.decision.sensitivity import TURNING, Turn, tornado, turns
from tuckerlab.decision.wording import chance, turn_line
from tuckerlab.deploy.runtime import FILE
from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.i18n import _
from tuckerlab.panels.widgets import SCREEN_DPI, tiles
from tuckerlab.plotting.figure import Picture


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that the panel shows of one case, with what stands in the way of another recommendation."""

    money: Money
    turns: tuple[Turn, ...]
    plan: Plan
    answer: Answer
    lacking: tuple[str, ...]


def count(run: str, network: str, assumptions: Assumptions) -> Outcome:
    """What the network of a run comes to. DataError for what cannot be counted."""
    found = read_evidence(run, network or None)
    case = money(assumptions, basis_of(found, folder_of(run).name))
    criteria = judge(found, case)
    answer, steps = recommend(criteria), plan(case.assumptions, case.basis, network=network)
    return Outcome(case, turns(case, TURNING), steps, answer, tuple(lacks(criteria, answer)))


def basis_of(evidence: Evidence, run: str) -> Basis:
    """What the money needs of the evidence, with the name of the run for its origin in the place of a footnote."""
    basis = evidence.basis
    named = {ratio: dataclasses.replace(found, origin=run) for ratio, found in basis.measured.items()}
    return Basis(named, {key: dataclasses.replace(found, origin=run) for key, found in basis.full.items()})


def folder_of(run: str) -> Path:
    """The folder of a recorded result, or of a path. DataError where there is none."""
    if not run:  # which would be the present folder
        raise DataError(_("no run was given: type the name of a recorded result, or the folder of a run of yours"))
    return found_folder(run)


def read_evidence(run: str, network: str | None) -> Evidence:
    """What a run says of a network, by default of the one that it suggests; what has changed since is read again."""
    folder = folder_of(run)
    tables = (folder / name for name in ("runs.parquet", FILE))
    return _read(folder, network, tuple(table.stat().st_mtime_ns if table.exists() else 0 for table in tables))


@lru_cache(maxsize=16)
def _read(folder: Path, network: str | None, changed: tuple[int, ...]) -> Evidence:
    return Evidence.of([folder], network, audit=False)  # an audit takes minutes: the brief has it


def draw(money: Money) -> Picture:
    """Both pictures side by side, in a fixed layout: finding one takes long. The panel has the headline."""
    figure = Picture(figsize=(10.1, 4.0))
    figure.set_layout_engine("none")
    figure.set_dpi(SCREEN_DPI)
    draw_fan(figure.add_axes((0.115, 0.14, 0.34, 0.77)), money)
    right = figure.add_axes((0.665, 0.14, 0.32, 0.77))
    draw_tornado(right, tornado(money), money.assumptions)
    return figure


def tiles_html(outcome: Outcome) -> str:
    """The numbers of the case, side by side."""
    money = outcome.money
    amount, years = money.assumptions.amount, money.assumptions.years

    def span(spread: Any) -> str:
        return _("90 % of the cases: {low} to {high}", low=amount(spread.low), high=amount(spread.high))

    after, saves = money.payback.median, money.yearly.median >= 0
    yearly = money.yearly if saves else -money.yearly
    back = _("{years:.1f} years", years=after) if math.isfinite(after) else _("never")
    saved = _("Saved in a year, net") if saves else _("A year costs more, net")
    return tiles([
        (_("Pays back within {years:.0f} years", years=years), chance(money.pays), _("of the cases")),
        (_("Paid back after"), back, _("in the middle of the cases")),
        (saved, amount(yearly.median), span(yearly)),
        (_("Spent once"), amount(-money.once.median), span(-money.once)),
        (_("Both over {years:.0f} years, today’s money", years=years), amount(money.worth.median), span(money.worth)),
    ])  # fmt: skip


def turns_html(outcome: Outcome) -> str:
    """Single numbers that would make half of the cases pay back."""
    said = [line for turn in outcome.turns if (line := turn_line(outcome.money, turn))]
    if not said:
        return escape(_("No single number here, moved alone, makes half of the cases pay back."))
    items = "".join(f"<li>{escape(line)}</li>" for line in said)
    title = _("Half of the cases pay back with, everything else as it is:")
    return f"{escape(title)} <ul style='margin:0'>{items}</ul>"


def advice(outcome: Outcome) -> str:
    """The recommendation, and what stands in the way of another."""
    said = _("Recommendation: {answer}.", answer=outcome.answer.said)
    if not outcome.lacking:
        return said
    lacking = "; ".join(outcome.lacking)
    return f"{said} {_('What stands in the way: {criteria}. The brief has the details.', criteria=lacking)}"
