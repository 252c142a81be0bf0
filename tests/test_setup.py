"""The public names cost nothing before they are used; set-up files agree; no file names an address or a machine."""

import re
import subprocess
import textwrap
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import nn

import tuckerlab

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

# Addresses but those where literature and file formats live, and paths of machines.
ADDRESS = re.compile(r"\b(?:https?|ftp|file|git\+\w+|ssh)://(?!doi\.org|arxiv\.org|www\.w3\.org)[^\s)\"'>\\]*")
MACHINE = re.compile(
    r"(?<![\w.~$})>*-])/(?:home|Users|root|tmp|opt|mnt|srv|work|workspaces?|builds|private|var/folders)/[\w.-]+"
    r"|\b[A-Za-z]:\\{1,2}Users\\"
)


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(tuckerlab, name) is not None for name in tuckerlab.__all__)
    assert set(tuckerlab.__all__) <= set(dir(tuckerlab))
    assert tuckerlab.__version__ == PROJECT["version"]
    with pytest.raises(AttributeError, match="'tuckerlab' has no attribute 'tuckerise'"):
        tuckerlab.tuckerise  # noqa: B018


def test_the_loop_in_the_docstring_trains() -> None:
    lines = (tuckerlab.__doc__ or "").splitlines()
    block = [line for line in lines if not line.strip() or line.startswith("    ")]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 4))
    x, y = torch.randn(32, 3, 8, 8), torch.randint(4, (32,))
    names = {"model": net, "criterion": nn.CrossEntropyLoss(), "loader": [(x, y)] * 12}
    before = names["criterion"](net(x), y).item()
    exec(textwrap.dedent("\n".join(block)), names)
    assert names["loss"].item() < before
    torch.testing.assert_close(names["plain"].eval()(x), names["model"].eval()(x))


def test_what_the_project_asks_for_is_pinned_within_its_range() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    asked = [Requirement(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group]
    assert [str(r) for r in asked if pins[canonicalize_name(r.name)] not in r.specifier] == []


def test_no_address_no_machine_path_and_no_data_set_is_tracked() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so nobody knows which files are tracked")
    found = {}
    for path in (ROOT / name for name in listed if not name.endswith(".png")):
        text = path.read_bytes().decode("utf-8", "ignore") if path.is_file() else ""
        found |= {path.name: leaks} if (leaks := ADDRESS.findall(text) + MACHINE.findall(text)) else {}
    assert found == {}
    data = [Path(name).parts[1] for name in listed if name.startswith("data/")]
    assert set(data) <= {"README.md", "results"}
