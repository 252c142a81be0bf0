"""Batch norm is folded, and ranks rounded up, where that is exact, and nowhere else."""

from itertools import pairwise

import pytest
import torch
from exports import calibrated, network
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab import to_plain
from tuckerlab.deploy.export import prepared
from tuckerlab.deploy.fuse_batchnorm import aligned, fold_batch_norm, kept_norms
from tuckerlab.training.models import MODELS


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def assert_same(model: nn.Module, images: Tensor) -> nn.Module:
    """The folded model, in double precision as exact as its numbers; the model is as it was."""
    model = calibrated(model.double(), images.double())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(folded(images.double()), model(images.double()), rtol=1e-11, atol=1e-12)
    return folded


@pytest.mark.parametrize("name", [name for name in MODELS if name != "vit_small"])
def test_every_norm_of_our_networks_is_folded(name: str) -> None:
    model = to_plain(network(name, tucker=True))
    assert norms(model) > 0
    folded = assert_same(model, torch.randn(4, 3, 32, 32))
    assert norms(folded) == 0
    assert sum(p.numel() for p in folded.parameters()) < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([nn.Conv1d(3, 6, 3, stride=2), nn.BatchNorm1d(6)], (8, 3, 9)),
        ([nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6, eps=0.1)], (8, 4, 7, 7)),
        ([nn.Conv3d(2, 6, 2, padding=1, padding_mode="replicate"), nn.BatchNorm3d(6)], (8, 2, 4, 4, 4)),
    ],
    ids=["conv1d", "groups", "conv3d"],
)
def test_all_kinds_of_layers(layers: list[nn.Module], shape: tuple[int, ...]) -> None:
    assert norms(assert_same(nn.Sequential(*layers), torch.randn(shape))) == 0


def test_after_a_linear_layer_a_norm_stays() -> None:
    """On N × C × L it acts on C, and the layer on L: folded, it would be wrong where both are as long."""
    model, images = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)), torch.randn(8, 6, 4)
    assert kept_norms(assert_same(model, images)) == ["1"]
    assert prepared(model.float(), images).kept == ("1",)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()


class ReadsTwice(Net):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + x


class CallsTheLayerTwice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(x)))


class CallsTheNormTwice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.norm(x)))


class ReadsTheWeight(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.sum()


class NormsFirst(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


class LooksAtNumbers(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.sum() > -1e9 else x


class SharesTheWeight(Net):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 3, 1)
        self.other.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.norm(self.conv(x)))


@pytest.mark.parametrize("kind", Net.__subclasses__())
def test_what_cannot_be_folded_stays(kind: type[Net]) -> None:
    assert kept_norms(assert_same(kind(), torch.randn(8, 3, 4, 4))) == ["norm"]


def test_batch_statistics_and_hooks_stay() -> None:
    no_statistics = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    assert kept_norms(fold_batch_norm(no_statistics)) == ["1"]
    hooked = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    hooked[0].register_forward_hook(lambda module, given, answer: 2 * answer)
    assert kept_norms(fold_batch_norm(hooked)) == ["1"]
    assert all(module.training for module in hooked.modules())


# --- ranks rounded up -------------------------------------------------------------------------------------------------


def chain(*channels: int, bias: bool = True, groups: int = 1) -> nn.Sequential:
    layers = (nn.Conv2d(a, b, 3, padding=1, bias=bias, groups=groups) for a, b in pairwise(channels))
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("rank", "expected", "bias"), [(17, 20, False), (45, 48, True), (15, 15, False)])
def test_the_same_function_at_a_multiple_of_four(rank: int, expected: int, bias: bool) -> None:
    given, images = chain(8, rank, rank, 6, bias=bias), torch.randn(2, 8, 5, 5)
    made = aligned(given)
    assert [layer.out_channels for layer in made] == [expected, expected, 6]
    assert [tuple(layer.weight.shape[:2]) for layer in made] == [(expected, 8), (expected, expected), (6, expected)]
    torch.testing.assert_close(made(images), given(images))
    assert [layer.out_channels for layer in given] == [rank, rank, 6]  # what was given stays


class ReadsBetween(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = chain(17, 17, 17)

    def forward(self, x: Tensor) -> Tensor:
        between = self.f[0](x)
        answer: Tensor = self.f[1](between) + between
        return answer


@pytest.mark.parametrize(
    "network",
    [
        ReadsBetween(),
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
