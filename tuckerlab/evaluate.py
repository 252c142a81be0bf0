"""How good a network is on pictures it was not trained on: `evaluate`.

>>> from tuckerlab import build, load_data
>>> data = load_data("digits")
>>> result = evaluate(build("vgg_small", in_channels=1, image_size=8), data)
>>> 0 <= result.accuracy <= 1
True
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab.augment import batches
from tuckerlab.datasets import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.undisturbed import undisturbed

BATCH = 512


class Result(NamedTuple):
    """Mean cross-entropy, and the fraction of pictures whose class is right."""

    loss: float
    accuracy: float


def evaluate(model: nn.Module, data: ImageData, *, channels_last: bool = True) -> Result:
    """Loss and accuracy on the test split, in eval mode; the model's mode is restored.

    >>> from tuckerlab import build, load_data
    >>> model = build("vgg_small", in_channels=1, image_size=8).train()
    >>> _ = evaluate(model, load_data("digits")); model.training
    True
    """
    loss = torch.zeros((), device=data.test_images.device)
    correct = torch.zeros((), device=data.test_images.device)
    with undisturbed(model, training=False), torch.inference_mode():
        for images, labels in batches(data.test_images, data.test_labels, BATCH):
            inputs = data.normalize(images)
            if channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            logits = model(inputs)
            loss += F.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
    return Result(loss.item() / len(data.test_labels), correct.item() / len(data.test_labels))


def check_network(model: nn.Module, data: ImageData) -> None:
    """TuckerlabError for a network that does not answer these images with a number for each class.

    >>> from tuckerlab import load_data
    >>> check_network(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), load_data("digits"))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: the network gives 3 numbers for each image and the data have 10 classes: build ...
    """
    if not isinstance(data, ImageData):
        raise TuckerlabError(f"data: {type(data).__name__}; give what load_data returns (ImageData)")
    images = data.normalize(data.train_images[:2])
    channels, *size = images.shape[1:]
    try:
        with undisturbed(model, training=False), torch.no_grad():
            logits = model(images)
    except Exception as error:  # the forward of the caller's network, which may raise anything
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise TuckerlabError(
            f"the network cannot take images of {channels} × {size[0]} × {size[1]} in {images.dtype} ({said}): if that "
            f"is their shape, build it for {channels} channels and this size, or load the data otherwise"
        ) from error
    check_logits(logits, len(images), len(data.classes))


def check_logits(logits: object, images: int, classes: int) -> None:
    """TuckerlabError for an answer that is no tensor with a row for each image and a number for each class.

    >>> check_logits(torch.zeros(2, 10), 2, 10)
    """
    if not isinstance(logits, Tensor):
        raise TuckerlabError(
            f"the network returns {type(logits).__name__}, expected is a tensor of images × classes: wrap it in a "
            "module whose forward returns the logits alone"
        )
    if logits.dim() != 2 or len(logits) != images:
        raise TuckerlabError(
            f"the network returns a tensor of shape {tuple(logits.shape)} for {images} images, expected is images × "
            "classes: flatten it before the last layer"
        )
    if logits.shape[1] != classes:
        raise TuckerlabError(
            f"the network gives {logits.shape[1]} numbers for each image and the data have {classes} classes: build it "
            f"with num_classes={classes}"
        )
