"""The recommendation, by criteria that the brief shows: go, go with conditions, no-go, or not to be decided yet.

What was not measured never counts as held. `judge` makes the criteria of what was measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tuckerlab.decision.assumptions import DEFAULT, KINDS
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.pair_audit import PairAudit
from tuckerlab.decision.sensitivity import REACH, settled, tornado
from tuckerlab.decision.tables import table, told
from tuckerlab.decision.wording import chance, number, short, spread
from tuckerlab.experiments.audit import Thresholds
from tuckerlab.experiments.summary import ROUNDING
from tuckerlab.i18n import N_, _

MAY_PAY = 0.5  # with at least this chance the payback is a condition, and no failure


class Answer(StrEnum):
    """What the brief recommends."""

    GO = "go"
    CONDITIONS = "conditions"
    NO_GO = "no_go"
    UNDECIDED = "undecided"

    @property
    def said(self) -> str:
        return _(ANSWERS[self])


ANSWERS = {
    Answer.GO: N_("Go"),
    Answer.CONDITIONS: N_("Go, with conditions"),
    Answer.NO_GO: N_("No-go"),
    Answer.UNDECIDED: N_("Cannot be decided yet"),
}


class Outcome(StrEnum):
    """How a criterion came out; in part: in the middle but not at the end of the spread, or on loose ground."""

    HELD = "held"
    IN_PART = "in_part"
    FAILED = "failed"
    MISSING = "missing"


ASKED = {
    key: {"kind": kind, "limit": vars(Thresholds()).get(key, 0.0), **row}
    for kind, rows in table("criteria").items()
    for key, row in rows.items()
}
"""What is asked: its `limit` (of the table, or the audit's), what is said where it is `missing` or `not_held`, and what
hangs on it (`kind`): whether there is evidence at all (valid), the answer (decisive), what one gains (gain), or a
condition (care)."""


@dataclass(frozen=True)
class Criterion:
    """One thing that is asked: what was measured, the limit if not that of the table, and how it came out.

    `detail` is the class that loses most, or the assumption of ours that the money hangs on.
    """

    key: str
    outcome: Outcome
    measured: Measured | None = None
    detail: str = ""
    own_limit: float | None = None

    @property
    def kind(self) -> str:
        return str(ASKED[self.key]["kind"])

    @property
    def limit(self) -> float:
        return float(ASKED[self.key]["limit"]) if self.own_limit is None else self.own_limit


def recommend(criteria: Sequence[Criterion]) -> Answer:
    """What follows from the criteria.

    Without a valid comparison nothing can be decided. Otherwise one decisive criterion that failed is a no-go, and so
    it is if nothing is gained; a decisive one that was not measured leaves it open; anything else that did not hold
    is a condition.
    """
    valid, decisive, gains = ({c.outcome for c in criteria if c.kind == kind} for kind in ("valid", "decisive", "gain"))
    if valid & {Outcome.FAILED, Outcome.MISSING} or not criteria:
        return Answer.UNDECIDED
    if Outcome.FAILED in decisive or gains == {Outcome.FAILED}:
        return Answer.NO_GO
    if Outcome.MISSING in decisive:
        return Answer.UNDECIDED
    return Answer.GO if all(c.outcome is Outcome.HELD for c in criteria) else Answer.CONDITIONS


def judge(evidence: Evidence, money: Money | None) -> tuple[Criterion, ...]:
    """All criteria, those that decide first; a criterion that nothing was measured for is among them as missing."""
    lost, pairs = evidence.change.times(-1) if evidence.change else None, evidence.pairs
    repeated = Outcome.HELD if pairs >= ASKED["repeats"]["limit"] else Outcome.IN_PART if pairs else Outcome.MISSING
    return (
        Criterion("comparison", Outcome.HELD if evidence.is_valid else Outcome.MISSING),
        Criterion("accuracy_loss", _spread_within(lost, evidence.allowed), lost, own_limit=evidence.allowed),
        *_audited(evidence.pair_audit),
        _payback(money),
        *(
            Criterion(key, _spread_within(evidence.shares[key], ASKED[key]["limit"]), evidence.shares[key])
            for key in ("file", "time_1", "time_128")
        ),
        Criterion("repeats", repeated, Measured(pairs, pairs, pairs)),
    )


def _spread_within(measured: Measured | None, limit: float) -> Outcome:
    """Held where the whole spread is at most the limit, in part where the middle is."""
    return _outcome(measured.value, measured.high, limit) if measured else Outcome.MISSING


def _audited(looked: PairAudit | None) -> Iterator[Criterion]:
    """The worst class and the agreement, by their middles as in the audit: a class has few pictures."""
    found = looked.audit.criteria.set_index("name").to_dict("index") if looked else {}
    for key, sign in (("class_loss", 1), ("agreement", -1)):
        if looked is None:
            yield Criterion(key, Outcome.MISSING)
            continue
        one, value = found[key], found[key]["measured"]
        ends = (one["low"], one["high"]) if key == "class_loss" else (value, value)
        outcome = _outcome(sign * value, sign * value, sign * ASKED[key]["limit"])
        yield Criterion(key, outcome, Measured(value, *ends, looked.origin), one["detail"])


def _outcome(middle: float, worst: float, limit: float) -> Outcome:
    limit += ROUNDING
    return Outcome.HELD if worst <= limit else Outcome.IN_PART if middle <= limit else Outcome.FAILED


def _payback(money: Money | None) -> Criterion:
    """The chance that it pays back; where it hangs on a default it is at best held in part, and never failed.

    Unless that is settled whatever the defaults are: then the answer does not wait for numbers of the user's.
    """
    if money is None:
        return Criterion("payback", Outcome.MISSING)
    outcome = _outcome(-money.pays, -money.pays, -ASKED["payback"]["limit"])
    if outcome is Outcome.FAILED and money.pays >= MAY_PAY - ROUNDING:
        outcome = Outcome.IN_PART
    leading = next((bar.key for bar in tornado(money) if bar.key in KINDS), "")
    default = leading if leading and money.assumptions[leading].origin == DEFAULT else ""
    if default and not settled(money):
        outcome = Outcome.MISSING if outcome is Outcome.FAILED else Outcome.IN_PART
    return Criterion("payback", outcome, Measured(money.pays, money.pays, money.pays), default)


# --- what stands in the way, in words --------------------------------------------------------------------------------


def lacks(criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way: of a no-go what failed, of an open answer what is missing, else all that did not hold."""
    asked = {Answer.NO_GO: (Outcome.FAILED,), Answer.UNDECIDED: (Outcome.MISSING,)}
    wanted = asked.get(answer, (Outcome.IN_PART, Outcome.FAILED, Outcome.MISSING))
    return [_lack(criterion) for criterion in criteria if criterion.outcome in wanted]


def _lack(criterion: Criterion) -> str:
    asked, measured, is_failed = ASKED[criterion.key], criterion.measured, criterion.outcome is Outcome.FAILED
    if measured is None:
        return told(asked["missing"])
    if criterion.key == "accuracy_loss" and not is_failed:
        worst = number(measured.high, 1)
        return _(
            "accuracy holds in every training, not only in the middle: the worst loses {worst} points", worst=worst
        )
    if criterion.key == "payback" and criterion.detail and is_failed:
        return _(
            "money: it pays back in {chance} of the cases, even with any one of our defaults {reach:.0f} times larger "
            "or smaller",
            chance=chance(measured.value),
            reach=REACH,
        )
    if criterion.key == "payback" and criterion.detail:
        name = _(KINDS[criterion.detail].name)
        return _("money: your own number for “{name}”, which moves the outcome most", name=name)
    values: dict[str, Any] = {"measured": number(measured.value, 1), "limit": f"{criterion.limit:g}"}
    if criterion.key == "repeats":
        values = {"limit": criterion.limit, "count": int(measured.value)}
    elif criterion.kind == "gain" or criterion.key == "payback":
        values = {"measured": spread(measured, 0, scale=100), "limit": f"{100 * criterion.limit:.0f}"}
    pays = chance(measured.value)
    return told(asked["not_held"], asked.get("many", ""), name=short(criterion.detail, 20), chance=pays, **values)
