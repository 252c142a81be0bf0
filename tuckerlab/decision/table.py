"""The table of the brief: what was measured of both networks, what was asked, whether it held, and where it is from.

>>> from tuckerlab.decision.recommendation import judge
>>> from tuckerlab.experiments.recorded import found_folder
>>> evidence = Evidence.of([found_folder("compare-folder-neu_steel")])
>>> row = rows(evidence, judge(evidence, None), years=3)[0]
>>> row.dense, row.small, row.compared, row.limit, str(row.outcome)
('98.2 (97.8–98.6)', '98.3 (98.1–98.6)', '+0.1 (−0.6 to +0.8)', '≥ −1.0', 'held')
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.money_words import chance
from tuckerlab.decision.recommendation import Criterion
from tuckerlab.decision.words import between, number, percent, short, spread
from tuckerlab.i18n import text

FURTHER = ("parameters", "conv_parameters", "step", "memory")
"""What is told without being asked for."""


@dataclass(frozen=True)
class Row:
    """One line; `limit` and `outcome` are those of a criterion, empty where nothing was asked."""

    name: str
    dense: str = ""
    small: str = ""
    compared: str = ""
    limit: str = ""
    outcome: str = ""
    origin: str = ""

    @property
    def outcome_said(self) -> str:
        """In words."""
        return text(f"brief.outcome.{self.outcome}") if self.outcome else ""


def rows(evidence: Evidence, criteria: Sequence[Criterion], years: int) -> list[Row]:
    """The criteria in their order, and then what else was measured."""
    shown = [criterion for criterion in criteria if criterion.key != "comparison"]
    asked = [replace(_row(evidence, criterion, years), outcome=criterion.outcome) for criterion in shown]
    return [*asked, *(_quantity(evidence, name) for name in FURTHER)]


def _row(evidence: Evidence, criterion: Criterion, years: int) -> Row:
    if criterion.key == "payback":
        return _payback(criterion, years)
    if criterion.key in ROWS:
        return ROWS[criterion.key](evidence, criterion)
    return replace(_quantity(evidence, criterion.key), limit=_percent(f"≤ {100 * criterion.limit:.0f}"))


def _accuracy(evidence: Evidence, criterion: Criterion) -> Row:
    change = spread(evidence.change, 1, signed=True) if evidence.change else text("brief.not_measured")
    return replace(_quantity(evidence, "accuracy", 1), compared=change, limit=f"≥ {number(-criterion.limit, 1)}")


def _worst_class(evidence: Evidence, criterion: Criterion) -> Row:
    limit = f"≥ {number(-criterion.limit, 1)}"
    row = Row(text("brief.row.class_loss"), compared=text("brief.not_measured"), limit=limit)
    if (lost := criterion.measured) is None:
        return row
    change = Measured("change", -lost.value, -lost.high, -lost.low, lost.origin)
    name = text("brief.row.class_loss.of", name=short(criterion.detail, 16))
    return replace(row, name=name, compared=spread(change, 1, signed=True), origin=lost.origin)


def _agreement(evidence: Evidence, criterion: Criterion) -> Row:
    row = Row(text("brief.row.agreement"), limit=_percent(f"≥ {criterion.limit:g}"))
    if (found := criterion.measured) is None:
        return replace(row, compared=text("brief.not_measured"))
    return replace(row, compared=_percent(number(found.value, 1)), origin=found.origin)


def _payback(criterion: Criterion, years: int) -> Row:
    row = Row(text("brief.row.payback", years=years), limit=_percent(f"≥ {100 * criterion.limit:.0f}"))
    if (found := criterion.measured) is None:
        return replace(row, compared=text("brief.not_measured"))
    origin = text("brief.origin.assumed" if criterion.detail else "brief.origin.entered")
    return replace(row, compared=chance(found.value), origin=origin)


def _repeats(evidence: Evidence, criterion: Criterion) -> Row:
    dense, small = (
        str(subject.seeds) if subject else text("brief.none") for subject in (evidence.dense, evidence.small)
    )
    name = text("brief.row.repeats")
    return Row(name, dense, small, limit=f"≥ {criterion.limit:.0f}", origin=evidence.origin)


ROWS = {
    "accuracy_loss": _accuracy, "class_loss": _worst_class, "agreement": _agreement, "repeats": _repeats,
}  # fmt: skip


def _quantity(evidence: Evidence, name: str, digits: int | None = None) -> Row:
    digits = 0 if "parameters" in name else digits
    found = [subject[name] if subject else None for subject in (evidence.dense, evidence.small)]
    dense, small = (spread(one, digits) if one else text("brief.none") for one in found)
    share = evidence.shares[name]
    if share is None:
        return Row(text(f"brief.row.{name}"), dense, small, text("brief.not_measured"), origin=evidence.origin)
    compared = _percent(between(*map(percent, (share.value, share.low, share.high))))
    return Row(text(f"brief.row.{name}"), dense, small, compared, origin=share.origin)


def _percent(said: str) -> str:
    return text("brief.percent", value=said)
