"""CIFAR-10 (Krizhevsky, 2009): 60 000 colour pictures of 32 × 32 pixels, in each of its published forms.

The official binary batches, the official pickled batches (nothing in them is executed), or Parquet with
encoded pictures in `img.bytes` and a `label`, as data-set hubs have it; in each root or in its folder
`cifar10`.
"""

import io
import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuckerlab.data.decode import Stamp, reason, stack
from tuckerlab.data.image_data import ImageData
from tuckerlab.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
PER_BATCH = 10_000  # pictures in each official file
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", ".", "plain_text")  # original pixels first
_SIDE = 32

Split = tuple[Tensor, Tensor, str]  # images, labels, note


def load_cifar10(roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """The first copy found under `roots`; `DataError` says where it looked, or which file is incomplete."""
    (images, labels, note), (test_images, test_labels, _) = (
        _read(tuple(Stamp.of(file) for file in files), image_size or _SIDE, grey) for files in _find(roots)
    )
    return ImageData("cifar10", images, labels, test_images, test_labels, CLASSES, note)


def _find(roots: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files of the training and of the test split."""
    looked = [place for root in roots for place in (root / "cifar10", root)]
    for folder in (place / name for place in looked for name in _FOLDERS):
        for suffix in (".bin", ""):
            files = [folder / (name + suffix) for name in BATCHES]
            missing = [file.name for file in files if not file.is_file()]
            if not missing:
                return files[:-1], files[-1:]
            if len(missing) < len(files):
                raise DataError(
                    f"the CIFAR-10 in {folder} is not complete: {', '.join(missing)} missing; fetch it again"
                )
        train, test = sorted(folder.glob("train*.parquet")), sorted(folder.glob("test*.parquet"))
        if train and test:
            return train, test
    raise DataError(
        f"cifar10 is not here: looked in {', '.join(str(place) for place in looked)}; put "
        "cifar-10-batches-bin, cifar-10-batches-py or Parquet files (train*.parquet and test*.parquet) there, or set "
        "TUCKERLAB_DATA to the folder that has cifar10/ in it"
    )


@lru_cache(maxsize=4)  # two sizes of both splits
def _read(stamps: tuple[Stamp, ...], size: int, grey: bool | None) -> Split:
    read = {".parquet": _from_parquet, ".bin": _from_binary}.get(stamps[0].path.suffix, _from_pickle)
    pictures: list[Any] = []  # encoded, or 32 × 32 × 3
    labels: list[int] = []
    names: list[str] = []
    for file in (stamp.path for stamp in stamps):
        try:
            more, numbers = read(file)
            if not len(more) == len(numbers) > 0 or not all(0 <= number < len(CLASSES) for number in numbers):
                raise ValueError("it has no pictures, or labels that are not from 0 to 9, one for each")
        except Exception as error:  # a broken file can fail with anything
            raise DataError(f"{file} is cut off or not CIFAR-10: {reason(error)}; fetch it again") from error
        pictures += more
        labels += numbers
        names += [f"row {row} of {file}" for row in range(len(numbers))]
    images, _ = stack(pictures, names.__getitem__, size=size, grey=bool(grey))
    note = "this copy of CIFAR-10 is JPEG re-encoded: accuracy is a little below that on the original pixels"
    jpeg = any(isinstance(picture, bytes) and picture.startswith(b"\xff\xd8") for picture in pictures)
    return images, torch.tensor(labels), note if jpeg else ""


def _from_binary(file: Path) -> tuple[list[Any], list[int]]:
    """One batch of records: a byte for the label, 1 024 each for red, green, blue."""
    records = np.fromfile(file, dtype=np.uint8).reshape(PER_BATCH, 1 + 3 * _SIDE**2)
    return _pictures(records[:, 1:]), records[:, 0].tolist()


def _from_pickle(file: Path) -> tuple[list[Any], list[int]]:
    """One batch: a dict with `data` (N × 3 072 bytes) and `labels` (a list), written by Python 2."""
    batch = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    return _pictures(batch[b"data"]), np.asarray(batch[b"labels"]).tolist()


def _pictures(pixels: NDArray[np.uint8]) -> list[Any]:
    """Rows of all red, all green and all blue bytes, as pictures 32 × 32 × 3."""
    return list(pixels.reshape(PER_BATCH, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    """Reads containers, numbers and numpy arrays; whatever else a pickle would import or call is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy":  # where numpy keeps its function changes with its versions
            for allowed in (np.ndarray, np.dtype, np.empty(0).__reduce__()[0]):
                if name == getattr(allowed, "__name__", None):
                    return allowed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data set")


def _from_parquet(file: Path) -> tuple[list[Any], list[int]]:
    """Encoded pictures in a struct column `img` with a field `bytes`, or in a flat column `img.bytes`."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as parquet:
        table = parquet.read().flatten()
    return table.column("img.bytes").to_pylist(), table.column("label").to_pylist()
