"""What doctor finds, on made-up machines: each thing that can be wrong, and what mends it."""

import tomllib
from pathlib import Path

import pytest

from tuckerlab.cli import doctor
from tuckerlab.decision import pdf

REQUIREMENTS = [
    "torch>=2.11",
    'pywinpty; sys_platform == "nonsense"',
    'jupyterlab>=4; extra == "notebooks"',
    'papermill>=2; extra == "notebooks"',
    'pre-commit; extra == "dev"',
]


def states(installed: dict[str, str]) -> dict[str, str]:
    return {finding.what: finding.state for finding in doctor.packages(REQUIREMENTS, installed.get)}


def test_everything_there_is_in_order() -> None:
    installed = {"torch": "2.13.0+cpu", "jupyterlab": "4.6", "papermill": "2.7", "pre-commit": "4"}
    assert states(installed) == {"torch": "ok", "extra notebooks": "ok", "extra dev": "ok"}


def test_a_missing_extra_is_a_note_with_its_command() -> None:
    findings = doctor.packages(REQUIREMENTS, {"torch": "2.12", "jupyterlab": "4.6", "pre-commit": "4"}.get)
    (note,) = [finding for finding in findings if finding.state == "note"]
    assert (note.what, note.found) == ("extra notebooks", "papermill missing")
    assert "pip install" in note.mend
    assert "[notebooks]" in note.mend


@pytest.mark.parametrize("installed", [{}, {"torch": "2.10.1"}])
def test_a_needed_package_missing_or_too_old_is_a_problem(installed: dict[str, str]) -> None:
    assert states(installed)["torch"] == "problem"


def test_a_package_that_is_not_installed_at_all_is_a_problem() -> None:
    (finding,) = doctor.packages([], {}.get)
    assert finding.is_problem
    assert "pip install" in finding.mend


def test_pins_ignore_the_build_of_a_version_and_what_is_not_installed() -> None:
    pinned = {"torch": "2.13.0", "numpy": "2.4.6", "appnope": "1.0.0"}
    (same,) = doctor.pins(pinned, {"torch": "2.13.0+cu130", "numpy": "2.4.6"}.get)
    assert same.state == "ok"
    (other,) = doctor.pins(pinned, {"torch": "2.12.0", "numpy": "2.4.6"}.get)
    assert other.state == "note"
    assert "2.12.0" in other.found
    assert "2.13.0" in other.found
    assert doctor.pins({}, {}.get) == []


def test_the_pins_of_this_checkout_are_read() -> None:
    pinned = doctor.pinned_versions(doctor.CHECKOUT / "constraints.txt")
    assert pinned["torch"] == "2.13.0"
    assert doctor.pinned_versions(Path("nowhere/constraints.txt")) == {}


def test_data_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    (empty / "cifar10").mkdir(parents=True)
    (full / "cifar10").mkdir(parents=True)
    missing = doctor.data_sets([empty, full])[1]
    assert missing.state == "note"
    assert str(empty / "cifar10") in missing.found
    assert str(full / "cifar10") in missing.found
    (full / "cifar10" / "test_batch").touch()
    assert doctor.data_sets([empty, full])[1] == doctor.Finding("data: cifar10", str(full / "cifar10"))


def test_the_python_in_use_is_new_enough_and_an_old_one_is_not() -> None:
    assert not doctor.python_version((3, 11, 0)).is_problem
    assert not doctor.python_version((3, 14, 0)).is_problem
    assert doctor.python_version((3, 10, 9)).is_problem


def test_the_app_and_the_browser_for_tests_are_notes_at_most() -> None:
    assert doctor.app({"voila": "0.5"}.get) == doctor.Finding("app", "voila 0.5")
    missing = doctor.app({}.get)
    assert (missing.state, "[notebooks]" in missing.mend) == ("note", True)
    assert doctor.browser({"google-chrome": "/a/chrome"}.get).found == "/a/chrome"
    assert doctor.browser({}.get).state == "note"
    for name in (*pdf.NAMES, *pdf.PLACES):  # whatever prints a brief is found
        assert doctor.browser({name: name}.get) == doctor.Finding("browser", name)


def test_the_extras_of_the_project_are_those_that_doctor_tells_of() -> None:
    project = tomllib.loads((doctor.CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {"deploy", "brief"} <= extras.keys()
    requirements = [f'{asked}; extra == "{extra}"' for extra, names in extras.items() for asked in names]
    found = {finding.what: finding for finding in doctor.packages(requirements, {}.get)}
    assert found.keys() == {f"extra {extra}" for extra in extras}
    assert found["extra deploy"].found == "onnx, onnxruntime, onnxscript missing"
    assert "[brief]" in found["extra brief"].mend
