"""What a network is worth and costs: accuracy on images it was not trained on, multiply-adds, size of its file."""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.augment import batches
from tuckerlab.training.eval_mode import undisturbed

BATCH = 512


class Result(NamedTuple):
    """Mean cross-entropy, and the fraction of pictures whose class is right."""

    loss: float
    accuracy: float


def evaluate(model: nn.Module, data: ImageData, *, channels_last: bool = True) -> Result:
    """Loss and accuracy on the test split, in eval mode; the model's mode is restored."""
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


def answers_by_class(model: nn.Module, data: ImageData) -> dict[str, list[int]]:
    """Of each class: training images, test images, those of them that are named rightly, and how often it is named."""
    tensor = next(chain(model.parameters(), model.buffers()), data.test_images)  # a quantized network may have none
    data, named = data.to(tensor.device), []
    with undisturbed(model, training=False), torch.inference_mode():
        for images, _labels in batches(data.test_images, data.test_labels, BATCH):
            named.append(model(data.normalize(images).contiguous(memory_format=torch.channels_last)).argmax(1))
    answers = torch.cat(named)
    right = data.test_labels[answers == data.test_labels]
    counted = [
        part.bincount(minlength=data.num_classes) for part in (data.train_labels, data.test_labels, right, answers)
    ]
    return dict(zip(data.classes, torch.stack(counted, 1).tolist(), strict=True))


def check_network(model: nn.Module, data: ImageData) -> None:
    """TuckerlabError for a network that does not answer these images with a number for each class."""
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
    """TuckerlabError for an answer that is no tensor with a row for each image and a number for each class."""
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


def multiply_adds(model: nn.Module, example_shape: Iterable[int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image of (channels, height, width).

    Additions of biases, normalisation, activations and pooling are not counted, as is usual.
    """
    parameter = next(model.parameters(), torch.zeros(()))
    example = torch.zeros(1, *example_shape, device=parameter.device, dtype=parameter.dtype)
    with undisturbed(model, training=False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    return int(counter.get_total_flops()) // 2


def checkpoint_bytes(model: nn.Module) -> int:
    """Size of the model's safetensors file, header included; nothing is written."""
    tensors = {  # safetensors refuses one tensor under two names
        (value.data_ptr(), value.shape): (name, value.contiguous())
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor)
    }
    return len(safetensors.torch.save(dict(tensors.values())))
