"""Made-up pictures and broken files, for the tests of the data sets."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.errors import DataError

ROOT = os.environ.get("TUCKERLAB_DATA")


def need(name: str) -> None:
    if ROOT is None or not (Path(ROOT) / name).is_dir():
        pytest.skip(f"needs {name}/ in the folder that TUCKERLAB_DATA names")


def message(call: Callable[[], object]) -> str:
    """What a mistake is answered with: one line."""
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_pictures(
    folder: Path, counts: dict[str, int], *, shape: tuple[int, ...] = (10, 10), seed: int = 0
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for group, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(exist_ok=True)
        for i in range(count):
            files.append(folder / name / f"{i:02}.png")
            Image.fromarray(noise(seed + 100 * group + i, *shape)).save(files[-1])
    return files


def cut(path: Path, keep: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and no data anywhere."""
    monkeypatch.delenv("TUCKERLAB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
