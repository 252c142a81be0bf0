"""Networks as they come out of training, without training: what the tests of exports share."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab import Fixed, build, tuckerize
from tuckerlab.training.models import MODELS

IMAGES = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def network(name: str, *, tucker: bool) -> nn.Module:
    """Of any name, narrow, with batch norms that have seen images: else all channels fade, and all outputs are alike.

    Of the repeated blocks of the deep ones a few are left: the time of an export goes by the number of layers.
    """
    torch.manual_seed(0)
    model = build(name, width=0.25, num_classes=5)
    assert isinstance(model.features, nn.Sequential)
    if name == "vit_small":
        model.features = model.features[:2] + model.features[7:]
    if name == "vgg16":
        layers = list(model.features)
        same = [at for at, m in enumerate(layers) if isinstance(m, nn.Conv2d) and m.in_channels == m.out_channels]
        model.features = nn.Sequential(*(m for at, m in enumerate(layers) if not {at, at - 1, at - 2} & {*same}))
    if name == "resnet18":
        model.features = nn.Sequential(*model.features[:4], model.features[5])  # 16 → 16, 16 → 32
        model.classifier[-1] = nn.Linear(32, 5)
    if tucker:
        tuckerize(model, include=MODELS[name].include, ranks=Fixed(0.4))
    return calibrated(model, IMAGES)


def calibrated(model: nn.Module, images: torch.Tensor) -> nn.Module:
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # the mean over what it sees
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
    with torch.no_grad():
        model.train()(images)
    return model.eval()
