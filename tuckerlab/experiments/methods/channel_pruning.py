"""Structured pruning: whole channels of the trained network go, and what is left is a smaller ordinary network.

Which weights belong to a channel (its filter, its batch norm, what reads it, what it is added to) and how much it
matters say Torch-Pruning's dependency graph and group norm (Fang et al., "DepGraph: Towards any structural pruning",
CVPR 2023). The channels of all layers compete, each by its norm relative to the mean of its layer. The schedule is that
of `post_training`. The share that every layer keeps is a choice; nothing was tuned here.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.methods.base import AtCompression, Dense
from tuckerlab.experiments.methods.post_training import BEFORE
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.models import Attention
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.model_size import count_parameters

PRUNED = (nn.Conv2d, nn.Linear)
"""The layers that have channels; the last one's are the classes, which stay."""

KEPT = 0.1
"""The share of its channels that no layer falls below: a single channel would let little through."""


@dataclass(frozen=True)
class Channels(AtCompression):
    """The dense network gets two thirds of the training, then loses channels, and gets the rest.

    Raises RankError for a compression outside 0 … 1 (1 excluded) and, before it trains, for one out of reach;
    TuckerlabError for a transformer.
    """

    method = "channels"
    title = "channels"

    def check(self, arena: Arena) -> None:
        check(self.network(arena.spec, 0).to(arena.device), self.compression, arena.batch(1)[0])
        arena.split(BEFORE)

    def train(self, arena: Arena) -> Run:
        image = arena.batch(1)[0]
        before, after = arena.split(BEFORE)
        run = Dense().train(before)
        if not run.is_over:
            return run
        return self.fit(pruned(run.model, self.compression, image), after, after=run)


def pruned(model: nn.Module, compression: float, image: Tensor) -> nn.Module:
    """A copy on the CPU without the least important channels: as few as bring it to this compression or above it.

    The compression is that of the convolution weights; image: one (1 × C × H × W) that the network can take. The same
    network loses the same channels every time. Raises RankError for a compression out of reach.
    """
    check(model, compression, image)
    channels = sum(len(layer.weight) for layer in model.modules() if isinstance(layer, PRUNED))
    # the sets of channels lie in each other, so what is left shrinks with their number
    gone = bisect_left(range(channels), compression, key=lambda gone: _compression(model, without(model, gone, image)))
    return without(model, gone, image)


def check(model: nn.Module, compression: float, image: Tensor) -> None:
    """RankError for a compression of the convolution weights that channels cannot reach."""
    if any(isinstance(module, Attention) for module in model.modules()):
        raise TuckerlabError("channel pruning is for convolutions, and a transformer has one alone; leave channels out")
    limit = _compression(model, without(model, None, image))
    if compression > limit:
        raise RankError(
            f"channel pruning {compression:g}: every layer keeps {KEPT:.0%} of its channels and at least one, so this "
            f"network can be compressed by {math.floor(1e4 * limit) / 1e4:g}; give that or less"
        )


def without(model: nn.Module, gone: int | None, image: Tensor) -> nn.Module:
    """A copy on the CPU without so many channels, the least important ones; None: without all that may go.

    Torch-Pruning's own pruner would leave a layer whole where all of its channels are among the least important ones.
    """
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
