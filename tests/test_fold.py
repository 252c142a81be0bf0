"""Batch norm is folded where that is exact, and nowhere else."""

import copy

import pytest
import torch
from exports import calibrated, network
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab import to_plain
from tuckerlab.deploy.export import prepared
from tuckerlab.deploy.fuse_batchnorm import fold_batch_norm, kept_norms
from tuckerlab.training.models import MODELS


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def assert_same(model: nn.Module, images: Tensor) -> nn.Module:
    """The folded model, in double precision as exact as its numbers; the model is as it was."""
    model = calibrated(model.double(), images.double())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model, images.double())
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(folded(images.double()), model(images.double()), rtol=1e-11, atol=1e-12)
    return folded


@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "vit_small"])
def test_every_norm_of_our_networks_is_folded(name: str, tucker: bool) -> None:
    model = to_plain(network(name, tucker=tucker))
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
        ([nn.Linear(5, 6), nn.BatchNorm1d(6)], (8, 5)),
        ([nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3), nn.BatchNorm1d(3)], (8, 5)),
    ],
    ids=["conv1d", "groups", "conv3d", "linear", "two"],
)
def test_all_kinds_of_layers(layers: list[nn.Module], shape: tuple[int, ...]) -> None:
    assert norms(assert_same(nn.Sequential(*layers), torch.randn(shape))) == 0


@pytest.mark.parametrize("tokens", [5, 6], ids=["other axis", "as long"])
def test_after_a_linear_layer_a_norm_of_tokens_stays(tokens: int) -> None:
    """On N × C × L it acts on C, and the layer on L: folded, it would be wrong where both are as long."""
    model, images = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(tokens)), torch.randn(8, tokens, 4)
    assert "is not N × features" in kept_norms(assert_same(model, images))["1"]
    assert "no example shows it" in kept_norms(fold_batch_norm(model))["1"]
    assert prepared(model.float(), images).kept.keys() == {"1"}


def test_a_norm_without_a_scale_of_its_own() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=False))
    images = torch.randn(8, 2, 4, 4)
    model[1].momentum = None
    model(images)
    folded = fold_batch_norm(model.double())
    assert norms(folded) == 0
    torch.testing.assert_close(folded(images.double()), model.eval()(images.double()), rtol=1e-11, atol=1e-12)


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


class TwoNames(Net):
    def __init__(self) -> None:
        super().__init__()
        self.again = self.conv

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.again(x))


class SharesTheWeight(Net):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 3, 1)
        self.other.weight = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.other(self.norm(self.conv(x)))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ReadsTwice, "a second time"),
        (CallsTheLayerTwice, "a second time"),
        (CallsTheNormTwice, "a second time"),
        (ReadsTheWeight, "a second time"),
        (SharesTheWeight, "a second time"),
        (NormsFirst, "right after"),
        (LooksAtNumbers, "cannot be traced"),
    ],
)
def test_what_cannot_be_folded_stays_and_says_why(kind: type[Net], reason: str) -> None:
    folded = assert_same(kind(), torch.randn(8, 3, 4, 4))
    assert reason in kept_norms(folded)["norm"]
    assert "\n" not in kept_norms(folded)["norm"]


def test_a_layer_with_two_names_is_folded_under_both() -> None:
    folded = assert_same(TwoNames(), torch.randn(8, 3, 4, 4))
    assert norms(folded) == 0
    assert folded.again is folded.conv


def test_batch_statistics_and_hooks_stay() -> None:
    no_statistics = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    assert "no running statistics" in kept_norms(fold_batch_norm(no_statistics))["1"]
    hooked = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    hooked[0].register_forward_hook(lambda module, given, answer: 2 * answer)
    assert "hooks" in kept_norms(fold_batch_norm(hooked))["1"]


def test_the_copy_is_in_eval_mode_and_the_model_trains_on() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout()).train()
    folded = fold_batch_norm(copy.deepcopy(model))
    assert not any(module.training for module in folded.modules())
    fold_batch_norm(model)
    assert all(module.training for module in model.modules())


def test_a_model_without_norms_is_only_copied() -> None:
    model = nn.Linear(3, 2)
    folded = fold_batch_norm(model)
    assert folded is not model
    assert torch.equal(folded.weight, model.weight)
    assert kept_norms(folded) == {}
