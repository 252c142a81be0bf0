"""A folder of images to begin with, where somebody has none of their own yet: the digits of scikit-learn as files.

>>> import tempfile
>>> folder = write_example(Path(tempfile.mkdtemp()) / "digits")
>>> sorted(path.name for path in folder.iterdir()), len(list(folder.glob("train/*/*.png")))
(['test', 'train'], 1438)
"""

import os
from pathlib import Path

from PIL import Image
from torch import Tensor

from tuckerlab.data.digits import load_digits


def write_example(folder: str | os.PathLike[str]) -> Path:
    """Writes train/DIGIT/NUMBER.png and test/DIGIT/NUMBER.png, 1 797 files, unless they are there; returns the folder.

    Only files that are missing are written: what a reader has added or changed for an exercise stays.
    """
    data, place = load_digits(), Path(folder)
    _write(place / "train", data.train_images, data.train_labels)
    _write(place / "test", data.test_images, data.test_labels)
    return place


def _write(split: Path, images: Tensor, labels: Tensor) -> None:
    for number, (image, label) in enumerate(zip(images.numpy(), labels.tolist(), strict=True)):
        file = split / str(label) / f"{number:04}.png"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(file)
