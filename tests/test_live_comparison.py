"""The live comparison: three networks at the press of a button, and Stop."""

import numpy as np
from jobs import (
    SETTINGS,
    Gate,
    few_images as few_images,
    gate as gate,
    no_thread_is_left as no_thread_is_left,
    train,
)

from tuckerlab.panels import LiveComparison


def test_three_networks_are_trained_alike_when_the_button_is_pressed() -> None:
    panel = LiveComparison(**SETTINGS)
    assert (panel.job, panel.kept, panel.state) == (None, [], "idle")
    train(panel)
    assert panel.problem == ""
    assert [run.facts["method"] for run in panel.kept] == ["tucker", "dense", "pruning"]
    rows = [run.facts for run in panel.kept]
    assert len({row["gradient_evaluations"] for row in rows}) == 1
    np.testing.assert_allclose([row["conv_compression"] for row in rows], [0.9, 0, 0.9], atol=0.01)


def test_the_button_says_how_long_it_takes() -> None:
    label, longer = (LiveComparison(**SETTINGS | {"epochs": epochs}).train.description for epochs in (30, 300))
    assert "about 2 minutes" in label
    assert "about 18 minutes" in longer
    assert "minute" not in LiveComparison(**SETTINGS | {"dataset": "cifar10"}).train.description


def test_stop_ends_it_and_keeps_what_is_trained(gate: Gate) -> None:
    panel = LiveComparison(**SETTINGS | {"epochs": 3})
    gate.at(15)  # in the second epoch of the first network
    panel.train.click()
    gate.wait()
    panel.stop.click()
    gate.open()
    panel.wait()
    assert (panel.state, panel.problem) == ("idle", "")
    assert [(run.facts["method"], run.facts["state"]) for run in panel.kept] == [("tucker", "stopped")]
    assert not panel.train.disabled
