"""The recommendation, by criteria that the brief shows: go, go with conditions, no-go, or not to be decided yet.

>>> held = Criterion("accuracy_loss", Outcome.HELD, Kind.DECISIVE)
>>> recommend([held]), recommend([held, Criterion("agreement", Outcome.MISSING, Kind.DECISIVE)])
(<Answer.GO: 'go'>, <Answer.UNDECIDED: 'undecided'>)

What was not measured never counts as held. `judge` makes the criteria of what was measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuckerlab.decision.assumptions import DEFAULT, KINDS
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import ENOUGH_SEEDS, Evidence
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.sensitivity import settled, tornado
from tuckerlab.experiments.summary import ROUNDING

LIMITS = {
    "class_loss": 5.0, "agreement": 95.0, "payback": 0.8, "file": 0.2, "time_1": 1.0, "time_128": 1.0,
    "repeats": ENOUGH_SEEDS,
}  # fmt: skip
"""What is asked: a loss in points, per cent, a chance, shares of the full network's, and seeds."""
MAY_PAY = 0.5  # with at least this chance the payback is a condition, and no failure


class Answer(StrEnum):
    """What the brief recommends."""

    GO = "go"
    CONDITIONS = "conditions"
    NO_GO = "no_go"
    UNDECIDED = "undecided"


class Outcome(StrEnum):
    """How a criterion came out; in part: in the middle but not at the end of the spread, or on loose ground."""

    HELD = "held"
    IN_PART = "in_part"
    FAILED = "failed"
    MISSING = "missing"


class Kind(StrEnum):
    """What hangs on a criterion: whether there is evidence at all, the answer, what one gains, or a condition."""

    VALID = "valid"
    DECISIVE = "decisive"
    GAIN = "gain"
    CARE = "care"


@dataclass(frozen=True)
class Criterion:
    """One thing that is asked: what was measured, the limit, and how it came out.

    `detail` is the class that loses most, or the assumption of ours that the money hangs on.
    """

    key: str
    outcome: Outcome
    kind: Kind
    measured: Measured | None = None
    limit: float = 0.0
    detail: str = ""


def recommend(criteria: Sequence[Criterion]) -> Answer:
    """What follows from the criteria.

    Without a valid comparison nothing can be decided. Otherwise one decisive criterion that failed is a no-go, and so
    it is if nothing is gained; a decisive one that was not measured leaves it open; anything else that did not hold
    is a condition.
    """

    def any_of(kind: Kind, *outcomes: Outcome) -> bool:
        return any(c.kind is kind and c.outcome in outcomes for c in criteria)

    gains = [c.outcome for c in criteria if c.kind is Kind.GAIN]
    if any_of(Kind.VALID, Outcome.FAILED, Outcome.MISSING) or not criteria:
        return Answer.UNDECIDED
    if any_of(Kind.DECISIVE, Outcome.FAILED) or (gains and all(gain is Outcome.FAILED for gain in gains)):
        return Answer.NO_GO
    if any_of(Kind.DECISIVE, Outcome.MISSING):
        return Answer.UNDECIDED
    return Answer.GO if all(c.outcome is Outcome.HELD for c in criteria) else Answer.CONDITIONS


def judge(evidence: Evidence, money: Money | None) -> tuple[Criterion, ...]:
    """All criteria, those that decide first; a criterion that nothing was measured for is among them as missing."""
    return tuple(_judged(evidence, money))


def _judged(evidence: Evidence, money: Money | None) -> Iterator[Criterion]:
    yield Criterion("comparison", Outcome.HELD if evidence.is_valid else Outcome.MISSING, Kind.VALID)
    lost = evidence.change.times("accuracy_loss", -1) if evidence.change else None
    yield at_most("accuracy_loss", lost, evidence.allowed, Kind.DECISIVE)
    yield from _audited(evidence)
    yield _payback(money)
    for name in ("file", "time_1", "time_128"):
        yield at_most(name, evidence.shares[name], LIMITS[name], Kind.GAIN)
    pairs, enough = evidence.pairs, LIMITS["repeats"]
    outcome = Outcome.HELD if pairs >= enough else Outcome.IN_PART if pairs else Outcome.MISSING
    yield Criterion("repeats", outcome, Kind.CARE, Measured("repeats", pairs, pairs, pairs, ""), enough)


def at_most(key: str, measured: Measured | None, limit: float, kind: Kind) -> Criterion:
    """Held where the whole spread is at most the limit, in part where the middle is.

    >>> at_most("time_1", Measured("time_1", 0.9, 0.8, 1.1, "[1]"), 1.0, Kind.GAIN).outcome
    <Outcome.IN_PART: 'in_part'>
    """
    outcome = Outcome.MISSING if measured is None else _outcome(measured.value, measured.high, limit)
    return Criterion(key, outcome, kind, measured, limit)


def _outcome(middle: float, worst: float, limit: float) -> Outcome:
    limit += ROUNDING
    return Outcome.HELD if worst <= limit else Outcome.IN_PART if middle <= limit else Outcome.FAILED


def _audited(evidence: Evidence) -> Iterator[Criterion]:
    """The worst class and the agreement, by their middles as in the audit: a class has few pictures."""
    looked = evidence.pair_audit
    found = {criterion.name: criterion for criterion in looked.audit.criteria} if looked else {}
    for key, sign in (("class_loss", 1), ("agreement", -1)):
        limit = LIMITS[key]
        if looked is None:
            yield Criterion(key, Outcome.MISSING, Kind.DECISIVE, None, limit)
            continue
        value, low, high = (found[key].measured, found[key].low, found[key].high)
        ends = (low, high) if key == "class_loss" else (value, value)
        outcome = _outcome(sign * value, sign * value, sign * limit)
        yield Criterion(
            key, outcome, Kind.DECISIVE, Measured(key, value, *ends, looked.origin), limit, found[key].detail
        )


def _payback(money: Money | None) -> Criterion:
    """The chance that it pays back; where it hangs on a default it is at best held in part, and never failed.

    Unless that is settled whatever the defaults are: then the answer does not wait for numbers of the user's.
    """
    limit = LIMITS["payback"]
    if money is None:
        return Criterion("payback", Outcome.MISSING, Kind.DECISIVE, None, limit)
    outcome = _outcome(-money.pays, -money.pays, -limit)
    if outcome is Outcome.FAILED and money.pays >= MAY_PAY - ROUNDING:
        outcome = Outcome.IN_PART
    default = leading_default(money)
    if default and not settled(money):
        outcome = Outcome.MISSING if outcome is Outcome.FAILED else Outcome.IN_PART
    chance = Measured("payback", money.pays, money.pays, money.pays, "")
    return Criterion("payback", outcome, Kind.DECISIVE, chance, limit, default)


def leading_default(money: Money) -> str:
    """The assumption that moves the outcome most, if it is a default; else nothing.

    >>> from tuckerlab.decision.business_case import Assumptions, Basis, money
    >>> mine = Assumptions().entered(people_days=40)
    >>> leading_default(money(Assumptions(), Basis())), leading_default(money(mine, Basis()))
    ('people_days', 'day_rate')
    """
    leading = next((bar.key for bar in tornado(money) if bar.key in KINDS), "")
    return leading if leading and money.assumptions[leading].origin == DEFAULT else ""
