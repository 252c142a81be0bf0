"""Low rank as a matrix: within its budget, and never of full size."""

from dataclasses import replace
from typing import Any

import contests
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tuckerlab import Budget, TuckerConv2d
from tuckerlab.experiments.methods.low_rank import Matrix
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.weight import TuckerLayer


class Sizes(TorchDispatchMode):
    """The most numbers in any tensor that has memory."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not result.is_meta:
            self.most = max(self.most, result.numel())
        return result


def test_the_dense_weights_never_exist() -> None:
    with Sizes() as sizes:
        network = Matrix(Budget(0.9)).network(contests.DIGITS, seed=0)
    layers = [layer for layer in network.modules() if isinstance(layer, TuckerConv2d)]
    assert all(layer.modes == (0,) and layer.stored_numel <= layer.dense_numel for layer in layers)
    kernel = layers[0].dense_weight()
    assert torch.linalg.matrix_rank(kernel.flatten(1)) == layers[0].ranks[0]
    assert 0 < sizes.most < 0.8 * max(layer.dense_numel for layer in layers)


@pytest.mark.parametrize(("spec", "rate"), [(contests.DIGITS, 0.9), (contests.CIFAR, 0.95)], ids=["digits", "cifar"])
def test_a_budget_is_met_and_used(spec: dict[str, Any], rate: float) -> None:
    contender, arena = Matrix(Budget(rate)), contests.arena_of(spec)
    network = contender.network(spec, seed=0)
    replace(arena.recipe, ranks=contender.ranks).make_optimizer(network, 10).adapt(grow=False)
    counts = contender.counts(network, arena)
    assert rate <= counts.conv_compression < rate + 0.02
    plain = to_plain(network)
    assert not any(isinstance(part, TuckerLayer) for part in plain.modules())
    assert sum(m.weight.numel() for m in plain.modules() if isinstance(m, nn.Conv2d)) == counts.conv_stored
