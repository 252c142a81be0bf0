"""The recommendation, by criteria that the brief shows: go, go with conditions, no-go, or not yet; and the plan.

What was not measured never counts as held. `judge` makes the criteria of what was measured. Weeks and days of the plan
are the assumptions of the same names, shared out over its stages: the plan and the money cannot differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from tuckerlab.decision.assumptions import DEFAULT, KINDS, Assumptions, Range, table
from tuckerlab.decision.business_case import NAMES, REACH, Money, settled, tornado
from tuckerlab.decision.evidence import MACHINES, QUANTITIES, Evidence
from tuckerlab.decision.wording import chance, percent, short, spread
from tuckerlab.experiments.audit import Thresholds
from tuckerlab.experiments.class_accuracy import is_unbalanced
from tuckerlab.experiments.summary import ROUNDING, TOLERATED
from tuckerlab.i18n import N_, _

MOST_SHARES = {"file": 0.2, "time_1": 1.0, "time_128": 1.0}  # of the full network's: what one gains
AUDITED = {"class_loss": -1.0, "agreement": 0.01}  # what is measured of them, in our unit
PAYS, MAY_PAY = 0.8, 0.5  # the chance that is asked; from the second on it is a condition, and no failure
ENOUGH_SEEDS = 3
STAGES = table("plan")
TOTALS = {"weeks": "weeks", "days": "people_days"}  # the assumption that each number of a stage is a part of


class Answer(StrEnum):
    """What the brief recommends."""

    GO = N_("Go")
    CONDITIONS = N_("Go, with conditions")
    NO_GO = N_("No-go")
    UNDECIDED = N_("Cannot be decided yet")


class Outcome(StrEnum):
    """How a criterion came out; in part: in the middle but not at the end of the spread, or on loose ground."""

    HELD = N_("yes")
    IN_PART = N_("in part")
    FAILED = N_("no")
    MISSING = N_("unknown")


@dataclass(frozen=True)
class Criterion:
    """One thing that is asked, in words: its name, what was measured, the limit, and how it came out.

    `kind` is what hangs on it: whether there is a comparison at all (valid), the answer (decisive), what one gains
    (gain), or a condition (care). `lack` says what stands in the way, where that is not the measurement itself.
    """

    key: str
    kind: str
    outcome: Outcome
    name: str = ""
    measured: str = ""
    limit: str = ""
    lack: str = ""

    @property
    def said(self) -> str:
        """What is missing, or did not hold."""
        if self.lack or not self.measured:
            return self.lack or _("{name}: not measured", name=self.name)
        return _("{name}: {measured}; {limit} was asked", name=self.name, measured=self.measured, limit=self.limit)


def recommend(criteria: Sequence[Criterion]) -> Answer:
    """What follows from the criteria.

    Without a valid comparison, or a decisive measurement, nothing can be decided; a decisive one that failed is a
    no-go, and so it is if nothing is gained; anything else that did not hold is a condition.
    """
    valid, decisive, gains = ({c.outcome for c in criteria if c.kind == kind} for kind in ("valid", "decisive", "gain"))
    if valid - {Outcome.HELD} or not criteria:
        return Answer.UNDECIDED
    if Outcome.FAILED in decisive or gains == {Outcome.FAILED}:
        return Answer.NO_GO
    if Outcome.MISSING in decisive:
        return Answer.UNDECIDED
    return Answer.GO if all(c.outcome is Outcome.HELD for c in criteria) else Answer.CONDITIONS


def judge(evidence: Evidence, money: Money | None) -> tuple[Criterion, ...]:
    """All criteria, those that decide first; a criterion that nothing was measured for is among them as missing."""
    asked, shares, where, worst, alike = Thresholds(), evidence.shares, _("Worst class"), None, None
    if evidence.audit:
        found = {row["name"]: row for row in evidence.audit.criteria.to_dict("records")}
        where = _("Worst class: {name}", name=short(found["class_loss"]["detail"], 16))
        worst, alike = (Range.over([found[key]["measured"] * unit]) for key, unit in AUDITED.items())
    names = {key: _(name) for key, (name, _unit) in QUANTITIES.items()}
    points, count = partial(spread, digits=1, signed=True), partial(spread, digits=0)
    pays, pairs = Range.over([money.pays] if money else []), Range.over([evidence.pairs])
    right = ("accuracy", "balanced") if is_unbalanced(evidence.runs) else ("accuracy",)
    payback = _criterion("payback", "decisive", _("Chance to pay back"), pays, PAYS, lambda it: chance(it.likely))
    return (
        *(Criterion(key, "valid", Outcome.MISSING, lack=gap) for key, gap in evidence.gaps.items() if key != MACHINES),
        *(_criterion(key, "decisive", names[key], shares[key], -TOLERATED, points) for key in right),
        _criterion("class_loss", "decisive", where, worst, -asked.class_loss, points),
        _criterion("agreement", "decisive", _("Both answer alike"), alike, asked.agreement / 100, percent),
        _grounded(payback, money) if money else payback,
        *(_criterion(key, "gain", names[key], shares[key], most, percent) for key, most in MOST_SHARES.items()),
        _criterion("repeats", "care", _("Trainings, other seeds"), pairs, ENOUGH_SEEDS, count),
    )


def _criterion(
    key: str, kind: str, name: str, found: Range | None, limit: float, say: Callable[[Range], str]
) -> Criterion:
    """Held where the whole spread is at least the limit, in part where the middle is; of a gain, at most."""
    outcome, asked, sign = Outcome.MISSING, f"≥ {say(Range(limit, limit, limit))}", 1
    if kind == "gain":
        asked, sign = asked.replace("≥", "≤"), -1
    if found:
        worst, middle = found.high if kind == "gain" else found.low, found.likely
        held, near = (sign * (value - limit) >= -ROUNDING for value in (worst, middle))
        outcome = Outcome.HELD if held else Outcome.IN_PART if near else Outcome.FAILED
    return Criterion(key, kind, outcome, name, say(found) if found else "", asked)


def _grounded(payback: Criterion, money: Money) -> Criterion:
    """The chance that it pays back; where it hangs on a default it is at best held in part, and never failed.

    Unless that is settled whatever the defaults are: then the answer does not wait for numbers of the user's.
    """
    if payback.outcome is Outcome.FAILED and money.pays >= MAY_PAY - ROUNDING:
        payback = replace(payback, outcome=Outcome.IN_PART)
    leading = next((key for key in tornado(money) if key in KINDS), "")
    if not leading or money.assumptions[leading].origin != DEFAULT:
        return payback
    if not settled(money):
        outcome = Outcome.MISSING if payback.outcome is Outcome.FAILED else Outcome.IN_PART
        lack = _("money: your own number for “{name}”, which moves the outcome most", name=_(NAMES[leading]))
        return replace(payback, outcome=outcome, lack=lack)
    if payback.outcome is not Outcome.FAILED:
        return payback
    even = N_("{said}, even with any one of our defaults {reach:.0f} times larger or smaller")
    return replace(payback, lack=_(even, said=payback.said, reach=REACH))


def lacks(criteria: Sequence[Criterion]) -> list[str]:
    """What stands in the way: of a no-go what failed, of an open answer what is missing, else all that did not hold."""
    answer, decides = recommend(criteria), ("decisive", "gain")
    if answer is Answer.NO_GO:
        return [it.said for it in criteria if it.outcome is Outcome.FAILED and it.kind in decides]
    wanted = {Outcome.MISSING} if answer is Answer.UNDECIDED else {*Outcome} - {Outcome.HELD}
    return [it.said for it in criteria if it.outcome in wanted]


def plan(assumptions: Assumptions, network: str) -> list[dict[str, str]]:
    """The stages in words: `name`, `effort`, `entry`, `exit`, `risk`, and `valve` against it."""
    values, steps = vars(Thresholds()) | {"network": network}, []
    for stage in STAGES.values():
        step = {part: _(said, **values) for part, said in stage.items() if part not in TOTALS}
        for part, key in TOTALS.items():
            share = stage[part] / sum(other[part] for other in STAGES.values())
            step[part] = spread(assumptions[key].times(share), 0)
        step["effort"] = _("{weeks} weeks; {days} days of work: {who}", **step)
        steps.append(step)
    return steps
