"""The command line: quick to start, one line for a mistake, the settings handed on as given; what `doctor` finds."""

import re
import subprocess
import sys
from email import message_from_string
from pathlib import Path
from unittest.mock import Mock, call

import pytest

from tuckerlab.cli import doctor, main as cli
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


@pytest.fixture
def run_poc(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands in for what `tuckerlab poc` calls."""
    monkeypatch.setattr("tuckerlab.experiments.run.run_poc", mock := Mock())
    return mock


@pytest.mark.parametrize(("line", "word"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(line: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line.split()) == 2
    assert re.fullmatch(f"error: .*{word}.*\n", capsys.readouterr().err)


@pytest.mark.parametrize(("error", "word"), ERRORS)
def test_an_error_of_the_run_is_one_line(
    error: Exception, word: str, run_poc: Mock, capsys: pytest.CaptureFixture[str]
) -> None:
    run_poc.side_effect = error
    assert cli.main(["poc"]) == 2
    assert re.fullmatch(f"error: .*{word}.*\n", capsys.readouterr().err)


def test_ctrl_c_is_exit_code_130(run_poc: Mock, capsys: pytest.CaptureFixture[str]) -> None:
    run_poc.side_effect = KeyboardInterrupt
    assert cli.main(["poc"]) == 130
    assert capsys.readouterr().err.startswith("stopped; ")


def test_only_given_options_are_handed_on(run_poc: Mock) -> None:
    options = "--dataset cifar10 --tolerance 0.1 --batch-size 64 --out here --fresh --quiet"
    assert cli.main(["poc"]) == 0
    assert cli.main(["poc", *options.split()]) == 0
    given = {"dataset": "cifar10", "tolerance": 0.1, "batch_size": 64, "out": Path("here"), "resume": False}
    assert run_poc.call_args_list == [call(), call(**given, quiet=True)]


def test_nothing_heavy_is_loaded_to_answer_a_question() -> None:
    code = (
        "import sys, tuckerlab; dir(tuckerlab); from tuckerlab.cli.main import main\n"
        "codes = {main(line.split()) for line in ('--help', 'poc --help', 'course --help')}\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'sklearn', 'rich', 'jupyterlab', 'voila', 'nbconvert'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else max(codes))"
    )
    assert "tuckerlab" in subprocess.check_output([sys.executable, "-c", code], text=True, timeout=120)


def test_lab_opens_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", labapp := Mock())
    assert cli.main(["lab", str(tmp_path), "--no-browser", "--port", "9999"]) == 0
    [received] = labapp.main.call_args.args
    assert {f"--ServerApp.root_dir={tmp_path}", "--no-browser", "--ServerApp.port=9999"} <= {*received}


REQUIREMENTS = [
    "torch>=2.11",
    'pywinpty; sys_platform == "nonsense"',
    'jupyterlab>=4; extra == "notebooks"',
    'pre-commit; extra == "dev"',
]


@pytest.mark.parametrize(
    ("torch", "lab", "states"),
    [("2.13.0", "4.6", "ok ok ok"), ("2.10.1", "4.6", "problem ok ok"), (None, None, "problem note ok")],
)
def test_what_is_missing_or_too_old_is_found(
    torch: str | None, lab: str | None, states: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = message_from_string("Provides-Extra: notebooks\nProvides-Extra: dev\n")
    monkeypatch.setattr(doctor, "installed_version", {"torch": torch, "jupyterlab": lab, "pre-commit": "4"}.get)
    monkeypatch.setattr("importlib.metadata.requires", lambda name: REQUIREMENTS)
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: project)
    assert [finding.state for finding in doctor.packages()] == states.split()


def test_data_is_found_in_the_first_folder_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    assert doctor.data_set().state == "note"
    (tmp_path / "cifar10" / "test_batch").touch()
    assert doctor.data_set() == doctor.Finding("data: cifar10", str(tmp_path / "cifar10"))


@pytest.mark.parametrize(("state", "code"), [("note", 0), ("problem", 1)])
def test_the_command_fails_on_problems_alone(
    state: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = doctor.Finding("torch", "[missing]", state, mend="pip install torch")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().out.split() == [state, "torch:", "[missing]", "pip", "install", "torch"]
