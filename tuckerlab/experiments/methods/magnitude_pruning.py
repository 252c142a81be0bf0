"""Unstructured magnitude pruning in one training cycle: the smallest weights of all convolutions are set to zero.

The share of zeros rises as the target of `Budget` does, over all convolutions together; that schedule was made for this
method (Zhu and Gupta, "To prune, or not to prune", 2017). The zeros lie anywhere, so the arithmetic, the time of a step
and of an answer stay those of the dense network. The settings are the published ones; they were not tuned here.
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuckerlab.experiments.methods.base import AtCompression
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import Counts, count_parameters
from tuckerlab.tucker.rank_policy import RAMP, Budget


@dataclass(frozen=True)
class Pruned(AtCompression):
    """The dense network, pruned by a share of its convolution weights while it trains.

    Raises RankError for a share outside 0 … 1 (1 excluded).
    """

    method = "pruning"
    title = "pruned"

    def train(self, arena: Arena) -> Run:
        every = arena.recipe.every(arena.steps)
        pruning = MagnitudePruning(self.compression, arena.steps, every)
        network = self.network(arena.spec, arena.seed)
        return self.fit(network, arena, callbacks=[pruning])

    def counts(self, model: nn.Module, arena: Arena) -> Counts:
        return count_nonzero(model)

    def mask_bytes(self, model: nn.Module) -> int:
        """A byte for each weight says whether it is zero."""
        return sum(weight.numel() for weight in convolution_weights(model))

    def file_bytes(self, model: nn.Module, arena: Arena) -> int:
        return file_bytes(model)


class MagnitudePruning(Callback):
    """Sets a rising share of the convolution weights to zero, up to `compression`, every `every` steps.

    Raises RankError for a compression outside 0 … 1 (1 excluded).
    """

    def __init__(self, compression: float, total_steps: int, every: int) -> None:
        self.budget, self.every = Budget(compression, steps=max(1, int(RAMP * total_steps))), every
        self.masks: list[Tensor] = []

    def on_start(self, run: Run) -> None:
        """Nothing is zero in a new run; in a resumed one, what was."""
        self.masks = [weight.detach() != 0 for weight in convolution_weights(run.model)]

    @torch.no_grad()
    def on_step(self, run: Run) -> None:
        """Zeros stay zero; until the target is met there are more of them at every `every`-th step."""
        began = time.perf_counter()
        weights = convolution_weights(run.model)
        for weight, mask in zip(weights, self.masks, strict=True):
            weight.mul_(mask)
        last = self.budget.steps or 0
        if run.step <= last and (run.step % self.every == 0 or run.step == last):
            magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
            gone = int(self.budget.target(run.step) * len(magnitudes))
            least = magnitudes.kthvalue(gone).values if gone else magnitudes.new_tensor(-1.0)
            self.masks = [weight.abs() > least for weight in weights]
            for weight, mask in zip(weights, self.masks, strict=True):
                weight.mul_(mask)
        run.seconds += time.perf_counter() - began  # it is part of the training


def convolution_weights(model: nn.Module) -> list[Tensor]:
    """The weights of all convolutions."""
    return [module.weight for module in model.modules() if isinstance(module, nn.modules.conv._ConvNd)]


def count_nonzero(model: nn.Module) -> Counts:
    """Parameters of a pruned network: a zero among the convolution weights is not stored."""
    dense = count_parameters(model)
    zeros = sum(int((weight == 0).sum()) for weight in convolution_weights(model))
    return Counts(dense.conv_stored - zeros, dense.conv_dense, dense.total_stored - zeros, dense.total_dense)


def file_bytes(model: nn.Module) -> int:
    """Size of a file of a pruned network that has the numbers that are left, and says where they lie.

    For each weight the shorter of a bit for every place, and 16 bits for the distance from one number to the next. It
    is computed, not written: no common format of checkpoints does this.
    """
    size = checkpoint_bytes(model)
    for weight in convolution_weights(model):
        left = int(weight.count_nonzero())
        size += min(-(-weight.numel() // 8), 2 * left) - weight.element_size() * (weight.numel() - left)
    return size
