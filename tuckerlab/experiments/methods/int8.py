"""Int8 after training: weights and activations become whole numbers of 8 bits, by torch's static quantization.

It combines with what makes a network small in another way: the numbers are as many as before, each a quarter as long.
After B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference"
(CVPR 2018), without their training; the settings are torch's own for x86. The kernels run on a CPU alone. Attention's
products of activations, layer norm's statistics and softmax stay float, so a transformer gains less.
"""

import warnings
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.augment import epoch_order
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.rank_policy import RankPolicy

CALIBRATION = 256
"""Training images that the ranges of activations are taken from."""


@dataclass(frozen=True)
class Int8(Contender):
    """Another contender's network, quantized once it is trained. TuckerlabError, before it trains, on a GPU."""

    of: Contender

    @property
    def method(self) -> str:
        return "int8" if self.of.method == "dense" else f"{self.of.method}-int8"

    @property
    def label(self) -> str:
        return "int8" if self.of.label == "dense" else f"{self.of.label} int8"

    @property
    def ranks(self) -> RankPolicy | None:
        return self.of.ranks

    def check(self, arena: Arena) -> None:
        if arena.device.type != "cpu":
            raise TuckerlabError(
                f"int8 on {arena.device.type}: its kernels are for the CPU; give device cpu, or leave int8 out"
            )
        self.of.check(arena)

    def train(self, arena: Arena) -> Run:
        run = self.of.train(arena)
        if not run.is_over:
            return run
        return arena.changed(run, run.network, arena.counts(run.network), self.answering(run.network, arena))

    def answering(self, model: nn.Module, arena: Arena) -> nn.Module:
        """The quantized network; the same every time for the same weights and arena."""
        chosen = epoch_order(len(arena.data.train_images), arena.recipe.seed, 0)[:CALIBRATION]
        return quantized(self.of.answering(model, arena), arena.data.normalize(arena.data.train_images[chosen]))

    def file_bytes(self, model: nn.Module, arena: Arena) -> int:
        return len(safetensors.torch.save(stored(self.answering(model, arena))))


def quantized(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy with int8 weights and kernels, and ranges of activations from these images, as the network sees them."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    network = to_plain(network).eval()
    with warnings.catch_warnings(action="ignore"), torch.no_grad():  # all of it is to move into another package
        prepared = prepare_fx(network, get_default_qconfig_mapping("x86"), (images[:1],))
        prepared(images)
        made: nn.Module = convert_fx(prepared)
    return made


def stored(network: nn.Module) -> dict[str, Tensor]:
    """What a file of a quantized network needs: whole numbers and their scales, biases, ranges of activations."""
    found: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        for index, part in enumerate(value if isinstance(value, tuple) else (value,)):
            if not isinstance(part, Tensor):
                continue
            if part.is_quantized:  # symmetric: no zero points
                found[f"{name}.{index}.scales"] = part.q_per_channel_scales().float()
                part = part.int_repr()
            found[f"{name}.{index}"] = part.detach().contiguous()
    return found
