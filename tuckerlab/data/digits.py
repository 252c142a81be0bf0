"""The handwritten digits that come with scikit-learn: 1 797 grey pictures of 8 × 8 pixels.

>>> load_digits().train_images.amax().item()
255
"""

import numpy as np
import torch

from tuckerlab.data.bundled import bundled
from tuckerlab.data.decode import stack
from tuckerlab.data.image_data import ImageData, stratified


def load_digits(*, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """Four fifths to train and one fifth to test, each digit's share kept; the values 0..16 become 0..255."""
    table = np.loadtxt(bundled("data/digits.csv.gz"), delimiter=",")  # a row a picture: 64 pixels and what it shows
    pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    images = stack(list(pixels), "picture {}".format, size=image_size or 8, grey=grey).images
    labels = torch.from_numpy(table[:, 64].astype(np.int64))
    test, train = stratified(labels, len(labels) // 5, seed=0)
    return ImageData(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple("0123456789"),
    )
