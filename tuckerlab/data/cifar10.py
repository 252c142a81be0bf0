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

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]  # N × 3 × 32 × 32, N
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
                raise _incomplete(folder, ", ".join(missing))
        train, test = sorted(folder.glob("train*.parquet")), sorted(folder.glob("test*.parquet"))
        if train and test:
            return train, test
        if train or test:
            raise _incomplete(folder, "train*.parquet" if test else "test*.parquet")
    raise DataError(
        f"cifar10 is not here: looked in {', '.join(str(place) for place in looked)}; put "
        "cifar-10-batches-bin, cifar-10-batches-py or its Parquet files there, or set TUCKERLAB_DATA to the "
        "folder that has cifar10/ in it"
    )


def _incomplete(folder: Path, missing: str) -> DataError:
    return DataError(f"the CIFAR-10 in {folder} is not complete: {missing} is missing; fetch it again")


def _broken(file: Path, why: str) -> DataError:
    return DataError(f"{file} is cut off or not CIFAR-10: {why}; fetch it again")


@lru_cache(maxsize=4)  # two sizes of both splits
def _read(stamps: tuple[Stamp, ...], size: int, grey: bool | None) -> Split:
    files = [stamp.path for stamp in stamps]
    if files[0].suffix == ".parquet":
        return _read_parquet(files, size, grey)
    read = _read_binary if files[0].suffix == ".bin" else _read_pickle
    parts = [read(file) for file in files]
    pixels, labels = (np.concatenate(part) for part in zip(*parts, strict=True))  # N × 3 × 32 × 32, N
    if size == _SIDE and not grey:
        images = torch.from_numpy(pixels)
    else:
        images = stack(list(pixels.transpose(0, 2, 3, 1)), "picture {}".format, size=size, grey=bool(grey)).images
    return images, torch.from_numpy(labels), ""


def _read_binary(file: Path) -> Batch:
    """One batch of records: a byte for the label, 1 024 each for red, green, blue."""
    record = 1 + 3 * _SIDE**2
    wanted, there = PER_BATCH * record, file.stat().st_size
    if there != wanted:
        raise _broken(file, f"it has {there} bytes instead of {wanted}")
    records = np.fromfile(file, dtype=np.uint8).reshape(PER_BATCH, record)
    return records[:, 1:].reshape(-1, 3, _SIDE, _SIDE), _checked(records[:, 0], file)


def _read_pickle(file: Path) -> Batch:
    """One batch: a dict with `data` (N × 3 072 bytes) and `labels` (a list), written by Python 2."""
    try:
        batch = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.asarray(batch[b"labels"])
        shapes = pixels.shape, labels.shape
    except Exception as error:  # a broken pickle can fail with anything
        raise _broken(file, reason(error)) from error
    if pixels.dtype != np.uint8 or shapes != ((PER_BATCH, 3 * _SIDE**2), (PER_BATCH,)):
        raise _broken(file, f"its data and labels have the shapes {shapes[0]} and {shapes[1]}")
    return pixels.reshape(-1, 3, _SIDE, _SIDE), _checked(labels, file)


class _ArraysOnly(pickle.Unpickler):
    """Reads containers, numbers and numpy arrays; whatever else a pickle would import or call is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy":  # where numpy keeps its function changes with its versions
            for allowed in (np.ndarray, np.dtype, np.empty(0).__reduce__()[0]):
                if name == getattr(allowed, "__name__", None):
                    return allowed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in a data set")


def _read_parquet(files: Sequence[Path], size: int, grey: bool | None) -> Split:
    """Encoded pictures in a struct column `img` with a field `bytes`, or in a flat column `img.bytes`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    encoded: list[bytes] = []
    labels: list[NDArray[np.int64]] = []
    names: list[str] = []
    for file in files:
        try:
            with pq.ParquetFile(file) as parquet:
                table = parquet.read().flatten()
        except (pa.ArrowException, OSError) as error:
            raise _broken(file, reason(error)) from error
        if not {"img.bytes", "label"} <= set(table.column_names):
            columns = ", ".join(table.column_names)
            raise DataError(f"{file} has the columns {columns}; give Parquet with img (holding bytes) and label")
        pictures, numbers = table.column("img.bytes"), table.column("label")
        if pictures.null_count or numbers.null_count or not pa.types.is_integer(numbers.type):
            raise _broken(file, "it has rows without a picture or without a whole number as label")
        encoded += pictures.to_pylist()
        labels.append(_checked(numbers.to_numpy(), file))
        names += [f"row {row} of {file}" for row in range(len(table))]
    if not encoded:
        raise _broken(files[0], "it has no rows")
    images = stack(encoded, names.__getitem__, size=size, grey=False if grey is None else grey).images
    jpeg = any(picture.startswith(b"\xff\xd8") for picture in encoded)
    note = "this copy of CIFAR-10 is JPEG re-encoded: accuracy is a little below that on the original pixels"
    return images, torch.from_numpy(np.concatenate(labels)), note if jpeg else ""


def _checked(labels: NDArray[Any], file: Path) -> NDArray[np.int64]:
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise _broken(file, f"it has labels from {labels.min()} to {labels.max()} instead of 0 to 9")
    return labels.astype(np.int64)
