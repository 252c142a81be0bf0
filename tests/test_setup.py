"""The set-up files say the same thing everywhere, name no address and no machine, and install once."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import tuckerlab

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DIRECT = [Requirement(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group]

ADDRESS = re.compile(r"\b(?:https?|ftp|file|git\+\w+|ssh)://[^\s)\"'>\\]*")
# Where literature and file formats live; everything else is somebody's server.
CITED = re.compile(r"https?://(?:doi\.org|arxiv\.org|www\.w3\.org)/")
MACHINE = re.compile(
    r"(?<![\w.~$})>*-])/(?:home|Users|root|tmp|opt|mnt|srv|work|workspaces?|builds|private|var/folders)/[\w.-]+"
    r"|\b[A-Za-z]:\\{1,2}Users\\"
)


def leaks(text: str) -> list[str]:
    """The addresses and the absolute paths of machines in a text."""
    addresses = [found for found in ADDRESS.findall(text) if not CITED.match(found)]
    return addresses + MACHINE.findall(text)


def parse_pins(text: str) -> dict[str, str]:
    """Name to version of a constraints file; ValueError for a line that is not an exact, portable pin."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([0-9][0-9a-z.]*)", line)
        if found is None or canonicalize_name(found[1]) in pins:
            raise ValueError(f"not an exact pin, given once: {line!r}")
        pins[canonicalize_name(found[1])] = found[2]
    return pins


def unpinned(direct: list[Requirement], pins: dict[str, str]) -> set[str]:
    """What the requirements pull in on this machine, directly or not, and no pin names."""
    todo, seen = list(direct), set()
    while todo:
        requirement = todo.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                lines = metadata.requires(requirement.name) or []
            except metadata.PackageNotFoundError:
                continue  # not installed here, so nothing is known of what it needs
            wanted = map(Requirement, lines)
            todo += [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen} - pins.keys()


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    return parse_pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that are in the repository, or will be with the next commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so nobody knows which files are tracked")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


class TestPins:
    def test_every_line_is_an_exact_pin_without_an_address(self, pins: dict[str, str]) -> None:
        assert pins["torch"] == "2.13.0"
        assert len(pins) > 100

    @pytest.mark.parametrize(
        "line",
        ["torch>=2.11", "torch==2.13.0+cpu", "torch @ file:torch.whl", "--find-links here", "a==1\na==1"],
    )
    def test_other_lines_are_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match="not an exact pin"):
            parse_pins(line)

    @pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
    def test_what_the_project_asks_for_is_pinned_within_its_range(
        self, requirement: Requirement, pins: dict[str, str]
    ) -> None:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])

    def test_what_that_pulls_in_is_pinned_too(self, pins: dict[str, str]) -> None:
        assert unpinned(DIRECT, pins) == set()
        without = {name: pin for name, pin in pins.items() if name != "sympy"}  # torch needs it
        assert unpinned(DIRECT, without) == {"sympy"}

    def test_pre_commit_uses_the_same_versions(self, pins: dict[str, str]) -> None:
        config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
        hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
        used = [Requirement(line) for hook in hooks for line in hook["additional_dependencies"]]
        assert {requirement.name for requirement in used} == {"ruff", "nbstripout"}
        for requirement in used:
            assert str(requirement.specifier) == f"=={pins[requirement.name]}"

    def test_conda_installs_what_make_installs(self, pins: dict[str, str]) -> None:
        environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
        conda = [line for line in environment["dependencies"] if isinstance(line, str)]
        (pip,) = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        (made,) = re.findall(r"pip install --constraint constraints\.txt --editable '\.\[([\w,]+)\]'", makefile)
        assert pip == ["--constraint constraints.txt", f"--editable .[{made}]"]
        assert set(made.split(",")) == set(EXTRAS)
        for line in conda:
            name, _, version = line.partition("=")
            if name == "python":
                assert SpecifierSet(PROJECT["requires-python"]).contains(Version(version))
            elif version:
                assert pins[canonicalize_name(name)] == version.strip("=")

    def test_the_version_is_said_once_more_in_the_package(self) -> None:
        assert tuckerlab.__version__ == PROJECT["version"]


class TestFiles:
    def test_no_address_and_no_machine_path(self, tracked: list[Path]) -> None:
        found = {}
        for path in tracked:
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a picture
            if leaked := leaks(text):
                found[path.name] = leaked
        assert found == {}

    @pytest.mark.parametrize(
        "text",
        [
            "see https:" + "//example.org/x",
            "--index-url file:" + "///pypi",
            "data = '/ho" + "me/ann/data'",
            "in /t" + "mp/run",
            "C:" + "\\Users\\ann",
        ],
    )
    def test_the_check_above_can_fail(self, text: str) -> None:
        assert len(leaks(text)) == 1

    @pytest.mark.parametrize(
        "text",
        ["https:" + "//arxiv.org/abs/2305.19059", "../shared/data", "a/tmp/b", "/usr/bin/env bash", "1/2"],
    )
    def test_the_check_above_lets_ordinary_text_pass(self, text: str) -> None:
        assert leaks(text) == []

    def test_no_data_set_is_tracked(self, tracked: list[Path]) -> None:
        data = [path.relative_to(ROOT / "data") for path in tracked if path.is_relative_to(ROOT / "data")]
        assert [str(path) for path in data if path.parts[0] not in ("README.md", "results")] == []

    def test_notebooks_are_without_outputs(self, tracked: list[Path]) -> None:
        for path in tracked:
            if path.suffix == ".ipynb":
                notebook = json.loads(path.read_text(encoding="utf-8"))
                assert not any(cell.get("outputs") for cell in notebook["cells"]), path.name
                assert "widgets" not in notebook["metadata"], path.name


class TestCommands:
    def test_ci_runs_the_tests_through_make(self) -> None:
        script = ROOT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        assert re.search(r"^make test\b", script.read_text(encoding="utf-8"), re.MULTILINE)
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0

    def test_hosted_ci_runs_the_two_commands(self) -> None:
        workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
        runs = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
        assert runs == ["make test", "make poc"]

    @pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
    def test_make_alone_lists_every_target(self) -> None:
        said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, env=plain()).stdout
        assert re.findall(r"^  make ([\w-]+)", said, re.MULTILINE) == [
            "help",
            "poc",
            "headline",
            "test",
            "lab",
            "app",
            "course",
            "bench",
            "bench-gpu",
            "clean",
        ]

    @pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
    @pytest.mark.parametrize("target", ["poc", "headline", "test", "lab", "app", "course", "bench", "bench-gpu"])
    def test_a_second_call_installs_nothing(self, target: str, tmp_path: Path) -> None:
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, tmp_path)
        assert "pip install" in planned(target, tmp_path)
        stamp = tmp_path / ".venv" / ".ready"
        stamp.parent.mkdir()
        stamp.touch()
        assert "pip install" not in planned(target, tmp_path)
        later = stamp.stat().st_mtime + 10
        os.utime(tmp_path / "constraints.txt", (later, later))
        assert "pip install" in planned(target, tmp_path)


def planned(target: str, folder: Path) -> str:
    """The commands that make would run."""
    command = ["make", "--dry-run", target]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=plain()).stdout


def plain() -> dict[str, str]:
    """The environment without what an outer make (as in `make test`) hands to inner ones."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
