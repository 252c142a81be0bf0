"""The trade-off panel: every control, in several orders; what it says, what it shows, and what it says of mistakes."""

import html
import itertools
import re
from pathlib import Path

import pytest
from made_up import dense, tucker

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network
from tuckerlab.i18n import text
from tuckerlab.panels import TradeOff
from tuckerlab.panels.tradeoff import model as model_file
from tuckerlab.panels.tradeoff.model import TradeOffModel
from tuckerlab.panels.tradeoff.picture import TradeOffPicture
from tuckerlab.plotting.figure import Picture
from tuckerlab.plotting.labels import write_names

FULL = Network("dense", "dense", 1000.0, 1000.0, 98.0, 98.0, 98.0, 1, 1000.0, 1000.0)
SMALL = Network("Tucker", "tucker", 10.0, 1000.0, 96.0, 95.0, 97.0, 3, 9.0, 11.0)


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A folder of runs: a full network, three Tucker networks and a pruned one."""
    costs = {"conv_parameters": 10_000, "parameters": 10_500, "latency_1_ms": 2.0}
    runs = [dense("d", test_accuracy=0.98, **costs)]
    sizes = {"Tucker 50 %": (5_000, 0.979, 1.9), "Tucker 90 %": (1_000, 0.97, 2.5), "Tucker 98 %": (200, 0.93, 2.4)}
    runs += [
        tucker(label, label=label, conv_parameters=size, parameters=size + 500, test_accuracy=a, latency_1_ms=t)
        for label, (size, a, t) in sizes.items()
    ]
    runs += [tucker("p", label="pruned", method="pruning", conv_parameters=400, parameters=900, test_accuracy=0.96)]
    Records.concat(runs).save(tmp_path / "some")
    return str(tmp_path)


@pytest.fixture
def panel(own: str) -> TradeOff:
    return TradeOff("own", folder=own)


def said(panel: TradeOff, widget: str = "sentence") -> str:
    return html.unescape(re.sub("<.*?>", " ", getattr(panel, widget).value)).strip()


class TestAnswers:
    @pytest.mark.parametrize(
        ("points", "start"),
        [
            (0.0, "None of the networks shown loses as little as 0.0 points. The nearest is Tucker 50 %"),
            (0.1, "The smallest that loses at most 0.1 points is Tucker 50 %."),
            (1.0, "The smallest that loses at most 1.0 points is Tucker 90 %."),
            (2.0, "The smallest that loses at most 2.0 points is pruned."),
            (10.0, "The smallest that loses at most 10.0 points is Tucker 98 %."),
        ],
    )
    def test_follow_the_slider(self, panel: TradeOff, points: float, start: str) -> None:
        panel.points.value = points
        assert said(panel).startswith(start)

    def test_say_the_numbers(self, panel: TradeOff) -> None:
        assert "1,000 instead of 10,000 (10.0× less than the full network)" in said(panel)
        assert "97.0 % of new images instead of 98.0 % (−1.0 points)" in said(panel)

    def test_nothing_quicker(self, panel: TradeOff) -> None:
        panel.axis.value = "latency_1_ms"
        panel.points.value = 1.0
        assert "Tucker 50 %" in said(panel)
        panel.points.value = 0.0
        assert said(panel).startswith("None")
        panel.methods.children[1].value = False
        assert said(panel) == text("tradeoff.answer.alone")

    def test_the_full_network_itself(self, tmp_path: Path) -> None:
        (dense(latency_1_ms=1.0) + tucker(latency_1_ms=1.5, test_accuracy=0.98)).save(tmp_path)
        panel = TradeOff("own", folder=str(tmp_path))
        panel.axis.value = "latency_1_ms"
        assert said(panel).endswith("full network itself. Time of one answer: 1.00 ms; the next, Tucker, has 1.50 ms "
                                    "(150 % of the full network).")  # fmt: skip
        panel.methods.children[0].value = False
        assert "yet it needs no less than the full network" in said(panel)

    def test_without_a_full_network(self, tmp_path: Path) -> None:
        tucker().save(tmp_path)
        panel = TradeOff("own", folder=str(tmp_path))
        assert said(panel) == text("tradeoff.answer.reference")
        assert panel.picture.value[:4] == b"\x89PNG"
        assert "Tucker" in dict(panel.chosen.options)


class TestControls:
    def test_methods_take_networks_off_and_put_them_back(self, panel: TradeOff) -> None:
        every = panel.chosen.options
        before, drawn = panel.model.state, bytes(panel.picture.value)
        panel.points.value = 2.0
        tick = {box.description: box for box in panel.methods.children}
        assert list(tick) == ["Full network", "Tucker", "Pruned"]
        tick["Pruned"].value = False
        assert said(panel).startswith("The smallest that loses at most 2.0 points is Tucker 90 %.")
        assert "pruned" not in dict(panel.chosen.options)
        tick["Full network"].value = False
        tick["Tucker"].value = False
        assert panel.chosen.options == ()
        assert bytes(panel.picture.value) != drawn
        assert panel.model.state.networks == ()
        for box in tick.values():
            box.value = True
        panel.points.value = 1.0
        assert panel.chosen.options == every
        panel.chosen.value = "Tucker 90 %"
        assert panel.model.state.networks == before.networks
        assert panel.model.state.answer == before.answer

    def test_the_chosen_network_is_in_the_tiles(self, panel: TradeOff) -> None:
        panel.chosen.value = "Tucker 98 %"
        assert panel.model.chosen == "Tucker 98 %"
        assert "50.0× less than the full network" in said(panel, "numbers")
        assert "120 % of the full network" in said(panel, "numbers")
        panel.chosen.value = "dense"
        assert "as the full network" in said(panel, "numbers")
        assert "Time of one answer" in said(panel, "numbers")
        panel.chosen.value = "pruned"  # nobody measured its time
        assert "Time of one answer" not in said(panel, "numbers")

    def test_a_chosen_network_without_that_cost_gives_way(self, panel: TradeOff) -> None:
        panel.chosen.value = "pruned"
        panel.axis.value = "latency_1_ms"
        assert panel.model.chosen in [network.name for network in panel.model.state.networks]
        assert panel.chosen.value == panel.model.chosen

    def test_the_widgets_follow_the_model(self, panel: TradeOff) -> None:
        panel.model.points = 3.0
        panel.model.axis = "latency_1_ms"
        panel.model.methods = ("dense", "tucker")
        panel.model.chosen = "Tucker 98 %"
        assert panel.points.value == 3.0
        assert panel.axis.value == "latency_1_ms"
        assert [box.value for box in panel.methods.children] == [True, True, False]
        assert panel.chosen.value == "Tucker 98 %"
        panel.model.source = "headline-cpu"
        assert panel.source.value == "headline-cpu"

    @pytest.mark.parametrize("order", list(itertools.permutations(["source", "axis", "points", "method"])))
    def test_any_order_of_settings(self, own: str, order: tuple[str, ...]) -> None:
        model = TradeOffModel("own", folder=own)
        settings = {"source": "headline-cpu", "axis": "latency_1_ms", "points": 7.0, "method": ("dense", "tucker")}
        for name in order:
            setattr(model, "methods" if name == "method" else name, settings[name])
        assert (model.state.axis, model.state.points, model.problem) == ("latency_1_ms", 7.0, "")
        told = {network.name for network in model.state.networks}
        assert {"dense", "Tucker 90 %", "Tucker 95 %", "Tucker 98 %"} <= told
        assert ("pruned 98 %" in told) == (order.index("source") > order.index("method"))
        assert model.chosen in told

    @pytest.mark.parametrize("first", ["source", "method"])
    def test_clicks_before_and_after_another_source(self, panel: TradeOff, first: str) -> None:
        for click in ("source", "method") if first == "source" else ("method", "source"):
            if click == "source":
                panel.source.value = "headline-cpu"
            else:
                panel.methods.children[2].value = False
        told = {network.name for network in panel.model.state.networks}
        assert ("pruned 98 %" in told) == (first == "method")
        assert panel.methods.children[2].value == (first == "method")
        assert set(dict(panel.chosen.options).values()) == told

    def test_every_recorded_result_along_every_cost(self) -> None:
        panel = TradeOff(folder="")
        assert not [name for name in panel.model.tradeoffs if name.startswith(("recipe", "optimizers"))]
        drawn = set()
        for source in panel.model.tradeoffs:
            panel.source.value = source
            for axis in panel.model.tradeoff.axes[::4]:  # the first and a time or the file
                panel.axis.value = axis
                drawn.add(bytes(panel.picture.value))
                assert panel.model.problem == ""
                assert text(f"tradeoff.axis.{axis}") in said(panel)
                assert "2 cores" in said(panel, "origin")
        assert len(drawn) == sum(len(tradeoff.axes[::4]) for tradeoff in panel.model.tradeoffs.values())

    def test_how_many_runs_stand_behind_a_point(self) -> None:
        panel = TradeOff("accuracy-digits", folder="")
        assert "the mean of 5 runs" in said(panel, "origin")
        panel.source.value = "headline-cpu"
        assert text("tradeoff.seeds.one") in said(panel, "origin")


class TestOwnRuns:
    def test_are_found_again_after_a_training(self, tmp_path: Path) -> None:
        panel = TradeOff(folder=str(tmp_path))
        recorded = panel.source.options
        assert panel.model.problem == ""
        dense().save(tmp_path / "first")
        panel.again.click()
        assert panel.source.options == (*recorded, ("Yours: digits, lenet5, 3 passes, 1 run", "own 1"))
        panel.source.value = "own 1"
        tucker().save(tmp_path / "second")
        panel.again.click()
        assert panel.source.value == "own 1"
        assert [network.name for network in panel.model.state.networks] == ["dense", "Tucker"]

    def test_that_are_gone_give_way(self, panel: TradeOff, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        panel.folder.value = str(tmp_path / "empty")
        assert panel.model.problem == ""
        assert panel.source.value == panel.model.source == next(iter(panel.model.tradeoffs))

    def test_a_folder_that_is_not_there(self, panel: TradeOff) -> None:
        panel.folder.value = "<b>nowhere"
        assert "nowhere" in panel.model.problem
        assert "&lt;b&gt;nowhere" in panel.children[-1].value
        assert panel.model.source == "accuracy-digits-vgg_small"
        panel.folder.value = ""
        assert panel.model.problem == ""

    def test_a_broken_record_is_reported_and_the_rest_is_shown(self, own: str) -> None:
        (Path(own) / "some" / "runs.parquet").write_bytes(b"broken")
        panel = TradeOff(folder=own)
        assert "runs.parquet" in panel.model.problem
        assert panel.model.details == ""
        assert panel.picture.value[:4] == b"\x89PNG"

    def test_the_default_folder(self, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(own)
        assert TradeOffModel().folder == ""
        (Path(own) / "some").rename(Path(own) / "runs")
        assert TradeOffModel().folder == "runs"
        (Path(own) / "notebooks").mkdir()
        monkeypatch.chdir(Path(own) / "notebooks")
        assert TradeOffModel().folder == "../runs"

    def test_names_of_runs_cannot_bring_their_own_html(self, tmp_path: Path) -> None:
        (dense() + tucker(label="<img src=x>")).save(tmp_path)
        panel = TradeOff("own", folder=str(tmp_path))
        panel.points.value = 5
        assert "<img" not in panel.sentence.value + panel.numbers.value
        assert "&lt;img" in panel.sentence.value


class TestNothing:
    def test_a_source_that_is_not_there(self) -> None:
        panel = TradeOff("nonsense", folder="")
        assert "nonsense" in panel.model.problem
        assert "headline-cpu" in panel.model.problem
        assert panel.picture.value[:4] == b"\x89PNG"

    def test_no_runs_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_file, "names", list)
        panel = TradeOff(folder="")
        assert said(panel) == text("tradeoff.answer.nothing")
        assert (panel.picture.value, panel.picture.layout.display) == (b"", "none")
        assert panel.static()


class TestPicture:
    def test_band_star_and_ring(self) -> None:
        picture = TradeOffPicture("parameters", [FULL, SMALL], FULL)
        before = picture.png(1.5, None, SMALL)
        assert not picture.star.get_visible()
        assert picture.band.get_y() == 96.5
        after = picture.png(2.0, SMALL, FULL)
        assert (picture.star.get_xdata()[0], picture.star.get_ydata()[0]) == (10, 96)
        assert picture.ring.get_xdata()[0] == 1000
        assert picture.band.get_y() == 96.0
        assert before != after
        assert picture.png(1.5, None, SMALL) == before

    def test_far_costs_are_logarithmic_and_near_ones_begin_at_nothing(self) -> None:
        near = Network("near", "tucker", 500.0, 1000.0, 97.0, 97.0, 97.0, 1, 500.0, 500.0)
        for other, scale in ((SMALL, "log"), (near, "linear")):
            axes = TradeOffPicture("step_ms", [FULL, other], FULL).moving.figure.axes[0]
            assert axes.get_xscale() == scale
            assert ("logarithmic" in axes.get_xlabel()) == (scale == "log")
        assert axes.get_xlim()[0] == 0

    def test_bars_from_the_worst_seed_to_the_best(self) -> None:
        axes = TradeOffPicture("parameters", [FULL, SMALL], FULL).moving.figure.axes[0]
        across, up = axes.containers[1].lines[2]
        assert up.get_segments()[0][:, 1] == pytest.approx([95, 97])
        assert across.get_segments()[0][:, 0] == pytest.approx([9, 11])
        assert not axes.containers[0].lines[2]

    def test_colours_stay_when_others_are_switched_off(self) -> None:
        one = TradeOffPicture("parameters", [FULL, SMALL], FULL)
        other = TradeOffPicture("parameters", [SMALL], FULL)
        colours = [p.moving.figure.axes[0].containers[-1].lines[0].get_color() for p in (one, other)]
        assert colours[0] == colours[1]
        assert [t.get_text() for t in other.moving.figure.legends[0].get_texts()][:2] == ["Tucker", "Full network"]

    def test_legible_and_not_cut_off(self) -> None:
        figure = TradeOffPicture("parameters", [FULL, SMALL], FULL).moving.figure
        words = [t for t in figure.findobj(lambda a: hasattr(a, "get_fontsize")) if t.get_text()]
        assert min(t.get_fontsize() for t in words) >= 10
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) >= -0.01
        assert drawn.x1 <= width + 0.01
        assert drawn.y1 <= height + 0.01

    def test_names_do_not_lie_on_each_other(self) -> None:
        figure = Picture(figsize=(6, 4))
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        points = [(f"network {i}", 0.5 + 0.02 * i, 0.5) for i in range(9)]
        labels = write_names(axes, points)
        assert 2 <= len(labels) < len(points)
        assert len(axes.texts) == len(labels)
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
