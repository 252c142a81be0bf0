"""`tuckerlab check` and `export`: what a run costs where it is deployed, and a file that can only be used rightly."""

import json
import runpy
import shlex
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from tuckerlab.cli import main as cli
from tuckerlab.deploy.export.onnx import answers, open_session
from tuckerlab.deploy.export_run import run_export
from tuckerlab.deploy.runtime import FORM, Deployment, benchmark
from tuckerlab.deploy.runtime.benchmark import check_run
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import file_size
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.machine import provenance
from tuckerlab.training.metrics import evaluate

SMALL = "Tucker 90 %"
BOTH = ["dense", SMALL]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, recorded = tmp_path_factory.mktemp("runs") / "poc-digits", RunFolder.open("poc-digits").folder
    return Path(shutil.copytree(recorded, place, ignore=shutil.ignore_patterns("deployment.*")))


@pytest.fixture(scope="module")
def deployed(run: Path) -> Deployment:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ROUNDS", 2)
        check_run(run, quiet=True)
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


def check_answers(network: Callable[[Tensor], Tensor], run: Path, label: str) -> None:
    """What was exported takes pixels, and answers as the network does to normalised images."""
    folder = RunFolder.open(run)
    data = folder.data()
    images = data.test_images[:16]
    with torch.no_grad():
        expected = folder.network(label)(data.normalize(images))
    torch.testing.assert_close(network(images.float()), expected, rtol=1e-4, atol=1e-5)


def test_the_file_takes_pixels_and_knows_where_it_comes_from(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.onnx"
    assert cli.main(["export", str(run), "--to", "onnx", "--out", str(path)]) == 0
    check_answers(partial(answers, open_session(path)), run, SMALL)
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about["input"] == "float32, N × 1 × 8 × 8, pixels from 0 to 255"
    assert json.loads(about["classes"]) == [str(digit) for digit in range(10)]
    row = RunFolder.open(run).rows(SMALL).iloc[0]
    assert (about["network"], about["run"], about["commit"]) == (SMALL, run.name, row["commit"])
    said = capsys.readouterr().out
    assert f'onnxruntime.InferenceSession("{path}").run(None, {{"images": images}})[0]' in said
    assert file_size(path.stat().st_size) in said


def test_plain_and_program_lie_in_the_run(run: Path) -> None:
    for _ in range(2):  # what is there from before is replaced
        plain = run_export(run, to="plain", network="dense").path
    assert plain == run / "export" / "dense"
    with safe_open(plain / "model.safetensors", "pt") as file:
        assert file.metadata()["network"] == "dense"
    check_answers(runpy.run_path(str(plain / "model.py"))["load"](), run, "dense")
    program = run_export(run, to="torch").path
    assert program == run / "export" / "tucker-90.pt2"
    about = {"about.json": ""}
    check_answers(torch.export.load(program, extra_files=about).module(), run, SMALL)
    assert json.loads(about["about.json"])["network"] == SMALL


def test_a_mistake_is_one_line_and_replaces_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mine in ("model.onnx", "model.py"):
        (tmp_path / mine).write_text("hello")
    for line, word in [
        (f"{run} --to pickle", "onnx, torch, plain"),
        (f"{run} --to onnx --network small", f"dense, {SMALL}"),
        (f"{run} --to onnx --out {tmp_path}/model.onnx", "model.onnx is there already; --overwrite replaces it"),
        (f"{run} --to plain --out {tmp_path}", "model.py is there already; --overwrite replaces it"),
    ]:
        assert cli.main(["export", *shlex.split(line)]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert word in error
        assert [path.read_text() for path in tmp_path.iterdir()] == ["hello", "hello"]
    run_export(run, to="plain", out=tmp_path, overwrite=True)
    assert (tmp_path / "model.py").read_text() != "hello"
