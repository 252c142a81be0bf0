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
from torch import nn

from tuckerlab.augment import batches
from tuckerlab.datasets import ImageData
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
