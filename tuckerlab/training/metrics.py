"""What a network is worth: accuracy on images it was not trained on; and what it costs wherever it runs."""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError

BATCH = 512


class Result(NamedTuple):
    """Mean cross-entropy, and the fraction of pictures whose class is right."""

    loss: float
    accuracy: float


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """The whole model in eval mode for the length of the block; each module is then in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def predict(model: nn.Module, data: ImageData, images: Tensor | None = None) -> Tensor:
    """The logits of the test images, or of other versions of them; model and data are on one device."""
    found = []
    with eval_mode(model), torch.inference_mode():
        for part in torch.split(data.test_images if images is None else images, BATCH):
            logits = model(data.normalize(part).contiguous(memory_format=torch.channels_last))
            check_logits(logits, len(part), data.num_classes)
            found.append(logits)
    return torch.cat(found)


def evaluate(model: nn.Module, data: ImageData, part: slice = slice(None)) -> Result:
    """Loss and accuracy on the test split or a part of it, in eval mode; the model's mode is restored."""
    logits, labels = predict(model, data, data.test_images[part]), data.test_labels[part]
    correct = (logits.argmax(1) == labels).sum().item()
    return Result(F.cross_entropy(logits.float(), labels).item(), correct / len(labels))


def answers_by_class(model: nn.Module, data: ImageData) -> dict[str, list[int]]:
    """Of each class: training images, test images, those of them that are named rightly, and how often it is named."""
    data = data.to(device_of(model, data))
    answers = predict(model, data).argmax(1)
    right = data.test_labels[answers == data.test_labels]
    parts = data.train_labels, data.test_labels, right, answers
    counted = torch.stack([part.bincount(minlength=data.num_classes) for part in parts], 1)
    return dict(zip(data.classes, counted.tolist(), strict=True))


def device_of(model: nn.Module, data: ImageData) -> torch.device:
    """Where the network lies, by its parameters; a quantized one may have none and lies with the data."""
    return next(chain(model.parameters(), model.buffers()), data.test_images).device


def check_logits(logits: object, images: int, classes: int) -> None:
    """TuckerlabError for an answer that is no tensor with a row for each image and a number for each class."""
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (images, classes):
        raise TuckerlabError(
            f"the network returns {found} for {images} images, expected is a tensor of {images} images × {classes} "
            "classes: build it for so many classes, flatten before its last layer, and return the logits alone"
        )


def multiply_adds(model: nn.Module, example_shape: Iterable[int]) -> int:
    """Of convolutions and matrix products alone, as is usual, for one image of (channels, height, width)."""
    parameter = next(model.parameters(), torch.zeros(()))
    example = torch.zeros(1, *example_shape, device=parameter.device, dtype=parameter.dtype)
    with eval_mode(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
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
