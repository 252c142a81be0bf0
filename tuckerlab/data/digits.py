"""The handwritten digits that come with scikit-learn: 1 797 grey pictures of 8 × 8 pixels."""

import os
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tuckerlab.data.decode import stack
from tuckerlab.data.image_data import ImageData, stratified


def load_digits(*, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """Four fifths to train and one fifth to test, each digit's share kept; the values 0..16 become 0..255."""
    table = np.loadtxt(sklearn_file("data/digits.csv.gz"), delimiter=",")  # a row: 64 pixels and what they show
    pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    images = stack(list(pixels), "picture {}".format, size=image_size or 8, grey=grey)[0]
    labels = torch.from_numpy(table[:, 64].astype(np.int64))
    test, train = stratified(labels, len(labels) // 5, seed=0)
    return ImageData("digits", images[train], labels[train], images[test], labels[test], tuple("0123456789"))


def write_example(folder: str | os.PathLike[str]) -> Path:
    """The digits as a folder of pictures, for those who have none of their own yet; returns the folder.

    Writes train/DIGIT/NUMBER.png and test/DIGIT/NUMBER.png, 1 797 files. Only files that are missing are written:
    what a reader has added or changed for an exercise stays.
    """
    data, place = load_digits(), Path(folder)
    for split, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.test_images, data.test_labels),
    ):
        for number, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
            file = place / split / str(label) / f"{number:04}.png"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[0]).save(file)
    return place


def sklearn_file(name: str) -> Path:
    """A file in scikit-learn's folder of data sets, without the two seconds that importing it takes."""
    return Path(str(distribution("scikit-learn").locate_file(f"sklearn/datasets/{name}")))
