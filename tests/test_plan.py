"""The plan: one source with the money, criteria with the numbers of the runs, and a table that is safe to show."""

import math
from typing import Any

import pytest

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.basis import Basis
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.money import money
from tuckerlab.decision.plan import COLUMNS, plan, said
from tuckerlab.decision.plan_plot import plan_picture
from tuckerlab.decision.stages import SPREAD, STAGES, Range, total_days, total_weeks
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.audit.criteria import Thresholds
from tuckerlab.i18n import speaking


@pytest.mark.parametrize("days", [None, 10, (5, 20, 90), 0])
def test_the_days_of_the_plan_are_those_that_the_money_counts(days: Any) -> None:
    assumptions = Assumptions() if days is None else Assumptions().entered(people_days=days)
    found = plan(assumptions)
    assert found.days == pytest.approx(assumptions["people_days"].range)
    rate = Assumptions()["day_rate"]
    once = money(assumptions.entered(day_rate=rate.likely), Basis()).lines["people"].mean
    assert -once == pytest.approx(sum(found.days) / 3 * rate.likely, rel=0.02)  # the mean of a triangle


@pytest.mark.parametrize("weeks", [None, 3, (2, 4, 30)])
def test_the_stages_follow_each_other_and_end_with_the_weeks_of_the_money(weeks: Any) -> None:
    assumptions = Assumptions() if weeks is None else Assumptions().entered(weeks=weeks)
    found = plan(assumptions)
    assert found.steps[0].start == (0, 0, 0)
    for before, after in zip(found.steps, found.steps[1:], strict=False):
        assert after.start == before.end
    assert found.weeks == pytest.approx(assumptions["weeks"].range)
    assert all(step.weeks.low <= step.weeks.likely <= step.weeks.high for step in found.steps)


def test_the_defaults_are_the_table_of_stages() -> None:
    found = plan(Assumptions())
    assert [step.weeks.likely for step in found.steps] == pytest.approx([stage.weeks for stage in STAGES])
    assert found.steps[0].days["engineer"].likely == pytest.approx(STAGES[0].days["engineer"])
    assert total_days() == SPREAD.times(sum(sum(stage.days.values()) for stage in STAGES))
    assert total_weeks().low < total_weeks().likely < total_weeks().high


def test_the_criteria_hold_the_numbers_of_the_runs_and_of_the_audit() -> None:
    basis = Basis(
        accuracy=Measured("accuracy", 0.1, -0.56, 0.83, "run A"), time_1=Measured("t", 0.88, 0.85, 0.92, "run A")
    )
    asked = Thresholds()
    first, audit, shadow, canary, _ = plan(Assumptions(), basis, network="Tucker 95 %").steps
    assert f"Tucker 95 % loses at most {asked.accuracy_loss:.1f} points" in first.exit
    assert "+0.10 (−0.56 to +0.83), run A" in first.exit
    points = (asked.class_loss, asked.calibration_gap, asked.robustness_loss)
    for number in (f"{asked.agreement:g} %", *(f"{loss:g} points" for loss in points)):
        assert number in audit.exit
    assert "88 % (85 to 92 %), run A" in shadow.exit
    assert f"{asked.accuracy_loss:.1f} points" in canary.exit


def test_roles_stand_beside_each_other_as_their_language_has_it() -> None:
    with speaking("ja"):
        assert plan(Assumptions()).steps[0].who == "エンジニア8人日、製品の専門家2人日"


def test_what_was_not_measured_is_said() -> None:
    steps = plan(Assumptions()).steps
    assert "Not measured so far." in steps[0].exit
    assert "Not measured so far." in steps[2].exit
    assert steps[3].exit.endswith("How many requests that takes was not computed yet.")
    assert "the small network" in steps[0].exit


@pytest.mark.parametrize(
    ("answers", "waits"),
    [(1e6, "48 hours"), (2e6, "24.0 hours"), (2e4, "100 days"), (0, "20,000 requests with their true answers.")],
)
def test_how_long_the_first_step_of_the_canary_waits(answers: float, waits: str) -> None:
    exit_ = plan(Assumptions().entered(answers_a_day=answers), requests=20_000).steps[3].exit
    assert "about 20,000 requests with their true answers" in exit_
    assert waits.replace("48 hours", "2 days") in exit_
    assert ("the true answers" in exit_) is (answers > 0)  # what takes the time is not that the requests come


@pytest.mark.parametrize("requests", [0, -1, math.nan, math.inf])
def test_requests_that_cannot_be(requests: float) -> None:
    with pytest.raises(TuckerlabError, match="allowed are numbers above 0"):
        plan(Assumptions(), requests=requests)


def test_every_cell_is_filled_and_user_text_is_escaped() -> None:
    found = plan(Assumptions(), network="<script>alert(1)</script>")
    assert all(len(row) == len(COLUMNS) and all(cell.strip() for cell in row) for row in found.rows)
    html = found._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2
    assert html.count("<tr>") == len(STAGES) + 1


def test_ranges_in_words() -> None:
    assert [said(Range(1, 2, 4)), said(Range(2.1, 2.2, 2.3))] == ["2 (1 to 4)", "2"]


def test_the_picture_has_a_bar_for_each_stage_and_nothing_is_cut_off() -> None:
    found = plan(Assumptions())
    figure = plan_picture(found)
    [axes] = figure.axes
    assert [bar.get_x() for bar in axes.patches] == pytest.approx([step.start.likely for step in found.steps])
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([step.end.likely for step in found.steps])
    assert axes.get_xlim()[1] > found.weeks.high
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01


def test_a_plan_of_no_time_can_be_drawn() -> None:
    plan_picture(plan(Assumptions().entered(weeks=0, people_days=0))).draw_without_rendering()
