"""The forms of a Tucker layer are the same function, and the plain one is the smallest."""

from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn

from tuckerlab import TuckerConv1d, TuckerConv2d, TuckerConv3d, TuckerLayer, TuckerLinear, to_plain
from tuckerlab.tucker.plain_layers import forms, numbers, ordinary, widths

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "3x3": (lambda: TuckerConv2d(16, 24, 3, ranks=(6, 4), padding=1), (2, 16, 7, 7)),
    "stride": (lambda: TuckerConv2d(16, 24, 3, ranks=(6, 4), stride=(2, 1), bias=False), (2, 16, 7, 7)),
    "border": (
        lambda: TuckerConv2d(16, 8, 3, ranks=(3, 4), padding=2, dilation=2, padding_mode="circular"),
        (2, 16, 7, 7),
    ),
    "same": (lambda: TuckerConv1d(16, 24, 4, ranks=(6, 4), padding="same", padding_mode="reflect"), (2, 16, 9)),
    "1x1": (lambda: TuckerConv2d(16, 24, 1, ranks=(4, 4)), (2, 16, 3, 3)),
    "shortcut": (lambda: TuckerConv2d(16, 24, 1, ranks=(4, 4), stride=2), (2, 16, 5, 5)),
    "all modes": (lambda: TuckerConv2d(16, 24, 3, ranks=(6, 4, 2, 2), modes="all"), (2, 16, 5, 5)),
    "one mode": (lambda: TuckerConv2d(16, 24, 3, ranks=(4,), modes=(1,)), (2, 16, 5, 5)),
    "space only": (lambda: TuckerConv2d(16, 24, 3, ranks=(2, 2), modes=(2, 3)), (2, 16, 5, 5)),
    "full": (lambda: TuckerConv2d(16, 16, 3, ranks=(16, 16)), (2, 16, 5, 5)),
    "3d": (lambda: TuckerConv3d(8, 6, 2, ranks=(2, 3)), (2, 8, 3, 3, 3)),
    "linear": (lambda: TuckerLinear(20, 12, ranks=3), (4, 20)),
    "tokens": (lambda: TuckerLinear(20, 12, ranks=3, bias=False), (4, 5, 20)),
    "linear, full": (lambda: TuckerLinear(12, 12, ranks=12), (4, 12)),
}


def stored(module: nn.Module) -> int:
    return sum(parameter.numel() for name, parameter in module.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize("case", LAYERS)
def test_all_forms_are_the_same_function_and_as_large_as_they_say(case: str) -> None:
    make, shape = LAYERS[case]
    layer: TuckerLayer = make().double()
    images = torch.randn(shape, dtype=torch.float64)
    possible = forms(layer)
    assert possible[-1] == ()
    for apart in possible:
        built = ordinary(layer, apart)
        assert stored(built) == numbers(layer, apart) <= layer.dense_numel
        torch.testing.assert_close(built(images), layer(images), rtol=1e-10, atol=1e-12)
        assert len(list(built.children()) or [built]) == len(apart) + 1
    sizes = [numbers(layer, apart) for apart in possible]
    assert sizes == sorted(sizes)
    assert len({widths(layer, apart) for apart in possible}) == len(possible)
    assert stored(to_plain(nn.Sequential(layer))) == sizes[0]


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_the_smallest_form_is_the_smallest_of_all_combinations(
    out: int, into: int, a: int, b: int, kernel: int
) -> None:
    ranks = min(a, out, into * kernel**2), min(b, into, out * kernel**2)
    ranks = min(ranks[0], ranks[1] * kernel**2), min(ranks[1], ranks[0] * kernel**2)
    layer = TuckerConv2d(into, out, kernel, ranks=ranks)
    smallest = min(numbers(layer, apart) for apart in [(), (0,), (1,), (0, 1)])
    assert numbers(layer, forms(layer)[0]) == smallest
    assert all(numbers(layer, apart) <= layer.dense_numel for apart in forms(layer))
