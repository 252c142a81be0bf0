"""The recommendation, by criteria that the brief shows: go, go with conditions, no-go, or not to be decided yet.

>>> held = Criterion("accuracy_loss", Outcome.HELD, Kind.DECISIVE)
>>> recommend([held]), recommend([held, Criterion("agreement", Outcome.MISSING, Kind.DECISIVE)])
(<Answer.GO: 'go'>, <Answer.UNDECIDED: 'undecided'>)

What was not measured never counts as held. `judge` makes the criteria of what was measured.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuckerlab.decision.assumptions import DEFAULT
from tuckerlab.decision.closer import Look
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.gaps import ENOUGH_SEEDS
from tuckerlab.decision.kinds import KINDS
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.money import Money
from tuckerlab.decision.sensitivity import settled, tornado
from tuckerlab.experiments.summary import ROUNDING


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
class Limits:
    """What is asked. Losses in points, agreement in per cent, shares of the full network's, and a chance."""

    accuracy_loss: float = 1.0
    class_loss: float = 5.0
    agreement: float = 95.0
    time_1: float = 1.0
    time_128: float = 1.0
    file: float = 0.2
    pays: float = 0.8
    may_pay: float = 0.5
    repeats: float = ENOUGH_SEEDS


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
    return tuple(_judged(evidence, money, Limits(accuracy_loss=evidence.allowed)))


def _judged(evidence: Evidence, money: Money | None, limits: Limits) -> Iterator[Criterion]:
    yield Criterion("comparison", Outcome.HELD if evidence.is_valid else Outcome.MISSING, Kind.VALID)
    yield at_most("accuracy_loss", _negative(evidence.change), limits.accuracy_loss, Kind.DECISIVE)
    yield from _of_audit(evidence.closer, limits)
    yield _payback(money, limits)
    for name in ("file", "time_1", "time_128"):
        yield at_most(name, evidence.shares[name], getattr(limits, name), Kind.GAIN)
    yield _repeats(evidence.pairs, limits.repeats)


def at_most(key: str, measured: Measured | None, limit: float, kind: Kind, detail: str = "") -> Criterion:
    """Held where the whole spread is at most the limit, in part where the middle is.

    >>> at_most("time_1", Measured("time_1", 0.9, 0.8, 1.1, "[1]"), 1.0, Kind.GAIN).outcome
    <Outcome.IN_PART: 'in_part'>
    """
    if measured is None:
        return Criterion(key, Outcome.MISSING, kind, None, limit, detail)
    return Criterion(key, _outcome(measured.value, measured.high, limit), kind, measured, limit, detail)


def _outcome(middle: float, worst: float, limit: float) -> Outcome:
    limit += ROUNDING
    return Outcome.HELD if worst <= limit else Outcome.IN_PART if middle <= limit else Outcome.FAILED


def _of_audit(look: Look | None, limits: Limits) -> Iterable[Criterion]:
    """The worst class and the agreement, by their middles as in the audit: a class has few pictures."""
    if look is None:
        return [Criterion(key, Outcome.MISSING, Kind.DECISIVE, None, getattr(limits, key)) for key in AUDITED]
    found = {criterion.name: criterion for criterion in look.audit.criteria}
    loss, agreement = found["class_loss"], found["agreement"]
    return [
        Criterion(
            "class_loss",
            _outcome(loss.measured, loss.measured, limits.class_loss),
            Kind.DECISIVE,
            Measured("class_loss", loss.measured, loss.low, loss.high, look.origin),
            limits.class_loss,
            loss.detail,
        ),
        Criterion(
            "agreement",
            _outcome(-agreement.measured, -agreement.measured, -limits.agreement),
            Kind.DECISIVE,
            Measured("agreement", agreement.measured, agreement.measured, agreement.measured, look.origin),
            limits.agreement,
        ),
    ]


AUDITED = ("class_loss", "agreement")


def _payback(money: Money | None, limits: Limits) -> Criterion:
    """The chance that it pays back; where it hangs on a default it is at best held in part, and never failed.

    Unless that is settled whatever the defaults are: then the answer does not wait for numbers of the user's.
    """
    if money is None:
        return Criterion("payback", Outcome.MISSING, Kind.DECISIVE, None, limits.pays)
    outcome = _outcome(-money.pays, -money.pays, -limits.pays)
    if outcome is Outcome.FAILED and money.pays >= limits.may_pay - ROUNDING:
        outcome = Outcome.IN_PART
    default = leading_default(money)
    if default and not settled(money):
        outcome = Outcome.MISSING if outcome is Outcome.FAILED else Outcome.IN_PART
    chance = Measured("payback", money.pays, money.pays, money.pays, "")
    return Criterion("payback", outcome, Kind.DECISIVE, chance, limits.pays, default)


def leading_default(money: Money) -> str:
    """The assumption that moves the outcome most, if it is a default; else nothing.

    >>> from tuckerlab.decision.money import Assumptions, Basis, money
    >>> mine = Assumptions().entered(people_days=40)
    >>> leading_default(money(Assumptions(), Basis())), leading_default(money(mine, Basis()))
    ('people_days', 'day_rate')
    """
    leading = next((bar.key for bar in tornado(money) if bar.key in KINDS), "")
    return leading if leading and money.assumptions[leading].origin == DEFAULT else ""


def _repeats(pairs: int, least: float) -> Criterion:
    outcome = Outcome.HELD if pairs >= least else Outcome.IN_PART if pairs else Outcome.MISSING
    return Criterion("repeats", outcome, Kind.CARE, Measured("repeats", pairs, pairs, pairs, ""), least)


def _negative(change: Measured | None) -> Measured | None:
    if change is None:
        return None
    return Measured("accuracy_loss", 0.0 - change.value, 0.0 - change.high, 0.0 - change.low, change.origin)
