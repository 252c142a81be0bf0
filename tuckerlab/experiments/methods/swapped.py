"""Layers of a network that give way to others: `swapped`.

>>> swapped(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear, lambda layer: nn.Identity())
Sequential(
  (0): Identity()
  (1): ReLU()
)
"""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def swapped(network: nn.Module, kind: type[Layer], make: Callable[[Layer], nn.Module]) -> nn.Module:
    """The network with each layer of a kind replaced, in place, by what `make` makes of it, and what is in it.

    >>> swapped(nn.Linear(3, 2), nn.Linear, lambda layer: nn.Linear(layer.in_features, 1))
    Linear(in_features=3, out_features=1, bias=True)
    """
    if isinstance(network, kind):
        return make(network)
    for name, child in network.named_children():
        setattr(network, name, swapped(child, kind, make))
    return network
