"""Costs against accuracy: which networks are compared, along what, and which is the smallest that is good enough."""

import json
from pathlib import Path

import pytest
from made_up import dense, tucker

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import found_folder, names
from tuckerlab.experiments.summary import AXES, Network, comparable, front, smallest_within, tradeoffs
from tuckerlab.panels.tradeoff import SEARCHES


def network(name: str, size: float, accuracy: float, method: str = "tucker") -> Network:
    return Network(name, method, size, accuracy, accuracy, accuracy, 1)


FULL = network("dense", 100, 98, "dense")
GOOD, SMALL, BIG = network("good", 40, 97.5), network("small", 10, 95), network("big", 120, 98.5)


class TestSmallestWithin:
    @pytest.mark.parametrize(("points", "best"), [(0.4, None), (0.5, GOOD), (2.9, GOOD), (3.0, SMALL), (10, SMALL)])
    def test_points(self, points: float, best: Network | None) -> None:
        assert smallest_within([GOOD, SMALL, BIG], FULL.accuracy, points) is (best or BIG)

    def test_of_two_that_are_as_small_the_more_accurate(self) -> None:
        level, larger = network("level", 1.01 * GOOD.size, 99), network("larger", 1.03 * GOOD.size, 99.5)
        assert smallest_within([GOOD, level, larger], FULL.accuracy, 1) is level
        assert smallest_within([GOOD], FULL.accuracy, 0) is None

    def test_equal_means_are_equal_in_any_order_of_adding(self) -> None:
        seeds = [0.994429, 0.991643, 0.991643, 0.994429, 0.994429]
        runs = [dense(f"d{i}", seed=i, test_accuracy=a) for i, a in enumerate(seeds)]
        runs += [tucker(f"t{i}", seed=i, test_accuracy=a) for i, a in enumerate(sorted(seeds))]
        full, small = comparable(Records.concat(runs))[0].along("parameters")
        assert smallest_within([small], full.accuracy, 0) is small


class TestFront:
    def test_beaten_networks_are_not_on_it(self) -> None:
        beaten, twin = network("beaten", 41, 97.4), network("twin", 40, 96)
        assert front([BIG, beaten, twin, FULL, GOOD, SMALL]) == [SMALL, GOOD, FULL, BIG]


class TestComparable:
    def test_means_over_seeds_with_the_range(self) -> None:
        seeds = [
            tucker(f"t{i}", seed=i, test_accuracy=a, latency_1_ms=t) for i, (a, t) in enumerate([(0.9, 1), (1, 3)])
        ]
        [tradeoff] = comparable(Records.concat([dense(latency_1_ms=4.0), *seeds]))
        found = tradeoff.along("latency_1_ms", ["tucker"])
        assert [(n.accuracy, n.low, n.high, n.size, n.seeds) for n in found] == [(95, 90, 100, 2, 2)]
        assert (tradeoff.origin["fewest"], tradeoff.origin["most"]) == (1, 2)

    def test_only_what_was_measured_is_offered(self) -> None:
        [tradeoff] = comparable(dense() + tucker(step_ms=3.0))
        assert tradeoff.axes == ("conv_parameters", "parameters", "step_ms")
        assert tradeoff.full("step_ms") is None

    @pytest.mark.parametrize(
        "changes",
        [{"dataset": "cifar10"}, {"model": "vgg16"}, {"width": 2.0}, {"epochs": 9}, {"device": "GPU"}, {"cores": 99},
         {"settings": json.dumps({"data": "x"})}, {"settings": json.dumps({"spec": {"image_size": 64}})}],
    )  # fmt: skip
    def test_what_differs_otherwise_is_kept_apart(self, changes: dict[str, object]) -> None:
        found = comparable(dense() + tucker() + tucker("b", **changes))
        assert [len(tradeoff.records) for tradeoff in found] == [2, 1]
        assert found[1].full("parameters") is None

    def test_runs_that_were_stopped_or_have_no_accuracy_do_not_count(self) -> None:
        [tradeoff] = comparable(dense() + tucker(state="stopped") + tucker("b", state="stopped early"))
        assert len(tradeoff.records) == 2
        assert comparable(dense(test_accuracy=float("nan"))) == []


class TestFolders:
    def test_below_a_folder_the_later_of_equal_runs_counts(self, tmp_path: Path) -> None:
        dense().save(tmp_path / "a")
        (dense(test_accuracy=0.5) + tucker()).save(tmp_path / "b" / "c")
        [tradeoff] = tradeoffs(tmp_path)
        full = tradeoff.full("parameters")
        assert full is not None
        assert full.accuracy == 50
        assert len(tradeoff.records) == 2


@pytest.mark.parametrize("name", [name for name in names() if not name.startswith(SEARCHES)])
def test_recorded_results_can_be_compared(name: str) -> None:
    [tradeoff] = tradeoffs(found_folder(name))
    assert set(tradeoff.axes) <= set(AXES)
    for axis in tradeoff.axes:
        assert len(tradeoff.along(axis)) >= 2
        assert tradeoff.full(axis) is not None
