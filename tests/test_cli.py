"""The command line: quick to start, one line for a mistake, and the settings handed on as they were given."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tuckerlab.cli import main as cli
from tuckerlab.errors import DataError

# Mistakes that the command line itself can see, and a word that the message must have.
MISTAKES = [
    ("bogus", "bogus"),
    ("poc --bogus", "--bogus"),
    ("poc --epochs many", "many"),
    ("poc --compression 0.9 --tolerance 0.1", "--tolerance"),
    (f"poc --out {__file__}", "test_cli.py"),
    ("headline --no-pruning --pruning 0.9", "--no-pruning"),
    ("lab nowhere/at/all", "nowhere"),
    ("poc --dataset letters", "letters"),
    ("poc --device abacus", "abacus"),
    ("headline --dataset digits --model vgg16", "32"),
]

# What may go wrong below, and a word of the one line that is printed.
ERRORS: list[tuple[Exception, str]] = [
    (DataError("no images in here:\n  give a folder"), "no images in here: give a folder"),
    (ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow.parquet"), "pyarrow"),
    (PermissionError(13, "Permission denied", "locked/runs"), "locked/runs"),
    (OSError(28, "No space left on device"), "No space left"),
]


Runs = Callable[[BaseException | list[dict[str, object]]], None]


@pytest.fixture
def poc_runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Lets `tuckerlab poc` raise an error, or note the settings that it hands on."""

    def replace(outcome: BaseException | list[dict[str, object]]) -> None:
        def run_poc(**settings: object) -> None:
            if isinstance(outcome, BaseException):
                raise outcome
            outcome.append(settings)

        monkeypatch.setattr("tuckerlab.experiments.run.run_poc", run_poc)
        monkeypatch.setattr("tuckerlab.experiments.run_folder.show", lambda result: None)

    return replace


def assert_one_line(error: str, word: str) -> None:
    lines = error.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert word in lines[0]


@pytest.mark.parametrize(("line", "word"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(line: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line.split()) == 2
    assert_one_line(capsys.readouterr().err, word)


@pytest.mark.parametrize(("error", "word"), ERRORS)
def test_an_error_of_the_run_is_one_line(
    error: Exception, word: str, poc_runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    poc_runs(error)
    assert cli.main(["poc"]) == 2
    assert_one_line(capsys.readouterr().err, word)


def test_ctrl_c_is_exit_code_130(poc_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    poc_runs(KeyboardInterrupt())
    assert cli.main(["poc"]) == 130
    assert capsys.readouterr().err.startswith("stopped; ")


def test_only_given_options_are_handed_on(poc_runs: Runs) -> None:
    received: list[dict[str, object]] = []
    poc_runs(received)
    options = "--dataset cifar10 --tolerance 0.1 --batch-size 64 --out here --fresh --quiet"
    assert cli.main(["poc"]) == 0
    assert cli.main(["poc", *options.split()]) == 0
    given = {"dataset": "cifar10", "tolerance": 0.1, "batch_size": 64, "out": Path("here"), "resume": False}
    assert received == [{}, {**given, "quiet": True}]


@pytest.mark.parametrize("line", [["--help"], ["poc", "--help"], ["course", "--help"]])
def test_nothing_heavy_is_loaded_to_answer_a_question(line: list[str]) -> None:
    code = (
        "import sys; from tuckerlab.cli.main import main; code = main(sys.argv[1:])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'sklearn', 'rich', 'jupyterlab', 'voila', 'nbconvert'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    command = [sys.executable, "-c", code, *line]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "tuckerlab" in done.stdout


def test_lab_opens_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    received: list[str] = []
    labapp = ModuleType("jupyterlab.labapp")
    labapp.main = received.extend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jupyterlab", ModuleType("jupyterlab"))
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", labapp)
    assert cli.main(["lab", str(tmp_path), "--no-browser", "--port", "9999"]) == 0
    assert {f"--ServerApp.root_dir={tmp_path}", "--no-browser", "--ServerApp.port=9999"} <= {*received}
