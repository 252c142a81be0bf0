"""What doctor finds, on made-up installations, and what mends it."""

from email.message import Message
from pathlib import Path

import pytest

from tuckerlab.cli import doctor, main as cli

REQUIREMENTS = [
    "torch>=2.11",
    'pywinpty; sys_platform == "nonsense"',
    'jupyterlab>=4; extra == "notebooks"',
    'papermill>=2; extra == "notebooks"',
    'pre-commit; extra == "dev"',
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The packages that are there, and a project that asks for REQUIREMENTS."""
    found: dict[str, str] = {"torch": "2.13.0+cpu", "jupyterlab": "4.6", "papermill": "2.7", "pre-commit": "4"}
    project = Message()
    project["Provides-Extra"] = "notebooks"
    project["Provides-Extra"] = "dev"
    monkeypatch.setattr(doctor, "installed_version", found.get)
    monkeypatch.setattr("importlib.metadata.requires", lambda name: REQUIREMENTS)
    monkeypatch.setattr("importlib.metadata.metadata", lambda name: project)
    return found


def states() -> dict[str, str]:
    return {finding.what: finding.state for finding in doctor.packages()}


def test_everything_there_is_in_order(installed: dict[str, str]) -> None:
    assert states() == {"packages": "ok", "extra notebooks": "ok", "extra dev": "ok"}


@pytest.mark.parametrize("version", [None, "2.10.1"])
def test_a_needed_package_missing_or_too_old_is_a_problem(version: str | None, installed: dict[str, str]) -> None:
    installed.pop("torch")
    installed |= {"torch": version} if version else {}
    assert states()["packages"] == "problem"


def test_data_is_found_in_the_first_folder_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10").mkdir()
    assert doctor.data_set().state == "note"
    (tmp_path / "cifar10" / "test_batch").touch()
    assert doctor.data_set() == doctor.Finding("data: cifar10", str(tmp_path / "cifar10"))


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("problem", 1)])
def test_the_command_fails_on_problems_alone(
    state: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = doctor.Finding("torch", "[missing]", state, mend="pip install torch [now]")
    monkeypatch.setattr(doctor, "examine", lambda: [finding])
    assert cli.main(["doctor"]) == code
    printed = capsys.readouterr().out
    assert "[missing]" in printed  # brackets are not colours here
    assert "pip install torch [now]" in printed
