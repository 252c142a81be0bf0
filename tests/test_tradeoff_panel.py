"""The trade-off panel: what it says of each tolerance, each control, your own runs, and mistakes."""

import html
import re
from pathlib import Path

import pytest
from made_up import dense, tucker

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network
from tuckerlab.panels import TradeOff, tradeoff
from tuckerlab.panels.tradeoff import TradeOffPicture

FULL = Network("dense", "dense", 1000.0, 98.0, 98.0, 98.0, 1, 1000.0, 1000.0)
SMALL = Network("Tucker", "tucker", 10.0, 96.0, 95.0, 97.0, 3, 9.0, 11.0)


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
        assert said(panel).startswith("There is nothing to compare the full network with")

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
        assert said(panel).startswith("These runs have no full network to compare with.")
        assert panel.picture.value[:4] == b"\x89PNG"
        assert [network.name for network in panel.networks] == ["Tucker"]


class TestControls:
    def test_methods_take_networks_off_and_put_them_back(self, panel: TradeOff) -> None:
        every, drawn = panel.networks, bytes(panel.picture.value)
        panel.points.value = 2.0
        tick = {box.description: box for box in panel.methods.children}
        assert list(tick) == ["Full network", "Tucker", "Pruned"]
        assert "Time of one answer" not in said(panel, "numbers")  # nobody measured that of the pruned one
        tick["Pruned"].value = False
        assert said(panel).startswith("The smallest that loses at most 2.0 points is Tucker 90 %.")
        assert "10.0× less than the full network" in said(panel, "numbers")
        assert "125 % of the full network" in said(panel, "numbers")
        tick["Full network"].value = False
        tick["Tucker"].value = False
        assert panel.networks == ()
        assert bytes(panel.picture.value) != drawn
        for box in tick.values():
            box.value = True
        assert panel.networks == every

    def test_every_recorded_result(self) -> None:
        panel, drawn = TradeOff(folder=""), set()
        assert not [name for name in panel.tradeoffs if name.startswith(("recipe", "optimizers"))]
        for source in list(panel.tradeoffs)[::3]:
            panel.source.value = source
            drawn.add(bytes(panel.picture.value))
            assert panel.problem == ""
            assert "2 cores" in said(panel, "origin")
        assert len(drawn) == len(list(panel.tradeoffs)[::3])


class TestOwnRuns:
    def test_are_found_again_after_a_training(self, tmp_path: Path) -> None:
        panel = TradeOff(folder=str(tmp_path))
        recorded = panel.source.options
        assert panel.problem == ""
        dense().save(tmp_path / "first")
        panel.again.click()
        assert panel.source.options == (*recorded, ("Yours: digits, lenet5, 3 passes, 1 run", "own 1"))
        panel.source.value = "own 1"
        tucker().save(tmp_path / "second")
        panel.again.click()
        assert panel.source.value == "own 1"
        assert [network.name for network in panel.networks] == ["dense", "Tucker"]

    def test_a_folder_that_is_not_there(self, panel: TradeOff) -> None:
        panel.folder.value = "<b>nowhere"
        assert "nowhere" in panel.problem
        assert "&lt;b&gt;nowhere" in panel.alert.value
        assert panel.source.value == "accuracy-digits-vgg_small"
        panel.folder.value = ""
        assert panel.problem == ""

    def test_names_of_runs_cannot_bring_their_own_html(self, tmp_path: Path) -> None:
        (dense() + tucker(label="<img src=x>")).save(tmp_path)
        panel = TradeOff("own", folder=str(tmp_path))
        panel.points.value = 5
        assert "<img" not in panel.sentence.value + panel.numbers.value
        assert "&lt;img" in panel.sentence.value


class TestNothing:
    def test_a_source_that_is_not_there(self) -> None:
        with pytest.raises(DataError, match=r"nonsense.*headline-cpu"):
            TradeOff("nonsense", folder="")

    def test_no_runs_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tradeoff, "names", list)
        panel = TradeOff(folder="")
        assert said(panel).startswith("There are no runs to show yet.")
        assert panel.picture.layout.display == "none"
        assert panel.static()


class TestPicture:
    def test_band_and_star(self) -> None:
        picture = TradeOffPicture("parameters", [FULL, SMALL], FULL)
        picture.marked(1.5, None)
        assert (picture.star.get_visible(), picture.band.get_y()) == (False, 96.5)
        picture.marked(2.0, SMALL)
        assert (picture.star.get_xdata()[0], picture.star.get_ydata()[0]) == (10, 96)
        assert (picture.star.get_visible(), picture.band.get_y()) == (True, 96.0)
