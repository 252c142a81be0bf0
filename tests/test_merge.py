"""The forms of a Tucker layer are the same function, and a form is chosen by the rule that the docstring states."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from tuckerlab import TuckerConv1d, TuckerConv2d, TuckerConv3d, TuckerlabError, TuckerLayer, TuckerLinear, to_plain
from tuckerlab.deploy.chain_merging import Timer, merge
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


def times(**milliseconds: float) -> Timer:
    """One time for chains ("long"), cores with one factor ("half") and dense layers ("dense")."""
    names = {4: "long", 3: "half", 2: "dense"}
    return lambda built, images: {form: milliseconds[names[len(form.split(" → "))]] for form in built}


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


CHAIN = {"long": 13_312, "half": 20_480, "dense": 36_864}  # numbers of 64 → 32 → 32 → 64, 3×3


@pytest.mark.parametrize(
    ("long", "half", "dense", "form", "reason"),
    [
        (1.0, 0.9, 0.85, "64 → 32 → 32 → 64", "smallest"),  # noise
        (1.0, 0.8, 0.8, "64 → 32 → 64", "slower"),
        (1.0, 0.8, 0.5, "64 → 64", "slower"),
        (1.0, 2.0, 0.5, "64 → 64", "slower"),
        (1.0, 2.0, 0.78, "64 → 32 → 32 → 64", "smallest"),  # 2.8 times the numbers: below 0.76
    ],
)
def test_a_larger_form_is_taken_only_for_its_speed(
    long: float, half: float, dense: float, form: str, reason: str
) -> None:
    model, timer = nn.Sequential(TuckerConv2d(64, 64, 3, ranks=(32, 32))), times(long=long, half=half, dense=dense)
    plain, (decision,) = merge(model, torch.zeros(1, 64, 8, 8), timer, margin=0.2)
    assert (decision.layer, decision.form, decision.reason) == ("0", form, reason)
    assert decision.stored == stored(plain) == CHAIN[{4: "long", 3: "half", 2: "dense"}[len(form.split(" → "))]]
    assert (decision.smallest, decision.dense) == (13_312, 36_864)
    assert set(decision.times_ms) == {"64 → 32 → 32 → 64", "64 → 32 → 64", "64 → 64"}


def fails(built: Mapping[str, nn.Module], images: Tensor) -> dict[str, float]:
    pytest.fail("it is timed")


def test_nothing_is_timed_where_nothing_can_be_chosen() -> None:
    model = nn.Sequential(TuckerConv2d(8, 8, 3, ranks=(8, 8)))
    plain, (decision,) = merge(model, torch.zeros(1, 8, 4, 4), fails)
    assert isinstance(plain[0], nn.Conv2d)
    assert (decision.reason, decision.form, decision.times_ms) == ("larger", "8 → 8", {})
    model = nn.Sequential(TuckerConv2d(64, 64, 3, ranks=(32, 32)))
    plain, (decision,) = merge(model, torch.zeros(1, 64, 3, 3), fails, margin=math.inf)
    assert decision.reason == "smallest"
    assert stored(plain) == stored(to_plain(model))
    with pytest.raises(TuckerlabError, match=r"margin -0\.1"):
        merge(model, torch.zeros(1, 64, 3, 3), fails, margin=-0.1)


class Timed:
    """A timer that is told what it is given, and for which short names are quick."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.forms: list[list[str]] = []

    def __call__(self, built: Mapping[str, nn.Module], images: Tensor) -> dict[str, float]:
        self.shapes.append(tuple(images.shape))
        self.forms.append(list(built))
        assert not any(form.training for form in built.values())
        return {name: float(len(name)) for name, form in built.items() if form(images).isfinite().all()}


def test_each_layer_is_timed_on_the_input_that_it_gets() -> None:
    model, timer = nn.Sequential(
        TuckerConv2d(16, 16, 3, ranks=(4, 4), padding=1), nn.MaxPool2d(2), TuckerConv2d(16, 32, 3, ranks=(4, 4)),
        nn.Flatten(), TuckerLinear(32 * 4, 16, ranks=2),
    ), Timed()  # fmt: skip
    merge(model, torch.zeros(3, 16, 8, 8), timer)
    assert timer.shapes == [(3, 16, 8, 8), (3, 16, 4, 4), (3, 128)]


def test_layers_that_are_alike_are_timed_once_and_the_largest_first_while_there_is_time() -> None:
    model = nn.Sequential(
        *(TuckerLinear(16, 16, ranks=2) for _ in range(3)), TuckerLinear(16, 64, ranks=2), TuckerLinear(64, 64, ranks=2)
    )
    timer = Timed()
    _, decisions = merge(model, torch.zeros(1, 16), timer)
    assert [forms[0] for forms in timer.forms] == ["64 → 2 → 64", "16 → 2 → 64", "16 → 2 → 16"]
    assert all(len(decision.times_ms) == 2 for decision in decisions)
    plain, decisions = merge(model, torch.zeros(1, 16), timer, seconds=0.0)
    assert len(timer.forms) == 3
    assert {decision.reason for decision in decisions} == {"smallest"}
    torch.testing.assert_close(plain(torch.ones(1, 16)), model(torch.ones(1, 16)))


@pytest.mark.parametrize("fastest", ["long", "half", "dense"])
def test_the_network_stays_the_same_function(fastest: str) -> None:
    first = TuckerConv2d(8, 16, 3, ranks=(4, 4), padding=1)
    model = nn.Sequential(first, nn.BatchNorm2d(16), nn.ReLU(), TuckerConv2d(16, 16, 3, ranks=(4, 4))).double()
    images = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    model.train()(images)
    plain, decisions = merge(model, images, times(**{"long": 1.0, "half": 1.0, "dense": 1.0, fastest: 0.01}))
    assert model.training
    assert not plain.training
    torch.testing.assert_close(plain(images), model.eval()(images), rtol=1e-10, atol=1e-12)
    assert {decision.reason for decision in decisions} == {"smallest" if fastest == "long" else "slower"}


def test_layers_that_are_never_called_or_twice_or_the_whole_model() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.twice = TuckerLinear(16, 16, ranks=2), TuckerLinear(16, 16, ranks=2)

        def forward(self, x: Tensor) -> Tensor:
            answer: Tensor = self.twice(self.twice(x))
            return answer

    model, images, timer = Odd(), torch.randn(2, 16), Timed()
    plain, decisions = merge(model, images, timer)
    assert [decision.layer for decision in decisions] == ["unused", "twice"]
    assert [len(decision.times_ms) for decision in decisions] == [0, 2]
    torch.testing.assert_close(plain(images), model(images), rtol=1e-4, atol=1e-6)
    whole, (decision,) = merge(TuckerLinear(16, 16, ranks=2), images, timer)
    assert (decision.layer, type(whole)) == ("", nn.Linear if decision.reason == "slower" else nn.Sequential)
    assert "the layer: " in str(decision)
