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
from tuckerlab.deploy.export.sessions import answers, open_session
from tuckerlab.deploy.export_run import run_export
from tuckerlab.deploy.trained_network import Trained
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.proof import run_poc
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.training.checkpoint import save
from tuckerlab.training.models import build


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_poc(epochs=1, width=0.25, quiet=True, out=tmp_path_factory.mktemp("runs"), device="cpu").folder


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
    found, expected = answers(open_session(path), pixels(run)), reference(run, "Tucker 90 %")
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert about["input"] == "float32, N × 1 × 8 × 8, pixels from 0 to 255"
    assert json.loads(about["classes"]) == [str(digit) for digit in range(10)]
    row = RunFolder.open(run).rows("Tucker 90 %").iloc[0]
    assert (about["network"], about["run"], about["commit"]) == ("Tucker 90 %", run.name, row["commit"])
    assert about["torch"] == torch.__version__
    said = capsys.readouterr().out
    for words in (
        "Tucker layers",
        "6 batch norms folded",
        f"written: {path}",
        "times as much",
        "for 1 and for 32 images",
    ):
        assert words in said
    assert f'onnxruntime.InferenceSession("{path}")' in said
    assert f"{path.stat().st_size / 1e6:.3g} MB" in said


def test_plain_and_program_lie_in_the_run_and_one_checkpoint_is_enough(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    plain = run_export(tmp_path / "run", to="plain", network="dense", margin=float("inf"), quiet=True)
    assert plain.exported.path == tmp_path / "run" / "export" / "dense"
    with safe_open(plain.exported.path / "model.safetensors", "pt") as file:
        assert file.metadata()["network"] == "dense"
    assert plain.exported.size_bytes > 0.95 * plain.dense_bytes
    network = runpy.run_path(str(plain.exported.path / "model.py"))["load"]()
    torch.testing.assert_close(network(pixels(run)), reference(run, "dense"), rtol=1e-4, atol=1e-5)
    program = run_export(tmp_path / "run" / "tucker-90.safetensors", to="torch", margin=float("inf"), quiet=True)
    assert program.exported.path == tmp_path / "run" / "export" / "tucker-90.pt2"
    assert program.metadata["network"] == "Tucker 90 %"
    found = torch.export.load(program.exported.path).module()(pixels(run))
    torch.testing.assert_close(found, reference(run, "Tucker 90 %"), rtol=1e-4, atol=1e-5)


def test_a_checkpoint_without_its_run_takes_normalised_images_and_says_so(tmp_path: Path) -> None:
    save(tmp_path / "mine.safetensors", build("vgg_small", num_classes=3, in_channels=1, image_size=8, width=0.25))
    done = run_export(tmp_path / "mine.safetensors", to="plain", quiet=True)
    assert done.metadata["input"] == "float32, N × 1 × 8 × 8, normalised as in training"
    assert json.loads(done.metadata["classes"]) is None
    assert "shift" not in (done.exported.path / "model.py").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="one network already"):
        Trained.find(tmp_path / "mine.safetensors", "dense")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("export", "'run'"),
        ("export {run}", "--to"),
        ("export no/such/run --to onnx", "no/such/run"),
        ("export {empty} --to onnx", "empty"),
        ("export {run} --to pickle", "onnx, torch, plain"),
        ("export {run} --to onnx --network small", "dense, Tucker 90 %"),
        ("export {run} --to onnx --seed 7", "seed 7"),
        ("export {run} --to onnx --opset 0", "opset 0"),
        ("export {run} --to onnx --opset 99", "opset 99"),
        ("export {run} --to onnx --opset 3", "opset 3: allowed here are 13 to"),
        ("export {run} --to onnx --opset many", "many"),
        ("export {run} --to plain --opset 20", "opset 20"),
        ("export {run} --to plain --margin -1", "margin -1"),
        ("export {run} --to plain --margin nan", "margin nan"),
        ("export {run} --to onnx --out ''", '--out "": give the path of a file'),
        ("export {run} --to plain --out ''", '--out "": give the path of a folder'),
        ("export {run} --to onnx --out {empty}/model.pt2", "a file for onnx ends in .onnx"),
        ("export {run} --to torch --out {empty}/model", "a file for torch ends in .pt2"),
        ("export {run} --to plain --out {empty}/model.onnx", "plain makes a folder"),
        ("export {run} --to onnx --out {run}/tucker-90.safetensors", "a file for onnx ends in .onnx"),
        ("export {run} --to onnx --out {taken}/tucker-90.onnx", "no export of tuckerlab"),
        ("export {run} --to onnx --out {taken}", "no export of tuckerlab"),
        ("export {run} --to plain --out {taken}", "no export of tuckerlab"),
        ("export {run} --to plain --out {file}", "a file"),
        ("export {run} --to torch --margin inf --out {file}/deep/model.pt2", "a file"),
        ("export {file} --to plain", "not a safetensors file"),
        ("export {run}/runs.parquet --to plain", "runs.parquet"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    line: str, word: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, empty, taken = tmp_path / "a file", tmp_path / "empty", tmp_path / "taken"
    empty.mkdir()
    taken.mkdir()
    for mine in (file, taken / "tucker-90.onnx", taken / "model.py"):
        mine.write_text("hello")
    before = contents(run) | contents(tmp_path)
    monkeypatch.setattr(export_run, "prepared", None)  # said before any layer is timed
    given = [part.format(run=run, file=file, empty=empty, taken=taken) for part in shlex.split(line)]
    assert cli.main(given) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert word in error
    assert contents(run) | contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that nobody can write to")
@pytest.mark.parametrize("form", ["onnx", "torch", "plain"])
def test_a_place_that_cannot_be_written_is_said_before_the_network_is_read(form: str) -> None:
    with pytest.raises(TuckerlabError, match="/proc: nothing can be written there"):
        run_export("no/such/run", to=form, out=f"/proc/x/y{export_run.FORMATS[form]}")


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "seed0").mkdir()
    shutil.copy(run / "dense.safetensors", tmp_path / "seed0" / "dense-1.training.safetensors")
    with pytest.raises(DataError, match="cut off"):
        run_export(tmp_path, to="plain")


def test_records_without_networks_are_refused(run: Path, tmp_path: Path) -> None:
    for table in run.glob("*.parquet"):
        shutil.copy(table, tmp_path)
    with pytest.raises(DataError, match=r"tucker-90\.safetensors"):
        run_export(tmp_path, to="plain")


def test_a_folder_as_out_gets_a_file_with_the_name_of_the_network(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "[old]"  # no markup
    folder.mkdir()
    done = run_export(run, to="torch", out=folder, margin=float("inf"))
    assert done.exported.path == folder / "tucker-90.pt2"
    assert f"writing {folder / 'tucker-90.pt2'}," in capsys.readouterr().out


def test_the_checkpoint_of_one_seed_of_several_knows_its_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, places = Records.load(run), [tmp_path / f"seed{seed}" for seed in range(3)]
    for place in (tmp_path, *places):
        place.mkdir(exist_ok=True)
        shutil.copy(run / "tucker-90.safetensors", place)
    rows = [records.runs.assign(seed=seed, run=records.runs["run"] + str(seed)) for seed in range(2)]
    Records(pd.concat(rows, ignore_index=True)).save(tmp_path)
    found = Trained.find(places[1] / "tucker-90.safetensors")
    assert (found.label, found.seed, found.slug) == ("Tucker 90 %", 1, "tucker-90-seed1")
    assert found.folder == tmp_path
    assert found.metadata["input"].endswith("pixels from 0 to 255")
    assert found.metadata["dataset"] == "digits"
    monkeypatch.chdir(places[1])
    assert Trained.find("tucker-90.safetensors").seed == 1
    for stray in (places[2], tmp_path):  # what the record does not know is not taken for another one
        assert Trained.find(stray / "tucker-90.safetensors").data is None
