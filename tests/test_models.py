"""The networks: sizes known from the literature, every shape they claim to take, and errors that help."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuckerlab import Fixed, TuckerAdamW, TuckerLayer, tuckerize
from tuckerlab.data import load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.augment import batches, epoch_order
from tuckerlab.training.models import MODELS, build
from tuckerlab.training.vit import Attention


def conv_weights(model: nn.Module) -> int:
    return sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d))


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


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
    assert (conv_weights(model), parameters(model)) == (conv, total)
    assert conv_weights(model) > 0.98 * parameters(model)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_every_size_it_claims(name: str) -> None:
    smallest = MODELS[name].smallest
    for size, channels in ((smallest, 1), (smallest + 1, 3), (50, 3)):
        model = build(name, num_classes=7, in_channels=channels, image_size=size, width=0.125)
        logits = model(torch.randn(2, channels, size, size))
        assert logits.shape == (2, 7)
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = build(name, width=0.125).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    F.cross_entropy(model(images), torch.arange(4)).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", MODELS)
def test_the_spec_rebuilds_the_model(name: str) -> None:
    model = build(name, num_classes=5, in_channels=1, image_size=40, width=0.25)
    again = build(**json.loads(json.dumps(model.spec)))
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 1, 40, 40)
    assert torch.equal(model.eval()(images), again.eval()(images))
    assert copy.deepcopy(model).spec == again.spec


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [0.01, 1.7])
def test_width_gives_multiples_of_eight(name: str, width: float) -> None:
    channels = [m.out_channels for m in build(name, width=width).modules() if isinstance(m, nn.Conv2d)]
    published = [m.out_channels for m in build(name).modules() if isinstance(m, nn.Conv2d)]
    assert all(c % 8 == 0 and c >= 8 for c in channels)
    assert all(abs(c - width * p) <= max(4, 8 - width * p) for c, p in zip(channels, published, strict=True))


def test_the_small_vgg_learns_the_digits_in_seconds() -> None:
    torch.manual_seed(0)
    data = load_data("digits")
    model = build("vgg_small", in_channels=1, image_size=8)
    epochs, batch_size = 6, 64
    steps = epochs * (len(data.train_images) // batch_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
    for epoch in range(epochs):
        order = epoch_order(len(data.train_images), 0, epoch)
        for x, y in batches(data.train_images, data.train_labels, batch_size, order=order, drop_last=True):
            optimizer.zero_grad()
            F.cross_entropy(model(data.normalize(x)), y).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        answers = model.eval()(data.normalize(data.test_images)).argmax(1)
    assert (answers == data.test_labels).double().mean() > 0.95


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "vgg61"}, ["vgg61", *MODELS]),
        ({"name": "vgg16", "image_size": 8}, ["vgg16", "8 × 8", "32 × 32", "vgg_small or resnet18"]),
        ({"name": "vgg16", "width": 0}, ["width 0", "above 0"]),
        ({"name": "vgg16", "width": "wide"}, ["width 'wide'", "above 0"]),
        ({"name": "vgg16", "num_classes": 0}, ["num_classes 0", "1 or more"]),
        ({"name": "vgg16", "num_classes": True}, ["num_classes True", "whole number"]),
    ],
)
def test_bad_input_says_what_is_allowed(arguments: dict[str, object], words: list[str]) -> None:
    with pytest.raises(TuckerlabError) as caught:
        build(**arguments)  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_transformer_is_factorized_whole_and_learns() -> None:
    model = tuckerize(build("vit_small", image_size=16, width=0.25), include=MODELS["vit_small"].include, ranks=0.3)
    names = [name for name, module in model.named_modules() if isinstance(module, TuckerLayer)]
    assert len(names) == 1 + 6 * 4  # the embedding, and qkv, projection and two of the perceptron in each block
    images, labels = torch.randn(32, 3, 16, 16), torch.arange(32) % 4
    optimizer = TuckerAdamW(model, lr=3e-3, ranks=Fixed())
    losses = []
    for _ in range(30):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


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
