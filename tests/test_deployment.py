"""What a network costs where it is deployed: the table against independent measures, its words, `tuckerlab check`."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.made_up import facts
from tuckerlab import build, load_data, tuckerize
from tuckerlab.cli import main as cli
from tuckerlab.deploy.export import export_onnx, export_plain, export_program
from tuckerlab.deploy.export_run import run_export
from tuckerlab.deploy.runtime import Deployment, checking, tables
from tuckerlab.deploy.runtime.measuring import measured
from tuckerlab.deploy.runtime.process_memory import footprint
from tuckerlab.deploy.runtime.tables import FORM, NEEDED, rich_tables
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.training.checkpoint import load, save
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.provenance import provenance
from tuckerlab.training.timing import interleave
from tuckerlab.tucker.rank_policy import Fixed

onnx = pytest.importorskip("onnx")

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


def test_a_row_for_each_form_of_each_network(deployed: Deployment) -> None:
    rows = deployed.rows
    assert len(rows) == 2 * 2 * 2 * 2
    assert not rows.duplicated([*FORM, "batch"]).any()
    assert deployed.networks == ["dense", "Tucker"]
    assert set(NEEDED) < set(rows)
    assert set(provenance("cpu")) < set(rows)
    assert (rows["threads"] == torch.get_num_threads()).all()
    assert rows["run"].tolist() == rows["network"].map({"dense": "d", "Tucker": "t"}).tolist()


def test_times_fit_each_other(deployed: Deployment) -> None:
    rows = deployed.rows
    assert (rows["median_ms"] > 0).all()
    assert (rows["p95_ms"] >= rows["median_ms"]).all()
    np.testing.assert_allclose(rows["images_per_second"] * rows["median_ms"], 1000 * rows["batch"])
    assert (rows.loc[rows["network"] == "dense", "faster"] == 1).all()
    assert set(rows.loc[rows["runtime"] == "torch", "layout"]) <= {"contiguous", "channels_last"}
    assert set(rows.loc[rows["runtime"] == "onnxruntime", "layout"]) == {""}


def test_files_fit_each_other(deployed: Deployment) -> None:
    size = deployed.rows[deployed.rows["batch"] == 1].set_index(FORM)["file_bytes"]
    smaller = deployed.rows[deployed.rows["batch"] == 1].set_index(FORM)["smaller"]
    for runtime in ("torch", "onnxruntime"):
        for precision in ("fp32", "int8"):
            ratio = size["dense", runtime, precision] / size["Tucker", runtime, precision]
            assert smaller["Tucker", runtime, precision] == ratio
        assert smaller["Tucker", runtime, "fp32"] > 1
        assert size["dense", runtime, "int8"] < 0.5 * size["dense", runtime, "fp32"]
    weights = 4 * sum(p.numel() for p in build(**SPEC).parameters())
    assert weights < size["dense", "onnxruntime", "fp32"] < 1.3 * weights


def test_answers_are_those_of_the_networks(deployed: Deployment, untouched: Path) -> None:
    data = load_data("digits", image_size=16)
    for label, file in (("dense", "dense"), ("Tucker", "tucker")):
        rows = deployed.rows[deployed.rows["network"] == label].set_index(["runtime", "precision", "batch"])
        expected = evaluate(load(untouched / f"{file}.safetensors").model, data).accuracy
        for runtime in ("torch", "onnxruntime"):
            assert rows["accuracy"][runtime, "fp32", 1] == pytest.approx(expected, abs=1.5 / len(data.test_labels))
            assert 0 < rows["difference"][runtime, "int8", 1] < 0.3
            assert rows["agreement"][runtime, "int8", 1] > 0.8
        assert rows["difference"]["torch", "fp32", 1] == 0
        assert 0 < rows["difference"]["onnxruntime", "fp32", 1] < 1e-4
        assert (rows["agreement"] == [*rows["agreement"][:4]] * 2).all()  # whatever the batch


def test_save_and_load(deployed: Deployment, tmp_path: Path) -> None:
    deployed.save(tmp_path)
    pd.testing.assert_frame_equal(Deployment.load(tmp_path).rows, deployed.rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deployment.parquet", "deployment.png"]


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "deployment.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"deployment\.parquet: cannot be read"):
        Deployment.load(tmp_path)
    pd.DataFrame({"network": ["dense"]}).to_parquet(tmp_path / "deployment.parquet")
    with pytest.raises(DataError, match="lacks runtime"):
        Deployment.load(tmp_path)


@pytest.mark.parametrize("settings", [{"batches": (0,)}, {"batches": (True,)}, {"rounds": -1}, {"rounds": 1.5}])
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(TuckerlabError, match="allowed are whole numbers from 1"):
        measured({"dense": nn.Flatten()}, load_data("digits"), **settings)


def test_what_comes_before_a_call_is_not_timed() -> None:
    said: list[str] = []
    calls = {name: lambda name=name: said.append(name) for name in "ab"}
    times = interleave(calls, repeats=3, warmup=1, before=lambda name: said.append(f"before {name}"))
    assert times["a"].runs == 3
    assert said[:2] == ["a", "b"]  # warm-up
    assert all(first == f"before {second}" for first, second in zip(said[2::2], said[3::2], strict=True))


# --- words and pictures ----------------------------------------------------------------------------------------------


def made_up(faster: float = 4.0, smaller: float = 16.0, batches: tuple[int, ...] = (1, 128)) -> Deployment:
    rows = []
    for batch in batches:
        for network, speed, size in (("dense", 1.0, 1.0), ("small", faster, smaller)):
            for form in (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")):
                row = dict(zip(("runtime", "precision"), form, strict=True)) | {"network": network, "batch": batch}
                row |= {"median_ms": 8 / speed, "p95_ms": 9 / speed, "images_per_second": 125 * batch * speed}
                row |= {"faster": speed, "smaller": size, "file_bytes": 32e6 / size, "peak_bytes": None, "layout": ""}
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


def test_one_network_is_compared_with_nothing() -> None:
    rows = made_up().rows
    alone = Deployment(rows[rows["network"] == "dense"])
    assert alone.finding == ""
    assert len(alone.figures["deployment"].axes) == 3
    assert "<table" in alone._repr_html_()


def test_the_picture_has_every_number() -> None:
    figure = made_up().figures["deployment"]
    time, throughput, file = ([label.get_text() for label in axes.texts] for axes in figure.axes)
    assert time.count("8.00") == 3
    assert time.count("2.00  (4.0×)") == 3
    assert throughput.count("64,000  (4.0×)") == 3
    assert file.count("2.00 MB  (16×)") == 3
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["torch", "onnxruntime"]
    assert len(made_up(batches=(4,)).figures["deployment"].axes) == 2


def test_what_was_not_measured_is_a_dash() -> None:
    rows = made_up().rows
    assert tables.html_tables(rows).count("<td>–</td>") == len(rows)


def test_words_of_others_are_escaped() -> None:
    made = made_up()
    made.rows["network"] = made.rows["network"].str.replace("small", "<b>small")
    assert "<b>small" not in made._repr_html_()


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process")
def test_memory_grows_by_the_weights_at_least(tmp_path: Path) -> None:
    layer = nn.Sequential(nn.Flatten(), nn.Linear(1000, 5000))
    export_plain(layer, tmp_path, torch.zeros(1, 1000))
    weights = 4 * 1000 * 5000
    found = footprint("torch", tmp_path, (1, 1000), threads=1)
    assert found is not None
    assert weights < found < 5 * weights


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process")
def test_memory_of_onnxruntime_grows_with_the_batch(tmp_path: Path) -> None:
    graph = "g (float[N, 1000] x) => (float[N, 1000] y) {y = Relu(x)}"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}'), tmp_path / "model.onnx")
    one, many = (footprint("onnxruntime", tmp_path / "model.onnx", (n, 1000), threads=1) for n in (1, 20_000))
    assert one is not None
    assert many is not None
    assert many - one > 4 * 1000 * 20_000


# --- tuckerlab check -------------------------------------------------------------------------------------------------


def test_check_of_a_run_prints_tables_that_fit(printed: str, untouched: Path) -> None:
    lines = printed.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("table and picture"))
    assert sum("onnxruntime  int8" in line for line in lines) == 4 + 2
    assert "1 image in onnxruntime: Tucker answers" in printed
    assert str(untouched) in lines[-1]
    assert (untouched / "deployment.png").read_bytes().startswith(b"\x89PNG")


def test_brackets_in_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    made = made_up()
    made.rows["network"] = made.rows["network"].str.replace("small", "[old]")
    made.rows["layout"] = ["channels_last"] * (len(made.rows) - 1) + ["contiguous"]
    checking.show(made, "written", Path("runs/[new]/x"))
    printed = capsys.readouterr().out
    assert printed.count("[old]") == 6 + 3 + 1 + 1  # both tables, the finding, the layouts
    assert "runs/[new]/x" in printed


def test_a_table_is_found_again(
    deployed: Deployment,
    untouched: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[list[str]] = []

    def measure(networks: dict[str, nn.Module], data: object, **settings: object) -> Deployment:
        asked.append(list(networks))
        return deployed

    monkeypatch.setattr(checking, "measure_deployment", measure)
    saved: list[Deployment] = []
    monkeypatch.setattr(Deployment, "save", lambda made, folder: saved.append(made))  # the picture takes its time
    settings: dict[str, Any] = {"batches": (4, 1), "rounds": 2, "threads": torch.get_num_threads(), "memory": False}
    assert checking.check_run(untouched)[1]
    assert checking.check_run(untouched, **settings)[1]
    assert (asked, capsys.readouterr().out) == ([], "")
    others = {"batches": (64,), "rounds": 7, "threads": torch.get_num_threads() + 1, "memory": True, "seconds": 1.0}
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    for name, value in others.items():
        assert not checking.check_run(untouched, **settings | {name: value})[1]
        assert f"other settings ({name}): it is measured again" in capsys.readouterr().out
        assert asked.pop() == ["dense", "Tucker"]
    assert not saved
    shutil.copytree(untouched, tmp_path / "run")
    assert not checking.check_run(tmp_path / "run", network="dense")[1]
    assert not saved
    assert not checking.check_run(tmp_path / "run", fresh=True)[1]
    assert len(saved) == 1
    usual = {
        "batches": (128, 1),
        "rounds": 100,
        "memory": True,
        "threads": torch.get_num_threads(),
        "network": "Tucker",
    }
    assert not checking.check_run(tmp_path / "run", **usual)[1]
    assert len(saved) == 2  # of what was measured first with other settings; the usual ones take its place
    asked.remove(["dense", "Tucker"])
    records = Records.load(tmp_path / "run")
    records.runs["run"] = records.runs["run"].replace("t", "trained anew")
    records.save(tmp_path / "run")
    shutil.copy(untouched / "deployment.parquet", tmp_path / "run")
    assert not checking.check_run(tmp_path / "run")[1]
    assert asked == [["dense"], ["dense", "Tucker"], ["dense", "Tucker"]]
    deployed.rows.drop(columns="run").to_parquet(tmp_path / "run" / "deployment.parquet")  # of a script, not of a run
    assert not checking.check_run(tmp_path / "run")[1]
    assert len(asked) == 4
    assert len(saved) == 4  # of other runs, or of none that is known: replaced


def test_the_table_of_the_run_stays_beside_others(
    deployed: Deployment,
    untouched: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = deployed.rows.drop(columns="run")

    def measure(networks: dict[str, nn.Module], data: object, **settings: object) -> Deployment:
        return Deployment(rows[rows["network"].isin(networks)])

    monkeypatch.setattr(checking, "measure_deployment", measure)
    shutil.copytree(untouched, tmp_path / "run")
    file = tmp_path / "run" / "deployment.parquet"
    file.unlink()

    def kept(line: str) -> tuple[bool, str]:
        """Whether the table in the folder is as it was, and the last line of what is printed."""
        before = file.read_bytes() if file.exists() else b""
        assert cli.main(["check", str(tmp_path / "run"), "--quiet", *line.split()]) == 0
        return before == file.read_bytes(), capsys.readouterr().out.splitlines()[-1]

    stays = (
        True,
        f"the table of the run stays: deployment.parquet in {tmp_path / 'run'}; --fresh replaces it by this one",
    )
    assert not kept("--network dense")[0]  # the first
    assert kept("--rounds 3") == stays
    assert Deployment.load(tmp_path / "run").networks == ["dense"]
    assert not kept("")[0]  # all networks, usual settings
    assert kept("--network dense") == stays
    assert kept("--rounds 3 --batch 4 --no-memory") == stays
    assert Deployment.load(tmp_path / "run").networks == ["dense", "Tucker"]
    assert kept("")[1].startswith("found in ")
    assert not kept("--network dense --fresh")[0]


@pytest.mark.parametrize(("length", "said"), [(None, "is not there"), (5000, "cut off")])
def test_a_table_whose_network_is_gone_says_so(
    length: int | None,
    said: str,
    deployed: Deployment,
    untouched: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(untouched, tmp_path / "run")
    file = tmp_path / "run" / "dense.safetensors"
    content = file.read_bytes()
    file.unlink()
    if length is not None:
        file.write_bytes(content[:length])
    assert cli.main(["check", str(tmp_path / "run"), "--quiet"]) == 0
    found, lost = capsys.readouterr().out.splitlines()[-2:]
    assert found.startswith("found in ")
    assert lost.startswith("dense cannot be loaded any more, the table is from before: ")
    assert said in lost


@pytest.fixture(scope="module")
def files(untouched: Path) -> Path:
    """Each kind of exported file, of the dense network, with the notes that `tuckerlab export` writes."""
    network, folder = load(untouched / "dense.safetensors").model, untouched / "export"
    notes = {"run": untouched.name, "network": "dense", "input": "float32, N × 1 × 16 × 16, normalised as in training"}
    export_onnx(network, folder / "dense.onnx", torch.zeros(1, 1, 16, 16), metadata=notes)
    export_program(network, folder / "dense.pt2", torch.zeros(1, 1, 16, 16), metadata=notes)
    export_plain(network, folder / "plain", torch.zeros(1, 1, 16, 16), metadata=notes)
    return folder


@pytest.mark.parametrize("name", ["dense.onnx", "dense.pt2", "plain"])
def test_check_of_a_file_against_its_network(
    name: str, files: Path, untouched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(files / name), *QUICK]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "against the network of the run, in torch, 256 images of the test split of digits: 256 same answers" in said
    accuracy = evaluate(load(untouched / "dense.safetensors").model, load_data("digits", image_size=16)).accuracy
    assert f"{100 * accuracy:.1f} % of 359 test images of digits are right" in said


def test_check_of_a_file_that_takes_pixels(untouched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run_export(untouched, to="plain", network="Tucker", margin=float("inf"), quiet=True)
    assert "pixels" in done.metadata["input"]
    assert cli.main(["check", str(done.exported.path), *QUICK]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "256 images of the test split of digits: 256 same answers" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dense.onnx", "onnxruntime against the onnx package, 8 images of random numbers: 8 same answers"),
        ("dense.pt2", "torch alone can run it"),
        ("plain", "torch alone can run it"),
    ],
)
def test_check_of_a_file_far_from_its_run(
    name: str, said: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, here = files / name, tmp_path / f"[old]-{name}"  # no markup
    shutil.copytree(there, here) if there.is_dir() else shutil.copy(there, here)
    assert cli.main(["check", str(here), *QUICK]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert said in printed
    assert here.name in printed


def test_a_file_that_answers_something_else_is_told(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The oracle of the oracle: weights are changed in the file, and the check sees it."""
    place = tmp_path / "poc-digits" / "export" / "dense.onnx"
    shutil.copytree(files.parent, tmp_path / "poc-digits")
    model = onnx.load(place)
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    changed = onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name)
    weight.CopyFrom(changed)
    onnx.save(model, place)
    assert cli.main(["check", str(place), *QUICK]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert int(said.partition(" same answers")[0].rpartition(" ")[2]) < 100


def test_check_of_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tuckerize(build("lenet5", in_channels=1, image_size=16, width=0.25), include="features.*", ranks=0.5)
    save(tmp_path / "tucker.safetensors", network)
    line = f"check {tmp_path}/tucker.safetensors --data digits --image-size 16"
    assert cli.main([*line.split(), *QUICK]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "torch, as trained against torch, ordinary layers, 256 images" in said
    assert "torch, as trained against onnxruntime, 256 images" in said
    assert said.count("256 same answers") == 2


def _zip(path: Path) -> object:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        return archive.writestr("a", "b")


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "model.txt": (lambda path: path.write_text("model"), "not a model"),
    "model.onnx": (lambda path: path.write_text("model"), "not an ONNX model"),
    "model.pt2": (lambda path: path.write_text("model"), "not an exported program"),
    "zip.pt2": (_zip, "torch cannot load it"),
    "model.safetensors": (lambda path: path.write_text("model"), "not a safetensors file"),
    "other.safetensors": (lambda path: save_file({"a": torch.ones(1)}, path), "not a checkpoint"),
    "missing.onnx": (lambda path: None, "no such file"),
    "empty": (lambda path: path.mkdir(), "no run record"),
    "half": (lambda path: (path.mkdir(), (path / "model.py").write_text("")), "no model.safetensors"),
    "wrong": (
        lambda path: (path.mkdir(), (path / "model.py").write_text("1 / 0"), (path / "model.safetensors").touch()),
        "does not load a network",
    ),
}
GRAPHS = {
    "two inputs": ("float[N, 1, 8, 8] a, float[N, 1, 8, 8] b) => (float[N, 1, 8, 8] c) {c = Add(a, b)}", "a, b"),
    "no images": ("float[N, 64] a) => (float[N, 64] c) {c = Relu(a)}", "takes inputs of 2 dimensions"),
    "one image": ("float[1, 1, 8, 8] a) => (float[1, 1, 8, 8] c) {c = Relu(a)}", "takes 1 × 1 × 8 × 8"),
}


def assert_one_line(capsys: pytest.CaptureFixture[str], said: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_not_a_model(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, said = MISTAKES[name]
    write(tmp_path / name)
    assert cli.main(["check", str(tmp_path / name), *QUICK]) == 2
    assert_one_line(capsys, said)


@pytest.mark.parametrize("name", GRAPHS)
def test_another_kind_of_onnx_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, said = GRAPHS[name]
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g ({graph}'), tmp_path / "model.onnx")
    assert cli.main(["check", str(tmp_path / "model.onnx"), *QUICK]) == 2
    assert_one_line(capsys, said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{run} --network nobody", "there are dense, Tucker"),
        ("{run} --data digits", "a run knows its images"),
        ("{files}/dense.onnx --network dense", "--network"),
        ("{files}/dense.onnx --data digits --image-size 8", "the model takes 1 × 16 × 16"),
        ("{files}/dense.onnx --image-size 8", "without --data"),
        ("{files}/dense.onnx --threads 100000", "threads 100000: this machine has"),
        ("{run} --threads 100000", "allowed are whole numbers from 1 to"),
        ("{files}/dense.onnx --data nothing", "nothing"),
    ],
)
def test_mistakes_in_what_is_asked(
    line: str, said: str, untouched: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", *line.format(run=untouched, files=files).split(), *QUICK]) == 2
    assert_one_line(capsys, said)


def test_data_of_another_number_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    export_plain(network, tmp_path, torch.zeros(1, 1, 8, 8))
    assert cli.main(["check", str(tmp_path), "--data", "digits", *QUICK]) == 2
    assert_one_line(capsys, "answers with 3 numbers, digits has 10 classes")


def test_a_run_that_lacks_a_network(untouched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Records.load(untouched).save(tmp_path)
    assert cli.main(["check", str(tmp_path), *QUICK]) == 2
    assert_one_line(capsys, "the network 'dense' is not there")


def test_tables_of_made_up_rows_fit_a_terminal() -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    rows = made_up().rows.replace("small", "Tucker 95 %")
    for table in rich_tables(rows):
        console.print(table)
    assert "…" not in console.export_text()


@pytest.mark.parametrize("network", [nn.Linear(3, 3), nn.Sequential(nn.Flatten(), nn.Linear(64, 3))])
def test_a_network_that_does_not_fit_the_data(network: nn.Module) -> None:
    with pytest.raises(TuckerlabError, match="mine: does not answer images of 1 × 8 × 8 with numbers for 10 classes"):
        measured({"mine": network}, load_data("digits"), rounds=1)
