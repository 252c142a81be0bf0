"""The table over seeds: means, ranges, the distance to the dense network, and what was not measured."""

import io

from made_up import dense, tucker
from rich.console import Console

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import rich_standings, standings


def seeds() -> Records:
    runs = [dense("d0", test_accuracy=0.90), dense("d1", seed=1, test_accuracy=0.92)]
    return Records.concat([*runs, tucker("t0", test_accuracy=0.89), tucker("t1", seed=1, test_accuracy=0.90)])


def test_means_ranges_and_the_distance_to_dense() -> None:
    table = standings(seeds())
    assert list(table.index) == ["dense", "Tucker"]
    assert list(table["test accuracy, %"]) == ["91.00", "89.50"]
    assert list(table["seeds"]) == ["2", "2"]
    assert list(table["worst to best"]) == ["90.00–92.00", "89.00–90.00"]
    assert list(table["against dense"]) == ["", "−1.50"]


def test_costs_stand_beside_their_ratio_to_dense() -> None:
    records = dense(step_ms=200.0, train_seconds=10.0) + tucker(step_ms=50.0, train_seconds=4.0)
    table = standings(records)
    assert list(table["step, ms"]) == ["200", "50 (0.25×)"]
    assert list(table["training, s"]) == ["10", "4 (0.40×)"]
    assert list(standings(records, brief=True)["step, ms"]) == ["200", "0.25×"]


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


def test_nothing_is_cut_off_in_a_terminal_of_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    costs = {"step_ms": 2272.0, "train_seconds": 4111.0, "checkpoint_bytes": 58_900_000}
    records = [dense("d0", **costs), dense("d1", seed=1, **costs)]
    records += [tucker(f"t{i}", seed=i, label="Tucker 98 %", **costs) for i in range(2)]
    console.print(rich_standings(Records.concat(records)))
    text = console.export_text()
    assert "…" not in text
    assert "97.00–97.00" in text
    assert "58,900" in text
