"""What a network costs: numbers stored, multiply-adds, time, training memory, size of its file.

>>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10))
>>> count_parameters(model)
Counts(conv_stored=216, conv_dense=216, total_stored=1514, total_dense=1514)
>>> multiply_adds(model, (3, 4, 4))  # 216 for each of 16 pixels, and 1 280 for the classifier
4736

Counts, multiply-adds and training memory are exact and the same on every CPU; times are not: compare them
within one run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tuckerlab.layers import TuckerConv
from tuckerlab.memory import Memory, training_memory
from tuckerlab.timing import Timing, interleave, latencies
from tuckerlab.undisturbed import undisturbed
from tuckerlab.weight import TuckerLayer

__all__ = [
    "Counts",
    "Memory",
    "Timing",
    "checkpoint_bytes",
    "count_parameters",
    "interleave",
    "latencies",
    "multiply_adds",
    "training_memory",
    "undisturbed",
]


@dataclass(frozen=True)
class Counts:
    """Numbers stored, and stored by the same network dense: over convolution weights, and over everything.

    >>> Counts(conv_stored=50, conv_dense=1000, total_stored=200, total_dense=1150).conv_compression
    0.95
    """

    conv_stored: int
    conv_dense: int
    total_stored: int
    total_dense: int

    @property
    def conv_compression(self) -> float:
        """c.r. = 1 − stored / dense over the convolution weights, the paper's convention; 0 without any."""
        return 1 - self.conv_stored / self.conv_dense if self.conv_dense else 0.0

    @property
    def compression(self) -> float:
        """c.r. = 1 − stored / dense over all parameters; 0 for a network without parameters."""
        return 1 - self.total_stored / self.total_dense if self.total_dense else 0.0

    @property
    def row(self) -> dict[str, float]:
        """As the tables of a record have them.

        >>> Counts(10, 100, 20, 110).row["conv_compression"]
        0.9
        """
        return {
            "conv_parameters": self.conv_stored, "parameters": self.total_stored,
            "conv_compression": self.conv_compression, "compression": self.compression,
        }  # fmt: skip


def count_parameters(model: nn.Module) -> Counts:
    """Count the parameters of a dense or a Tucker network; a parameter used twice counts once.

    >>> count_parameters(nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4))).total_stored
    36

    Convolution weights are those of `nn.Conv1d/2d/3d` and `TuckerConv1d/2d/3d`, without biases. A layer that
    `to_plain` has split into ordinary convolutions no longer knows its dense size: c.r. is then 0, take it
    from the Tucker network.
    """
    conv_stored, conv_saved, total_saved = 0, 0, 0
    seen: set[int] = set()
    for module in model.modules():
        weight = module.core if isinstance(module, TuckerLayer) else getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or id(weight) in seen:
            continue
        seen.add(id(weight))
        if isinstance(module, TuckerLayer):
            saved = module.dense_numel - module.stored_numel
            total_saved += saved
            if isinstance(module, TuckerConv):
                conv_stored += module.stored_numel
                conv_saved += saved
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            conv_stored += weight.numel()
    total = sum(parameter.numel() for parameter in model.parameters())
    return Counts(conv_stored, conv_stored + conv_saved, total, total + total_saved)


def multiply_adds(model: nn.Module, example_shape: Iterable[int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image of (channels, height, width).

    >>> multiply_adds(nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 32, 32)) == 16 * 16 * 8 * 3 * 3 * 3
    True

    Additions of biases, normalisation, activations and pooling are not counted, as is usual.
    """
    parameter = next(model.parameters(), torch.zeros(()))
    example = torch.zeros(1, *example_shape, device=parameter.device, dtype=parameter.dtype)
    with undisturbed(model, training=False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    return int(counter.get_total_flops()) // 2


def checkpoint_bytes(model: nn.Module) -> int:
    """Size of the model's safetensors file, header included; nothing is written.

    >>> checkpoint_bytes(nn.Linear(100, 100)) - 4 * 10_100 < 200
    True
    """
    tensors = {  # safetensors refuses one tensor under two names
        (value.data_ptr(), value.shape): (name, value.contiguous())
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor)
    }
    return len(safetensors.torch.save(dict(tensors.values())))
