"""Ranks rounded up to what the kernels of a runtime take at once: channels of zeros inside a chain of convolutions.

>>> chain = nn.Sequential(nn.Conv2d(64, 45, 1, bias=False), nn.Conv2d(45, 45, 3), nn.Conv2d(45, 64, 1))
>>> [layer.out_channels for layer in aligned(nn.Sequential(chain, nn.ReLU()))[0]]
[48, 48, 64]

onnxruntime computes a convolution in blocks of channels where they are multiples of 4, and otherwise in a slower way,
with the data reordered before and after. VGG16 with trained ranks such as 45 and 79 answers a tenth faster, and more,
for 4 % more numbers.
"""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

MULTIPLE = 4
LEAST = 16
"""Ranks below it stay: there the zeros are many and the time is little."""


def aligned(network: nn.Module, *, multiple: int = MULTIPLE, least: int = LEAST) -> nn.Module:
    """A copy of the same function whose chains of convolutions pass on a multiple of so many channels.

    >>> chain = nn.Sequential(nn.Conv2d(64, 15, 1), nn.Conv2d(15, 64, 1))
    >>> aligned(chain)[0].out_channels, aligned(chain, least=1)[0].out_channels
    (15, 16)

    A chain is an nn.Sequential of nothing but ordinary convolutions, as `to_plain` makes it. The channels that are
    added carry zeros, so the outputs are the same up to the order of additions.
    """
    network = copy.deepcopy(network)
    for chain in [module for module in network.modules() if type(module) is nn.Sequential]:
        if all(type(layer) is nn.Conv2d and layer.groups == 1 for layer in chain):
            for before, after in pairwise(chain):
                assert isinstance(before, nn.Conv2d)
                assert isinstance(after, nn.Conv2d)
                _widen(before, after, multiple, least)
    return network


def _widen(before: nn.Conv2d, after: nn.Conv2d, multiple: int, least: int) -> None:
    extra = -before.out_channels % multiple
    if before.out_channels < least or not extra or before.weight.is_meta:
        return
    before.weight = nn.Parameter(_longer(before.weight, 0, extra))
    if before.bias is not None:
        before.bias = nn.Parameter(_longer(before.bias, 0, extra))
    after.weight = nn.Parameter(_longer(after.weight, 1, extra))
    before.out_channels += extra
    after.in_channels += extra


def _longer(tensor: Tensor, dim: int, extra: int) -> Tensor:
    zeros = tensor.new_zeros([extra if axis == dim else size for axis, size in enumerate(tensor.shape)])
    return torch.cat([tensor.detach(), zeros], dim)
