"""Pruning: the smallest weights of all convolutions become zero while it trains, or whole channels go after it."""

import math
import time
from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.methods.base import AtCompression
from tuckerlab.experiments.methods.tucker_variants import BEFORE, dense_first
from tuckerlab.experiments.setup import Experiment
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.models import Attention
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.model_size import Counts, count_parameters
from tuckerlab.tucker.rank_policy import RAMP, Budget

PRUNED = (nn.Conv2d, nn.Linear)
"""The layers that have channels; the last one's are the classes, which stay."""

KEPT = 0.1
"""The share of its channels that no layer falls below: a single channel would let little through."""


@dataclass(frozen=True)
class Pruned(AtCompression):
    """The dense network, a share of whose convolution weights is zero in the end, the smallest of all layers together.

    The share rises as the target of `Budget` does; that schedule was made for this method (Zhu and Gupta, "To prune, or
    not to prune", 2017). The zeros lie anywhere, so a step and an answer take the time of the dense network's.
    """

    name = "pruning"

    def train(self, experiment: Experiment) -> Run:
        pruning = MagnitudePruning(self.compression, experiment.steps, experiment.recipe.every(experiment.steps))
        return self.fit(self.network(experiment.spec, experiment.recipe.seed), experiment, callbacks=[pruning])

    def counts(self, model: nn.Module, experiment: Experiment) -> Counts:
        """A zero among the convolution weights is not stored."""
        dense = experiment.counts(model)
        zeros = sum(int((layer.weight == 0).sum()) for layer in convolutions(model))
        return Counts(dense.conv_stored - zeros, dense.conv_dense, dense.total_stored - zeros, dense.total_dense)

    def file_bytes(self, model: nn.Module) -> int:
        """Of a file, which no common format writes, of the numbers that are left and where they lie."""
        size = checkpoint_bytes(model)
        for layer in convolutions(model):
            places, left = layer.weight.numel(), int(layer.weight.count_nonzero())
            # a bit for every place, or 16 bits from one number to the next
            size += min(-(-places // 8), 2 * left) - layer.weight.element_size() * (places - left)
        return size


class MagnitudePruning(Callback):
    """Sets a rising share of the convolution weights to zero, up to `compression`, every `every` steps."""

    def __init__(self, compression: float, total_steps: int, every: int) -> None:
        self.budget, self.every = Budget(compression, steps=max(1, int(RAMP * total_steps))), every

    def on_start(self, run: Run) -> None:
        """Nothing is zero in a new run; in a resumed one, what was."""
        for layer in convolutions(run.model):
            layer.register_buffer("mask", layer.weight.detach() != 0, persistent=False)

    @torch.no_grad()
    def on_step(self, run: Run) -> None:
        """Zeros stay zero; until the target is met there are more of them at every `every`-th step."""
        began, layers, last = time.perf_counter(), convolutions(run.model), self.budget.steps or 0
        for layer in layers:
            layer.weight.mul_(layer.get_buffer("mask"))
        if run.step <= last and (run.step % self.every == 0 or run.step == last):
            magnitudes = torch.cat([layer.weight.abs().flatten() for layer in layers])
            if gone := int(self.budget.target(run.step) * len(magnitudes)):
                least = magnitudes.kthvalue(gone).values
                for layer in layers:
                    layer.mask = layer.weight.abs() > least
                    layer.weight.mul_(layer.get_buffer("mask"))
        run.seconds += time.perf_counter() - began  # it is part of the training


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """The layers whose weights are pruned."""
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


@dataclass(frozen=True)
class Channels(AtCompression):
    """The dense network gets two thirds of the experiment, then loses channels, and gets the rest.

    Which weights belong to a channel (its filter, its batch norm, what reads it, what it is added to) and how much it
    matters say Torch-Pruning's dependency graph and group norm (Fang et al., "DepGraph: Towards any structural
    pruning", CVPR 2023). The channels of all layers compete, each by its norm relative to the mean of its layer.
    """

    name = "channels"

    def check(self, experiment: Experiment) -> None:
        network = self.network(experiment.spec, 0).to(experiment.device)
        if any(isinstance(module, Attention) for module in network.modules()):
            raise TuckerlabError("channel pruning is for convolutions, and a transformer has one alone: leave it out")
        limit = _compression(network, without(network, None, experiment.batch(1)[0]))
        if self.compression > limit:
            raise RankError(
                f"channel pruning {self.compression:g}: every layer keeps {KEPT:.0%} of its channels and at least one, "
                f"so this network can be compressed by {math.floor(1e4 * limit) / 1e4:g}; give that or less"
            )
        experiment.split(BEFORE)

    def train(self, experiment: Experiment) -> Run:
        image = experiment.batch(1)[0]
        return dense_first(self, experiment, lambda dense: pruned(dense, self.compression, image))


def pruned(model: nn.Module, compression: float, image: Tensor) -> nn.Module:
    """A copy on the CPU without the least important channels: as few as bring it to this compression or above it."""
    channels = sum(len(layer.weight) for layer in model.modules() if isinstance(layer, PRUNED))
    # the sets of channels lie in each other, so what is left shrinks with their number
    gone = bisect_left(range(channels), compression, key=lambda gone: _compression(model, without(model, gone, image)))
    return without(model, gone, image)


def without(model: nn.Module, gone: int | None, image: Tensor) -> nn.Module:
    """A copy on the CPU without so many channels, the least important ones; None: without all that may go."""
    from torch_pruning import DependencyGraph
    from torch_pruning.pruner.importance import GroupMagnitudeImportance

    model = to_plain(model).cpu().eval()
    with torch.enable_grad():  # it follows the autograd graph
        graph = DependencyGraph().build_dependency(model, image.cpu())
    classes = [layer for layer in model.modules() if isinstance(layer, PRUNED)][-1]
    groups = list(graph.get_all_groups(ignored_layers=[classes], root_module_types=PRUNED))
    scores = [GroupMagnitudeImportance()(group) for group in groups]
    for score in scores:
        score[score.topk(math.ceil(KEPT * len(score))).indices] = math.inf
    every = torch.cat(scores)
    least = every.argsort(stable=True)[: int(every.isfinite().sum())][:gone]
    chosen = torch.zeros(len(every), dtype=torch.bool).index_fill(0, least, True)
    for group, part in zip(groups, torch.split(chosen, [len(score) for score in scores]), strict=True):
        if part.any():
            first = group[0].dep
            graph.get_pruning_group(first.target.module, first.handler, part.nonzero().flatten().tolist()).prune()
    return model


def _compression(dense: nn.Module, model: nn.Module) -> float:
    """Of the convolution weights."""
    return 1 - count_parameters(model).conv_stored / count_parameters(dense).conv_stored
