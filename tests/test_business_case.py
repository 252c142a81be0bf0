"""The money and the plan: a case worked out by hand, distributions against closed forms, gaps, and what is mistyped."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import triang

from tuckerlab.decision.assumptions import KINDS, Assumptions, Range, parsed, scaled, written
from tuckerlab.decision.business_case import (
    DRAWS,
    ONCE,
    RATIOS,
    YEARLY,
    Account,
    Money,
    drawn,
    settled,
    tornado,
    turning_point,
)
from tuckerlab.decision.recommendation import STAGES, plan
from tuckerlab.decision.wording import turn_line, uncounted
from tuckerlab.errors import TuckerlabError


def measured(**values: float) -> dict[str, Range]:
    return {name: Range(value, value, value) for name, value in values.items()}


ALL = {"accuracy": -0.5, "time_1": 0.25, "time_128": 0.2, "file": 0.1, "memory": 0.1, "training": 0.5}
KNOWN = {key: kind.default[1] for key, kind in KINDS.items()}
"""Each assumption at its likely value, known exactly: every draw is the same."""


def known(**changes: float) -> Assumptions:
    return Assumptions().entered(**(KNOWN | changes))


SPREAD = {name: Range(0.9 * value, value, 1.1 * value) for name, value in ALL.items() if value > 0}


@pytest.fixture(scope="module")
def usual() -> Money:
    return Money(Assumptions(), SPREAD)


def test_a_case_worked_out_by_hand() -> None:
    found = Money(
        known(
            answers_a_day=1e6, alone=0.5, ms_1=36, ms_128=18, busy=0.5, server_hour=0.2, copies=10, memory_mb=100,
            gb_month=5, watts=100, kwh=0.25, devices=100, device_difference=150, smaller_device=0.5, device_years=5,
            updates=4, file_mb=100, download_gb=0.5, retrainings=4, training_hours=10, training_hour=2, people_days=40,
            weeks=0, day_rate=800, poc_hours=60, validation=3000, upkeep_days=3, wrong_answer=0.001, discount=0,
        ),
        measured(**ALL),
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
    assert Money(assumptions, measured(time_1=0.5)).payback.median == pytest.approx(1.0)
    later = Money(assumptions.entered(weeks=365.25 / 7 / 2), measured(time_1=0.5))  # half a year of work
    assert later.payback.median == pytest.approx(1.5)
    assert later.worth.median == pytest.approx(-8760 + 2.5 * 8760)


def test_money_of_later_years_is_worth_less_as_a_sum_over_days_says() -> None:
    case = Account(KNOWN | ALL | {"discount": 0.1, "weeks": 26.0, "server_hour": 3.0})
    days = np.arange(365 * 3)
    running = days >= 26 * 7 * 365 / 365.25
    summed = (case.yearly / 365 * 1.1 ** (-(days + 0.5) / 365) * running).sum()
    assert float(case.cash(3)) == pytest.approx(float(case.once) + summed, rel=2e-3)
    assert float(case.cash(case.payback)) == pytest.approx(0, abs=1e-6)


def test_the_cash_begins_with_the_costs_and_ends_at_the_worth(usual: Money) -> None:
    case, years = Account(usual.draws), usual.assumptions.years
    assert np.allclose(case.cash(0.9 * case.start), case.once)
    assert ((case.payback <= years) == (case.cash(years) >= 0)).all()
    assert usual.pays == (case.payback <= years).mean()
    assert usual.fan(np.array([float(years)]), [0.5])[0, 0] == pytest.approx(usual.worth_with(), rel=1e-9)
    for total, lines in ((usual.once, ONCE), (usual.yearly, YEARLY)):
        assert total.mean == pytest.approx(sum(usual.lines[key].mean for key in lines if key in usual.lines))


@pytest.mark.parametrize("value", [Range(0, 1, 4), Range(2, 2, 5), Range(-3, 1, 1)])
def test_draws_are_triangular_and_independent(value: Range) -> None:
    draws, others = drawn("answers_a_day", value), drawn("server_hour", value)
    oracle = triang((value.likely - value.low) / (value.high - value.low), loc=value.low, scale=value.high - value.low)
    shares = np.linspace(0.05, 0.95, 19)
    error = 3 * (value.high - value.low) / math.sqrt(DRAWS)
    assert np.allclose(np.quantile(draws, shares), oracle.ppf(shares), atol=error)
    assert np.corrcoef([draws, others])[0, 1] == pytest.approx(0, abs=0.03)
    assert (drawn("answers_a_day", value) == draws).all()


NEEDED = {
    "accuracy": {"accuracy"}, "time_1": {"alone", "devices", "energy"}, "time_128": {"batches", "energy"},
    "file": {"downloads"}, "memory": {"memory"}, "training": {"retraining"},
}  # fmt: skip


@pytest.mark.parametrize("missing", RATIOS)
def test_what_was_not_measured_is_a_gap_with_a_name_and_counts_nothing(missing: str) -> None:
    found = Money(Assumptions(), measured(**{key: value for key, value in ALL.items() if key != missing}))
    assert set(found.gaps) == NEEDED[missing]
    assert found.lines.keys() == {*ONCE, *YEARLY} - NEEDED[missing]
    assert all(YEARLY[key] in uncounted(found) for key in found.gaps)


def test_gained_accuracy_is_no_money_and_measured_numbers_take_the_place_of_defaults_alone() -> None:
    cases = (measured(accuracy=-1.0), {"accuracy": Range(-0.5, 0.1, 0.7)}, measured(accuracy=1.0))
    lost, unsure, gained = (Money(Assumptions(), case).lines["accuracy"].mean for case in cases)
    assert lost < unsure < gained == 0  # three starts, one of them worse
    full = {"ms_1": Range(1.0, 2.0, 3.0), "ms_128": Range(0.5, 0.5, 0.5)}
    found = Money(Assumptions().entered(ms_128=7), full).assumptions
    assert found["ms_1"] == Range(1, 2, 3, "measured")
    assert found["ms_128"] == Range(7, 7, 7, "entered")
    assert found["devices"].origin == "default"


def test_the_tornado_against_moving_each_by_hand(usual: Money) -> None:
    assumed = {key: worths for key, worths in tornado(usual).items() if key in KINDS}
    for key, worths in itertools.islice(assumed.items(), 3):
        for value, worth in zip((usual.ranges[key].low, usual.ranges[key].high), worths, strict=True):
            again = Money(Assumptions().entered(**{key: value}), SPREAD)
            assert worth == pytest.approx(again.worth.median, abs=0.03 * (usual.worth.high - usual.worth.low))


def test_what_no_number_changes_is_settled() -> None:
    halves = measured(time_1=0.5, time_128=0.5)
    assert settled(Money(Assumptions(), {}))  # nothing is saved, whatever is paid for it
    assert not settled(Money(Assumptions(), measured(**ALL | {"accuracy": -0.25})))  # some cases pay
    assert settled(Money(Assumptions().entered(answers_a_day=10), halves))
    few = Range(1e6, 1e6, 1e6, "default")  # a hundred times as many pay
    assert not settled(Money(Assumptions(given={"answers_a_day": few}), halves))


@pytest.mark.parametrize("key", ["answers_a_day", "ms_1", "server_hour", "day_rate", "wrong_answer"])
def test_at_the_turning_point_half_of_the_draws_pay(key: str) -> None:
    found = measured(**ALL | {"accuracy": -0.25})
    case = Money(Assumptions(), found)
    value = turning_point(case, key)
    assert value is not None
    less, half, more = (
        Money(Assumptions().entered(**{key: value * factor}), found).pays for factor in (0.8, 1.0, 1.25)
    )
    assert half == pytest.approx(0.5, abs=0.02)
    assert turn_line(case, key).endswith("or more" if more > less else "or less")


@pytest.mark.parametrize("wrong", [math.nan, None, [1, 2], -1, (3, 2, 1), "1,5", "1,23,456", "1 / 2", "$5", ""])
def test_numbers_that_cannot_be(wrong: Any) -> None:
    with pytest.raises(TuckerlabError, match=r"\(server_hour\): .* was given; "):
        parsed("server_hour", wrong) if isinstance(wrong, str) else Assumptions().entered(server_hour=wrong)


def test_saved_and_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    mine = Assumptions(currency="¥", years=5).entered(server_hour=0.1234567, devices=(1, 20, 300))
    mine.save(file)
    assert Assumptions.load(file) == mine
    assert "ms_1" not in file.read_text()  # defaults stay defaults
    for content in (b"server_hours = 1", b"server_hour =", b"\xff\xfe\x00", b"years = 99"):
        file.write_bytes(content)
        with pytest.raises(TuckerlabError, match=r"mine\.toml: "):
            Assumptions.load(file)


def test_what_is_shown_can_be_typed_and_scaled() -> None:
    for key, found in Assumptions().ranges.items():
        again = parsed(key, written(found))
        assert (again.low, again.likely, again.high) == pytest.approx((found.low, found.likely, found.high), rel=1e-3)
    assert parsed("day_rate", "1,234,567.5").likely == 1234567.5
    assert scaled("alone", Range(0.2, 0.5, 1), 1.0) == Range(0.4, 1.0, 1.0, "entered")
    assert scaled("devices", Range(0, 0, 0), 7) == Range(0, 7, 7, "entered")


def test_yen_have_their_own_prices_and_no_decimals() -> None:
    yen, euros = Assumptions(currency="¥"), Assumptions(currency="€")
    assert yen["day_rate"].likely == 100 * Assumptions()["day_rate"].likely
    assert euros["day_rate"].likely == pytest.approx(0.9 * Assumptions()["day_rate"].likely)
    assert euros["devices"] == yen["devices"] == Assumptions()["devices"]
    assert [yen.amount(value) for value in (-12_345, 1234.5, 0.4)] == ["−¥12,300", "¥1,230", "¥0"]
    assert [euros.amount(value) for value in (-12_345, 0.25)] == ["−€12,300", "€0.25"]
    mine = Assumptions().entered(day_rate=(600, 700, 900), devices=7).converted("¥")
    assert mine["day_rate"] == Range(90_000, 105_000, 135_000, "entered")
    assert mine["devices"].likely == 7
    assert mine.converted("$")["day_rate"].likely == pytest.approx(700)
    with pytest.raises(TuckerlabError, match="currency 'seashells'"):
        Assumptions(currency="seashells")


def test_the_plan_takes_the_days_and_weeks_that_the_money_counts() -> None:
    for key, part in (("people_days", "days"), ("weeks", "weeks")):
        total, default = sum(stage[part] for stage in STAGES.values()), Assumptions()[key]
        assert (default.low, default.likely, default.high) == pytest.approx((0.6 * total, total, 1.8 * total))
    first, *_others, last = plan(Assumptions().entered(people_days=80, weeks=(12, 24, 36)), "small")
    assert (first["days"], first["weeks"]) == ("20", "4 (2 to 6)")
    assert "small loses at most 1.0 points" in first["exit"]
    assert last["effort"] == "4 (2 to 6) weeks; 14 days of work: engineer, operations, owner"
