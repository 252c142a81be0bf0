"""Int8 after training: the arithmetic against plain torch, what is stored, and that it combines with the others."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import Budget, build, load_data
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.methods.int8 import Int8, quantized, stored
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.convert import to_plain


def arena(device: str = "cpu") -> Arena:
    data = load_data("digits").subset(train=256, test=64)
    return Arena.of([Dense()], data, "vgg_small", 0.25, Recipe(epochs=2, batch_size=64), device)


def within(values: Tensor, expected: Tensor, bound: Tensor | float) -> bool:
    return bool(((values - expected).abs() <= bound).all())


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": (3, 1), "bias": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_layer_computes_what_whole_numbers_give(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(8, 12, **options), nn.BatchNorm2d(12)  # type: ignore[arg-type]
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 1.5)
    images = torch.randn(32, 8, 9, 9)
    network = quantized(nn.Sequential(convolution, norm, nn.ReLU()), images)
    held = stored(network)
    layer = getattr(network, "0")

    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = convolution.weight * gain[:, None, None, None]
    bias = norm.bias + gain * ((0 if convolution.bias is None else convolution.bias) - norm.running_mean)
    scales = held["0.weight.0.scales"][:, None, None, None]
    weight = held["0.weight.0"] * scales
    assert held["0.weight.0"].dtype == torch.int8
    assert within(weight, folded, scales * 0.501)
    torch.testing.assert_close(held["0.bias.0"], bias.detach())

    scale = next(value for name, value in held.items() if "input_scale" in name)
    zero = next(value for name, value in held.items() if "input_zero_point" in name)
    inputs = ((images / scale).round() + zero).clamp(0, 255).sub(zero).mul(scale)
    expected = F.conv2d(
        inputs, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups
    ).relu()
    step = layer.scale
    assert within(network(images), expected.clamp(max=255 * step), 0.51 * step)


def test_a_file_holds_a_byte_for_each_weight() -> None:
    model = build("vgg16", width=0.25)
    held = stored(quantized(model, torch.randn(8, 3, 32, 32)))
    weights = sum(value.numel() for value in held.values() if value.dtype == torch.int8)
    assert weights == sum(p.numel() for p in model.parameters() if p.dim() > 1)
    size = len(safetensors.torch.save(held))
    assert weights < size < 1.1 * weights


class Never(Callback):
    def on_step(self, run: Run) -> None:
        raise AssertionError("it trains")


@pytest.mark.parametrize("of", [Tucker(Budget(0.8))], ids=lambda of: of.slug)
def test_the_accuracy_is_that_of_the_quantized_network_and_of_every_replay(of: Contender, tmp_path: Path) -> None:
    place, contender = arena(), Int8(of)
    first = contender.train(Training(place, tmp_path))
    again = contender.train(Training(place, tmp_path, callbacks=[Never()]))
    assert first.epochs == again.epochs
    network = contender.answering(again.network, place)
    images = place.data.normalize(place.data.test_images)
    with torch.inference_mode():
        assert torch.equal(network(images), contender.answering(first.network, place)(images))
        right = network(images).argmax(1) == place.data.test_labels
        loss = F.cross_entropy(network(images), place.data.test_labels)
    assert first.test_accuracy == right.float().mean().item()
    assert first.epochs[-1]["test_loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert first.epochs[-1]["test_loss"] != evaluate(to_plain(first.network), place.data).loss
    assert first.epochs[:-1] == of.train(Training(place, tmp_path)).epochs[:-1]
