"""What doctor finds, on made-up installations, and what mends it."""

from email import message_from_string
from pathlib import Path

import pytest

from tuckerlab.cli import doctor, main as cli

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
