"""Networks for small images: LeNet-5, a small VGG, VGG16, AlexNet and ResNet-18 as for CIFAR, and a transformer."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError, check_choice, check_number, check_whole

Spec = dict[str, Any]  # the arguments of `build`: plain values, ready for JSON


class Network(nn.Sequential):
    """`features`, then `classifier`; `spec` is what `build` was given."""

    def __init__(self, spec: Spec, features: nn.Module, classifier: nn.Module) -> None:
        super().__init__(OrderedDict(features=features, classifier=classifier))
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


class Architecture(NamedTuple):
    """A constructor, the smallest image it can take (pixels a side), and the layers to factorize (see `tuckerize`)."""

    construct: Callable[[Spec], Network]
    smallest: int
    include: str | None = None


def build(
    name: str, *, num_classes: int = 10, in_channels: int = 3, image_size: int = 32, width: float = 1.0
) -> Network:
    """A new network by name: from images n × in_channels × image_size × image_size to logits n × num_classes.

    >>> model = build("vgg_small", num_classes=6, in_channels=1, image_size=64)
    >>> model(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 6])
    >>> build(**model.spec).spec == model.spec  # all a checkpoint has to keep besides the weights
    True

    `width` multiplies all channel counts (other than 1: rounded to multiples of 8, at least 8). Raises
    `TuckerlabError` for an unknown name, images smaller than the architecture can take, numbers out of range.
    """
    check_choice("model", name, MODELS)
    counts = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    for what, value in counts.items():
        counts[what] = check_whole(what, value, 1)
    spec = {"name": name, **counts, "width": check_number("width", width, above=0, most=100)}
    architecture = MODELS[name]
    if image_size < (least := architecture.smallest):
        raise TuckerlabError(
            f"{name} cannot take images of {image_size} × {image_size} pixels: the smallest are {least} × {least}; "
            "load the images larger (image_size), or take another network"
        )
    return architecture.construct(spec)


def scaled(channels: int, width: float) -> int:
    """A channel count times the width multiplier: multiples of 8, at least 8; untouched at width 1."""
    return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def _conv(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, valid: bool = False, relu: bool = True
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU; padded to keep the size, or `valid`: without padding."""
    padding = 0 if valid else kernel // 2
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm2d(outputs)]
    return [*layers, nn.ReLU(inplace=True)] if relu else layers


def _plain(spec: Spec, plan: Sequence[int | str], *, first_stride: int = 1) -> Network:
    """3×3 convolutions (a number of channels each) and 2×2 max pools ("M"), then one linear layer."""
    features: list[nn.Module] = []
    channels, stride = spec["in_channels"], first_stride
    for step in plan:
        if isinstance(step, str):
            features.append(nn.MaxPool2d(2))
        else:
            wanted = scaled(step, spec["width"])
            features += _conv(channels, wanted, stride=stride)
            channels, stride = wanted, 1
    return Network(spec, nn.Sequential(*features), _average_and_linear(channels, spec["num_classes"]))


def _average_and_linear(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def _lenet5(spec: Spec) -> Network:
    """The form that papers compress: 20, 50 channels, 500 hidden units; 430 500 weights at 28 × 28 grey."""
    first, second, hidden = (scaled(channels, spec["width"]) for channels in (20, 50, 500))
    side = ((spec["image_size"] - 4) // 2 - 4) // 2
    features = [*_conv(spec["in_channels"], first, 5, valid=True), nn.MaxPool2d(2)]
    features += [*_conv(first, second, 5, valid=True), nn.MaxPool2d(2)]
    classifier = [nn.Flatten(), nn.Linear(second * side * side, hidden), nn.ReLU(inplace=True)]
    return Network(spec, nn.Sequential(*features), nn.Sequential(*classifier, nn.Linear(hidden, spec["num_classes"])))


def _vgg_small(spec: Spec) -> Network:
    """Three blocks of two convolutions; the first and pools behind it halve images to at most 31 pixels."""
    halvings = max(0, spec["image_size"].bit_length() - 5)
    pools = ["M"] * (halvings - 1)
    return _plain(spec, [32, *pools, 32, "M", 64, 64, "M", 128, 128], first_stride=2 if halvings else 1)


VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
ALEXNET = (64, "M", 192, "M", 384, 256, 256, "M")


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(*_conv(inputs, outputs, stride=stride), *_conv(outputs, outputs, relu=False))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(*_conv(inputs, outputs, 1, stride=stride, relu=False))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return result


def _resnet18(spec: Spec) -> Network:
    stages = [scaled(channels, spec["width"]) for channels in (64, 128, 256, 512)]
    channels = stages[0]
    features = _conv(spec["in_channels"], channels)
    for index, wanted in enumerate(stages):
        features.append(ResidualBlock(channels, wanted, stride=2 if index else 1))
        features.append(ResidualBlock(wanted, wanted))
        channels = wanted
    return Network(spec, nn.Sequential(*features), _average_and_linear(channels, spec["num_classes"]))


class PatchEmbedding(nn.Module):
    """A convolution that reads each patch once, and a learned position added to each token: N × tokens × width."""

    def __init__(self, in_channels: int, width: int, *, image_size: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.position = nn.Parameter(torch.empty(1, (image_size // patch) ** 2, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch's own modules have it: `materialize` calls it."""
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.patches(images).flatten(2).mT
        return tokens + self.position


class Attention(nn.Module):
    """Multi-head self-attention whose weights are ordinary linear layers, which can be factorized."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        count, length, width = tokens.shape
        q, k, v = self.qkv(tokens).view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, length, width)
        result: Tensor = self.projection(mixed)
        return result


class Residual(nn.Sequential):
    """Layers beside a shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return x + residual


def _block(width: int, heads: int) -> nn.Sequential:
    """Attention, then a perceptron of four times the width, each on normalised tokens and beside a shortcut."""
    attention = Residual(nn.LayerNorm(width), Attention(width, heads))
    perceptron = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
    return nn.Sequential(OrderedDict(attention=attention, perceptron=Residual(*perceptron)))


class MeanOfTokens(nn.Module):
    """N × tokens × width → N × width, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.norm(tokens.mean(1))
        return result


def _vit_small(spec: Spec) -> Network:
    """Six blocks on 8 × 8 patches, after A. Dosovitskiy et al., "An image is worth 16×16 words" (ICLR 2021)."""
    width, patch = scaled(192, spec["width"]), spec["image_size"] // 8
    embedding = PatchEmbedding(spec["in_channels"], width, image_size=spec["image_size"], patch=patch)
    blocks = [_block(width, heads=4) for _ in range(6)]
    return Network(spec, nn.Sequential(embedding, *blocks, MeanOfTokens(width)), nn.Linear(width, spec["num_classes"]))


MODELS = {
    "lenet5": Architecture(_lenet5, smallest=16),
    "vgg_small": Architecture(_vgg_small, smallest=4),
    "vgg16": Architecture(partial(_plain, plan=VGG16), smallest=32),
    "alexnet": Architecture(partial(_plain, plan=ALEXNET, first_stride=2), smallest=16),
    "resnet18": Architecture(_resnet18, smallest=8),
    "vit_small": Architecture(_vit_small, smallest=8, include="features.*"),
}
