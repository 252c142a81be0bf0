"""The money: a case worked out by hand, distributions against closed forms, gaps, risks, and every way to mistype."""

import dataclasses
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import triang

from tuckerlab.decision.assumptions import Assumption, Assumptions, parsed, scaled
from tuckerlab.decision.basis import RATIOS, Basis, full_network
from tuckerlab.decision.cash_flows import LINES, ONCE, YEARLY
from tuckerlab.decision.kinds import KINDS, LEADING
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.money import DRAWS, Money, account, drawn, money, ranges, triangular
from tuckerlab.decision.money_plots import money_picture
from tuckerlab.decision.money_words import chance, gap_lines, notes, outcome_line, rows, table, turn_line, verdict_line
from tuckerlab.decision.sensitivity import TURNING, settled, tornado, turns
from tuckerlab.decision.stages import Range
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import speaking


def exactly(name: str, value: float) -> Measured:
    return Measured(name, value, value, value, "run A")


def basis(**values: float) -> Basis:
    """What was measured, without spread; what is not given was not measured."""
    return Basis(**{name: exactly(name, value) for name, value in values.items()})


ALL = {"accuracy": -0.5, "time_1": 0.25, "time_128": 0.2, "file": 0.1, "memory": 0.1, "training": 0.5}
KNOWN = {key: kind.default.likely for key, kind in KINDS.items()}
"""Each assumption at its likely value, known exactly: every draw is the same."""


def known(**changes: float) -> Assumptions:
    return Assumptions().entered(**(KNOWN | changes))


@pytest.fixture(scope="module")
def usual() -> Money:
    return money(
        Assumptions(), Basis(**{name: Measured(name, v, 0.9 * v, 1.1 * v, "A") for name, v in ALL.items() if v > 0})
    )


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
    assert yearly < 0
    assert found.worth.median == pytest.approx(-35_120 + 3 * yearly)
    assert (found.pays, found.verdict, found.payback.median) == (0.0, "does_not", math.inf)


def test_payback_by_hand() -> None:
    free = dict.fromkeys(("poc_hours", "validation", "upkeep_days", "wrong_answer", "watts"), 0)
    # one server hour an hour, at 2: half of it saved are 8760 a year; 40 days at 219 are 8760 once
    assumptions = known(
        **free, answers_a_day=24e6, alone=1, ms_1=3.6, busy=1, server_hour=2, people_days=40, day_rate=219,
        weeks=0, discount=0, devices=0,
    )  # fmt: skip
    found = money(assumptions, basis(time_1=0.5))
    assert found.lines["alone"].mean == pytest.approx(24e6 * 365 * 3.6 / 3.6e6)
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


def test_the_cash_never_falls_before_it_starts_and_ends_at_the_worth(usual: Money) -> None:
    assert np.allclose(usual.case.cash(0), usual.case.once)
    assert np.allclose(usual.case.cash(0.9 * usual.case.start), usual.case.once)
    paid = usual.case.payback <= usual.assumptions.years
    assert (paid == (usual.case.cash(usual.assumptions.years) >= 0)).all()
    assert usual.pays == paid.mean()


# --- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [Range(0, 1, 4), Range(2, 2, 5), Range(-3, 1, 1), Range(-1, 0, 1)])
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


@pytest.mark.parametrize("key", TURNING)
def test_the_worth_is_a_straight_line_in_prices_and_amounts(usual: Money, key: str) -> None:
    values = drawn(usual.assumptions, usual.basis)
    worth = [account(values | {key: np.full(1, at)}).cash(3) for at in (1.0, 2.0, 4.0)]
    assert np.allclose(worth[2] - worth[1], 2 * (worth[1] - worth[0]))


def test_means_of_lines_add_up(usual: Money) -> None:
    for total, lines in ((usual.once, ONCE), (usual.yearly, YEARLY)):
        assert total.mean == pytest.approx(sum(usual.lines[line.key].mean for line in lines if line.key in usual.lines))


def test_the_same_question_has_the_same_answer() -> None:
    first, second = (money(Assumptions(), basis(**ALL)) for _ in range(2))
    assert (first.worth, first.pays) == (second.worth, second.pays)


def test_a_wider_spread_of_a_measurement_widens_the_outcome() -> None:
    narrow = money(Assumptions(), Basis(time_1=Measured("t", 0.5, 0.5, 0.5, "A")))
    wide = money(Assumptions(), Basis(time_1=Measured("t", 0.5, 0.1, 0.9, "A")))
    assert wide.worth.high - wide.worth.low > narrow.worth.high - narrow.worth.low


# --- honest about what it does not know ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", RATIOS)
def test_what_was_not_measured_is_a_gap_with_a_name_and_counts_nothing(missing: str) -> None:
    found = money(Assumptions(), basis(**{key: value for key, value in ALL.items() if key != missing}))
    gaps = [line.key for line in YEARLY if missing in line.needs]
    assert list(found.gaps) == gaps != []
    assert not set(gaps) & found.lines.keys()
    assert [row.name for row in rows(found)[1] if row.is_gap] == [LINES[key].name for key in gaps]
    assert all(LINES[key].name in line for key, line in zip(gaps, gap_lines(found), strict=True))


def test_nothing_measured_means_that_nothing_is_saved() -> None:
    found = money(Assumptions(), Basis())
    assert found.yearly.high < 0
    assert set(found.lines) == {"people", "computing", "validation", "upkeep"}
    assert not rows(found)[1][0].mean.strip("–")


def test_little_traffic_does_not_pay_however_small_the_network() -> None:
    found = money(Assumptions().entered(answers_a_day=1000, devices=0), basis(**ALL))
    assert (found.verdict, found.pays) == ("does_not", 0.0)
    assert verdict_line(found) == "It does not pay back: within 3 years in less than 1 % of the cases"


def test_much_traffic_of_a_network_that_takes_long_pays() -> None:
    found = money(Assumptions().entered(answers_a_day=1e9), basis(**ALL | {"accuracy": 0.0}))
    assert found.verdict == "pays"
    assert found.payback.high < 1


def test_lost_accuracy_costs_and_gained_accuracy_is_no_money() -> None:
    spread = Basis(accuracy=Measured("accuracy", 0.1, -0.5, 0.7, "A"))
    lost = money(Assumptions(), basis(accuracy=-1.0))
    gained = money(Assumptions(), basis(accuracy=+1.0))
    unsure = money(Assumptions(), spread)
    assert gained.lines["accuracy"].mean == 0
    assert lost.lines["accuracy"].high < 0
    assert lost.lines["accuracy"].mean < unsure.lines["accuracy"].mean < 0  # three starts, one of them worse


def test_a_network_that_became_slower_costs() -> None:
    found = money(Assumptions(), basis(time_1=1.3, time_128=1.1))
    assert max(found.lines["alone"].high, found.lines["batches"].high) < 0
    assert found.lines["devices"].high == 0


def test_a_smaller_device_must_be_quick_enough() -> None:
    enough, not_enough = (money(known(smaller_device=0.5), basis(time_1=ratio)) for ratio in (0.5, 0.51))
    assert enough.lines["devices"].mean == pytest.approx(100 / 5 * 150)
    assert not_enough.lines["devices"].mean == 0
    assert any("51 %" in note for note in notes(not_enough))
    assert not any("smaller device" in note.lower() for note in notes(enough))


def test_one_start_and_another_network_are_noted() -> None:
    full = {"ms_1": exactly("ms_1", 1.0)}
    other = dataclasses.replace(basis(accuracy=0.0, time_1=0.5), full=full)
    said = notes(money(Assumptions().entered(ms_1=40), other))
    assert any(note.startswith("Accuracy was measured with one start.") for note in said)
    assert any("measured 1 ms, and 40 ms is entered" in note for note in said)
    assert not any("is entered" in note for note in notes(money(Assumptions().entered(ms_1=2.5), other)))


def test_measured_numbers_take_the_place_of_defaults_alone() -> None:
    full = {"ms_1": Measured("ms_1", 2.0, 1.0, 3.0, "run A"), "ms_128": exactly("ms_128", 0.5)}
    found = money(Assumptions().entered(ms_128=7), Basis(full=full)).assumptions
    assert (found["ms_1"].range, found["ms_1"].origin) == (Range(1, 2, 3), "run A")
    assert (found["ms_128"].likely, found["ms_128"].origin) == (7, "entered")
    assert found["ms_1"].said_origin == "measured in run A"


def test_the_full_network_in_the_units_of_the_assumptions() -> None:
    numbers = {"time_1": 2.0, "time_128": 128.0, "file": 1200.0, "parameters": 3e5, "accuracy": 98.0}
    found = full_network({name: exactly(name, value) for name, value in numbers.items()})
    assert {key: it.value for key, it in found.items()} == {"ms_1": 2, "ms_128": 1, "file_mb": 1.2, "memory_mb": 1.2}
    assert full_network({"time_1": None}) == {}


def test_every_assumption_is_used_and_every_need_is_told() -> None:
    class Watched(SimpleNamespace):
        def __getattribute__(self, name: str) -> Any:
            used.add(name)
            return super().__getattribute__(name)

    everywhere = {"weeks", "discount"}  # the cash over time has these
    for line in LINES.values():
        used: set[str] = set()
        line.amount(Watched(**KNOWN, **ALL))
        assert used & set(RATIOS) == set(line.needs)
        everywhere |= used
    assert everywhere >= set(KINDS)


# --- what it hangs on ------------------------------------------------------------------------------------------------


def test_the_tornado_against_moving_each_by_hand(usual: Money) -> None:
    bars = tornado(usual)
    swings = [bar.swing for bar in bars]
    assert swings == sorted(swings, reverse=True)
    for bar in [bar for bar in bars if bar.key in KINDS][:3]:
        for end, worth in ((bar.low, bar.worth_low), (bar.high, bar.worth_high)):
            again = money(Assumptions().entered(**{bar.key: end}), usual.basis)
            assert worth == pytest.approx(again.worth.median, abs=0.03 * (usual.worth.high - usual.worth.low))
    assert "watts" not in {bar.key for bar in bars}  # at nothing, with no range, it moves nothing


def test_the_tornado_stands_where_the_fan_ends(usual: Money) -> None:
    end = usual.case.fan(np.array([float(usual.assumptions.years)]), [0.5])[0, 0]
    for bar in tornado(usual):
        assert bar.middle == pytest.approx(end, rel=1e-9)
        assert min(bar.worth_low, bar.worth_high) <= bar.middle <= max(bar.worth_low, bar.worth_high)


def test_what_no_number_changes_is_settled() -> None:
    nothing_measured, steel = money(Assumptions(), Basis()), basis(**ALL | {"accuracy": -0.25})
    assert settled(nothing_measured)  # nothing is saved, whatever is paid for it
    assert not settled(money(Assumptions(), steel))  # some cases pay
    little = money(Assumptions().entered(answers_a_day=10), basis(time_1=0.5, time_128=0.5))
    assert little.pays == 0
    assert settled(little)
    # with the answers a default, a hundred times as many pay
    some = money(dataclasses.replace(Assumptions(), given={"answers_a_day": UNSURE}), basis(time_1=0.5, time_128=0.5))
    assert some.pays < 0.01
    assert not settled(some)


UNSURE = Assumption("answers_a_day", 1e6, 1e6, 1e6, origin="default")


@pytest.mark.parametrize("key", TURNING)
def test_at_the_turning_point_half_of_the_draws_pay(key: str) -> None:
    case = money(Assumptions(), basis(**ALL | {"accuracy": -0.25}))
    [turn] = turns(case, [key])
    assert turn.value is not None
    pays = {}
    for factor in (0.8, 1.0, 1.25):
        pays[factor] = money(Assumptions().entered(**{key: turn.value * factor}), case.basis).pays
    assert pays[1.0] == pytest.approx(0.5, abs=0.02)
    assert (pays[1.25] > pays[0.8]) is turn.pays_above


def test_no_turning_point_where_nothing_can_turn_it() -> None:
    case = money(Assumptions(), Basis())
    assert [turn.value for turn in turns(case, ["answers_a_day", "day_rate"])] == [None, None]
    assert turn_line(case, turns(case, ["answers_a_day"])[0]) == ""


def test_a_turning_point_says_its_direction_and_unit(usual: Money) -> None:
    above, below = (turn_line(usual, turn) for turn in turns(usual, ["answers_a_day", "people_days"]))
    assert above.startswith("Answers a day: ")
    assert above.endswith("answers or more")
    assert below.endswith("days or less")


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [-1, math.nan, math.inf, -math.inf, "1", None, True, 1e30, [1, 2], [], [0, 1, math.nan]]
)
@pytest.mark.parametrize("key", ["server_hour", "busy"])
def test_numbers_that_cannot_be(key: str, value: Any) -> None:
    with pytest.raises(TuckerlabError, match=rf"\({key}\)") as caught:
        Assumptions().entered(**{key: value})
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value)


@pytest.mark.parametrize("value", [(2, 1, 3), (1, 3, 2), (3, 2, 1)])
def test_ranges_that_cannot_be(value: tuple[float, ...]) -> None:
    with pytest.raises(
        TuckerlabError, match=r"Devices in the field \(devices\): low \d, likely \d, high \d were given"
    ):
        Assumptions().entered(devices=value)


@pytest.mark.parametrize(("key", "value"), [("alone", 50), ("busy", 0), ("discount", 8), ("device_years", 0)])
def test_nonsense_units(key: str, value: float) -> None:
    with pytest.raises(TuckerlabError, match="allowed are numbers from"):
        Assumptions().entered(**{key: value})


def test_a_misspelt_name_is_told_with_the_nearest() -> None:
    with pytest.raises(TuckerlabError, match=r"no assumption 'server_hours'; did you mean server_hour\?"):
        Assumptions().entered(server_hours=1)
    with pytest.raises(TuckerlabError, match="there is no assumption 'xyz'; there are answers_a_day, "):
        Assumptions()["xyz"]


@pytest.mark.parametrize("settings", [{"years": 0}, {"years": 2.5}, {"years": 99}, {"years": True}, {"currency": ""},
                                      {"currency": "dollars"}, {"currency": 3}, {"currency": "9"},
                                      {"currency": "-5"}, {"currency": " $"}, {"currency": "$\n"}, {"currency": "<b>"},
                                      {"currency": "+"}, {"currency": "$5"}])  # fmt: skip
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(TuckerlabError, match="allowed"):
        Assumptions(**settings)


@pytest.mark.parametrize("currency", ["$", "€", "¥", "£", "CHF", "kr.", "zł", "US$", "円", "₹"])
def test_currencies(currency: str) -> None:
    assert Assumptions(currency=currency).amount(-5) == f"−{currency}5.00"[: None if currency != "¥" else -3]


@pytest.mark.parametrize(
    ("said", "write"),
    [("1,5", "1.5"), ("0,5", "0.5"), ("0,500", "0.500"), ("-1,25", "-1.25"), ("1.234,5", "1234.5"), (",5", ".5"),
     ("1,23,456", "a point"), ("1234,567", "1234.567"), ("1,234,5", "a point"), ("1 / 1,5 / 2", "1.5"),
     ("1,", "a point")],
)  # fmt: skip
def test_a_decimal_comma_is_no_thousand(said: str, write: str) -> None:
    with pytest.raises(TuckerlabError, match=rf"\(day_rate\): .* was given; write {re.escape(write)}.*: a comma only"):
        parsed("day_rate", said)


@pytest.mark.parametrize(("said", "value"), [("1,234", 1234), ("12,345.5", 12345.5), ("1,234,567", 1234567)])
def test_thousands(said: str, value: float) -> None:
    assert parsed("day_rate", said).likely == value


@pytest.mark.parametrize("said", ["", "abc", "1 / 2", "1/2/3/4", "1//2", "one", "$5"])
def test_typed_in_a_way_that_cannot_be_read(said: str) -> None:
    with pytest.raises(TuckerlabError, match=r"allowed is one number, or three: low / likely / high"):
        parsed("devices", said)


def test_what_is_shown_can_be_typed() -> None:
    for assumption in Assumptions():
        again = parsed(assumption.key, assumption.said)
        assert again.range == pytest.approx(assumption.range, rel=1e-3)


# --- files, currencies, words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine.toml", "mine.json", "folder/mine.toml"])
def test_saved_and_loaded(tmp_path: Path, name: str) -> None:
    mine = Assumptions(currency="¥", years=5).entered(server_hour=0.1234567, devices=(1, 20, 300))
    again = Assumptions.load(mine.save(tmp_path / name))
    assert again == mine
    assert "ms_1" not in (tmp_path / name).read_text()  # defaults stay defaults


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", "server_hours = 1", r"a\.toml: there is no assumption 'server_hours'; did you mean server_hour"),
        ("a.toml", "server_hour = -1", r"a\.toml: Price of a server hour \(server_hour\): -1 was given"),
        ("a.toml", "server_hour = nan", "nan was given"),
        ("a.toml", 'server_hour = "a lot"', "'a lot' was given"),
        ("a.toml", "server_hour = [1, 2]", "2 numbers were given"),
        ("a.toml", "server_hour =", r"a\.toml: cannot be read as assumptions \("),
        ("a.toml", "years = 0", r"a\.toml: years 0: allowed"),
        ("a.json", "[1]", r"a\.json: cannot be read as assumptions \(it holds no names\)"),
        ("a.json", "{", r"a\.json: cannot be read as assumptions"),
        ("a.json", json.dumps({"devices": {"low": 1}}), "was given"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TuckerlabError, match=said):
        Assumptions.load(tmp_path / name)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TuckerlabError, match="cannot be read as assumptions"):
        Assumptions.load(tmp_path / "a.toml")


def test_yen_have_their_own_prices_and_no_decimals() -> None:
    yen, euros = Assumptions(currency="¥"), Assumptions(currency="€")
    assert yen["day_rate"].likely == 100 * Assumptions()["day_rate"].likely
    assert euros["day_rate"].range == Assumptions()["day_rate"].range  # nothing is converted
    assert yen.amount(0.4) == "¥0"
    assert "¥ an hour" in yen.unit("server_hour")
    assert "$" not in outcome_line(money(yen, basis(**ALL)))
    priced = {key for key, kind in KINDS.items() if kind.yen}
    assert priced == {key for key in KINDS if "€" in euros.unit(key)}


def test_every_assumption_has_a_name_a_unit_and_a_reason() -> None:
    for assumption in Assumptions():
        assert assumption.name
        assert Assumptions().unit(assumption.key)
        assert assumption.said_origin.startswith("default: ")
    assert set(LEADING) <= set(KINDS)


def test_scaled_ranges_stay_ranges() -> None:
    assert scaled(Assumption("alone", 0.2, 0.5, 1), 1.0).range == Range(0.4, 1.0, 1.0)
    assert scaled(Assumption("devices", 0, 0, 0), 7).range == Range(0, 7, 7)
    assert scaled(Assumption("devices", 1, 2, 3), 0).range == Range(0, 0, 0)


def test_chances_are_never_sure() -> None:
    assert [chance(share) for share in (0, 0.005, 0.5, 0.995, 1)] == [
        "less than 1 %", "less than 1 %", "50 %", "more than 99 %", "more than 99 %",
    ]  # fmt: skip


def test_the_table_is_escaped_and_says_where_numbers_come_from() -> None:
    found = money(Assumptions(), Basis(time_1=Measured("t", 0.5, 0.4, 0.6, "<script>")))
    html = table(found)
    assert "<script>" not in html
    assert "50 % (40 to 60 %), &lt;script&gt;" in html
    assert html.count("not counted; not measured") == len(found.gaps)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_picture_cuts_nothing_off(usual: Money) -> None:
    figure = money_picture(usual)
    figure.draw_without_rendering()
    drawn_box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn_box.x0, drawn_box.y0) >= -0.01
    assert drawn_box.x1 <= width + 0.01
    assert drawn_box.y1 <= height + 0.01


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("answers", [None, 1e9])
def test_the_numbers_beside_the_bars_are_whole(answers: float | None, lang: str) -> None:
    loses = Measured("accuracy", -0.01, -0.6, 0.8, "A")
    basis = Basis(accuracy=loses, time_1=Measured("t", 1.0, 0.98, 1.02, "A"))
    mine = Assumptions() if answers is None else Assumptions().entered(answers_a_day=(answers / 4, answers, answers))
    with speaking(lang):
        figure = money_picture(money(mine, basis))
        figure.draw_without_rendering()
        storm = figure.axes[1]
        place = storm.get_window_extent()
        labels = [label.get_window_extent() for label in storm.texts]
    assert len(labels) >= 4
    assert all(place.x0 <= label.x0 and label.x1 <= place.x1 + 1 for label in labels)


def test_the_pictures_have_the_numbers(usual: Money) -> None:
    fan, storm = money_picture(usual).axes
    [median, *_] = [line for line in fan.lines if line.get_linewidth() == 2.2]
    assert median.get_ydata()[0] == pytest.approx(usual.once.median, rel=0.02)
    assert median.get_ydata()[-1] == pytest.approx(usual.worth.median, abs=0.05 * (usual.worth.high - usual.worth.low))
    first = tornado(usual)[0]
    top = [patch for patch in storm.patches if round(patch.get_y() + patch.get_height() / 2) == 6]
    assert sorted(patch.get_x() + patch.get_width() for patch in top) == pytest.approx(
        sorted([first.worth_low, first.worth_high])
    )


def test_the_payback_is_marked_where_there_is_one() -> None:
    pays = money(Assumptions().entered(answers_a_day=1e9), basis(time_1=0.2, time_128=0.2))
    never = money(Assumptions(), Basis())
    marks = [[line for line in money_picture(case).axes[0].lines if line.get_marker() == "o"] for case in (pays, never)]
    assert [len(found) for found in marks] == [1, 0]
    assert marks[0][0].get_xdata()[0] == pays.payback.median


def test_nothing_to_draw_is_no_error() -> None:
    nothing = known(people_days=0, poc_hours=0, validation=0, upkeep_days=0)
    money_picture(money(nothing, Basis())).draw_without_rendering()
