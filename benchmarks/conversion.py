"""How long conversion and export take: `tuckerize`, `to_plain`, `prepared` and `export_onnx`, on four networks.

    python benchmarks/conversion.py                       # all, about two minutes on two cores
    python benchmarks/conversion.py --only vgg16 bert

VGG16, ResNet-18 and DenseNet-121 in their forms for CIFAR, and a transformer of the size of BERT-base; untrained, at
the default ranks.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import script
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import build, export_onnx, to_plain, tuckerize
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.errors import TuckerlabError


def norm_relu_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """The order of a dense network."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), convolution)


class Growing(nn.Module):
    """A layer of a dense network: its output is put beside its input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(norm_relu_conv(channels, 4 * growth, 1), norm_relu_conv(4 * growth, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layers(x), x], 1)


def densenet121(growth: int = 32) -> nn.Module:
    """Huang and others, CVPR 2017, for images of 32 × 32."""
    channels = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
    for block, size in enumerate((6, 12, 24, 16)):
        for _ in range(size):
            layers.append(Growing(channels, growth))
            channels += growth
        if block < 3:
            layers += [norm_relu_conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(
        *layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)
    )


class Block(nn.Module):
    """Attention and perceptron of BERT-base."""

    def __init__(self, width: int = 768, hidden: int = 3072) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        heads = [part(x).unflatten(-1, (12, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        x = self.first(x + self.out(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)))
        return self.second(x + self.down(F.gelu(self.up(x))))


def bert() -> nn.Module:
    """Twelve blocks; in the place of the embedding a matrix."""
    return nn.Sequential(nn.Linear(64, 768), *(Block() for _ in range(12)), nn.Linear(768, 2))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "vgg16": (partial(build, "vgg16"), (1, 3, 32, 32)),
    "resnet18": (partial(build, "resnet18"), (1, 3, 32, 32)),
    "densenet121": (densenet121, (1, 3, 32, 32)),
    "bert": (bert, (1, 16, 64)),
}


def seconds(name: str, folder: Path) -> dict[str, float]:
    """What each step takes, in their order, on one network."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model, example = make().eval(), torch.randn(shape)
    marks = [time.perf_counter()]
    model = tuckerize(model)
    marks.append(time.perf_counter())
    to_plain(model)
    marks.append(time.perf_counter())
    prepared(model, example)
    marks.append(time.perf_counter())
    export_onnx(model, folder / f"{name}.onnx", example)
    marks.append(time.perf_counter())
    took = [later - earlier for earlier, later in pairwise(marks)]
    return dict(zip(("tuckerize", "to_plain", "prepared", "export_onnx"), took, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}")
    options = parser.parse_args()
    if unknown := [name for name in options.only if name not in NETWORKS]:
        raise TuckerlabError(f"network {unknown[0]!r}: known are {', '.join(NETWORKS)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            found = seconds(name, Path(folder))
            print(f"{name:12}", "   ".join(f"{step} {value:.2f} s" for step, value in found.items()), flush=True)


if __name__ == "__main__":
    script.run(main)
