"""The size slider: every setting of every table, what it says of each, and what it does about mistakes."""

from pathlib import Path

import pytest
from jobs import said
from made_up import dense
from test_sizes import FULL, ROWS, frame, row

from tuckerlab.errors import DataError
from tuckerlab.experiments import recorded as results
from tuckerlab.experiments.size_table import FILE, Size, Sizes, recorded_sizes
from tuckerlab.panels import InstantSlider
from tuckerlab.panels.size_slider import SizePicture

OWN = Sizes.of(frame(*ROWS))
OTHERS = [row("compression", 0.33, 670, 0.97), row("compression", 0.66, 340, 0.9), row("tolerance", 0.15, 600, 0.9)]
OTHER = Sizes.of(frame(FULL, *OTHERS))


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recorded tables without a setting in common, and a record that has none."""
    for name, rows in {"one": ROWS, "two": OTHER.rows, "without": ()}.items():
        dense().save(tmp_path / name)
        if rows:
            frame(*rows).to_parquet(tmp_path / name / FILE)
    monkeypatch.setattr(results, "FOLDER", tmp_path)


@pytest.mark.parametrize("name", recorded_sizes())
def test_every_setting(name: str) -> None:
    panel, seen = InstantSlider(name), set()
    for by, other in (("compression", "tolerance"), ("tolerance", "compression")):
        slider = panel.sliders[by]
        assert [value for _, value in slider.options] == [size.setting for size in panel.sizes.series(by)]
        for label, value in slider.options[::3]:
            slider.value = value
            assert (panel.by, panel.size.by, panel.size.setting, slider.value) == (by, by, value, value)
            assert panel.sliders[other].value == panel.sizes.like(panel.size, other).setting
            assert ("◆" in label) == panel.size.trained
            assert f"{100 * panel.size.test_accuracy:.1f} %" in said(panel.numbers)
            assert said(panel.sentence).startswith("This is the full network") == (value == 0)
            seen.add(panel.picture.value)
    assert panel.problem == ""
    assert len(seen) > 10  # pictures


def test_a_move_draws_once_and_moves_the_other_slider(monkeypatch: pytest.MonkeyPatch) -> None:
    panel, drawn, png = InstantSlider(OWN), list[float](), SizePicture.png
    assert (panel.by, panel.compression.value, panel.size) == ("compression", 0.5, ROWS[2])  # as accurate as all of it

    def noted(self: SizePicture, size: Size, costs: tuple[float, float]) -> bytes:
        drawn.append(size.setting)
        return png(self, size, costs)

    monkeypatch.setattr(SizePicture, "png", noted)
    panel.compression.value = 0.9
    assert panel.tolerance.value == 0.4
    panel.tolerance.value = 0.2  # which stores most nearly as much as 0.5
    assert (panel.by, panel.compression.value, panel.size.setting) == ("tolerance", 0.5, 0.2)
    assert drawn == [0.9, 0.2]


def test_the_exercise() -> None:
    twin = row("compression", 0.72, 300, 0.97)  # another setting that gives the same network
    panel, answers = InstantSlider(Sizes.of(frame(*ROWS, twin)), exercise=1), {}
    for value in (0.9, 0.72, 0.7, 0.0):
        panel.compression.value = value
        answers[value] = "That is it" in said(panel.task)
    assert answers == {0.9: False, 0.72: True, 0.7: True, 0.0: False}
    assert said(InstantSlider(OWN).task) == ""


def test_what_is_said_of_costs_and_accuracy() -> None:
    slow = row("compression", 0.8, 200, 0.96, latency_128_ms=64.0, latency_1_ms=5.0)
    panel = InstantSlider(Sizes.of(frame(*ROWS, slow)))
    once = panel.cost(panel.sizes.full)
    panel.answers.value *= 10
    assert panel.cost(panel.sizes.full) == pytest.approx(10 * once)
    panel.compression.value = 0.8
    assert f"{panel.cost(slow) - panel.cost(FULL):,.2f} more than the full network" in said(panel.numbers)
    assert "500 % of the full network" in said(panel.numbers)
    assert "−2.0 points" in said(panel.numbers)
    for answers, price in ((0.0, 1e6), (1e-300, 0.0), (float("inf"), 1e300), (-1.0, -1.0)):
        panel.answers.value, panel.price.value = answers, price
        assert 0 <= panel.answers.value <= 1e12
        assert 0 <= panel.price.value <= 1e6
        assert "nan" not in said(panel.numbers)


def test_another_table_in_mid_way(tables: None) -> None:
    panel, untouched = InstantSlider("one"), InstantSlider("one")
    before = untouched.picture.value, untouched.numbers.value, untouched.compression.value
    panel.tolerance.value = 0.4
    for name, sizes in (("two", OTHER), ("one", OWN), ("two", OTHER)):
        panel.source.value = name
        alone = InstantSlider(sizes)
        assert (panel.problem, panel.sizes.rows) == ("", sizes.rows)
        assert panel.compression.options == alone.compression.options
        assert panel.tolerance.options == alone.tolerance.options
        assert (panel.numbers.value, panel.picture.value) == (alone.numbers.value, alone.picture.value)
    assert (untouched.picture.value, untouched.numbers.value, untouched.compression.value) == before


def test_tables_that_are_not_there(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = InstantSlider("<b>nonsense")
    assert (panel.source.value, panel.sizes.rows) == ("one", ROWS)
    assert "nonsense': none of that name; there are one, two" in panel.problem
    assert "<b>nonsense" not in panel.static()
    assert "nonsense" in panel.static()
    panel.compression.value = 0.9
    (tmp_path / "two" / FILE).write_bytes(b"no more")
    panel.source.value = "two"
    assert "no table of sizes there" in panel.problem
    assert (panel.source.value, panel.size) == ("one", ROWS[0])
    monkeypatch.setattr(results, "FOLDER", tmp_path / "two")
    with pytest.raises(DataError, match="they come with a checkout"):
        InstantSlider()


def test_the_picture_has_the_numbers() -> None:
    picture = SizePicture(OWN, "compression")
    for size in OWN.series("compression"):
        picture.png(size, (1.0, 1.0))
        [x], [y] = picture.dot.get_data()
        assert (x, y) == pytest.approx((100 * (1 - size.conv_compression), 100 * size.test_accuracy))
        assert picture.needle.get_xdata() == pytest.approx([x, x])
    picture.png(OWN.at("compression", 0.5), (4.0, 1.0))
    shares = [label.get_text() for label in picture.labels]
    assert (shares[0], shares[-1]) == ("58 %", "25 %")
    assert [bar.get_width() for bar in picture.bars][-1] == 25
    picture.png(OWN.at("compression", 0.5), (0.0, 0.0))  # nothing is paid: the bar is the time
    assert picture.labels[-1].get_text() == "100 %"
