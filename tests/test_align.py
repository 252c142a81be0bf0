"""Ranks rounded up: the same function, and nothing else changed."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from tuckerlab import build, to_plain, tuckerize
from tuckerlab.deploy.aligned_ranks import aligned
from tuckerlab.tucker.rank_policy import Fixed


def chain(*channels: int, bias: bool = True, groups: int = 1) -> nn.Sequential:
    layers = (nn.Conv2d(a, b, 3, padding=1, bias=bias, groups=groups) for a, b in pairwise(channels))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rank", "expected"), [(16, 16), (17, 20), (19, 20), (45, 48), (15, 15)])
def test_the_same_function_at_a_multiple_of_four(rank: int, expected: int, bias: bool) -> None:
    given, images = chain(8, rank, rank, 6, bias=bias), torch.randn(2, 8, 5, 5)
    made = aligned(given)
    assert [layer.out_channels for layer in made] == [expected, expected, 6]
    assert [tuple(layer.weight.shape[:2]) for layer in made] == [(expected, 8), (expected, expected), (6, expected)]
    torch.testing.assert_close(made(images), given(images))
    assert [layer.out_channels for layer in given] == [rank, rank, 6]  # what was given stays


def test_a_network() -> None:
    network = to_plain(tuckerize(build("vgg_small", image_size=16), ranks=Fixed(0.55))).eval()
    made, images = aligned(network), torch.randn(2, 3, 16, 16)
    assert sum(p.numel() for p in made.parameters()) > sum(p.numel() for p in network.parameters())
    assert all(
        layer.in_channels % 4 == 0
        for layer in made.modules()
        if isinstance(layer, nn.Conv2d) and layer.in_channels > 16
    )
    with torch.no_grad():
        torch.testing.assert_close(made(images), network(images), rtol=1e-4, atol=1e-5)


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = chain(17, 17, 17)


class IndexedFromOutside(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.f[0](x) + self.f(x)


class ReadsBetween(Chain):
    def forward(self, x: Tensor) -> Tensor:
        between = self.f[0](x)
        return self.f[1](between) + between


class CalledTwice(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.f(x))


class TheSameLayerTwice(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(self.f[0], self.f[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


class SharesTheWeight(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(17, 17, 3, padding=1)
        self.other.weight = self.f[1].weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.f(x).relu())


class ReadsTheWeight(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.f(x) * self.f[0].weight.mean()


class LooksAtNumbers(Chain):
    def forward(self, x: Tensor) -> Tensor:
        return self.f(x) if x.sum() > -1e9 else x


class Hooked(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.f[0].register_forward_hook(lambda module, given, answer: answer.roll(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


@pytest.mark.parametrize("kind", Chain.__subclasses__())
def test_what_others_use_too_stays(kind: type[Chain]) -> None:
    network, images = kind(), torch.randn(2, 17, 5, 5)
    made = aligned(network)
    assert all(layer.weight.shape == (17, 17, 3, 3) for layer in made.modules() if isinstance(layer, nn.Conv2d))
    torch.testing.assert_close(made(images), network(images))


@pytest.mark.parametrize(
    "network",
    [
        chain(17, 34, 17, groups=17),
        nn.Sequential(nn.Conv2d(3, 17, 1), nn.ReLU(), nn.Conv2d(17, 3, 1)),  # relu(0) is 0, other functions are not
        nn.Sequential(nn.Linear(17, 17), nn.Linear(17, 3)),
    ],
)
def test_what_is_no_chain_of_convolutions_stays(network: nn.Module) -> None:
    made = aligned(network)
    assert {name: value.shape for name, value in made.state_dict().items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }
