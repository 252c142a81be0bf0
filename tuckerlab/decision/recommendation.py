"""The recommendation, by criteria that the brief shows: go, go with conditions, no-go, or not to be decided yet.

What was not measured never counts as held. `judge` makes the criteria of what was measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tuckerlab.decision.assumptions import DEFAULT
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.gaps import ENOUGH_SEEDS
from tuckerlab.decision.kinds import KINDS
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.sensitivity import REACH, settled, tornado
from tuckerlab.decision.wording import chance, number, short, spread
from tuckerlab.experiments.summary import ROUNDING
from tuckerlab.i18n import N_, _, ngettext

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
    lost = evidence.change.times(-1) if evidence.change else None
    yield at_most("accuracy_loss", lost, evidence.allowed, Kind.DECISIVE)
    yield from _audited(evidence)
    yield _payback(money)
    for name in ("file", "time_1", "time_128"):
        yield at_most(name, evidence.shares[name], LIMITS[name], Kind.GAIN)
    pairs, enough = evidence.pairs, LIMITS["repeats"]
    outcome = Outcome.HELD if pairs >= enough else Outcome.IN_PART if pairs else Outcome.MISSING
    yield Criterion("repeats", outcome, Kind.CARE, Measured(pairs, pairs, pairs), enough)


def at_most(key: str, measured: Measured | None, limit: float, kind: Kind) -> Criterion:
    """Held where the whole spread is at most the limit, in part where the middle is."""
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
        one, value = found[key], found[key].measured
        ends = (one.low, one.high) if key == "class_loss" else (value, value)
        outcome = _outcome(sign * value, sign * value, sign * limit)
        yield Criterion(key, outcome, Kind.DECISIVE, Measured(value, *ends, looked.origin), limit, one.detail)


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
    pays = Measured(money.pays, money.pays, money.pays)
    return Criterion("payback", outcome, Kind.DECISIVE, pays, limit, default)


def leading_default(money: Money) -> str:
    """The assumption that moves the outcome most, if it is a default; else nothing."""
    leading = next((bar.key for bar in tornado(money) if bar.key in KINDS), "")
    return leading if leading and money.assumptions[leading].origin == DEFAULT else ""


# --- what stands in the way, in words --------------------------------------------------------------------------------

MISSING = {
    "comparison": N_("a valid comparison of both networks"),
    "accuracy_loss": N_("the change in accuracy"),
    "class_loss": N_("which classes lose: the audit"),
    "agreement": N_("how often both answer alike: the audit"),
    "payback": N_("the money"),
    "file": N_("the size of the file"),
    "time_1": N_("the time of one answer"),
    "time_128": N_("the time of 128 answers"),
}
NOT_HELD = {
    "accuracy_loss": N_("it loses {measured} points of accuracy; at most {limit} was asked"),
    "class_loss": N_("class “{name}” loses {measured} points; at most {limit} was asked"),
    "agreement": N_("both answer {measured} % of the images alike; at least {limit} % was asked"),
    "file": N_("the file has {measured} % of the full network’s size; at most {limit} % was asked"),
    "time_1": N_("one answer takes {measured} % of the time; at most {limit} % was asked"),
    "time_128": N_("128 answers take {measured} % of the time; at most {limit} % was asked"),
}


def lacks(criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way: of a no-go what failed, of an open answer what is missing, else all that did not hold."""
    asked = {Answer.NO_GO: (Outcome.FAILED,), Answer.UNDECIDED: (Outcome.MISSING,)}
    wanted = asked.get(answer, (Outcome.IN_PART, Outcome.FAILED, Outcome.MISSING))
    return [_lack(criterion) for criterion in criteria if criterion.outcome in wanted]


def _lack(criterion: Criterion) -> str:
    key, measured, limit = criterion.key, criterion.measured, criterion.limit
    if measured is None:
        return _(MISSING[key])
    if key == "repeats":
        return ngettext(
            "{limit:.0f} trainings with other seeds, there is {count}",
            "{limit:.0f} trainings with other seeds, there are {count}",
            limit=limit,
            count=int(measured.value),
        )
    if key == "payback":
        return _lack_of_money(criterion, chance(measured.value))
    if key == "accuracy_loss" and criterion.outcome is Outcome.IN_PART:
        worst = number(measured.high, 1)
        return _(
            "accuracy holds in every training, not only in the middle: the worst loses {worst} points", worst=worst
        )
    if key in ("accuracy_loss", "class_loss", "agreement"):  # in points
        value, name = number(measured.value, 1), short(criterion.detail, 20)
        return _(NOT_HELD[key], measured=value, limit=f"{limit:g}", name=name)
    return _(NOT_HELD[key], measured=spread(measured, 0, scale=100), limit=f"{100 * limit:.0f}")


def _lack_of_money(criterion: Criterion, pays: str) -> str:
    if not criterion.detail:
        limit = f"{100 * criterion.limit:.0f}"
        return _("it pays back in {chance} of the cases; at least {limit} % was asked", chance=pays, limit=limit)
    if criterion.outcome is Outcome.FAILED:
        return _(
            "money: it pays back in {chance} of the cases, even with any one of our defaults {reach:.0f} times larger "
            "or smaller",
            chance=pays,
            reach=REACH,
        )
    name = _(KINDS[criterion.detail].name)
    return _("money: your own number for “{name}”, which moves the outcome most", name=name)
