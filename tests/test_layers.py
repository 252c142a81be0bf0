"""Layers against the dense layers they replace: forward, backward, every option, both precisions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from manifolds import orthonormality, partial_gradients, point_of
from torch import nn

from tuckerlab import TuckerConv1d, TuckerConv2d, TuckerConv3d, TuckerLinear
from tuckerlab.tucker.manifold import truncated
from tuckerlab.tucker.tensor import feasible_ranks
from tuckerlab.tucker.weight import factorized_modes

CLOSE = {torch.float32: {"atol": 2e-5, "rtol": 1e-4}, torch.float64: {"atol": 1e-10, "rtol": 1e-9}}
KINDS: dict[int, tuple[Any, Any, tuple[int, ...]]] = {
    0: (TuckerLinear, nn.Linear, ()),
    1: (TuckerConv1d, nn.Conv1d, (11,)),
    2: (TuckerConv2d, nn.Conv2d, (9, 8)),
    3: (TuckerConv3d, nn.Conv3d, (6, 7, 6)),
}
ANY_DIM: list[dict[str, Any]] = [
    {},
    {"stride": 3, "padding": 1, "dilation": 2},
    {"bias": False, "padding": "same"},
    {"modes": "all", "padding": 1},
    {"modes": (0,), "padding": 1},
    {"modes": (1, 0), "padding": "same"},
    {"padding_mode": "circular", "padding": 2, "stride": 2, "bias": False},
    {"padding_mode": "reflect", "padding": "same", "dilation": 2, "modes": "all"},
]
ONE_DIM: list[tuple[int, dict[str, Any]]] = [
    (0, {}),
    (0, {"bias": False}),
    (2, {"stride": (1, 3), "padding": (2, 1), "dilation": (1, 2)}),
    (2, {"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 1), "padding_mode": "circular"}),
    (2, {"kernel_size": 1}),
    (2, {"kernel_size": 1, "stride": (1, 3)}),
    (3, {"kernel_size": (1, 3, 2), "dilation": (1, 2, 1), "padding": (0, 2, 1), "padding_mode": "replicate"}),
]
CASES = [(dim, options, torch.float64) for dim in (1, 2, 3) for options in ANY_DIM]
CASES += [(dim, options, torch.float64) for dim, options in ONE_DIM] + [(dim, {}, torch.float32) for dim in KINDS]


def pair(dim: int, options: dict[str, Any], dtype: torch.dtype = torch.float64) -> tuple[Any, Any]:
    """A layer 5 → 6 with these options, below the sizes of its modes; and the dense layer with its weight."""
    ours, theirs, _ = KINDS[dim]
    options = {"kernel_size": 3, **options} if dim else options
    dense = theirs(5, 6, **{name: value for name, value in options.items() if name != "modes"}, dtype=dtype)
    shape, modes = dense.weight.shape, factorized_modes(dim + 2, options.get("modes", "channels"))
    ranks = feasible_ranks(shape, modes, [max(1, min(4, shape[mode] - 1)) for mode in modes])
    layer = ours(5, 6, ranks=ranks, **options, dtype=dtype)
    dense.weight.data = layer.dense_weight().detach()
    if dense.bias is not None:
        dense.bias.data = layer.bias.detach().clone()
    return layer, dense


@pytest.mark.parametrize(("dim", "options", "dtype"), CASES)
def test_a_layer_is_the_dense_one_forward_and_backward(dim: int, options: dict[str, Any], dtype: torch.dtype) -> None:
    layer, dense = pair(dim, options, dtype)
    images = [torch.randn(2, 5, *KINDS[dim][2], dtype=dtype).requires_grad_()]
    images.append(images[0].detach().clone().requires_grad_())
    out, expected = layer(images[0]), dense(images[1])
    torch.testing.assert_close(out, expected, **CLOSE[dtype])
    seed = torch.randn_like(out)
    out.backward(seed)
    expected.backward(seed)
    close = {key: 50 * value for key, value in CLOSE[dtype].items()}
    torch.testing.assert_close(images[0].grad, images[1].grad, **close)
    for part, gradient in zip(layer.parts, partial_gradients(point_of(layer), dense.weight.grad), strict=True):
        torch.testing.assert_close(part.grad, gradient, **close)
    if layer.bias is not None:
        torch.testing.assert_close(layer.bias.grad, dense.bias.grad, **close)


@pytest.mark.parametrize("modes", ["channels", "all"])
def test_channels_last_goes_in_and_comes_out(modes: str) -> None:
    layer, _ = pair(2, {"padding": 1, "modes": modes}, torch.float32)
    plain = torch.randn(2, 5, 9, 8)
    expected = layer(plain)
    out = layer.to(memory_format=torch.channels_last)(plain.to(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out, expected, **CLOSE[torch.float32])


@pytest.mark.parametrize("dim", KINDS)
@pytest.mark.parametrize("rank", [1, 5])
def test_a_new_layer_has_orthonormal_factors_and_the_dense_layer_s_variance(dim: int, rank: int) -> None:
    ours, theirs = 0.0, 0.0
    dense = pair(dim, {}, torch.float32)[1]
    layer = KINDS[dim][0].from_dense(dense, rank)
    for _ in range(300):
        dense.reset_parameters()
        layer.reset_parameters()
        assert orthonormality(layer.factors) < 1e-5
        ours += float(layer.dense_weight().detach().square().sum())
        theirs += float(dense.weight.detach().square().sum())
    assert 0.85 < ours / theirs < 1.15  # for white input the variance of the output is this, by the outputs


def test_a_new_weight_leaves_a_living_graph_alone() -> None:
    layer = TuckerLinear(6, 5, ranks=3)
    old, loss = layer.core, layer(torch.randn(4, 6)).square().sum()
    layer.assign(truncated(point_of(layer), (2, 2)))
    loss.backward()
    assert old.grad.shape == (3, 3)
    assert layer.core.grad is None


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: TuckerConv2d(5, 6, 3, ranks=0), "rank 0 in mode 0"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=(2, 6)), "rank 6 in mode 1"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=(2,)), "give one each"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=2, modes=(0, 4)), r"modes \(0, 4\)"),
        (lambda: TuckerLinear(8, 8, ranks=(3, 4)), r"nearest allowed are \(3, 3\)"),
        (lambda: TuckerConv2d.from_dense(nn.Conv2d(4, 4, 3, groups=4), 2), "only groups=1"),
    ],
)
def test_what_is_refused(call: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()
