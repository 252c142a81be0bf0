"""Ranks rounded up to what the kernels of a runtime take at once: channels of zeros inside a chain of convolutions.

>>> chain = nn.Sequential(nn.Conv2d(64, 45, 1, bias=False), nn.Conv2d(45, 45, 3), nn.Conv2d(45, 64, 1))
>>> [layer.out_channels for layer in aligned(nn.Sequential(chain, nn.ReLU()))[0]]
[48, 48, 64]

onnxruntime computes a convolution in blocks of channels where they are multiples of 4, and otherwise in a slower way,
with the data reordered before and after. VGG16 with trained ranks such as 45 and 79 answers a tenth faster, and more,
for 4 % more numbers.
"""

import copy

import torch
from torch import Tensor, nn

from tuckerlab.deploy.fuse_batchnorm import calls, used_elsewhere

MULTIPLE = 4
LEAST = 16
"""Ranks below it stay: there the zeros are many and the time is little."""


def aligned(network: nn.Module) -> nn.Module:
    """A copy of the same function in which convolutions pass on a multiple of 4 channels right to the next one.

    >>> [aligned(nn.Sequential(nn.Conv2d(64, n, 1), nn.Conv2d(n, 64, 1)))[0].out_channels for n in (15, 17)]
    [15, 20]

    The channels that are added carry zeros, so the outputs are the same up to the order of additions. A pair is widened
    where nothing but the second convolution sees what the first one gives, and both are called once; that is read off a
    trace (torch.fx), and in a network that cannot be traced everything stays.
    """
    network = copy.deepcopy(network)
    try:
        called = calls(network)
    except Exception:  # the forward of the caller's network, which may raise anything at a symbolic input
        return network
    for node, after in called.items():
        source = node.all_input_nodes[0]
        before = called.get(source)
        if (
            isinstance(before, nn.Conv2d)
            and isinstance(after, nn.Conv2d)
            and all(_is_ordinary(layer) for layer in (before, after))
            and len(source.users) == 1
            and not used_elsewhere(network, (before, after), called)
        ):
            _widen(before, after)
    return network


def _is_ordinary(layer: nn.Conv2d) -> bool:
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    return type(layer) is nn.Conv2d and layer.groups == 1 and not layer.weight.is_meta and not hooks


def _widen(before: nn.Conv2d, after: nn.Conv2d) -> None:
    extra = -before.out_channels % MULTIPLE
    if before.out_channels < LEAST or not extra:
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
