"""The money and the plan: a case worked out by hand, distributions against closed forms, gaps, and what is mistyped."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import triang

from tuckerlab.decision.assumptions import KINDS, LEADING, Assumption, Assumptions, Range, parsed, scaled
from tuckerlab.decision.business_case import (
    DRAWS,
    LINES,
    ONCE,
    RATIOS,
    YEARLY,
    Basis,
    Money,
    Values,
    account,
    drawn,
    money,
    ranges,
    triangular,
)  # fmt: skip
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.pages import account as account_html, notes
from tuckerlab.decision.plan import STAGES, plan
from tuckerlab.decision.plots import plan_picture
from tuckerlab.decision.sensitivity import TURNING, settled, tornado, turns
from tuckerlab.decision.wording import outcome_line, turn_line
from tuckerlab.errors import TuckerlabError


def exactly(value: float) -> Measured:
    return Measured(value, value, value, "run A")


def basis(**values: float) -> Basis:
    """What was measured, without spread; what is not given was not measured."""
    return Basis({name: exactly(value) for name, value in values.items()})


ALL = {"accuracy": -0.5, "time_1": 0.25, "time_128": 0.2, "file": 0.1, "memory": 0.1, "training": 0.5}
KNOWN = {key: kind.default[1] for key, kind in KINDS.items()}
"""Each assumption at its likely value, known exactly: every draw is the same."""


def known(**changes: float) -> Assumptions:
    return Assumptions().entered(**(KNOWN | changes))


@pytest.fixture(scope="module")
def usual() -> Money:
    shares = {name: Measured(v, 0.9 * v, 1.1 * v, "A") for name, v in ALL.items() if v > 0}
    return money(Assumptions(), Basis(shares))


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_case_worked_out_by_hand() -> None:
    found = money(
        known(
            answers_a_day=1e6, alone=0.5, ms_1=36, ms_128=18, busy=0.5, server_hour=0.2, copies=10, memory_mb=100,
            gb_month=5, watts=100, kwh=0.25, devices=100, device_difference=150, smaller_device=0.5, device_years=5,
            updates=4, file_mb=100, download_gb=0.5, retrainings=4, training_hours=10, training_hour=2, people_days=40,
            weeks=0, day_rate=800, poc_hours=60, validation=3000, upkeep_days=3, wrong_answer=0.001, discount=0,
        ),
        basis(**ALL),
    )  # fmt: skip
    lines = {key: spread.mean for key, spread in found.lines.items()}
    # half a million answers a day of 36 ms are 5 hours of work, 10 hours paid: 3650 hours a year, of which 3/4 go
    assert lines == pytest.approx(
        {
            "people": -32_000, "computing": -120, "validation": -3_000,
            "alone": 3650 * 0.2 * 0.75, "batches": 1825 * 0.2 * 0.8, "devices": 100 / 5 * 150,
            "memory": 10 * 0.1 * 5 * 12 * 0.9, "energy": 0.5 * (3650 * 0.75 + 1825 * 0.8) * 0.1 * 0.25,
            "downloads": 100 * 4 * 0.1 * 0.5 * 0.9, "retraining": 4 * 10 * 2 * 0.5, "upkeep": -2_400,
            "accuracy": -365e6 * 0.005 * 0.001,
        }
    )  # fmt: skip
    yearly = 547.5 + 292 + 3000 + 54 + 52.46875 + 18 + 40 - 2400 - 1825
    assert found.yearly.mean == pytest.approx(yearly)
    assert found.worth.median == pytest.approx(-35_120 + 3 * yearly)
    assert (found.pays, found.payback.median) == (0.0, math.inf)


def test_payback_by_hand() -> None:
    free = dict.fromkeys(("poc_hours", "validation", "upkeep_days", "wrong_answer", "watts"), 0)
    # one server hour an hour, at 2: half of it saved are 8760 a year; 40 days at 219 are 8760 once
    assumptions = known(
        **free, answers_a_day=24e6, alone=1, ms_1=3.6, busy=1, server_hour=2, people_days=40, day_rate=219,
        weeks=0, discount=0, devices=0,
    )  # fmt: skip
    found = money(assumptions, basis(time_1=0.5))
    assert found.payback.median == pytest.approx(1.0)
    later = money(assumptions.entered(weeks=365.25 / 7 / 2), basis(time_1=0.5))  # half a year of work
    assert later.payback.median == pytest.approx(1.5)
    assert later.worth.median == pytest.approx(-8760 + 2.5 * 8760)


def test_money_of_later_years_is_worth_less_as_a_sum_over_days_says() -> None:
    case = account(KNOWN | ALL | {"discount": 0.1, "weeks": 26.0, "server_hour": 3.0})
    days = np.arange(365 * 3)
    running = days >= 26 * 7 * 365 / 365.25
    summed = (case.yearly / 365 * 1.1 ** (-(days + 0.5) / 365) * running).sum()
    assert float(case.cash(3)) == pytest.approx(float(case.once) + summed, rel=2e-3)
    assert float(case.cash(case.payback)) == pytest.approx(0, abs=1e-6)


def test_the_cash_begins_with_the_costs_and_ends_at_the_worth(usual: Money) -> None:
    assert np.allclose(usual.case.cash(0.9 * usual.case.start), usual.case.once)
    paid = usual.case.payback <= usual.assumptions.years
    assert (paid == (usual.case.cash(usual.assumptions.years) >= 0)).all()
    assert usual.pays == paid.mean()
    for total, lines in ((usual.once, ONCE), (usual.yearly, YEARLY)):
        assert total.mean == pytest.approx(sum(usual.lines[line.key].mean for line in lines if line.key in usual.lines))


def test_every_assumption_is_used_and_every_need_is_told() -> None:
    class Watched(Values):
        def __getattribute__(self, name: str) -> Any:
            used.add(name)
            return super().__getattribute__(name)

    everywhere = {"weeks", "discount"}  # the cash over time has these
    for line in LINES.values():
        used: set[str] = set()
        line.amount(Watched(KNOWN | ALL))
        assert used & set(RATIOS) == set(line.needs)
        everywhere |= used
    assert everywhere >= set(KINDS)


# --- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [Range(0, 1, 4), Range(2, 2, 5), Range(-3, 1, 1)])
def test_triangular_against_scipy(value: Range) -> None:
    shares = np.linspace(0.001, 0.999, 99)
    low, likely, high = value
    oracle = triang((likely - low) / (high - low), loc=low, scale=high - low)
    assert np.allclose(triangular(value, shares), oracle.ppf(shares))


def test_the_draws_have_the_mean_and_the_limits_of_their_triangle(usual: Money) -> None:
    values = drawn(usual.assumptions, usual.basis)
    assert values.keys() == {*KINDS, *usual.basis.measured}
    for key, (low, likely, high) in ranges(usual.assumptions, usual.basis).items():
        error = 5 * (high - low) / math.sqrt(18 * DRAWS)
        assert values[key].mean() == pytest.approx((low + likely + high) / 3, abs=error + 1e-12)
        assert low <= values[key].min() <= values[key].max() <= high
    assert np.corrcoef([values["answers_a_day"], values["server_hour"]])[0, 1] == pytest.approx(0, abs=0.03)
    again = money(usual.assumptions, usual.basis)
    assert (again.worth, again.pays) == (usual.worth, usual.pays)


# --- honest about what it does not know ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", RATIOS)
def test_what_was_not_measured_is_a_gap_with_a_name_and_counts_nothing(missing: str) -> None:
    found = money(Assumptions(), basis(**{key: value for key, value in ALL.items() if key != missing}))
    gaps = [line.key for line in YEARLY if missing in line.needs]
    assert list(found.gaps) == gaps != []
    assert not set(gaps) & found.lines.keys()
    assert all(LINES[key].name in notes(found) for key in gaps)
    assert account_html(found).count("not counted; not measured") == len(gaps)


def test_lost_accuracy_costs_and_gained_accuracy_is_no_money() -> None:
    cases = (basis(accuracy=-1.0), Basis({"accuracy": Measured(0.1, -0.5, 0.7, "A")}), basis(accuracy=1.0))
    lost, unsure, gained = (money(Assumptions(), case).lines["accuracy"].mean for case in cases)
    assert lost < unsure < gained == 0  # three starts, one of them worse


def test_measured_numbers_take_the_place_of_defaults_alone() -> None:
    full = {"ms_1": Measured(2.0, 1.0, 3.0, "run A"), "ms_128": exactly(0.5)}
    found = money(Assumptions().entered(ms_128=7), Basis(full=full)).assumptions
    assert (found["ms_1"].range, found["ms_1"].origin) == (Range(1, 2, 3), "run A")
    assert (found["ms_128"].likely, found["ms_128"].origin) == (7, "entered")


# --- what it hangs on ------------------------------------------------------------------------------------------------


def test_the_tornado_against_moving_each_by_hand(usual: Money) -> None:
    bars = tornado(usual)
    assert [bar.swing for bar in bars] == sorted((bar.swing for bar in bars), reverse=True)
    end = usual.case.fan(np.array([float(usual.assumptions.years)]), [0.5])[0, 0]
    for bar in bars:
        assert bar.middle == pytest.approx(end, rel=1e-9)  # where the fan ends
        assert min(bar.worth_low, bar.worth_high) <= bar.middle <= max(bar.worth_low, bar.worth_high)
    for bar in [bar for bar in bars if bar.key in KINDS][:3]:
        for value, worth in ((bar.low, bar.worth_low), (bar.high, bar.worth_high)):
            again = money(Assumptions().entered(**{bar.key: value}), usual.basis)
            assert worth == pytest.approx(again.worth.median, abs=0.03 * (usual.worth.high - usual.worth.low))


def test_what_no_number_changes_is_settled() -> None:
    halves = basis(time_1=0.5, time_128=0.5)
    assert settled(money(Assumptions(), Basis()))  # nothing is saved, whatever is paid for it
    assert not settled(money(Assumptions(), basis(**ALL | {"accuracy": -0.25})))  # some cases pay
    assert settled(money(Assumptions().entered(answers_a_day=10), halves))
    few = Assumption("answers_a_day", 1e6, 1e6, 1e6, origin="default")  # a hundred times as many pay
    assert not settled(money(dataclasses.replace(Assumptions(), given={"answers_a_day": few}), halves))


@pytest.mark.parametrize("key", TURNING)
def test_at_the_turning_point_half_of_the_draws_pay(key: str) -> None:
    case = money(Assumptions(), basis(**ALL | {"accuracy": -0.25}))
    [turn] = turns(case, [key])
    assert turn.value is not None
    less, half, more = (
        money(Assumptions().entered(**{key: turn.value * factor}), case.basis).pays for factor in (0.8, 1.0, 1.25)
    )
    assert half == pytest.approx(0.5, abs=0.02)
    assert (more > less) is turn.pays_above
    assert turn_line(case, turn).endswith("or more" if turn.pays_above else "or less")


# --- assumptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [math.nan, None, [1, 2], -1, (3, 2, 1), "1"])
def test_numbers_that_cannot_be(given: Any) -> None:
    with pytest.raises(TuckerlabError, match=r"\(server_hour\): .* was given; "):
        Assumptions().entered(server_hour=given)


@pytest.mark.parametrize("typed", ["1,5", "1,23,456", "1 / 2", "$5", ""])
def test_typed_in_a_way_that_cannot_be_read(typed: str) -> None:
    with pytest.raises(TuckerlabError, match=r"\(day_rate\): .* was given; "):
        parsed("day_rate", typed)


@pytest.mark.parametrize("content", [b"server_hours = 1", b"server_hour =", b"\xff\xfe\x00", b"years = 99"])
def test_saved_and_loaded(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.toml"
    mine = Assumptions(currency="¥", years=5).entered(server_hour=0.1234567, devices=(1, 20, 300))
    mine.save(file)
    assert Assumptions.load(file) == mine
    assert "ms_1" not in file.read_text()  # defaults stay defaults
    file.write_bytes(content)
    with pytest.raises(TuckerlabError, match=r"mine\.toml: "):
        Assumptions.load(file)


def test_what_is_shown_can_be_typed() -> None:
    for assumption in Assumptions():
        assert parsed(assumption.key, assumption.said).range == pytest.approx(assumption.range, rel=1e-3)
    assert parsed("day_rate", "1,234,567.5").likely == 1234567.5
    assert set(LEADING) <= set(KINDS)


def test_scaled_ranges_stay_ranges() -> None:
    assert scaled(Assumption("alone", 0.2, 0.5, 1), 1.0).range == Range(0.4, 1.0, 1.0)
    assert scaled(Assumption("devices", 0, 0, 0), 7).range == Range(0, 7, 7)
    assert scaled(Assumption("devices", 1, 2, 3), 0).range == Range(0, 0, 0)


def test_yen_have_their_own_prices_and_no_decimals() -> None:
    yen, euros = Assumptions(currency="¥"), Assumptions(currency="€")
    assert yen["day_rate"].likely == 100 * Assumptions()["day_rate"].likely
    assert euros["day_rate"].range == Assumptions()["day_rate"].range  # nothing is converted
    assert yen.amount(0.4) == "¥0"
    assert "$" not in outcome_line(money(yen, basis(**ALL)))
    assert [yen.amount(value) for value in (-12_345, 1234.5)] == ["−¥12,300", "¥1,230"]
    assert [euros.amount(value) for value in (-12_345, 0.25)] == ["−€12,300", "€0.25"]


# --- the plan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entered", [{}, {"people_days": (5, 20, 90), "weeks": (2, 4, 30)}, {"people_days": 0}])
def test_the_plan_takes_the_days_and_weeks_that_the_money_counts(entered: dict[str, Any]) -> None:
    assumptions = Assumptions().entered(**entered)
    found = plan(assumptions)
    assert found.days == pytest.approx(assumptions["people_days"].range)
    assert found.weeks == pytest.approx(assumptions["weeks"].range)
    assert found.steps[0].start == (0, 0, 0)
    assert all(after.start == before.end for before, after in zip(found.steps, found.steps[1:], strict=False))
    [axes] = plan_picture(found).axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([step.end.likely for step in found.steps])


def test_the_defaults_are_the_sums_of_the_stages() -> None:
    days = sum(sum(stage["days"].values()) for stage in STAGES)
    for key, total in (("people_days", days), ("weeks", sum(stage["weeks"] for stage in STAGES))):
        assert Assumptions()[key].range == pytest.approx((0.6 * total, total, 1.8 * total))


def test_the_plan_holds_what_was_measured_and_what_the_audit_asks_for() -> None:
    measured = {"accuracy": Measured(0.1, -0.56, 0.83, "run A"), "time_1": Measured(0.88, 0.85, 0.92, "run A")}
    first, _audit, shadow, canary, _last = plan(Assumptions(), Basis(measured), network="small", requests=1e6).steps
    assert "small loses at most 1.0 points" in first.exit
    assert "+0.10 (−0.56 to +0.83), run A" in first.exit
    assert "88 % (85 to 92 %), run A" in shadow.exit
    assert "about 1,000,000 requests" in canary.exit
    assert "in 2 days" in canary.exit  # at 1 % of 40 million a day
