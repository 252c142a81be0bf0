"""The table over seeds: means, ranges, the distance to the dense network, and what was not measured."""

import io

import pandas as pd
from made_up import dense, tucker
from rich.console import Console

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import rich_standings, standings


def test_means_ranges_and_the_distance_to_dense() -> None:
    runs = [dense("d0", test_accuracy=0.90), dense("d1", seed=1, test_accuracy=0.92)]
    runs += [tucker("t0", test_accuracy=0.89), tucker("t1", seed=1, test_accuracy=0.90)]
    table = standings(Records.concat(runs)).T.drop(columns=["conv parameters", "all parameters"])
    assert table.reset_index().to_numpy().tolist() == [
        ["change", "−1.50 points", "", "", "", ""],
        ["dense", "91.00", "2", "90.00–92.00", "0.0", "0.0"],
        ["Tucker", "89.50", "2", "89.00–90.00", "90.0", "85.7"],
    ]  # and no costs, since none was measured


def test_costs_stand_beside_their_ratio_to_dense() -> None:
    parts = [f"memory_{part}_bytes" for part in ("weights", "gradients", "optimizer", "activations")]
    small = {"step_ms": 50.0, "checkpoint_bytes": 6200.0, **dict.fromkeys(parts, 1e6)}
    pair = dense(step_ms=200.0, **dict.fromkeys(parts, 2e6)) + tucker(**small)
    table = standings(pair + tucker("u", label="another", step_ms=500.0)).T
    assert list(table["step, ms"]) == ["200", "0.25× (50)", "2.50× (500)"]
    assert list(table["training memory, MB"]) == ["8", "0.50× (4)", ""]
    assert list(table["conv parameters"]) == ["10,000", "0.10× (1,000)", "0.10× (1,000)"]
    assert list(table["file"]) == ["", "6.20 kB", ""]


def test_of_two_networks_what_changes_stands_first() -> None:
    small = {"step_ms": 500.0, "latency_1_ms": 1.0, "train_seconds": 4.0, "checkpoint_bytes": 6200.0}
    table = standings(dense(step_ms=200.0, latency_1_ms=1.04, train_seconds=49.0) + tucker(**small))
    assert list(table) == ["change", "dense", "Tucker"]
    assert list(table.loc["test accuracy, %"]) == ["−1.00 points", "98.00", "97.00"]
    assert list(table.loc["conv parameters"]) == ["10× less", "10,000", "1,000"]
    assert list(table.loc["step, ms"]) == ["2.5× more", "200", "500"]
    assert list(table.loc["answer, ms"]) == ["the same", "1.04", "1"]
    assert list(table.loc["training, s"]) == ["12× less", "49", "4"]
    assert list(table.loc["file"]) == ["", "", "6.20 kB"]
    assert list(table.loc["c.r. conv, %"]) == ["", "0.0", "90.0"]


def test_many_networks_have_a_row_each_and_ratios_alone() -> None:
    runs = [dense(step_ms=200.0), *(tucker(f"t{i}", label=f"Tucker {i}", step_ms=50.0) for i in range(4))]
    table = standings(Records.concat(runs))
    assert list(table.index) == ["dense", *(f"Tucker {i}" for i in range(4))]
    assert list(table["step, ms"]) == ["200", *4 * ["0.25×"]]
    assert "c.r. conv, %" in table
    assert not {"c.r. all, %", "conv parameters", "seeds"} & {*table}  # what is said already, or alike in all rows


def test_the_time_of_training_is_that_of_its_steps() -> None:
    epochs = pd.DataFrame(
        {"run": "d", "epoch": [1, 2], "step": [10, 20], "seconds": [60.0, 99.0], "step_ms": [100.0, 300.0]}
    )
    measured = dense("d", train_seconds=99.0)
    assert standings(measured).loc["training, s", "dense"] == "99"
    timed = Records(measured.runs, epochs)
    assert standings(timed).loc["training, s", "dense"] == "4"


def test_nothing_is_cut_off_in_a_terminal_of_80_columns() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    costs = {"step_ms": 2272.0, "latency_1_ms": 411.0, "checkpoint_bytes": 58_900_000}
    records = [dense(**costs), *(tucker(f"t{i}", label=f"Tucker 9{i} %", **costs) for i in range(4))]
    console.print(rich_standings(Records.concat(records)))
    text = console.export_text()
    assert "…" not in text
    assert "58.9 MB" in text
