"""The trade-off panel: what it says of each tolerance, each control, your own runs, and mistakes."""

from pathlib import Path

import pytest
from jobs import said
from made_up import dense, tucker

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.panels import TradeOff

HTML = "<img src=x>"  # a name that must not become a picture


@pytest.fixture
def panel(tmp_path: Path) -> TradeOff:
    """Runs of your own: a full network, three Tucker networks and a pruned one, of which nobody took the times."""
    sizes = {"Tucker 50 %": (5_000, 0.979, 1.9), "Tucker 90 %": (1_000, 0.97, 2.5), HTML: (200, 0.93, 2.4)}
    runs = [dense("d", test_accuracy=0.98, latency_1_ms=2.0)]
    runs += [
        tucker(label, label=label, conv_parameters=size, parameters=size + 500, test_accuracy=a, latency_1_ms=t)
        for label, (size, a, t) in sizes.items()
    ]
    runs += [tucker("p", label="pruned", method="pruning", conv_parameters=400, parameters=900, test_accuracy=0.96)]
    Records.concat(runs).save(tmp_path / "some")
    return TradeOff(str(tmp_path))


def test_the_answer_follows_the_slider(panel: TradeOff) -> None:
    for points, best in {0.1: "Tucker 50 %", 1.0: "Tucker 90 %", 2.0: "pruned", 10.0: HTML}.items():
        panel.points.value = points
        assert said(panel.sentence).startswith(f"The smallest that loses at most {points:.1f} points is {best}.")
    panel.points.value = 0.0
    assert panel.best is None
    assert said(panel.sentence).startswith("None of the networks shown")
    panel.points.value = 1.0
    assert "1,000 instead of 10,000 (10.0× less than the full network)" in said(panel.sentence)
    assert "97.0 % of new images instead of 98.0 %" in said(panel.sentence)
    assert "2.50 ms 125 % of the full network" in said(panel.numbers)
    panel.axis.value = "latency_1_ms"
    assert "Tucker 50 %. Time of one answer: 1.90 ms instead of 2.00 ms (95 % of" in said(panel.sentence)


def test_methods_take_networks_off_and_put_them_back(panel: TradeOff) -> None:
    every, drawn = panel.networks, bytes(panel.picture.value)
    panel.points.value = 2.0
    tick = {box.description: box for box in panel.methods.children}
    assert list(tick) == ["Full network", "Tucker", "Pruned"]
    assert "Time of one answer" not in said(panel.numbers)
    tick["Pruned"].value = False
    assert "is Tucker 90 %." in said(panel.sentence)
    tick["Full network"].value = tick["Tucker"].value = False
    assert panel.networks == ()
    assert bytes(panel.picture.value) != drawn
    for box in tick.values():
        box.value = True
    assert panel.networks == every


def test_recorded_results_and_what_is_not_there(tmp_path: Path) -> None:
    panel = TradeOff()
    sources = [name for _, name in panel.source.options]
    assert not [name for name in sources if name.startswith(("recipe", "optimizers"))]
    panel.source.value = sources[-1]
    assert panel.problem == ""
    assert "2 cores" in said(panel.origin)
    tucker().save(tmp_path)
    for source in ("nonsense", str(tmp_path)):
        with pytest.raises(DataError):
            TradeOff(source)
