"""`tuckerlab export`: from a run to a file that the receiver can only use rightly, or one line that says why not."""

import json
import runpy
import shlex
import shutil
from pathlib import Path

import onnx
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from tuckerlab.cli import main as cli
from tuckerlab.deploy import export_run
from tuckerlab.deploy.export_run import run_export
from tuckerlab.deploy.ort import answers, open_session
from tuckerlab.experiments.proof import run_poc
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import file_size


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_poc(
        dataset="digits", epochs=1, width=0.25, quiet=True, out=tmp_path_factory.mktemp("runs"), device="cpu"
    ).folder


def reference(run: Path, label: str) -> torch.Tensor:
    folder = RunFolder.open(run)
    data = folder.data()
    with torch.no_grad():
        logits: torch.Tensor = folder.network(label)(data.normalize(data.test_images[:16]))
    return logits


def pixels(run: Path) -> torch.Tensor:
    return RunFolder.open(run).data().test_images[:16].float()


def test_the_file_takes_pixels_and_knows_where_it_comes_from(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.onnx"
    assert cli.main(["export", str(run), "--to", "onnx", "--out", str(path)]) == 0
    found, expected = answers(open_session(path), pixels(run)), reference(run, "Tucker 95 %")
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about["input"] == "float32, N × 1 × 8 × 8, pixels from 0 to 255"
    assert json.loads(about["classes"]) == [str(digit) for digit in range(10)]
    row = RunFolder.open(run).rows("Tucker 95 %").iloc[0]
    assert (about["network"], about["run"], about["commit"]) == ("Tucker 95 %", run.name, row["commit"])
    said = capsys.readouterr().out
    assert "6 batch norms folded" in said
    assert f'onnxruntime.InferenceSession("{path}")' in said
    assert file_size(path.stat().st_size) in said


def test_plain_and_program_lie_in_the_run(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    for _ in range(2):  # what is there from before is replaced
        plain = run_export(tmp_path / "run", to="plain", network="dense", quiet=True)
    assert plain.exported.path == tmp_path / "run" / "export" / "dense"
    with safe_open(plain.exported.path / "model.safetensors", "pt") as file:
        assert file.metadata()["network"] == "dense"
    assert plain.exported.size_bytes > 0.95 * plain.dense_bytes
    network = runpy.run_path(str(plain.exported.path / "model.py"))["load"]()
    torch.testing.assert_close(network(pixels(run)), reference(run, "dense"), rtol=1e-4, atol=1e-5)
    program = run_export(tmp_path / "run", to="torch", quiet=True)
    assert program.exported.path == tmp_path / "run" / "export" / "tucker-95.pt2"
    assert program.metadata["network"] == "Tucker 95 %"
    found = torch.export.load(program.exported.path).module()(pixels(run))
    torch.testing.assert_close(found, reference(run, "Tucker 95 %"), rtol=1e-4, atol=1e-5)


MISTAKES = [
    ("{run} --to pickle", "onnx, torch, plain"),
    ("{run} --to onnx --network small", "dense, Tucker 95 %"),
    ("{run} --to onnx --seed 7", "seed 7"),
    ("{run} --to plain --opset 20", "opset 20"),
    ("{run} --to onnx --out {taken}", "tucker-95.onnx is there already; --overwrite replaces it"),
    ("{run} --to plain --out {taken}", "model.py is there already; --overwrite replaces it"),
    ("{run} --to torch --out {taken}/model.py/model.pt2", "nothing can be written there"),
    ("{taken}/model.py --to plain", "no run record here"),
]


def test_a_mistake_is_one_line_and_leaves_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    for mine in (taken / "tucker-95.onnx", taken / "model.py"):
        mine.write_text("hello")
    before = contents(run) | contents(tmp_path)
    monkeypatch.setattr(export_run, "prepared", None)  # said before any layer is timed
    for line, word in MISTAKES:
        given = [part.format(run=run, taken=taken) for part in shlex.split(line)]
        assert cli.main(["export", *given]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert word in error
        assert contents(run) | contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def test_a_folder_as_out_gets_a_file_with_the_name_of_the_network(run: Path, tmp_path: Path) -> None:
    for more in ({}, {"overwrite": True}):
        done = run_export(run, to="torch", out=tmp_path, quiet=True, **more)
        assert done.exported.path == tmp_path / "tucker-95.pt2"


def test_of_several_seeds_the_one_that_is_asked_for(run: Path, tmp_path: Path) -> None:
    records = Records.load(run)
    for seed in range(2):
        (tmp_path / f"seed{seed}").mkdir()
        shutil.copy(run / "tucker-95.safetensors", tmp_path / f"seed{seed}")
    rows = [records.runs.assign(seed=seed, run=records.runs["run"] + str(seed)) for seed in range(2)]
    Records(pd.concat(rows, ignore_index=True)).save(tmp_path)
    done = run_export(tmp_path, to="torch", seed=1, quiet=True)
    assert done.exported.path == tmp_path / "export" / "tucker-95-seed1.pt2"
    assert (done.metadata["seed"], done.metadata["dataset"]) == ("1", "digits")
