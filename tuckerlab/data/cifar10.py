"""CIFAR-10 (Krizhevsky, 2009): the official batches, without executing their pickles, or Parquet of data-set hubs."""

import io
import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuckerlab.data.decode import changed, reason, stack
from tuckerlab.data.image_data import ImageData
from tuckerlab.errors import DataError
from tuckerlab.i18n import _

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
SIDE = 32
JPEG = b"\xff\xd8"  # how such a file begins


def load_cifar10(roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """The first copy found under `roots`; `DataError` says where it looked, or which file is incomplete."""
    (images, labels, note), (test_images, test_labels, _) = (
        _read(files, changed(files), image_size or SIDE, grey) for files in _find(roots)
    )
    return ImageData("cifar10", images, labels, test_images, test_labels, CLASSES, note)


def _find(roots: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files of the training and of the test split."""
    looked = [place for root in roots for place in (root / "cifar10", root)]
    for place in looked:
        batches = place / "cifar-10-batches-py"
        if batches.is_dir():
            return tuple(batches / name for name in TRAIN), tuple(batches / name for name in TEST)
        for folder in (place, place / "plain_text"):
            train, test = (tuple(sorted(folder.glob(f"{split}*.parquet"))) for split in ("train", "test"))
            if train and test:
                return train, test
    raise DataError(_(
        "cifar10 is not here: looked in {places}; put cifar-10-batches-py or Parquet files (train*.parquet and "
        "test*.parquet) there, or set TUCKERLAB_DATA to the folder that has cifar10/ in it",
        places=", ".join(map(str, looked)),
    ))  # fmt: skip


@lru_cache(maxsize=4)  # two sizes of both splits
def _read(files: tuple[Path, ...], when: tuple[int, ...], size: int, grey: bool | None) -> tuple[Tensor, Tensor, str]:
    pictures: list[Any] = []  # encoded, or 32 × 32 × 3
    labels: list[int] = []
    for file in files:
        try:
            more, numbers = (_from_parquet if file.suffix == ".parquet" else _from_pickle)(file)
            if not len(more) == len(numbers) > 0 or not set(numbers) <= set(range(len(CLASSES))):
                raise ValueError("it has no pictures, or labels that are not from 0 to 9, one for each")
        except Exception as error:  # a broken file can fail with anything
            raise DataError(f"{file} is missing, cut off or not CIFAR-10: {reason(error)}; fetch it again") from error
        pictures += more
        labels += numbers
    images = stack(pictures, f"picture {{}} of {files[0]} and those beside it".format, size=size, grey=bool(grey))
    is_jpeg = any(isinstance(picture, bytes) and picture.startswith(JPEG) for picture in pictures)
    note = "this copy of CIFAR-10 is JPEG re-encoded: accuracy is a little below that on the original pixels"
    return images, torch.tensor(labels), note if is_jpeg else ""


def _from_pickle(file: Path) -> tuple[list[Any], list[int]]:
    """One batch: a dict with `data` (N rows of all red, all green and all blue bytes) and `labels` (a list)."""
    batch = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()
    pixels = batch[b"data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return list(pixels), np.asarray(batch[b"labels"]).tolist()


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
