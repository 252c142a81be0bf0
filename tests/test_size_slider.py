"""The size slider: the settings of every table, what it says of each, and what it does about mistakes."""

import re
from pathlib import Path

import pytest
from jobs import said
from made_up import dense
from test_sizes import FULL, ROWS, frame, row

from tuckerlab.errors import DataError
from tuckerlab.experiments import run_folder as results
from tuckerlab.experiments.size_table import FILE, Sizes, recorded_sizes
from tuckerlab.panels import InstantSlider, size_slider

OWN = Sizes.of(frame(*ROWS))
OTHER = Sizes.of(frame(FULL, row("compression", 0.33, 670, 0.97), row("tolerance", 0.15, 600, 0.9)))


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recorded tables without a setting in common, and a record that has none."""
    for name, rows in {"one": ROWS, "two": OTHER.rows, "without": ()}.items():
        dense().save(tmp_path / name)
        if rows:
            frame(*rows).to_parquet(tmp_path / name / FILE)
    monkeypatch.setattr(results, "FOLDER", tmp_path)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_slider, "draw", lambda *shown: None)


@pytest.mark.parametrize("name", recorded_sizes())
def test_both_sliders_point_at_one_size(name: str, undrawn: None) -> None:
    panel = InstantSlider(name)
    for by, other in (("compression", "tolerance"), ("tolerance", "compression")):
        slider = panel.sliders[by]
        assert [value for _, value in slider.options] == [size.setting for size in panel.sizes.series(by)]
        for label, value in slider.options[::5]:
            slider.value = value
            assert (panel.by, panel.size.by, panel.size.setting, slider.value) == (by, by, value, value)
            assert panel.sliders[other].value == panel.sizes.like(panel.size, other).setting
            assert ("◆" in label) == panel.size.trained
            assert f"{100 * panel.size.test_accuracy:.1f} %" in said(panel.numbers)


def test_the_exercise(undrawn: None) -> None:
    twin = row("compression", 0.72, 300, 0.97)  # another setting that gives the same network
    panel, answers = InstantSlider(Sizes.of(frame(*ROWS, twin)), exercise=1), {}
    assert not any(reply in said(panel.task) for reply in ("Not yet", "That is it"))  # nothing was tried
    for value in (0.9, 0.72, 0.7, 0.0):
        panel.compression.value = value
        answers[value] = "That is it" in said(panel.task)
    assert answers == {0.9: False, 0.72: True, 0.7: True, 0.0: False}
    assert said(InstantSlider(OWN).task) == ""


def test_what_is_said_of_costs_and_accuracy(undrawn: None) -> None:
    slow = row("compression", 0.8, 200, 0.96, latency_128_ms=64.0, latency_1_ms=5.0)
    panel = InstantSlider(Sizes.of(frame(*ROWS, slow)))
    panel.answers.text.value, panel.price.text.value = "1,000,000,000", "4"
    panel.compression.value = 0.8
    # a billion answers a day in batches of 128 that take 64 ms: 138.9 hours a day at 4
    assert panel.usual.amount(365 * 138.889 * 4) in said(panel.numbers)
    assert "500 % of the full network" in said(panel.numbers)
    assert "−2.0 points" in said(panel.numbers)
    before = panel.answers.value
    for typed in ("-1", "1e300", "0,5", "nan", ""):
        panel.answers.text.value = typed
        assert (panel.answers.value, panel.answers.is_refused) == (before, True)
    panel.answers.text.value = "２,000"
    assert (panel.answers.value, panel.answers.is_refused) == (2000, False)


def test_another_table_and_one_that_is_broken(tables: None, tmp_path: Path) -> None:
    panel = InstantSlider("one")
    panel.tolerance.value = 0.4
    for name, sizes in (("two", OTHER), ("one", OWN)):
        panel.source.value = name
        alone = InstantSlider(sizes)
        assert (panel.problem, panel.sizes.rows) == ("", sizes.rows)
        assert panel.tolerance.options == alone.tolerance.options
        assert (panel.numbers.value, panel.picture.value) == (alone.numbers.value, alone.picture.value)
    with pytest.raises(DataError, match="0 of that name; there are one, two"):
        InstantSlider("nonsense")
    (tmp_path / "two" / FILE).write_bytes(b"no more")
    panel.source.value = "two"
    assert "no table of sizes there" in panel.problem
    assert panel.sizes.rows == ROWS


def test_the_picture_has_the_numbers() -> None:
    for size in OWN.series("compression"):
        *_, needle, dot = size_slider.draw(OWN, "compression", size).axes[0].lines
        assert dot.get_xydata()[0] == pytest.approx([100 * (1 - size.conv_compression), 100 * size.test_accuracy])
        assert needle.get_xdata()[0] == dot.get_xdata()[0]


def test_readers_without_a_kernel_choose_among_the_trained_sizes() -> None:
    panel = InstantSlider(OWN)
    before, shown = panel.static(), panel.at_stops()
    pictures = re.findall(r"<img src=\"([^\"]+)", shown)
    assert len(set(pictures)) == len(pictures) == shown.count('<input type="radio"') >= 2
    assert shown.count(" checked>") == 1
    assert panel.static() == before
