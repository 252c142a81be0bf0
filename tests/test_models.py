"""The networks: sizes known from the literature, every shape they claim to take, and errors that help."""

import copy
import json
import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuckerlab.augment import batches, epoch_order
from tuckerlab.datasets import load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.models import MODELS, build


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tests run side by side: threads of small operations would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_lenet5_has_430_500_weights() -> None:
    model = build("lenet5", in_channels=1, image_size=28)
    weights = [p for p in model.parameters() if p.ndim > 1]
    assert sum(weight.numel() for weight in weights) == 430_500
    assert conv_weights(model) == 25_500


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_takes_every_size_it_claims(name: str, channels: int) -> None:
    smallest = MODELS[name].smallest
    for size in {smallest, smallest + 1, 28, 32, 50, 64}:
        if size < smallest:
            continue
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
def test_convolutions_before_batch_norm_have_no_bias(name: str) -> None:
    model = build(name, width=0.125)
    assert all(module.bias is None for module in model.modules() if isinstance(module, nn.Conv2d))
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert norms == sum(isinstance(module, nn.Conv2d) for module in model.modules())
    assert [child for child, _ in model.named_children()] == ["features", "classifier"]


@pytest.mark.parametrize("name", MODELS)
def test_the_spec_rebuilds_the_model(name: str) -> None:
    model = build(name, num_classes=5, in_channels=1, image_size=40, width=0.25)
    again = build(**json.loads(json.dumps(model.spec)))
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 1, 40, 40)
    assert torch.equal(model.eval()(images), again.eval()(images))
    assert copy.deepcopy(model).spec == again.spec


@pytest.mark.parametrize("name", MODELS)
def test_models_can_be_built_without_memory(name: str) -> None:
    with torch.device("meta"):
        model = build(name, width=8)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert parameters(model) > 30 * parameters(build(name))


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build("vgg_small").parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [0.01, 0.3, 1.7])
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
        ({"name": "lenet5", "image_size": 15}, ["lenet5", "15 × 15", "16 × 16"]),
        ({"name": "vgg_small", "image_size": 3}, ["3 × 3", "4 × 4"]),
        ({"name": "vgg16", "width": 0}, ["width 0", "above 0"]),
        ({"name": "vgg16", "width": -1.5}, ["width -1.5", "above 0"]),
        ({"name": "vgg16", "width": math.nan}, ["width nan", "above 0"]),
        ({"name": "vgg16", "width": math.inf}, ["width inf", "above 0"]),
        ({"name": "vgg16", "width": "wide"}, ["width 'wide'", "above 0"]),
        ({"name": "vgg16", "num_classes": 0}, ["num_classes 0", "1 or more"]),
        ({"name": "vgg16", "in_channels": 2.0}, ["in_channels 2.0", "whole number"]),
        ({"name": "vgg16", "image_size": None}, ["image_size None", "whole number"]),
        ({"name": "vgg16", "num_classes": True}, ["num_classes True", "whole number"]),
    ],
)
def test_bad_input_says_what_is_allowed(arguments: dict[str, object], words: list[str]) -> None:
    with pytest.raises(TuckerlabError) as caught:
        build(**arguments)  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_model_describes_itself_in_one_line() -> None:
    assert all(0 < len(entry.description) < 80 for entry in MODELS.values())
