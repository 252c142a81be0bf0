"""The table over seeds: means, ranges, the distance to the dense network, and what was not measured."""

from made_up import dense, tucker

from tuckerlab.record import Records
from tuckerlab.standings import markdown, rich_standings, standings


def seeds() -> Records:
    runs = [dense("d0", test_accuracy=0.90), dense("d1", seed=1, test_accuracy=0.92)]
    return Records.concat([*runs, tucker("t0", test_accuracy=0.89), tucker("t1", seed=1, test_accuracy=0.90)])


def test_means_ranges_and_the_distance_to_dense() -> None:
    table = standings(seeds())
    assert list(table.index) == ["dense", "Tucker"]
    assert list(table["test accuracy, %"]) == ["91.00", "89.50"]
    assert list(table["seeds"]) == ["2: 90.00 to 92.00", "2: 89.00 to 90.00"]
    assert list(table["against dense"]) == ["", "−1.50"]


def test_costs_stand_beside_their_ratio_to_dense() -> None:
    records = dense(step_ms=200.0, train_seconds=10.0) + tucker(step_ms=50.0, train_seconds=4.0)
    table = standings(records)
    assert list(table["step, ms"]) == ["200", "50 (0.25×)"]
    assert list(table["training, s"]) == ["10", "4 (0.40×)"]


def test_what_was_not_measured_is_left_out() -> None:
    none = {"step_ms": float("nan"), "train_seconds": float("nan"), "checkpoint_bytes": float("nan")}
    table = standings(dense(**none) + tucker(**none))
    assert not {"step, ms", "training, s", "file, kB"} & set(table.columns)
    alone = standings(tucker())
    assert "against dense" not in alone.columns


def test_each_data_set_has_its_own_reference() -> None:
    other = dense("e", dataset="cifar10", test_accuracy=0.8) + tucker("u", dataset="cifar10", test_accuracy=0.78)
    table = standings(dense(test_accuracy=0.9) + tucker(test_accuracy=0.89) + other)
    assert list(table["against dense"]) == ["", "−1.00", "", "−2.00"]


def test_both_forms_have_every_network() -> None:
    assert rich_standings(seeds()).row_count == 2
    lines = markdown(seeds()).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
