"""Layers against the dense layers they replace: forward, backward, every option, both precisions."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from manifolds import orthonormality, partial_gradients, point_of
from torch import Tensor, nn

from tuckerlab import TuckerConv1d, TuckerConv2d, TuckerConv3d, TuckerLayer, TuckerLinear, to_plain
from tuckerlab.tucker.manifold import truncated

CONVOLUTIONS: dict[int, tuple[Any, Any, type[nn.Module]]] = {
    1: (TuckerConv1d, F.conv1d, nn.Conv1d),
    2: (TuckerConv2d, F.conv2d, nn.Conv2d),
    3: (TuckerConv3d, F.conv3d, nn.Conv3d),
}
IMAGE = {1: (11,), 2: (9, 8), 3: (6, 7, 6)}
CLOSE = {torch.float32: {"atol": 2e-5, "rtol": 1e-4}, torch.float64: {"atol": 1e-12, "rtol": 1e-10}}
ANY_DIM: list[dict[str, Any]] = [
    {},
    {"stride": 3, "padding": 1, "dilation": 2},
    {"bias": False, "padding": "same"},
    {"kernel_size": 1},
    {"modes": "all", "padding": 1},
    {"modes": (0,), "padding": 1},
    {"modes": (1, 0), "padding": "same"},
    {"padding_mode": "replicate", "padding": 1},
    {"padding_mode": "circular", "padding": 2, "stride": 2, "bias": False},
    {"padding_mode": "reflect", "padding": "same", "dilation": 2, "modes": "all"},
]
ONE_DIM: dict[int, list[dict[str, Any]]] = {
    1: [],
    2: [
        {"stride": (1, 3), "padding": (2, 1), "dilation": (1, 2)},
        {"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 1), "padding_mode": "circular"},
        {"modes": (2, 3), "padding": 1},
    ],
    3: [{"kernel_size": (1, 3, 2), "dilation": (1, 2, 1), "padding": (0, 2, 1), "padding_mode": "replicate"}],
}
CASES = [(dim, options, torch.float64) for dim in CONVOLUTIONS for options in ANY_DIM + ONE_DIM[dim]]
CASES += [(dim, {"padding": 1}, torch.float32) for dim in CONVOLUTIONS]


def conv(dim: int, options: dict[str, Any], dtype: torch.dtype = torch.float64) -> TuckerLayer:
    """A layer 5 → 6 with these options, at ranks below the sizes of its modes."""
    options = {"kernel_size": 3, "dtype": dtype, **options}
    modes = {"channels": (0, 1), "all": tuple(range(dim + 2))}.get(
        options.get("modes", "channels"), options.get("modes")
    )
    kernel = options["kernel_size"] if isinstance(options["kernel_size"], tuple) else (options["kernel_size"],) * dim
    ranks = [(4, 3, *(min(2, k) for k in kernel))[mode] for mode in modes]
    if options["kernel_size"] == 1:
        ranks = [3] * len(modes)
    return CONVOLUTIONS[dim][0](5, 6, ranks=ranks, **options)


def dense_forward(dim: int, layer: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What nn.ConvNd computes with this weight."""
    if layer.padding_mode == "zeros":
        return CONVOLUTIONS[dim][1](input, weight, bias, layer.stride, layer.padding, layer.dilation)
    options = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
    reference = CONVOLUTIONS[dim][2](5, 6, **options, bias=False)
    out = torch.func.functional_call(reference, {"weight": weight}, (input,))
    return out if bias is None else out + bias.reshape(-1, *[1] * dim)


@pytest.mark.parametrize(("dim", "options", "dtype"), CASES)
def test_convolutions_are_those_of_the_dense_weight(dim: int, options: dict[str, Any], dtype: torch.dtype) -> None:
    layer = conv(dim, options, dtype)
    input = torch.randn(2, 5, *IMAGE[dim], dtype=dtype)
    ours, theirs = input.clone().requires_grad_(), input.clone().requires_grad_()
    weight = layer.dense_weight().detach().requires_grad_()
    bias = None if layer.bias is None else layer.bias.detach().clone().requires_grad_()

    out, expected = layer(ours), dense_forward(dim, layer, theirs, weight, bias)
    torch.testing.assert_close(out, expected, **CLOSE[dtype])

    seed = torch.randn_like(out)
    out.backward(seed)
    expected.backward(seed)
    close = {key: 50 * value for key, value in CLOSE[dtype].items()}
    torch.testing.assert_close(ours.grad, theirs.grad, **close)
    assert weight.grad is not None
    for part, gradient in zip(layer.parts, partial_gradients(point_of(layer), weight.grad), strict=True):
        torch.testing.assert_close(part.grad, gradient, **close)
    if layer.bias is not None and bias is not None:
        torch.testing.assert_close(layer.bias.grad, bias.grad, **close)


@pytest.mark.parametrize(
    ("lead", "bias", "dtype"), [((), True, torch.float64), ((3,), False, torch.float32), ((2, 3), True, torch.float32)]
)
def test_linear_is_that_of_the_dense_weight(lead: tuple[int, ...], bias: bool, dtype: torch.dtype) -> None:
    layer = TuckerLinear(7, 5, ranks=3, bias=bias, dtype=dtype)
    input = torch.randn(*lead, 7, dtype=dtype)
    weight = layer.dense_weight().detach().requires_grad_()
    expected = F.linear(input, weight, layer.bias)
    torch.testing.assert_close(layer(input), expected, **CLOSE[dtype])
    layer(input).square().sum().backward()
    F.linear(input, weight, None if layer.bias is None else layer.bias.detach()).square().sum().backward()
    assert weight.grad is not None
    for ours, theirs in zip(layer.parts, partial_gradients(point_of(layer), weight.grad), strict=True):
        torch.testing.assert_close(ours.grad, theirs, **CLOSE[dtype])


@pytest.mark.parametrize(("dim", "padding_mode"), [(1, "reflect"), (2, "zeros"), (3, "circular")])
def test_one_unbatched_image(dim: int, padding_mode: str) -> None:
    layer = conv(dim, {"padding": 1, "padding_mode": padding_mode})
    image = torch.randn(5, *IMAGE[dim], dtype=torch.float64)
    torch.testing.assert_close(layer(image), layer(image[None])[0])


@pytest.mark.parametrize(("dim", "memory_format"), [(2, torch.channels_last), (3, torch.channels_last_3d)])
@pytest.mark.parametrize("modes", ["channels", "all"])
def test_channels_last_goes_in_and_comes_out(dim: int, memory_format: torch.memory_format, modes: str) -> None:
    layer = conv(dim, {"padding": 1, "modes": modes}, torch.float32)
    plain = torch.randn(2, 5, *IMAGE[dim])
    expected = layer(plain)
    assert expected.is_contiguous()
    layer = layer.to(memory_format=memory_format)
    out = layer(plain.to(memory_format=memory_format))
    # in 3d torch itself falls back to the plain format in some of its pointwise convolutions
    assert dim == 3 or out.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(out, expected, **CLOSE[torch.float32])


# --- from a dense layer, and from nothing ---------------------------------------------------------------------------

CIRCULAR = {"padding": "same", "padding_mode": "circular"}
DENSE = {
    "linear": (lambda **k: nn.Linear(12, 9, **k), TuckerLinear, (3, 12)),
    "conv1d": (lambda **k: nn.Conv1d(8, 12, 3, padding=1, **k), TuckerConv1d, (2, 8, 9)),
    "conv2d": (lambda **k: nn.Conv2d(8, 12, (3, 2), stride=(2, 1), **k), TuckerConv2d, (2, 8, 9, 8)),
    "conv3d": (lambda **k: nn.Conv3d(8, 6, 2, **CIRCULAR, **k), TuckerConv3d, (1, 8, 4, 4, 4)),
}
kinds = pytest.mark.parametrize("kind", DENSE)


@kinds
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_from_dense_keeps_within_its_tolerance_and_at_zero_is_the_dense_layer(kind: str) -> None:
    make, layer_class, shape = DENSE[kind]
    dense = make(bias=kind != "conv1d", dtype=torch.float64)
    layer = layer_class.from_dense(dense, tolerance=0.0)
    input = torch.randn(*shape, dtype=torch.float64)
    torch.testing.assert_close(layer(input), dense(input))
    assert layer.core.dtype == torch.float64
    assert (layer.bias is not None) == (kind != "conv1d")
    for tolerance in (0.1, 0.9):
        layer = layer_class.from_dense(dense, tolerance=tolerance)
        assert (layer.dense_weight() - dense.weight).norm() <= tolerance * dense.weight.norm()
    assert layer.ranks[0] < min(dense.weight.shape[:2])  # and uses it where it is large


@kinds
@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_a_new_layer_has_orthonormal_factors_and_the_dense_layer_s_variance(kind: str, fraction: float) -> None:
    make, layer_class, _ = DENSE[kind]
    dense, ours, theirs = make(), 0.0, 0.0
    ranks = [max(1, int(fraction * min(dense.weight.shape[:2])))] * 2
    for seed in range(200):
        torch.manual_seed(seed)
        layer = layer_class.like(dense, ranks)
        assert orthonormality(layer.factors) < 1e-5
        ours += float(layer.dense_weight().detach().square().sum())
        theirs += float(make().weight.detach().square().sum())
    assert 0.85 < ours / theirs < 1.15  # for white input the variance of the output is this, by the outputs


def test_sizes_and_text() -> None:
    layer = TuckerConv2d(64, 128, 3, ranks=(32, 16), stride=(2, 1), padding=1, dilation=(1, 2), padding_mode="circular")
    assert layer.dense_numel == 128 * 64 * 9
    assert layer.stored_numel == 32 * 16 * 9 + 128 * 32 + 64 * 16
    assert "padding=(1, 1), dilation=(1, 2), padding_mode=circular, ranks=(32, 16), c.r.=86.8%" in repr(layer)
    assert repr(TuckerLinear(20, 10, ranks=2)) == "TuckerLinear(20, 10, ranks=(2, 2), c.r.=68.0%)"
    meta = TuckerLinear(2**20, 2**20, ranks=8, device="meta")
    assert all(parameter.is_meta for parameter in meta.parameters())


# --- replacing the weight -------------------------------------------------------------------------------------------


def test_a_new_weight_leaves_a_living_graph_alone_and_a_layer_frozen() -> None:
    layer = TuckerLinear(6, 5, ranks=3)
    input, old = torch.randn(4, 6), layer.core
    loss = layer(input).square().sum()
    layer.assign(truncated(point_of(layer), (2, 2)))
    loss.backward()
    assert old.grad.shape == (3, 3)
    assert layer.core.grad is None
    layer(input).square().sum().backward()
    assert layer.core.grad is not None
    layer.requires_grad_(False).assign(truncated(point_of(layer), (1, 1)))
    assert not any(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_copies_and_pickles_are_independent(kind: str) -> None:
    make, layer_class, shape = DENSE[kind]
    layer = layer_class.like(make(), 2)
    layer.assign(truncated(layer.point, (1, 1)))
    input = torch.randn(*shape)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(input), layer(input))
        with torch.no_grad():
            other.core.zero_()
        assert layer.core.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: TuckerConv2d(5, 6, 3, ranks=0), "rank 0 in mode 0"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=(2, 6)), "rank 6 in mode 1"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=(2, "2")), "rank '2' in mode 1"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=(2,)), "give one each"),
        (lambda: TuckerConv2d(5, 6, 3, ranks=2, modes=(0, 4)), r"modes \(0, 4\)"),
        (lambda: TuckerLinear(8, 8, ranks=(3, 4)), r"nearest allowed are \(3, 3\)"),
        (lambda: TuckerConv2d(4, 4, 3, ranks=2, padding="same", stride=2), "padding='same'"),
        (lambda: TuckerConv2d(4, 4, 3, ranks=2, padding_mode="mirror"), "padding_mode"),
        (lambda: TuckerConv2d.from_dense(nn.Conv2d(4, 4, 3)), "either ranks or a tolerance"),
        (lambda: TuckerConv2d.from_dense(nn.Conv2d(4, 4, 3, groups=4), tolerance=0.1), "only groups=1"),
    ],
)
def test_what_is_refused(call: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize("stride", [2, (1, 3)], ids=str)
def test_a_strided_pointwise_layer_of_few_channels_is_that_of_the_dense_weight(stride: Any) -> None:
    """The shortcut of a residual network at small ranks, channels last: a hang in oneDNN's own strided convolution."""
    layer = TuckerConv2d(16, 32, 1, ranks=(3, 3), stride=stride, bias=False, dtype=torch.float64)
    ours = torch.randn(8, 16, 9, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    rows, columns = (stride, stride) if isinstance(stride, int) else stride
    weight = layer.dense_weight().detach()[:, :, 0, 0]
    expected = torch.einsum("oi,nihw->nohw", weight, theirs[:, :, ::rows, ::columns])
    out = layer(ours)
    torch.testing.assert_close(out, expected)
    seed = torch.randn_like(out)
    out.backward(seed)
    expected.backward(seed)
    torch.testing.assert_close(ours.grad, theirs.grad)
    plain = to_plain(layer)
    torch.testing.assert_close(plain(theirs), expected)
    assert [part.stride for part in plain] == [(rows, columns), (1, 1)]  # where there are 16 channels, not 3
