"""The set-up files say the same thing everywhere, name no address and no machine, and install once."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tuckerlab

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

ADDRESS = re.compile(r"\b(?:https?|ftp|file|git\+\w+|ssh)://[^\s)\"'>\\]*")
# Where literature and file formats live; everything else is somebody's server.
CITED = re.compile(r"https?://(?:doi\.org|arxiv\.org|www\.w3\.org)/")
MACHINE = re.compile(
    r"(?<![\w.~$})>*-])/(?:home|Users|root|tmp|opt|mnt|srv|work|workspaces?|builds|private|var/folders)/[\w.-]+"
    r"|\b[A-Za-z]:\\{1,2}Users\\"
)


def leaks(text: str) -> list[str]:
    """The addresses and the absolute paths of machines in a text."""
    return [found for found in ADDRESS.findall(text) if not CITED.match(found)] + MACHINE.findall(text)


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line.strip() and not line.startswith("#"))


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that are in the repository, or will be with the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so nobody knows which files are tracked")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_what_the_project_asks_for_is_pinned_within_its_range(pins: dict[str, str]) -> None:
    asked = [Requirement(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group]
    assert [str(r) for r in asked if not r.specifier.contains(pins[canonicalize_name(r.name)])] == []


def test_pre_commit_uses_the_same_versions(pins: dict[str, str]) -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    for requirement in (Requirement(line) for hook in hooks for line in hook["additional_dependencies"]):
        assert str(requirement.specifier) == f"=={pins[requirement.name]}"


def test_conda_installs_what_make_installs() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (made,) = re.findall(r"pip install --constraint constraints\.txt --editable '\.\[([\w,]+)\]'", makefile)
    assert pip == ["--constraint constraints.txt", f"--editable .[{made}]"]
    assert set(made.split(",")) == set(EXTRAS)


def test_the_version_is_said_once_more_in_the_package() -> None:
    assert tuckerlab.__version__ == PROJECT["version"]


def test_no_address_no_machine_path_and_no_data_set_is_tracked(tracked: list[Path]) -> None:
    found = {}
    for path in tracked:
        try:
            leaked = leaks(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # a picture
        if leaked:
            found[path.name] = leaked
    assert found == {}
    data = [path.relative_to(ROOT / "data") for path in tracked if path.is_relative_to(ROOT / "data")]
    assert [str(path) for path in data if path.parts[0] not in ("README.md", "results")] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_second_call_of_make_installs_nothing(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    assert "pip install" in planned(tmp_path)
    (tmp_path / ".venv").mkdir()
    for stamp in (tmp_path / ".venv" / ".core", tmp_path / ".venv" / ".ready"):
        stamp.touch()
    assert "pip install" not in planned(tmp_path)
    later = stamp.stat().st_mtime + 10
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert "pip install" in planned(tmp_path)


def planned(folder: Path) -> str:
    """The commands that make would run, without what an outer make (as in `make test`) hands to inner ones."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "poc"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=plain).stdout
