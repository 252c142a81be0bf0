"""The networks: sizes known from the literature, every shape they claim to take, and errors that help."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuckerlab.errors import TuckerlabError
from tuckerlab.training.models import MODELS, Attention, build
from tuckerlab.tucker.model_size import Counts, count_parameters


@pytest.mark.parametrize(
    ("name", "convolutions", "conv", "total"),
    [
        ("vgg16", 13, 14_710_464, 14_724_042),  # the usual 14 728 266 less 4 224 biases before batch norms
        ("resnet18", 20, 11_159_232, 11_173_962),  # the number everyone gets for the CIFAR form
        ("alexnet", 5, 2_250_432, 2_250_432 + 2 * (64 + 192 + 384 + 256 + 256) + 256 * 10 + 10),
        ("vgg_small", 6, 286_560, 286_560 + 2 * 2 * (32 + 64 + 128) + 128 * 10 + 10),
    ],
)
def test_sizes_are_those_of_the_literature(name: str, convolutions: int, conv: int, total: int) -> None:
    model = build(name)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == convolutions
    assert count_parameters(model) == Counts(conv, conv, total, total)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_every_size_it_claims(name: str) -> None:
    smallest = MODELS[name].smallest
    for size, channels in ((smallest, 1), (smallest + 1, 3), (50, 3)):
        model = build(name, num_classes=7, in_channels=channels, image_size=size, width=0.125)
        images = torch.randn(4, channels, size, size).contiguous(memory_format=torch.channels_last)
        logits = model(images)
        assert logits.shape == (4, 7)
        assert logits.isfinite().all()
    F.cross_entropy(logits, torch.arange(4)).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("wrong", [{"image_size": 8}, {"width": 0}, {"num_classes": True}, {"name": "vgg61"}])
def test_bad_input_says_what_is_allowed(wrong: dict[str, Any]) -> None:
    with pytest.raises(TuckerlabError, match=r"images of 8|width 0|num_classes True|vgg_small"):
        build(**{"name": "vgg16", **wrong})


def test_attention_is_that_of_torch() -> None:
    ours = Attention(24, heads=4)
    theirs = nn.MultiheadAttention(24, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.projection.weight)
        theirs.out_proj.bias.copy_(ours.projection.bias)
    tokens = torch.randn(3, 7, 24)
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens, need_weights=False)[0])
