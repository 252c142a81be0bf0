"""Channel pruning: which channels go, what is left of the function, and what survives an interruption."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tuckerlab import build, load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.channel_pruning import KEPT, Channels, pruned, without
from tuckerlab.experiments.setup import Arena, arranged
from tuckerlab.training.config import Recipe
from tuckerlab.tucker.model_size import count_parameters


def arena(epochs: int = 2, model: str = "vgg_small") -> Arena:
    data = load_data("digits").subset(train=256, test=64)
    recipe = Recipe(epochs=epochs, batch_size=64)
    return arranged([Channels(0.9)], data=data, recipe=recipe, model=model, width=0.25, device="cpu")


def network(name: str = "vgg_small", in_channels: int = 1, image_size: int = 8, width: float = 0.25) -> nn.Module:
    """With batch norms that do something, as after training."""
    torch.manual_seed(0)
    model = build(name, in_channels=in_channels, image_size=image_size, width=width)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values, std=0.2)
    return model.eval()


def widths(model: nn.Module) -> list[int]:
    return [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "in_channels", "image_size", "width"),
    [
        ("vgg_small", 1, 8, 1.0), ("resnet18", 3, 32, 0.25), ("lenet5", 1, 28, 1.0),
    ],
)  # fmt: skip
def test_the_target_is_met_and_hardly_more(name: str, in_channels: int, image_size: int, width: float) -> None:
    dense = network(name, in_channels, image_size, width)
    image = torch.zeros(1, in_channels, image_size, image_size)
    for target in (0.8, 0.95):
        model = pruned(dense, target, image)
        reached = 1 - count_parameters(model).conv_stored / count_parameters(dense).conv_stored
        assert target <= reached < target + 0.01
        assert all(left >= KEPT * all_ for left, all_ in zip(widths(model), widths(dense), strict=True))
        assert model(torch.zeros(2, in_channels, image_size, image_size)).shape == (2, 10)


@pytest.mark.parametrize("gone", [0, 40])
def test_it_is_the_dense_network_with_the_least_channels_silent(gone: int) -> None:
    """An oracle without the library: norms by hand, and channels that answer zero in the place of none."""
    dense = network()
    left = without(dense, gone, torch.zeros(1, 1, 8, 8))
    convolutions = [layer for layer in dense.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in dense.modules() if isinstance(layer, nn.BatchNorm2d)]
    readers = [*convolutions[1:], dense.classifier[2]]
    scores = []
    for convolution, norm, reader in zip(convolutions, norms, readers, strict=True):
        own = convolution.weight.square().sum((1, 2, 3)) + norm.weight.square()
        score = (own + reader.weight.square().flatten(2).sum(-1).sum(0)) if reader.weight.dim() > 2 else (
            own + reader.weight.square().sum(0)
        )  # fmt: skip
        score = (score / score.mean()).detach()
        score[score.topk(math.ceil(0.1 * len(score))).indices] = math.inf
        scores.append(score)
    limit = torch.cat(scores).sort().values[gone]
    with torch.no_grad():
        for score, norm in zip(scores, norms, strict=True):
            norm.weight[score < limit] = 0
            norm.bias[score < limit] = 0
    assert widths(left) == [int((score >= limit).sum()) for score in scores]
    images = torch.randn(16, 1, 8, 8)
    torch.testing.assert_close(left(images), dense(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Channels(1), "allowed are numbers from 0"),
        (lambda: Channels(0.999).check(arena()), "every layer keeps 10% of its channels"),
        (lambda: Channels(0.9).check(arena(epochs=1)), "needs 2 or more"),
        (lambda: Channels(0.9).check(arena(model="vit_small")), "a transformer"),
    ],
)
def test_what_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(TuckerlabError, match=said):
        call()
