"""The command line: quick to start, one line for a mistake, and the settings handed on as they were given."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tuckerlab.cli import doctor, main as cli, serve
from tuckerlab.errors import DataError

# Every mistake that the command line itself can see, and a word that its message must have.
MISTAKES = [
    ("bogus", "bogus"),
    ("poc --bogus", "--bogus"),
    ("poc --epochs many", "many"),
    ("poc --epochs 0", "1"),
    ("poc --batch-size -3", "1"),
    ("poc --image-size 0", "1"),
    ("poc --width", "--width"),
    ("poc --compression 0.9 --tolerance 0.1", "--tolerance"),
    (f"poc --out {__file__}", "test_cli.py"),
    ("headline --no-pruning --pruning 0.9", "--no-pruning"),
    ("headline --seeds 0", "1"),
    ("headline --epochs 0", "1"),
    ("headline --compression much", "much"),
    ("lab nowhere/at/all", "nowhere"),
    ("lab --port 70000", "65535"),
    ("app nowhere/at/all", "nowhere"),
    ("app --port many", "many"),
    ("course nowhere/at/all", "nowhere"),
    ("course --profile", "--profile"),
]

# What only the run can see: the checks live in the floors below, the exit code is the command line's.
REFUSALS = [
    ("poc --dataset mnist", "mnist"),
    ("poc --model vgg99", "vgg99"),
    ("poc --dataset folder:nowhere/at/all", "nowhere"),
    ("poc --compression 1", "1"),
    ("poc --compression -0.1", "-0.1"),
    ("poc --tolerance 1.5", "1.5"),
    ("poc --tolerance -1", "-1"),
    ("poc --width 0", "0"),
    ("poc --lr -1", "-1"),
    ("poc --device abacus", "abacus"),
    ("headline --dataset digits --model vgg_small --epochs 2 --minutes 5", "minutes 5"),
    ("headline --dataset digits --model vgg_small --minutes -1", "minutes -1"),
    ("headline --dataset digits --model vgg_small --minutes nan", "minutes nan"),
    ("headline --dataset digits --model vgg_small --minutes inf", "minutes inf"),
    ("headline --dataset digits --model vgg99", "vgg99"),
    ("headline --dataset digits --model vgg16", "32"),
    ("headline --dataset digits --model vgg_small --compression 0.9999", "0.9999"),
    ("headline --dataset digits --model vgg_small --compression 0.9 --compression 0.9", "once"),
    ("headline --dataset digits --model vgg_small --pruning 2", "2"),
]


@pytest.fixture
def handed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What `poc` calls `run_poc` with; the run itself is left out."""
    received: dict[str, object] = {}
    proof = ModuleType("tuckerlab.experiments.proof")
    proof.run_poc = lambda **settings: received.update(settings)  # type: ignore[attr-defined]
    proof.show = lambda result: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tuckerlab.experiments.proof", proof)
    return received


def assert_one_line(error: str, word: str) -> None:
    lines = error.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert word in lines[0]
    assert "Traceback" not in error


@pytest.mark.parametrize(("line", "word"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    line: str, word: str, handed_on: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert_one_line(capsys.readouterr().err, word)
    assert not handed_on


@pytest.mark.parametrize(("line", "word"), REFUSALS)
def test_what_the_run_refuses_is_one_line_and_exit_code_2(
    line: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*line.split(), "--quiet", "--out", str(tmp_path)]) == 2
    assert_one_line(capsys.readouterr().err, word)


def test_a_real_process_ends_with_exit_code_2_and_no_traceback() -> None:
    done = run_python("-m", "tuckerlab.cli.main", "poc", "--compression", "0.9", "--tolerance", "0.1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert_one_line(done.stderr, "--compression 0.9")


def test_only_given_options_are_handed_on(handed_on: dict[str, object]) -> None:
    assert cli.main(["poc"]) == 0
    assert handed_on == {}
    options = "--dataset cifar10 --tolerance 0.1 --batch-size 64 --out here --fresh --quiet"
    assert cli.main(["poc", *options.split()]) == 0
    assert handed_on == {
        "dataset": "cifar10",
        "tolerance": 0.1,
        "batch_size": 64,
        "out": Path("here"),
        "resume": False,
        "quiet": True,
    }


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "tuckerlab.experiments.proof", ModuleType("tuckerlab.experiments.proof")
    )  # no run_poc in it
    with pytest.raises(ImportError, match="run_poc"):
        cli.main(["poc"])


def test_an_error_of_the_run_is_shown_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_in_poc(monkeypatch, DataError("no images in here:\n  give a folder"))
    assert cli.main(["poc"]) == 2
    assert capsys.readouterr().err == "error: no images in here: give a folder\n"


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raise_in_poc(monkeypatch, ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow.parquet"))
    assert cli.main(["poc"]) == 2
    assert_one_line(capsys.readouterr().err, "pyarrow")


def test_a_folder_that_may_not_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_in_poc(monkeypatch, PermissionError(13, "Permission denied", "locked/runs"))
    assert cli.main(["poc"]) == 2
    assert_one_line(capsys.readouterr().err, "locked/runs")


def test_ctrl_c_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_in_poc(monkeypatch, KeyboardInterrupt())
    assert cli.main(["poc"]) == 130
    assert capsys.readouterr().err.startswith("stopped; ")


@pytest.mark.parametrize("line", [[], ["--help"], ["poc", "--help"], ["course", "--help"], ["version"]])
def test_nothing_heavy_is_loaded_to_answer_a_question(line: list[str]) -> None:
    code = (
        "import sys; from tuckerlab.cli.main import main; code = main(sys.argv[1:])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'sklearn', 'rich', 'jupyterlab', 'voila', 'nbconvert'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = run_python("-c", code, *line)
    assert done.returncode == 0, done.stderr
    assert "tuckerlab" in done.stdout


def test_doctor_says_where_it_looked_for_missing_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUCKERLAB_DATA", str(tmp_path / "gone"))
    monkeypatch.setenv("COLUMNS", "500")  # no wrapping inside of paths
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor"]) in (0, 1)
    said = capsys.readouterr().out
    assert str(tmp_path / "gone" / "cifar10") in said
    assert "set TUCKERLAB_DATA" in said


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("problem", 1)])
def test_doctor_fails_on_problems_alone(
    state: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = doctor.Finding("torch", "[missing]", state, mend="pip install torch [now]")  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert cli.main(["doctor"]) == code
    said = capsys.readouterr().out
    assert "[missing]" in said  # brackets are not colours here
    assert "pip install torch [now]" in said


def test_lab_without_jupyterlab_names_the_pip_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert cli.main(["lab", str(tmp_path)]) == 2
    assert_one_line(capsys.readouterr().err, "[notebooks]")


def test_lab_opens_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    received: list[str] = []
    labapp = ModuleType("jupyterlab.labapp")
    labapp.main = received.extend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jupyterlab", ModuleType("jupyterlab"))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", labapp)
    monkeypatch.setattr(doctor, "installed_version", lambda name: "4.0")
    monkeypatch.setattr(serve, "is_root", lambda: False)
    assert cli.main(["lab", str(tmp_path), "--no-browser", "--port", "9999"]) == 0
    assert received == [f"--ServerApp.root_dir={tmp_path}", "--no-browser", "--ServerApp.port=9999"]


def raise_in_poc(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run_poc(**settings: object) -> None:
        raise error

    proof = ModuleType("tuckerlab.experiments.proof")
    proof.run_poc = run_poc  # type: ignore[attr-defined]
    proof.show = lambda result: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tuckerlab.experiments.proof", proof)


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
