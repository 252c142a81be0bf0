"""The plan of the PoC: stages with their time, people, criteria, risks and safety valves, filled from the runs.

>>> found = plan(Assumptions(), network="Tucker 95 %", requests=20_000)
>>> found.weeks.likely, found.days.likely, found.steps[0].who
(12.0, 40.0, 'engineer 8 days, expert of the product 2 days')
>>> found.steps[3].exit.partition("1 % of your traffic")[2]
' the requests come in 1.2 hours. What takes the weeks is finding the true answers.'

Weeks and days are the assumptions of the same names, shared out over the stages: the plan and the money cannot differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tuckerlab.decision.assumptions import Assumptions, Range
from tuckerlab.decision.measurements import Basis
from tuckerlab.decision.wording import html_table, ratio_line
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.audit.criteria import Thresholds
from tuckerlab.i18n import _, ngettext, text

FIRST_SHARE = 0.01  # of the requests, in the first step of the canary
COLUMNS = ("stage", "weeks", "who", "entry", "exit", "risk", "valve")

STAGES: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "reproduce": (2, {"engineer": 8, "expert": 2}),
    "audit": (1, {"engineer": 4, "expert": 3}),
    "shadow": (3, {"engineer": 5, "operations": 3}),
    "canary": (4, {"engineer": 4, "operations": 3, "owner": 1}),
    "rollout": (2, {"engineer": 3, "operations": 3, "owner": 1}),
}
"""The likely weeks of each stage and the likely days of work of each role in it.

Orders of magnitude for one network and one team; their sums are the defaults of the assumptions `weeks` and
`people_days`. Whoever enters other totals scales all stages.
"""


@dataclass(frozen=True)
class Step:
    """One stage of a plan: when it starts and how long it takes, in weeks, and the days of each role."""

    key: str
    start: Range
    weeks: Range
    days: Mapping[str, Range]
    entry: str
    exit: str
    risk: str
    valve: str

    @property
    def name(self) -> str:
        """What people call the stage."""
        return text(f"plan.stage.{self.key}")

    @property
    def end(self) -> Range:
        """When it is over, in weeks from the first day."""
        return _sum([self.start, self.weeks])

    @property
    def who(self) -> str:
        """The roles with their likely days."""
        named = [(text(f"plan.role.{role}"), round(days.likely)) for role, days in self.days.items()]
        return _(", ").join(
            ngettext("{role} {count:.0f} day", "{role} {count:.0f} days", role=role, count=count)
            for role, count in named
        )


@dataclass(frozen=True)
class Plan:
    """The steps in their order."""

    steps: tuple[Step, ...]

    @property
    def weeks(self) -> Range:
        """From the first day to the end of the last step."""
        return self.steps[-1].end

    @property
    def days(self) -> Range:
        """The work of all."""
        return _sum([days for step in self.steps for days in step.days.values()])

    @property
    def rows(self) -> list[list[str]]:
        """The table: stage, weeks, who, begins when, done when, risk, safety valve."""
        return [[it.name, range_in_words(it.weeks), it.who, it.entry, it.exit, it.risk, it.valve] for it in self.steps]

    @property
    def headline(self) -> str:
        """How long and how much work, in one sentence."""
        weeks, days = self.weeks, self.days
        told = {"weeks": weeks.likely, "fewest_weeks": weeks.low, "most_weeks": weeks.high}
        return _(
            "It takes about {weeks:.0f} weeks ({fewest_weeks:.0f} to {most_weeks:.0f}) and {days:.0f} days "
            "of work ({fewest_days:.0f} to {most_days:.0f})",
            days=days.likely,
            fewest_days=days.low,
            most_days=days.high,
            **told,
        )

    def _repr_html_(self) -> str:
        return html_table([text(f"plan.column.{column}") for column in COLUMNS], self.rows)


def plan(
    assumptions: Assumptions,
    basis: Basis | None = None,
    *,
    network: str = "",
    requests: float | None = None,
) -> Plan:
    """The plan for a small network, by its label, with what was measured of it and what an audit asks for.

    requests: how many labelled requests a step of the canary takes to catch a loss beyond the threshold, as the
    roll-out computes it; without it the plan says that the number is missing.
    """
    if requests is not None and not 0 < requests < math.inf:
        raise TuckerlabError(f"requests {requests!r}: allowed are numbers above 0")
    asked = Thresholds()
    known = {
        "reproduce": _measured(basis, "accuracy"),
        "shadow": _measured(basis, "time_1"),
        "canary": _waiting(requests, assumptions),
    }
    values = {"network": network or _("the small network"), "loss": asked.accuracy_loss, "agreement": asked.agreement}
    values |= {"class_loss": asked.class_loss, "gap": asked.calibration_gap, "robustness": asked.robustness_loss}
    all_weeks = sum(weeks for weeks, _ in STAGES.values())
    all_days = sum(days for _, roles in STAGES.values() for days in roles.values())
    steps: list[Step] = []
    for key, (weeks, roles) in STAGES.items():
        done = [text(f"plan.exit.{key}", **values), known.get(key, "")]
        steps.append(
            Step(
                key,
                start=steps[-1].end if steps else Range(0, 0, 0),
                weeks=assumptions["weeks"].range.times(weeks / all_weeks),
                days={role: assumptions["people_days"].range.times(days / all_days) for role, days in roles.items()},
                entry=text(f"plan.entry.{key}"),
                exit=" ".join(filter(None, done)),
                risk=text(f"plan.risk.{key}"),
                valve=text(f"plan.valve.{key}"),
            )
        )
    return Plan(tuple(steps))


def range_in_words(value: Range) -> str:
    """A range of weeks or days: what is likely, and between what.

    >>> range_in_words(Range(1.2, 2, 3.6)), range_in_words(Range(2, 2, 2))
    ('2 (1 to 4)', '2')
    """
    low, likely, high = (f"{part:.0f}" for part in value)
    return likely if low == high else _("{likely} ({low} to {high})", likely=likely, low=low, high=high)


def _measured(basis: Basis | None, ratio: str) -> str:
    found = basis.measured.get(ratio) if basis else None
    return _("Measured so far: {what}.", what=ratio_line(ratio, found)) if found else _("Not measured so far.")


def _waiting(requests: float | None, assumptions: Assumptions) -> str:
    """How many requests it takes, and how long these take at the share of the first step."""
    if requests is None:
        return _("How many requests that takes was not computed yet.")
    answers = assumptions["answers_a_day"].likely * FIRST_SHARE
    if answers <= 0:
        return _("That takes about {requests:,.0f} requests with their true answers.", requests=requests)
    days = requests / answers
    if days >= 2:
        return _(
            "That takes about {requests:,.0f} requests with their true answers; at 1 % of your traffic the "
            "requests come in {time:.0f} days. Finding the true answers takes longer.",
            requests=requests,
            time=days,
        )
    return _(
        "That takes about {requests:,.0f} requests with their true answers; at 1 % of your traffic the "
        "requests come in {time:.1f} hours. What takes the weeks is finding the true answers.",
        requests=requests,
        time=24 * days,
    )


def _sum(ranges: list[Range]) -> Range:
    return Range(*(float(sum(column)) for column in zip(*ranges, strict=True)))
