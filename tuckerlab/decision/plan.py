"""The plan of the PoC: stages with their time, people, criteria, risks and safety valves, filled from the runs.

Weeks and days are the assumptions of the same names, shared out over the stages: the plan and the money cannot differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tuckerlab.decision.assumptions import Assumptions, Range
from tuckerlab.decision.business_case import Basis
from tuckerlab.decision.pages import fill
from tuckerlab.decision.tables import table
from tuckerlab.decision.wording import ratio_line
from tuckerlab.experiments.audit import Thresholds
from tuckerlab.i18n import _, ngettext

FIRST_SHARE = 0.01  # of the requests, in the first step of the canary
STAGES, ROLES = table("plan")["stages"], table("plan")["roles"]


@dataclass(frozen=True)
class Step:
    """A stage of a plan in words; when it starts and how long it takes, in weeks, and the days of work of each role."""

    name: str
    entry: str
    exit: str
    risk: str
    valve: str
    start: Range
    weeks: Range
    days: Mapping[str, Range]

    @property
    def end(self) -> Range:
        return _sum([self.start, self.weeks])

    @property
    def who(self) -> str:
        """The roles with their likely days."""
        return _(", ").join(
            ngettext("{role} {count:.0f} day", "{role} {count:.0f} days", role=_(ROLES[role]), count=round(days.likely))
            for role, days in self.days.items()
        )

    @property
    def when(self) -> str:
        """Its weeks: what is likely, and between what."""
        low, likely, high = (f"{part:.0f}" for part in self.weeks)
        return likely if low == high else _("{likely} ({low} to {high})", likely=likely, low=low, high=high)


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
        return _sum([days for step in self.steps for days in step.days.values()])

    @property
    def headline(self) -> str:
        """How long and how much work, in one sentence."""
        told: dict[str, float] = {}
        for name, value in (("weeks", self.weeks), ("days", self.days)):
            told |= {name: value.likely, f"fewest_{name}": value.low, f"most_{name}": value.high}
        return _(
            "It takes about {weeks:.0f} weeks ({fewest_weeks:.0f} to {most_weeks:.0f}) and {days:.0f} days of work "
            "({fewest_days:.0f} to {most_days:.0f})",
            **told,
        )

    def _repr_html_(self) -> str:
        head = [
            _("Stage"), _("Weeks"), _("Who"), _("Begins when"), _("Done when"), _("What can go wrong"),
            _("Safety valve"),
        ]  # fmt: skip
        rows = [[it.name, it.when, it.who, it.entry, it.exit, it.risk, it.valve] for it in self.steps]
        return fill("table", head=head, rows=rows)


def plan(
    assumptions: Assumptions, basis: Basis | None = None, *, network: str = "", requests: float | None = None
) -> Plan:
    """The plan for a small network, by its label, with what was measured of it and what an audit asks for.

    requests: how many labelled requests a step of the canary takes to catch a loss beyond the threshold, as the
    roll-out computes it; without it the plan says that the number is missing.
    """
    asked = Thresholds()
    values = {"network": network or _("the small network"), "loss": asked.accuracy_loss, "agreement": asked.agreement}
    values |= {"class_loss": asked.class_loss, "gap": asked.calibration_gap, "robustness": asked.robustness_loss}
    known = (_measured(basis, "accuracy"), "", _measured(basis, "time_1"), _waiting(requests, assumptions), "")
    all_weeks = sum(stage["weeks"] for stage in STAGES)
    all_days = sum(sum(stage["days"].values()) for stage in STAGES)
    weeks, days = assumptions["weeks"].range, assumptions["people_days"].range
    steps: list[Step] = []
    for stage, so_far in zip(STAGES, known, strict=True):
        said = {part: _(stage[part], **values) for part in ("name", "entry", "exit", "risk", "valve")}
        said["exit"] = f"{said['exit']} {so_far}".strip()
        start = steps[-1].end if steps else Range(0, 0, 0)
        work = {role: days.times(share / all_days) for role, share in stage["days"].items()}
        steps.append(Step(**said, start=start, weeks=weeks.times(stage["weeks"] / all_weeks), days=work))
    return Plan(tuple(steps))


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
