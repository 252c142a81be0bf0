"""The public names: each is there, none costs anything before it is used, and the docstring's loop runs."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

import tuckerlab

PACKAGE = Path(tuckerlab.__file__).parent


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(tuckerlab, name) is not None for name in tuckerlab.__all__)
    assert set(tuckerlab.__all__) <= set(dir(tuckerlab))
    with pytest.raises(AttributeError, match="'tuckerlab' has no attribute 'tuckerise'"):
        tuckerlab.tuckerise  # noqa: B018


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, tuckerlab; dir(tuckerlab); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False).returncode == 0


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
