"""What a network costs where it is deployed: the table against independent measures, its words, `tuckerlab check`."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from tuckerlab.cli import main as cli
from tuckerlab.deploy.runtime import FORM, Deployment, benchmark
from tuckerlab.deploy.runtime.benchmark import check_run
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.machine import provenance
from tuckerlab.training.metrics import evaluate

BOTH = ["dense", "Tucker 90 %"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of trained networks without a table, measured once."""
    place = tmp_path_factory.mktemp("runs") / "poc-digits"
    shutil.copytree(RunFolder.open("poc-digits").folder, place, ignore=shutil.ignore_patterns("deployment.*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ROUNDS", 2)
        check_run(place, quiet=True)
    return place


@pytest.fixture(scope="module")
def deployed(run: Path) -> Deployment:
    return Deployment.load(run)


def test_a_row_for_each_form_of_each_network_and_its_numbers_fit_each_other(deployed: Deployment, run: Path) -> None:
    rows, folder = deployed.rows, RunFolder.open(run)
    assert len(rows) == 2 * 3 * 2  # networks × forms × batches
    assert not rows.duplicated([*FORM, "batch"]).any()
    assert set(provenance("cpu")) < set(rows)
    runs = {label: folder.rows(label)["run"].iloc[0] for label in BOTH}
    assert rows["run"].tolist() == rows["network"].map(runs).tolist()
    assert (rows["p95_ms"] >= rows["median_ms"]).all()
    dense, small = (rows[rows["network"] == network].reset_index() for network in BOTH)
    np.testing.assert_allclose(small["faster"], dense["median_ms"] / small["median_ms"])
    np.testing.assert_allclose(small["smaller"], dense["file_bytes"] / small["file_bytes"])
    assert (dense[["faster", "smaller"]] == 1).all(axis=None)
    weights = 4 * sum(p.numel() for p in folder.network("dense").parameters())
    fp32, int8 = (dense.loc[dense["precision"] == precision, "file_bytes"].min() for precision in ("fp32", "int8"))
    assert 2 * int8 < 0.99 * weights < fp32 < 1.3 * weights  # folded batch norms are gone


def test_answers_are_those_of_the_networks(deployed: Deployment, run: Path) -> None:
    folder = RunFolder.open(run)
    data = folder.data()
    for label, rows in deployed.rows.groupby("network"):
        expected, int8 = evaluate(folder.network(label), data).accuracy, rows["precision"] == "int8"
        assert (rows["accuracy"][~int8] - expected).abs().max() < 1.5 / len(data.test_labels)
        assert (rows["accuracy"][int8] - expected).abs().max() < 0.02
        assert rows["agreement"].min() > 0.98


def test_the_finding_and_the_picture_say_what_the_numbers_say(deployed: Deployment) -> None:
    rows = deployed.rows.assign(median_ms=8.0, faster=1.0, file_bytes=32e6, smaller=1.0, accuracy=0.9)
    small = rows["network"] != "dense"
    rows.loc[small, ["median_ms", "faster", "file_bytes", "smaller"]] = [2.0, 4.0, 2e6, 16.0]
    made = Deployment(rows)
    said = "Tucker 90 % takes 2.00 ms instead of 8.00 (4.00× as fast), its file 2.00 MB instead of 32.0 MB, and 90.0 %"
    assert said in made.finding
    picture = made.picture
    assert picture.get_suptitle().replace("\n", " ") == made.finding
    bars = [[bar.get_width() for bar in axes.patches] for axes in picture.axes]
    assert bars == [[8.0] * 3 + [2.0] * 3, [16_000.0] * 3 + [64_000.0] * 3, [32.0] * 3 + [2.0] * 3]
    assert Deployment(rows[~small]).finding == ""


def test_check_prints_the_table_that_is_there(
    deployed: Deployment, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(run), "--network", "nobody"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert cli.main(["check", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("onnxruntime int8" in line for line in lines) == 4 + 2
    assert deployed.finding in lines
    assert lines[-1] == deployed.circumstances
    assert (run / "deployment.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_of_the_same_networks_is_found_again(
    deployed: Deployment, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rows = shutil.copytree(run, tmp_path / "run"), deployed.rows.drop(columns="run")
    asked: list[list[str]] = []

    def measure(networks: dict[str, nn.Module], data: object, **settings: object) -> Deployment:
        asked.append(list(networks))
        return Deployment(rows[rows["network"].isin(networks)])

    monkeypatch.setattr(benchmark, "measure_deployment", measure)
    monkeypatch.setattr(Deployment, "picture", Picture(figsize=(1, 1)))  # the real one takes a second to draw
    pd.testing.assert_frame_equal(check_run(run).rows, deployed.rows)
    dense = {"network": "dense"}
    for settings, measured in [({}, []), ({"fresh": True}, [BOTH]), ({}, []), (dense, [["dense"]]), ({}, [BOTH])]:
        asked.clear()
        found = check_run(run, **settings)
        assert asked == measured
        assert set(found.rows["network"]) == ({"dense"} if settings == dense else {*BOTH})
    deployed.rows.assign(run="of networks that were trained before").to_parquet(run / "deployment.parquet")
    check_run(run)
    assert asked == [BOTH, BOTH]
