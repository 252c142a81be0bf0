"""A trained network at fewer ranks: its weights are cut further, and nothing is trained again."""

import copy
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.training.models import MODELS, Network
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.nested import is_nested, leading_network, refresh_statistics
from tuckerlab.tucker.rank_policy import Budget, RankPolicy
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD
from tuckerlab.tucker.weight import TuckerLayer


def cut(model: nn.Module, ranks: RankPolicy, images: Iterable[Any] | None = None) -> nn.Module:
    """A copy at the ranks that a policy chooses now: a truncated HOSVD of each weight, and no training.

    >>> from tuckerlab import Budget, build, summary
    >>> small = cut(build("vgg_small", in_channels=1, image_size=8), Budget(0.9))
    >>> round(summary(small).counts.conv_compression, 2)
    0.9

    A network that was trained with `Nested` ranks is cut to its leading part, and is as good as one that was trained at
    that size; a dense network is brought into Tucker format. images: batches for the network, such as
    `ImageData.sample()`, from which its batch norms learn their statistics anew: each size has its own, so a nested
    network needs them. Raises RankError for a budget that cannot be met.
    """
    if is_nested(model):
        if not isinstance(ranks, Budget):
            raise RankError(f"a nested network is cut to a size, such as Budget(0.9), not by {ranks!r}")
        small = leading_network(model, ranks.compression)
        if images is None and any(isinstance(module, _BatchNorm) for module in model.modules()):
            raise TuckerlabError(
                "a nested network has batch norms, whose statistics are those of a size: give `images`"
            )
    elif any(isinstance(module, TuckerLayer) for module in model.modules()):
        small = copy.deepcopy(model)
        TuckerSGD(small, lr=1.0, ranks=ranks).adapt(grow=False)
    else:
        include = MODELS[model.spec["name"]].include if isinstance(model, Network) else None
        small = tuckerize(copy.deepcopy(model), include=include, ranks=ranks)
    if images is not None:
        refresh_statistics(small, images)
    return small
