"""Batch norm is folded, and ranks rounded up, where that is exact, and nowhere else."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from exports import calibrated, network
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab.deploy.export.prepare import aligned, prepared
from tuckerlab.training.models import MODELS


def kept(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]


def checked(model: nn.Module, images: Tensor, align: bool = False) -> nn.Module:
    """The network to be written: in double precision as exact as its numbers; the model is as it was."""
    model, images = calibrated(model.double(), images.double()).train(), images.double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = prepared(model, images, align=align)[0]
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(made(images), model.eval()(images), rtol=1e-11, atol=1e-12)
    return made


@pytest.mark.parametrize("name", [name for name in MODELS if name != "vit_small"])
def test_every_norm_of_our_networks_is_folded(name: str) -> None:
    model = network(name, tucker=True)
    assert kept(model)
    made = checked(model, torch.randn(4, 3, 32, 32), align=True)
    assert not kept(made)
    assert all(type(part).__module__.startswith("torch.nn") for part in made.modules() if not [*part.children()])


def test_all_kinds_of_layers() -> None:
    for layers, shape in [
        ([nn.Conv1d(3, 6, 3, stride=2), nn.BatchNorm1d(6)], (8, 3, 9)),
        ([nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6, eps=0.1)], (8, 4, 7, 7)),
        ([nn.Conv3d(2, 6, 2, padding=1, padding_mode="replicate"), nn.BatchNorm3d(6)], (8, 2, 4, 4, 4)),
    ]:
        assert not kept(checked(nn.Sequential(*layers), torch.randn(shape)))


class Net(nn.Module):
    """A convolution, a batch norm, and a forward that calls them in some way."""

    def __init__(self, run: Callable[["Net", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm, self.other, self.run = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


CASES: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "the layer's answer is read twice": lambda net, x: net.norm(between := net.conv(x)) + between,
    "the layer is called twice": lambda net, x: net.norm(net.conv(net.conv(x))),
    "the norm is called twice": lambda net, x: net.norm(net.conv(net.norm(x))),
    "the weight is read": lambda net, x: net.norm(net.conv(x)) * net.conv.weight.sum(),
    "the norm comes first": lambda net, x: net.conv(net.norm(x)),
    "it looks at numbers": lambda net, x: net.norm(net.conv(x)) if x.sum() > -1e9 else x,
    "the weight is shared": lambda net, x: net.other(net.norm(net.conv(x))),
    "it has a hook": lambda net, x: net.norm(net.conv(x)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_folded_stays(case: str) -> None:
    net = Net(CASES[case])
    if case == "the weight is shared":
        net.other.weight = net.conv.weight
    if case == "it has a hook":
        net.conv.register_forward_hook(lambda module, given, answer: 2 * answer)
    assert kept(checked(net, torch.randn(8, 3, 4, 4))) == ["norm"]


def test_batch_statistics_and_what_follows_a_linear_layer_stay() -> None:
    no_statistics = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    assert kept(checked(no_statistics, torch.randn(8, 3, 4, 4))) == ["1"]
    # on N × C × L it acts on C, and the layer on L: folded, it would be wrong where both are as long
    assert kept(checked(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)), torch.randn(8, 6, 4))) == ["1"]


def chain(*channels: int, bias: bool = True, groups: int = 1) -> nn.Sequential:
    layers = (nn.Conv2d(a, b, 3, padding=1, bias=bias, groups=groups) for a, b in pairwise(channels))
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("rank", "expected", "bias"), [(17, 20, False), (45, 48, True), (15, 15, False)])
def test_the_same_function_at_a_multiple_of_four(rank: int, expected: int, bias: bool) -> None:
    made = checked(chain(8, rank, rank, 6, bias=bias), torch.randn(2, 8, 5, 5), align=True)
    assert [layer.out_channels for layer in made] == [expected, expected, 6]
    assert [tuple(layer.weight.shape[:2]) for layer in made] == [(expected, 8), (expected, expected), (6, expected)]


def test_what_is_no_chain_of_convolutions_stays() -> None:
    for model in (
        chain(17, 34, 17, groups=17),
        nn.Sequential(nn.Conv2d(3, 17, 1), nn.ReLU(), nn.Conv2d(17, 3, 1)),  # relu(0) is 0, other functions are not
        nn.Sequential(nn.Linear(17, 17), nn.Linear(17, 3)),
    ):
        before = {name: value.shape for name, value in model.state_dict().items()}
        assert {name: value.shape for name, value in aligned(model).state_dict().items()} == before
