"""What a network costs where it is deployed: the table against independent measures, its words, `tuckerlab check`."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.made_up import facts
from tuckerlab import build, load_data, tuckerize
from tuckerlab.cli import main as cli
from tuckerlab.deploy.runtime import FORM, Deployment, benchmark
from tuckerlab.deploy.runtime.benchmark import check_run
from tuckerlab.experiments.records import Records
from tuckerlab.training.checkpoint import load, save
from tuckerlab.training.machine import provenance
from tuckerlab.training.metrics import evaluate
from tuckerlab.tucker.rank_policy import Fixed

SPEC: dict[str, Any] = {"name": "lenet5", "num_classes": 10, "in_channels": 1, "image_size": 16, "width": 0.5}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run as `poc` leaves it, of networks that were not trained but tell pictures apart."""
    folder, data = tmp_path_factory.mktemp("runs") / "poc-digits", load_data("digits", image_size=16)
    torch.manual_seed(0)
    dense = build(**SPEC).train()
    with torch.no_grad():
        for _ in range(40):  # running statistics
            dense(data.normalize(data.train_images[:128]))
        answers = dense.eval()(data.normalize(data.test_images)) - dense.classifier[-1].bias
        dense.classifier[-1].bias.copy_(-answers.mean(0))
    assert len(dense(data.normalize(data.test_images)).argmax(1).unique()) > 4
    save(folder / "dense.safetensors", dense)
    save(folder / "tucker.safetensors", tuckerize(load(folder / "dense.safetensors").model, ranks=Fixed(0.6)))
    told = {"model": "lenet5", "settings": json.dumps({"spec": SPEC})}
    runs = [
        facts("d", label="dense", method="dense", parameters=9e4, **told),
        facts("t", label="Tucker", parameters=9e3, **told),
    ]
    Records.concat([Records.single(run) for run in runs]).save(folder)
    return folder


@pytest.fixture(scope="module")
def deployed(untouched: Path) -> Deployment:
    """What `tuckerlab check` leaves in its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ROUNDS", 2)
        check_run(untouched, quiet=True)
    return Deployment.load(untouched)


def test_a_row_for_each_form_of_each_network_and_its_numbers_fit_each_other(deployed: Deployment) -> None:
    rows = deployed.rows
    assert len(rows) == 2 * 3 * 2  # networks × forms × batches
    assert not rows.duplicated([*FORM, "batch"]).any()
    assert set(provenance("cpu")) < set(rows)
    assert rows["run"].tolist() == rows["network"].map({"dense": "d", "Tucker": "t"}).tolist()
    assert (rows["p95_ms"] >= rows["median_ms"]).all()
    dense, small = (rows[rows["network"] == network].reset_index() for network in deployed.networks)
    np.testing.assert_allclose(small["faster"], dense["median_ms"] / small["median_ms"])
    np.testing.assert_allclose(small["smaller"], dense["file_bytes"] / small["file_bytes"])
    assert (dense[["faster", "smaller"]] == 1).all(axis=None)
    weights = 4 * sum(p.numel() for p in build(**SPEC).parameters())
    fp32, int8 = (dense.loc[dense["precision"] == precision, "file_bytes"].min() for precision in ("fp32", "int8"))
    assert 2 * int8 < weights < fp32 < 1.3 * weights


def test_answers_are_those_of_the_networks(deployed: Deployment, untouched: Path) -> None:
    data = load_data("digits", image_size=16)
    for label, file in (("dense", "dense"), ("Tucker", "tucker")):
        rows = deployed.rows[deployed.rows["network"] == label].set_index(["runtime", "precision", "batch"])
        expected = evaluate(load(untouched / f"{file}.safetensors").model, data).accuracy
        for runtime in ("torch", "onnxruntime"):
            assert rows["accuracy"][runtime, "fp32", 1] == pytest.approx(expected, abs=1.5 / len(data.test_labels))
        assert rows["agreement"]["onnxruntime", "int8", 1] > 0.8


def test_the_finding_and_the_picture_say_what_the_numbers_say(deployed: Deployment) -> None:
    rows = deployed.rows.assign(median_ms=8.0, faster=1.0, file_bytes=32e6, smaller=1.0, accuracy=0.9)
    small = rows["network"] == "Tucker"
    rows.loc[small, ["median_ms", "faster", "file_bytes", "smaller"]] = [2.0, 4.0, 2e6, 16.0]
    made = Deployment(rows)
    said = "Tucker takes 2.00 ms instead of 8.00 (4.00× as fast), its file 2.00 MB instead of 32.0 MB, and 90.0 % of"
    assert said in made.finding
    picture = made.picture
    assert picture.get_suptitle().replace("\n", " ") == made.finding
    bars = [[bar.get_width() for bar in axes.patches] for axes in picture.axes]
    assert bars == [[8.0] * 3 + [2.0] * 3, [16_000.0] * 3 + [64_000.0] * 3, [32.0] * 3 + [2.0] * 3]
    alone = Deployment(rows[~small])
    assert alone.finding == ""
    assert alone.picture.get_suptitle() == "What one network costs in each form"


# --- tuckerlab check -------------------------------------------------------------------------------------------------


def test_check_prints_the_table_that_is_there(
    deployed: Deployment, untouched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(untouched)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("onnxruntime int8" in line for line in lines) == 4 + 2
    assert deployed.finding in lines
    assert lines[-1] == deployed.circumstances
    assert (untouched / "deployment.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_of_the_same_networks_is_found_again(
    deployed: Deployment, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rows = shutil.copytree(untouched, tmp_path / "run"), deployed.rows.drop(columns="run")
    asked: list[list[str]] = []

    def measure(networks: dict[str, nn.Module], data: object, **settings: object) -> Deployment:
        asked.append(list(networks))
        return Deployment(rows[rows["network"].isin(networks)])

    monkeypatch.setattr(benchmark, "measure_deployment", measure)
    both = ["dense", "Tucker"]
    pd.testing.assert_frame_equal(check_run(run).rows, deployed.rows)
    assert asked == []
    check_run(run, fresh=True)
    check_run(run)
    assert asked == [both]
    assert check_run(run, network="dense").networks == Deployment.load(run).networks == ["dense"]
    check_run(run)
    assert asked == [both, ["dense"], both]
    records = Records.load(run)
    records.runs["run"] = records.runs["run"].replace("t", "trained anew")
    records.save(run)
    assert check_run(run).rows["run"].unique().tolist() == ["d", "trained anew"]
    rows.to_parquet(run / "deployment.parquet")  # of a script, not of a run
    check_run(run)
    assert len(asked) == 5


def test_mistakes_in_what_is_asked(untouched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Records.load(untouched).save(tmp_path / "records alone")
    for run, more, named in [
        (untouched, ["--network", "nobody"], "nobody"),
        (tmp_path / "nothing", [], "nothing"),
        (tmp_path / "records alone", [], "dense"),
    ]:
        assert cli.main(["check", str(run), *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert named in error
