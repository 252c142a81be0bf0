"""The instant slider: every setting of every table, in any order, and what it says of mistakes."""

import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest
import traitlets
from made_up import dense
from PIL import Image
from test_sizes import FULL, ROWS, frame, row

from tuckerlab import build, load_data, panels
from tuckerlab.errors import DataError
from tuckerlab.experiments import recorded as results
from tuckerlab.experiments.methods.base import Dense
from tuckerlab.experiments.retruncation import retruncations
from tuckerlab.experiments.size_table import FILE, Size, Sizes, recorded_sizes
from tuckerlab.i18n import text
from tuckerlab.panels import InstantSlider
from tuckerlab.panels.instant.model import InstantModel
from tuckerlab.panels.instant.picture import InstantPicture
from tuckerlab.plotting.figure import Picture

OWN = Sizes.of(frame(*ROWS), "digits", "vgg_small")
OTHERS = [row("compression", 0.33, 670, 0.97), row("compression", 0.66, 340, 0.9), row("tolerance", 0.15, 600, 0.9)]
OTHER = Sizes.of(frame(FULL, *OTHERS), "digits", "lenet5")


def said(widget: ipywidgets.HTML) -> str:
    return html.unescape(re.sub("<.*?>", " ", widget.value)).strip()


def every_widget(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two recorded tables without a setting in common, and a record that has none."""
    for name, rows in {"one": ROWS, "two": OTHER.rows, "without": ()}.items():
        dense().save(tmp_path / name)
        if rows:
            frame(*rows).to_parquet(tmp_path / name / FILE)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return ["one", "two"]


class TestModel:
    @pytest.mark.parametrize("name", recorded_sizes())
    def test_every_setting(self, name: str) -> None:
        model = InstantModel(name)
        assert model.problem == ""
        for by, other in (("compression", "tolerance"), ("tolerance", "compression")):
            for setting, trained in model.settings(by):
                setattr(model, by, setting)
                assert (model.by, model.size.by, model.size.setting) == (by, by, setting)
                assert model.size.trained == trained
                assert getattr(model, other) == model.sizes.like(model.size, other).setting

    def test_begins_at_the_smallest_that_is_as_accurate(self) -> None:
        model = InstantModel(OWN)
        assert (model.by, model.compression, model.size) == ("compression", 0.5, ROWS[2])

    def test_each_slider_moves_the_other_once(self) -> None:
        model = InstantModel(OWN)
        changes: list[tuple[str, float]] = []
        model.observe(lambda change: changes.append((change.name, change.new)), ["compression", "tolerance"])
        model.compression = 0.9
        assert sorted(changes) == [("compression", 0.9), ("tolerance", 0.4)]
        changes.clear()
        model.tolerance = 0.2  # which stores most nearly as much as 0.5
        assert sorted(changes) == [("compression", 0.5), ("tolerance", 0.2)]
        assert (model.by, model.size.setting) == ("tolerance", 0.2)

    def test_the_size_changes_once(self) -> None:
        model = InstantModel(OWN)
        sizes: list[float] = []
        model.observe(lambda change: sizes.append(change.new.setting), "size")
        model.compression = 0.9
        model.tolerance = 0.2
        assert sizes == [0.9, 0.2]

    @pytest.mark.parametrize(("asked", "got"), [(0.72, 0.7), (-5.0, 0.0), (5.0, 0.9), (1e9, 0.9)])
    def test_between_settings_is_the_nearest(self, asked: float, got: float) -> None:
        model = InstantModel(OWN)
        model.compression = asked
        assert (model.compression, model.size.setting) == (got, got)

    @pytest.mark.parametrize("by", ["compression", "tolerance"])
    def test_one_setting_alone(self, by: str) -> None:
        rows = [one for one in ROWS if one.by == by or (one is FULL and by == "compression")]
        model = InstantModel(Sizes.of(frame(*rows), "digits", "vgg_small"))
        other = "tolerance" if by == "compression" else "compression"
        assert (model.by, model.settings(other)) == (by, [])
        setattr(model, other, 0.3)  # nothing stands there
        assert model.by == by
        setattr(model, by, 0.4)
        assert model.size.by == by

    def test_the_exercise(self) -> None:
        model = InstantModel(OWN, exercise=1)
        solved = {}
        for setting, _ in model.settings("compression"):
            model.compression = setting
            solved[setting] = model.solved
        assert solved == {0.0: False, 0.5: False, 0.7: True, 0.9: False}
        model.tolerance = 0.2
        assert model.solved  # the smallest along the tolerance
        assert not InstantModel(OWN).solved

    def test_the_exercise_at_a_setting_that_gives_the_same_network(self) -> None:
        twin = row("compression", 0.72, 300, 0.97)
        model = InstantModel(Sizes.of(frame(*ROWS, twin), "digits", "vgg_small"), exercise=1)
        model.compression = 0.72
        assert model.solved

    def test_cost_follows(self) -> None:
        model = InstantModel(OWN)
        once = model.cost(model.full)
        model.answers *= 10
        assert model.cost(model.full) == pytest.approx(10 * once)
        model.price = 0
        assert model.cost(model.full) == 0

    @pytest.mark.parametrize("name", ["answers", "price"])
    @pytest.mark.parametrize("value", [-1, 1e13, "many", None])
    def test_absurd_costs(self, name: str, value: object) -> None:
        model = InstantModel(OWN)
        before = getattr(model, name)
        with pytest.raises(traitlets.TraitError):
            setattr(model, name, value)
        assert getattr(model, name) == before

    def test_an_unknown_table_from_the_start(self, tables: list[str]) -> None:
        model = InstantModel("nonsense")
        assert (model.source, model.sizes.rows) == ("one", ROWS)
        assert "'nonsense': none of that name; there are one, two" in model.problem
        assert "\n" not in model.problem

    def test_no_tables_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(results, "FOLDER", tmp_path)
        with pytest.raises(DataError, match="they come with a checkout"):
            InstantModel()

    @pytest.mark.parametrize("name", ["nonsense", "without", ""])
    def test_an_unknown_table_in_mid_way(self, tables: list[str], name: str) -> None:
        model = InstantModel("one")
        model.compression = 0.9
        model.source = name
        assert model.problem
        assert "\n" not in model.problem
        assert not model.details
        assert (model.source, model.compression, model.size) == ("one", 0.9, ROWS[0])
        model.source = "two"
        assert (model.source, model.problem, model.sizes.rows) == ("two", "", OTHER.rows)

    def test_a_table_that_has_become_broken(self, tables: list[str]) -> None:
        model = InstantModel("one")
        (results.FOLDER / "two" / FILE).write_bytes(b"no more")
        model.source = "two"
        assert "no table of sizes there" in model.problem
        assert model.source == "one"


class TestPanel:
    @pytest.mark.parametrize("name", recorded_sizes())
    def test_every_setting(self, name: str) -> None:
        panel = InstantSlider(name)
        seen = set()
        for by in ("compression", "tolerance"):
            slider = getattr(panel, by)
            assert [value for _, value in slider.options] == [value for value, _ in panel.model.settings(by)]
            for label, value in slider.options:
                slider.value = value
                size = panel.model.size
                assert (size.by, size.setting) == (by, value)
                assert ("◆" in label) == size.trained
                assert text("unit.percent", value=100 * size.test_accuracy) in said(panel.numbers)
                cut = "larger" if size.conv_compression <= 0 else "cut"
                kind = "full" if value == 0 else "trained" if size.trained else cut
                source = text("instant.full") if size.source == "dense" else size.source
                assert said(panel.sentence) == text(f"instant.is.{kind}", source=source)
                seen.add(panel.picture.value)
        assert panel.model.problem == ""
        assert len(seen) > 30  # pictures

    def test_widgets_follow_the_model(self) -> None:
        panel = InstantSlider(OWN)
        for by, value in (("compression", 0.9), ("tolerance", 0.2), ("compression", 0.0)):
            setattr(panel.model, by, value)
            assert (panel.compression.value, panel.tolerance.value) == (panel.model.compression, panel.model.tolerance)
        panel.model.compression = 0.68  # between two settings
        assert panel.compression.value == 0.7
        panel.model.answers, panel.model.price = 5.0, 2.0
        assert (panel.answers.value, panel.price.value) == (5.0, 2.0)

    def test_the_model_follows_widgets(self) -> None:
        panel = InstantSlider(OWN)
        panel.tolerance.value = 0.4
        assert (panel.model.by, panel.model.tolerance, panel.compression.value) == ("tolerance", 0.4, 0.9)
        panel.compression.index = 2
        assert (panel.model.by, panel.model.compression, panel.tolerance.value) == ("compression", 0.7, 0.2)
        panel.answers.value, panel.price.value = 7.0, 3.0
        assert (panel.model.answers, panel.model.price) == (7.0, 3.0)

    def test_moving_draws_once_for_each_change(self, monkeypatch: pytest.MonkeyPatch) -> None:
        panel = InstantSlider(OWN)
        panel.tolerance.value, panel.compression.value = 0.4, 0.5  # both pictures are there
        drawn: list[float] = []
        png = InstantPicture.png

        def noted(self: InstantPicture, size: Size, costs: tuple[float, float]) -> bytes:
            drawn.append(size.setting)
            return png(self, size, costs)

        monkeypatch.setattr(InstantPicture, "png", noted)
        panel.compression.value = 0.9
        panel.tolerance.value = 0.2
        assert drawn == [0.9, 0.2]

    def test_redraws_and_never_appends(self) -> None:
        panel = InstantSlider(OWN, exercise=1)
        before = list(every_widget(panel))
        for value in (0.9, 0.0, 0.7):
            panel.compression.value = value
        panel.tolerance.value = 0.2
        assert list(every_widget(panel)) == before
        assert [widget for widget in before if isinstance(widget, ipywidgets.Image)] == [panel.picture]
        assert not any(isinstance(widget, ipywidgets.Output) for widget in before)

    def test_the_picture_is_described(self) -> None:
        panel = InstantSlider(OWN)
        assert panel.picture.tooltip == text("instant.alt")
        assert Image.open(io.BytesIO(panel.picture.value)).size[0] > 800

    @pytest.mark.parametrize("answers", [0.0, 1e-300, 1e12])
    @pytest.mark.parametrize("price", [0.0, 1e6])
    def test_costs_of_nothing_and_of_all_the_world(self, answers: float, price: float) -> None:
        panel = InstantSlider(OWN)
        panel.answers.value, panel.price.value = answers, price
        shown = text("unit.money", value=panel.model.cost(panel.model.size))
        assert shown in said(panel.numbers)
        assert "nan" not in said(panel.numbers)
        assert panel.picture.value[:4] == b"\x89PNG"

    @pytest.mark.parametrize(("typed", "taken"), [(-1.0, 0.0), (1e300, 1e12), (float("inf"), 1e12)])
    def test_a_cost_out_of_range_is_brought_into_it(self, typed: float, taken: float) -> None:
        panel = InstantSlider(OWN)
        panel.answers.value = typed
        assert (panel.answers.value, panel.model.answers) == (taken, taken)

    def test_a_dearer_network_is_said_to_be(self) -> None:
        slow = row("compression", 0.8, 200, 0.98, latency_128_ms=64.0, latency_1_ms=5.0)
        panel = InstantSlider(Sizes.of(frame(*ROWS, slow), "digits", "vgg_small"))
        panel.compression.value = 0.8
        model = panel.model
        dearer = model.cost(model.size) - model.cost(model.full)
        assert text("instant.dearer", value=dearer) in said(panel.numbers)
        assert text("instant.of_full", share=500) in said(panel.numbers)

    def test_a_loss_and_a_gain_are_said(self) -> None:
        panel = InstantSlider(OWN)
        panel.compression.value = 0.9
        assert text("unit.points", points=-2) in said(panel.numbers)
        panel.compression.value = 0.5
        assert text("instant.same") in said(panel.numbers)

    def test_the_exercise(self) -> None:
        panel = InstantSlider(OWN, exercise=1)
        answers = {}
        for value in (0.9, 0.7, 0.0):
            panel.compression.value = value
            assert text("instant.exercise", points=1) in said(panel.task)
            answers[value] = text("instant.solved") in said(panel.task)
            assert (text("instant.not_yet") in said(panel.task)) != answers[value]
        assert answers == {0.9: False, 0.7: True, 0.0: False}
        assert said(InstantSlider(OWN).task) == ""

    def test_another_table_in_mid_way(self, tables: list[str]) -> None:
        panel = InstantSlider("one")
        panel.tolerance.value = 0.4
        for name, sizes in (("two", OTHER), ("one", OWN), ("two", OTHER)):
            panel.source.value = name
            assert (panel.model.source, panel.model.sizes.rows, panel.model.problem) == (name, sizes.rows, "")
            assert [v for _, v in panel.compression.options] == [one.setting for one in sizes.series("compression")]
            assert [v for _, v in panel.tolerance.options] == [one.setting for one in sizes.series("tolerance")]
            assert panel.compression.value == panel.model.compression == panel.model.size.setting
            alone = InstantSlider(sizes)
            assert panel.numbers.value == alone.numbers.value
            assert panel.picture.value == alone.picture.value
            panel.compression.index = 1
            assert panel.model.size == sizes.series("compression")[1]

    def test_an_unknown_table_leaves_all_as_it_is(self, tables: list[str]) -> None:
        panel = InstantSlider("one")
        panel.compression.value = 0.9
        before = panel.picture.value, panel.numbers.value
        panel.model.source = "<b>nonsense</b>"
        assert (panel.picture.value, panel.numbers.value, panel.source.value) == (*before, "one")
        assert "<b>nonsense" not in panel.static()
        assert "nonsense" in panel.static()
        panel.source.value = "two"
        assert "nonsense" not in panel.static()

    def test_two_panels_do_not_influence_each_other(self, tables: list[str]) -> None:
        one, two = InstantSlider("one"), InstantSlider("one")
        before = two.picture.value, two.numbers.value, two.compression.value
        one.compression.value = 0.9
        one.answers.value = 3.0
        one.source.value = "two"
        assert (two.picture.value, two.numbers.value, two.compression.value) == before
        assert (two.source.value, two.answers.value) == ("one", 1e6)

    def test_a_table_with_one_setting_shows_one_slider(self) -> None:
        panel = InstantSlider(Sizes.of(frame(*ROWS[:4]), "digits", "vgg_small"))
        assert (panel.compression.layout.display, panel.tolerance.layout.display) == ("", "none")
        panel.compression.value = 0.9
        assert panel.model.size == ROWS[0]

    def test_static_html(self) -> None:
        panel = InstantSlider("slider-digits")
        bundle = panel._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        assert "application/vnd.jupyter.widget-view+json" in data
        [alt] = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', data["text/html"])
        assert html.unescape(alt) == text("instant.alt")
        assert "<script" not in data["text/html"]
        assert said(panel.origin) in html.unescape(data["text/html"])
        assert panel.model.sizes.origin["device"] in said(panel.origin)

    def test_of_an_own_network(self) -> None:
        data = load_data("digits").subset(train=64, test=64)
        network = build("vgg_small", in_channels=1, image_size=8, width=0.25)
        settings = {"compression": [0, 0.5, 0.9, 0.999], "tolerance": [0, 0.3, 0.6]}
        table = retruncations({Dense(): network}, data, settings)
        panel = InstantSlider(Sizes.of(table, "digits", "vgg_small"))
        assert panel.source.layout.display == "none"
        assert [value for _, value in panel.compression.options] == [0, 0.5, 0.9]
        panel.compression.value = 0.9
        assert panel.model.size.conv_compression >= 0.9
        assert said(panel.origin) == ""


class TestPicture:
    def test_is_drawn_as_a_whole_would_be(self) -> None:
        picture = InstantPicture(OWN, "compression")
        first = picture.png(OWN.at("compression", 0.9), (2.0, 1.0))
        picture.png(OWN.full, (1.0, 1.0))
        assert picture.png(OWN.at("compression", 0.9), (2.0, 1.0)) == first

    def test_says_the_shares(self) -> None:
        picture = InstantPicture(OWN, "compression")
        picture.png(OWN.at("compression", 0.5), (4.0, 1.0))
        shares = [label.get_text() for label in picture.labels]
        assert shares[0] == text("unit.share", share=100 * 700 / 1200)
        assert shares[-1] == text("unit.share", share=25)
        assert [bar.get_width() for bar in picture.bars][-1] == 25
        picture.png(OWN.at("compression", 0.5), (0.0, 0.0))  # nothing is paid: the bar is the time
        assert picture.labels[-1].get_text() == text("unit.share", share=100)

    def test_the_needle_stands_at_the_size(self) -> None:
        picture = InstantPicture(OWN, "compression")
        for size in OWN.series("compression"):
            picture.png(size, (1.0, 1.0))
            [x], [y] = picture.dot.get_data()
            assert (x, y) == pytest.approx((100 * (1 - size.conv_compression), 100 * size.test_accuracy))
            assert picture.needle.get_xdata() == pytest.approx([x, x])
            low, high = picture.dot.axes.get_ylim()
            assert size.setting == 0.9 or low <= y <= high

    @pytest.mark.parametrize("by", ["compression", "tolerance"])
    @pytest.mark.parametrize("name", recorded_sizes())
    def test_nothing_is_cut_off(self, name: str, by: str) -> None:
        sizes = Sizes.recorded(name)
        picture = InstantPicture(sizes, by)
        for size in (sizes.series(by)[1], sizes.series(by)[-1]):
            image = pixels(picture.png(size, (1.0, 3.0)))
            edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            assert edges.min() > 230, size.setting
        assert isinstance(picture.moving.figure, Picture)


def test_no_two_widgets_share_a_layout(tmp_path: Path) -> None:
    shared: dict[int, ipywidgets.Widget] = {}
    for name in panels.__all__:
        for panel in (getattr(panels, name)(), getattr(panels, name)()):
            for widget in every_widget(panel):
                other = shared.setdefault(id(widget.layout), widget)
                assert other is widget, f"{name}: {type(widget).__name__} and {type(other).__name__}"
