"""`tuckerlab export`: from a run to a file that the receiver can only use rightly, or one line that says why not."""

import json
import runpy
import shlex
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from tuckerlab.cli import main as cli
from tuckerlab.deploy.export.onnx import answers, open_session
from tuckerlab.deploy.export_run import run_export
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import file_size

SMALL = "Tucker 90 %"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "poc-digits"
    return Path(shutil.copytree(RunFolder.open("poc-digits").folder, place))


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
    check_answers(torch.export.load(program).module(), run, SMALL)


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
