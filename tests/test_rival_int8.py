"""Int8 after training: the arithmetic against plain torch, what is stored, and that it combines with the others."""

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import build
from tuckerlab.experiments.methods.int8 import quantized, stored


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
