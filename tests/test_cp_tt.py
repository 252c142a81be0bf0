"""CP and tensor-train: the same function as the convolution with the dense weight, at ranks that meet the target."""

from typing import Any

import contests
import pytest
import torch
from tensorly.cp_tensor import validate_cp_rank
from tensorly.tt_tensor import validate_tt_rank
from torch import nn

from tuckerlab import TuckerConv2d, TuckerLinear
from tuckerlab.experiments.methods.cp_tt import Tensorized, ordered_shape, random_chain, ranks_at, stored
from tuckerlab.tucker.weight import TuckerLayer

forms = pytest.mark.parametrize("form", ["cp", "tt"])


def kernel_of(plain: nn.Sequential, form: str) -> torch.Tensor:
    """The kernel out × in × height × width of a chain of four convolutions, by the definition of the format."""
    first, rows, columns, last = (part.weight.detach() for part in plain)
    if form == "cp":
        product, sides = "ri,rh,rw,or->oihw", (rows[:, 0, :, 0], columns[:, 0, 0])
    else:
        product, sides = "ai,bah,cbw,oc->oihw", (rows[..., 0], columns[:, :, 0])
    return torch.einsum(product, first[..., 0, 0], *sides, last[..., 0, 0])


@forms
@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3}, {"kernel_size": (5, 3), "stride": (2, 1), "padding": (2, 0), "bias": False}],
    ids=str,
)
def test_it_is_the_convolution_with_the_dense_weight(form: str, options: dict[str, Any]) -> None:
    layer = TuckerConv2d(6, 10, ranks=2, **options)
    ranks = (5, 5, 5) if form == "cp" else (3, 4, 2)
    plain = random_chain(layer, ranks, form).double()
    weights = sum(parameter.numel() for name, parameter in plain.named_parameters() if "weight" in name)
    assert weights == stored(ranks, ordered_shape(layer, form), form)
    dense = nn.Conv2d(6, 10, **options, dtype=torch.float64)
    dense.weight, dense.bias = nn.Parameter(kernel_of(plain, form)), plain[-1].bias
    assert (dense.bias is None) == (layer.bias is None)
    images = torch.randn(2, 6, 11, 9, dtype=torch.float64)
    torch.testing.assert_close(plain(images), dense(images))


@forms
def test_it_begins_with_the_variance_of_the_dense_layer(form: str) -> None:
    layer = TuckerConv2d(32, 32, 3, ranks=2)
    stds = [kernel_of(random_chain(layer, (9, 9, 9), form), form).std().item() for _ in range(20)]
    assert sum(stds) / 20 == pytest.approx(nn.Conv2d(32, 32, 3).weight.std().item(), rel=0.15)
    linear = random_chain(TuckerLinear(300, 200, ranks=2), (40,), form)
    assert (linear[1].weight @ linear[0].weight).std().item() == pytest.approx((3 * 300) ** -0.5, rel=0.15)


@pytest.mark.parametrize("shape", [(64, 3, 3, 64), (8, 5, 5, 100), (128, 128, 3, 3)])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_ranks_are_those_of_tensorly(shape: tuple[int, ...], share: float) -> None:
    cp = int(validate_cp_rank(shape, share, rounding="floor"))
    assert ranks_at(share, shape, "cp") == (max(1, cp),) * (len(shape) - 1)
    same = max(1, int(validate_tt_rank(shape, share, constant_rank=True, rounding="floor")[1]))
    tt = validate_tt_rank(shape, same, allow_overparametrization=False)[1:-1]
    assert ranks_at(share, shape, "tt") == tuple(map(int, tt))


@forms
def test_a_compression_is_met_and_used(form: str) -> None:
    method, experiment = Tensorized(0.9, form), contests.experiment_of(contests.DIGITS)
    network = method.network(contests.DIGITS, seed=0)
    assert 0.9 <= method.counts(network, experiment).conv_compression < 0.91
    assert not any(isinstance(layer, TuckerLayer) for layer in network.modules())
