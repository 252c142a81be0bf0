"""The geometry panel: every setting, what it says of each outcome, and that picture and widgets follow."""

import html
import re

import pytest
import traitlets

from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import GeometryPanel
from tuckerlab.panels.geometry import model as model_file
from tuckerlab.panels.geometry.model import EXPONENTS, RATES, GeometryModel
from tuckerlab.panels.geometry.picture import BLOWN, GeometryPicture
from tuckerlab.panels.geometry.view import share

STEPS = 40


@pytest.fixture
def panel() -> GeometryPanel:
    return GeometryPanel(GeometryModel(STEPS))


def said(panel: GeometryPanel) -> str:
    return html.unescape(re.sub("<.*?>", "", panel.sentence.value)).strip()


def test_every_setting_is_drawn_and_said(panel: GeometryPanel) -> None:
    drawn = set()
    for exponent in EXPONENTS:
        panel.exponent.value = exponent
        assert panel.model.spectrum[0] == pytest.approx(1)
        assert panel.model.spectrum[-1] == pytest.approx(10.0**-exponent)
        for lr in RATES:
            panel.lr.value = lr
            assert panel.model.problem == ""
            assert panel.model.diverged == ("blew up at step" in said(panel))
            drawn.add(bytes(panel.picture.value))
    assert len(drawn) == len(EXPONENTS) * len(RATES)


@pytest.mark.parametrize(
    ("exponent", "lr", "start"),
    [
        (4, 0.2, f"After {STEPS} steps ordinary descent still has"),
        (8, 3.0, "Ordinary descent blew up at step 3: its steps were too long."),
        (0, 1.0, "Here ordinary descent is ahead"),
        (0, 0.2, "Here both do alike"),
    ],
)
def test_outcomes(panel: GeometryPanel, exponent: int, lr: float, start: str) -> None:
    panel.lr.value = lr
    panel.exponent.value = exponent
    assert said(panel).startswith(start)


def test_the_numbers_are_those_of_the_curves(panel: GeometryPanel) -> None:
    model = panel.model
    assert model.left == (model.ours[-1] / model.ours[0], model.theirs[-1] / model.theirs[0])
    assert all(share(value) in said(panel) for value in model.left)
    assert len(model.ours) == len(model.theirs) == STEPS


def test_the_order_of_clicks_does_not_matter(panel: GeometryPanel) -> None:
    panel.lr.value = 0.5
    panel.exponent.value = 2
    first = panel.picture.value, said(panel)
    panel.exponent.value = 8
    panel.lr.value = 3.0
    assert (panel.picture.value, said(panel)) != first
    panel.exponent.value = 2
    panel.lr.value = 0.5
    assert (panel.picture.value, said(panel)) == first


def test_the_widgets_follow_the_model(panel: GeometryPanel) -> None:
    panel.model.exponent = 7
    panel.model.lr = 1.0
    assert (panel.exponent.value, panel.exponent.label, panel.lr.value) == (7, "1/10,000,000", 1.0)
    assert panel.exponent.continuous_update is False


def test_what_was_computed_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    model_file._ordinary.cache_clear()
    model = GeometryModel(STEPS)
    model.exponent = 5
    model.exponent = 4
    calls: list[object] = []
    monkeypatch.setattr(model_file, "ordinary", lambda *told: calls.append(told) or [1.0] * STEPS)
    model.exponent = 5
    assert calls == []
    model.lr = 0.05
    assert len(calls) == 1
    model_file._ordinary.cache_clear()


def test_a_mistake_is_one_line(panel: GeometryPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TuckerlabError("no <memory>")

    monkeypatch.setattr(model_file, "_ordinary", fail)
    panel.exponent.value = 6
    assert panel.model.problem == "no <memory>"
    assert "no &lt;memory&gt;" in panel.children[-1].value


def test_only_settings_that_there_are() -> None:
    model = GeometryModel(3)
    for name, value in (("exponent", 9), ("exponent", -1), ("lr", 0.3)):
        with pytest.raises(traitlets.TraitError):
            setattr(model, name, value)


class TestPicture:
    def test_a_curve_that_blew_up_ends_with_a_cross(self) -> None:
        picture = GeometryPicture(steps=5)
        ours, spectrum = [1.0, 0.1, 1e-2, 1e-3, 1e-4], [1.0, 0.5]
        picture.png(spectrum, ours, [1.0, 2.0, 1e30])
        assert picture.end.get_visible()
        assert (picture.end.get_xdata()[0], picture.end.get_ydata()[0]) == (3, BLOWN)
        assert "3" in picture.ended.get_text()
        picture.png(spectrum, ours, ours)
        assert not picture.end.get_visible()
        assert not picture.ended.get_visible()

    def test_bars_and_curves_are_the_numbers(self) -> None:
        picture = GeometryPicture(steps=3)
        picture.png([1.0, 0.5, 0.25], [3.0, 2.0, 1.0], [4.0, 5.0, 6.0])
        assert [bar.get_y() + bar.get_height() for bar in picture.bars[:3]] == pytest.approx([1.0, 0.5, 0.25])
        assert list(picture.ours.get_ydata()) == [3, 2, 1]
        assert list(picture.theirs.get_ydata()) == [4, 5, 6]
        assert list(picture.theirs.get_xdata()) == [1, 2, 3]

    def test_legible_and_not_cut_off(self) -> None:
        figure = GeometryPicture(steps=150).moving.figure
        words = [t for t in figure.findobj(lambda a: hasattr(a, "get_fontsize")) if t.get_text()]
        assert min(t.get_fontsize() for t in words) >= 10
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) >= -0.01
        assert drawn.x1 <= width + 0.01
        assert drawn.y1 <= height + 0.01


@pytest.mark.parametrize(
    ("value", "told"), [(0.0026, "0.26 %"), (0.62, "62 %"), (1.0, "1e+02 %"), (3e-16, "10⁻¹⁶"), (0.0, "10⁻∞")]
)
def test_shares(value: float, told: str) -> None:
    assert share(value) == told
