"""The handwritten digits that come with scikit-learn: 1 797 grey pictures of 8 × 8 pixels.

>>> load_digits().train_images.amax().item()
255
"""

import numpy as np
import torch

from tuckerlab.datasets.images import ImageData, stratified
from tuckerlab.datasets.pictures import stack


def load_digits(*, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """Four fifths to train and one fifth to test, each digit's share kept; the values 0..16 become 0..255."""
    from sklearn import datasets

    bundled = datasets.load_digits()
    pixels = np.rint(bundled.images * (255 / 16)).astype(np.uint8)[..., None]
    images = stack(list(pixels), "picture {}".format, size=image_size or 8, grey=grey)
    labels = torch.from_numpy(bundled.target.astype(np.int64))
    test, train = stratified(labels, len(labels) // 5, seed=0)
    return ImageData(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple("0123456789"),
    )
