"""What a network costs where it is deployed: the table against independent measures, its words, `tuckerlab check`."""

import contextlib
import io
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
from tuckerlab.deploy.export import export_onnx, export_plain
from tuckerlab.deploy.runtime import FORM, NEEDED, Deployment, benchmark
from tuckerlab.deploy.runtime.benchmark import check_run
from tuckerlab.deploy.runtime.process_memory import footprint
from tuckerlab.experiments.records import Records
from tuckerlab.training.checkpoint import load, save
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.provenance import provenance
from tuckerlab.tucker.rank_policy import Fixed

SPEC: dict[str, Any] = {"name": "lenet5", "num_classes": 10, "in_channels": 1, "image_size": 16, "width": 0.5}
QUICK = ["--rounds", "2", "--batch", "1", "--batch", "4", "--no-memory", "--quiet"]


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
def printed(untouched: Path) -> str:
    """What `tuckerlab check` prints of it; the table is then in the folder."""
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert cli.main(["check", str(untouched), *QUICK]) == 0
    return shown.getvalue()


@pytest.fixture(scope="module")
def deployed(untouched: Path, printed: str) -> Deployment:
    return Deployment.load(untouched)


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_row_for_each_form_of_each_network_and_its_numbers_fit_each_other(deployed: Deployment) -> None:
    rows = deployed.rows
    assert len(rows) == 2 * 3 * 2  # networks × forms × batches
    assert not rows.duplicated([*FORM, "batch"]).any()
    assert {*NEEDED, *provenance("cpu")} < set(rows)
    assert rows["run"].tolist() == rows["network"].map({"dense": "d", "Tucker": "t"}).tolist()
    assert (rows["p95_ms"] >= rows["median_ms"]).all()
    np.testing.assert_allclose(rows["images_per_second"] * rows["median_ms"], 1000 * rows["batch"])
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
        assert 0 < rows["difference"]["onnxruntime", "int8", 1] < 0.3
        assert rows["agreement"]["onnxruntime", "int8", 1] > 0.8
        assert rows["difference"]["torch", "fp32", 1] == 0
        assert 0 < rows["difference"]["onnxruntime", "fp32", 1] < 1e-4
        assert (rows["agreement"] == [*rows["agreement"][:3]] * 2).all()  # whatever the batch


# --- words and pictures ----------------------------------------------------------------------------------------------


def made_up(faster: float = 4.0, smaller: float = 16.0, batches: tuple[int, ...] = (1, 128)) -> Deployment:
    rows = []
    for batch in batches:
        for network, speed, size in (("dense", 1.0, 1.0), ("small", faster, smaller)):
            for form in (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")):
                row = dict(zip(("runtime", "precision"), form, strict=True)) | {"network": network, "batch": batch}
                row |= {"median_ms": 8 / speed, "p95_ms": 9 / speed, "images_per_second": 125 * batch * speed}
                row |= {"faster": speed, "smaller": size, "file_bytes": 32e6 / size, "peak_bytes": None}
                row |= {"accuracy": 0.9, "agreement": 1.0, "difference": 0.0, "dataset": "digits", "test_images": 10}
                rows.append(row | provenance("cpu") | {"onnxruntime": "1"})
    return Deployment(pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("faster", "smaller", "said"),
    [
        (4.0, 16.0, ["small answers 4.0× faster (2.00 ms instead of 8.00 ms)", "16× smaller"]),
        (0.5, 0.8, ["small answers 2.0× slower (16.0 ms instead of 8.00 ms)", "1.2× larger"]),
        (1.02, 1.0, ["small answers as fast", "its file is as large"]),
    ],
)
def test_the_finding_is_what_the_numbers_say(faster: float, smaller: float, said: list[str]) -> None:
    made = made_up(faster, smaller)
    assert all(part in made.finding for part in said)
    assert all(part.partition(" (")[0] in made.figures["deployment"].get_suptitle().replace("\n", " ") for part in said)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process")
def test_memory_grows_by_the_weights_at_least(tmp_path: Path) -> None:
    layer = nn.Sequential(nn.Flatten(), nn.Linear(1000, 5000))
    export_plain(layer, tmp_path, torch.zeros(1, 1000))
    export_onnx(layer, tmp_path / "model.onnx", torch.zeros(1, 1000))
    weights = 4 * 1000 * 5000
    for runtime, file in (("torch", tmp_path), ("onnxruntime", tmp_path / "model.onnx")):
        found = footprint(runtime, file, (1, 1000), threads=1)
        assert found is not None
        assert weights < found < 5 * weights


# --- tuckerlab check -------------------------------------------------------------------------------------------------


def test_check_of_a_run_prints_tables_that_fit(printed: str, untouched: Path) -> None:
    lines = printed.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("table and picture"))
    assert sum("onnxruntime  int8" in line for line in lines) == 4 + 2
    assert "1 image in onnxruntime: Tucker answers" in printed
    assert str(untouched) in lines[-1]
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
    found, was_there = check_run(run, rounds=7)  # whatever it was measured with
    assert was_there
    pd.testing.assert_frame_equal(found.rows, deployed.rows)
    assert not check_run(run, fresh=True)[1]
    assert check_run(run)[1]
    assert not check_run(run, network="dense")[1]
    assert Deployment.load(run).networks == ["dense"]
    assert not check_run(run)[1]
    assert asked == [both, ["dense"], both]
    records = Records.load(run)
    records.runs["run"] = records.runs["run"].replace("t", "trained anew")
    records.save(run)
    assert not check_run(run)[1]
    assert Deployment.load(run).rows["run"].unique().tolist() == ["d", "trained anew"]
    rows.to_parquet(run / "deployment.parquet")  # of a script, not of a run
    assert not check_run(run)[1]
    assert len(asked) == 5


def test_mistakes_in_what_is_asked(untouched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Records.load(untouched).save(tmp_path / "records alone")
    for run, more, named in [
        (untouched, ["--network", "nobody"], "nobody"),
        (untouched, ["--threads", "100000"], "100000"),
        (tmp_path / "nothing", [], "nothing"),
        (tmp_path / "records alone", [], "dense"),
    ]:
        assert cli.main(["check", str(run), *more, *QUICK]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert named in error
