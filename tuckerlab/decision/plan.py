"""The plan of the PoC: stages with their time, people, criteria, risks and safety valves, filled from the runs.

Weeks and days are the assumptions of the same names, shared out over the stages: the plan and the money cannot differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.kinds import Range
from tuckerlab.decision.measurements import Basis
from tuckerlab.decision.wording import html_table, ratio_line
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.audit.criteria import Thresholds
from tuckerlab.i18n import N_, _, ngettext

FIRST_SHARE = 0.01  # of the requests, in the first step of the canary
ROLES = {
    "engineer": N_("engineer"),
    "expert": N_("expert of the product"),
    "operations": N_("operations"),
    "owner": N_("owner"),
}


@dataclass(frozen=True)
class Stage:
    """One stage in words, its likely weeks, and the likely days of work of each of ROLES in it."""

    name: str
    weeks: float
    days: Mapping[str, float]
    entry: str
    exit: str
    risk: str
    valve: str


# fmt: off
STAGES = (
    Stage(
        N_("1 · Repeat it on your data"), 2, {"engineer": 8, "expert": 2},
        entry=N_("Labelled images of yours and the network that runs today are at hand."),
        exit=N_("With three starts, {network} loses at most {loss:.1f} points against the full network, on test images "
                "of yours."),
        risk=N_("It loses more on your images than in the run."),
        valve=N_("Take the next larger size. If none holds, stop here: this stage is all that was spent."),
    ),
    Stage(
        N_("2 · Look closer: the audit"), 1, {"engineer": 4, "expert": 3},
        entry=N_("Stage 1 held."),
        exit=N_("Both networks answer at least {agreement:g} % of the images alike. No class loses more than "
                "{class_loss:g} points, noise and blur cost at most {robustness:g} points, and confidence is at most "
                "{gap:g} points further off."),
        risk=N_("Right as often, but wrong about other images: a rare defect, a dark picture."),
        valve=N_("The audit names the classes. Train again with more of them, or leave them to the full network."),
    ),
    Stage(
        N_("3 · Shadow: answers nobody sees"), 3, {"engineer": 5, "operations": 3},
        entry=N_("The audit passed. The exported file answers as the trained network does."),
        exit=N_("On real requests, beside the full network, it answers at least {agreement:g} % alike, and as quickly "
                "as was measured."),
        risk=N_("On the real machine it is not as quick, or real images differ from the test images."),
        valve=N_("Nobody sees its answers: switch it off. Measure again on that machine."),
    ),
    Stage(
        N_("4 · Canary: 1 %, 10 %, 50 %"), 4, {"engineer": 4, "operations": 3, "owner": 1},
        entry=N_("The shadow held for a week. One switch leads all requests back to the full network, and was tried."),
        exit=N_("1 %, then 10 %, then 50 % of the requests: each step holds until the test shows no loss beyond "
                "{loss:.1f} points."),
        risk=N_("It loses accuracy where no test image has shown it."),
        valve=N_("The test stops the step, and the switch rolls back at once. At 1 %, one answer in a hundred was "
                 "concerned."),
    ),
    Stage(
        N_("5 · Roll out"), 2, {"engineer": 3, "operations": 3, "owner": 1},
        entry=N_("The canary held at 50 %. The owner agrees."),
        exit=N_("All requests go to {network}. The full network is kept ready for three months."),
        risk=N_("Images change with time, and a retraining goes wrong."),
        valve=N_("The guard of the training goes back to the last good network. The audit and the canary are repeated "
                 "for each new one."),
    ),
)
# fmt: on
"""Orders of magnitude for one network and one team; their sums are the defaults of `weeks` and `people_days`.

Whoever enters other totals scales all stages.
"""


@dataclass(frozen=True)
class Step:
    """A stage of a plan: when it starts and how long it takes, in weeks, the days of each role, and when it is done."""

    stage: Stage
    start: Range
    weeks: Range
    days: Mapping[str, Range]
    exit: str

    @property
    def name(self) -> str:
        return _(self.stage.name)

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
    def row(self) -> list[str]:
        """The stage, its weeks, who, when it begins, when it is done, what can go wrong, and the safety valve."""
        stage = self.stage
        return [
            self.name,
            range_in_words(self.weeks),
            self.who,
            _(stage.entry),
            self.exit,
            _(stage.risk),
            _(stage.valve),
        ]


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
        weeks, days = self.weeks, self.days
        return _(
            "It takes about {weeks:.0f} weeks ({fewest_weeks:.0f} to {most_weeks:.0f}) and {days:.0f} days of work "
            "({fewest_days:.0f} to {most_days:.0f})",
            weeks=weeks.likely,
            fewest_weeks=weeks.low,
            most_weeks=weeks.high,
            days=days.likely,
            fewest_days=days.low,
            most_days=days.high,
        )

    def _repr_html_(self) -> str:
        head = [
            _("Stage"), _("Weeks"), _("Who"), _("Begins when"), _("Done when"), _("What can go wrong"),
            _("Safety valve"),
        ]  # fmt: skip
        return html_table(head, [step.row for step in self.steps])


def plan(
    assumptions: Assumptions, basis: Basis | None = None, *, network: str = "", requests: float | None = None
) -> Plan:
    """The plan for a small network, by its label, with what was measured of it and what an audit asks for.

    requests: how many labelled requests a step of the canary takes to catch a loss beyond the threshold, as the
    roll-out computes it; without it the plan says that the number is missing.
    """
    if requests is not None and not 0 < requests < math.inf:
        raise TuckerlabError(f"requests {requests!r}: allowed are numbers above 0")
    asked = Thresholds()
    values = {"network": network or _("the small network"), "loss": asked.accuracy_loss, "agreement": asked.agreement}
    values |= {"class_loss": asked.class_loss, "gap": asked.calibration_gap, "robustness": asked.robustness_loss}
    known = (_measured(basis, "accuracy"), "", _measured(basis, "time_1"), _waiting(requests, assumptions), "")
    all_weeks, all_days = sum(it.weeks for it in STAGES), sum(sum(it.days.values()) for it in STAGES)
    weeks, days = assumptions["weeks"].range, assumptions["people_days"].range
    steps: list[Step] = []
    for stage, so_far in zip(STAGES, known, strict=True):
        start = steps[-1].end if steps else Range(0, 0, 0)
        work = {role: days.times(share / all_days) for role, share in stage.days.items()}
        done = f"{_(stage.exit, **values)} {so_far}".strip()
        steps.append(Step(stage, start, weeks.times(stage.weeks / all_weeks), work, done))
    return Plan(tuple(steps))


def range_in_words(value: Range) -> str:
    """A range of weeks or days: what is likely, and between what."""
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
    told = {"requests": requests, "time": requests / answers}  # days
    if told["time"] >= 2:
        return _(
            "That takes about {requests:,.0f} requests with their true answers; at 1 % of your traffic the "
            "requests come in {time:.0f} days. Finding the true answers takes longer.",
            **told,
        )
    return _(
        "That takes about {requests:,.0f} requests with their true answers; at 1 % of your traffic the "
        "requests come in {time:.1f} hours. What takes the weeks is finding the true answers.",
        **told | {"time": 24 * told["time"]},
    )


def _sum(ranges: list[Range]) -> Range:
    return Range(*(float(sum(column)) for column in zip(*ranges, strict=True)))
