"""A network that takes pixels as a camera gives them.

>>> import torch
>>> from torch import nn
>>> network = FromPixels(nn.Flatten(), mean=torch.tensor([0.5]), std=torch.tensor([0.25]))
>>> network(torch.tensor([[[[0.0, 255.0]]]]))
tensor([[-2.,  2.]])
"""

import torch as torch
from torch import Tensor, nn


class FromPixels(nn.Module):
    """A network with the normalisation of its data in front: pixels 0 to 255, float32, N × C × H × W.

    >>> FromPixels(nn.Identity(), torch.zeros(3), torch.ones(3))(torch.full((1, 3, 2, 2), 255.0)).max()
    tensor(1.)

    `mean` and `std` are those of each channel between 0 and 1, as `ImageData` has them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", 255 * mean.reshape(-1, 1, 1))
        self.register_buffer("scale", 1 / (255 * std.reshape(-1, 1, 1)))
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        answer: Tensor = self.network((pixels - self.shift) * self.scale)
        return answer
