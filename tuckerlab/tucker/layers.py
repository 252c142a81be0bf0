"""Layers in Tucker format: drop-in for nn.Linear and nn.Conv1d, 2d, 3d, with a fraction of the numbers.

    TuckerLayer          the mathematics: core, orthonormal factors, ranks
    ├── TuckerLinear     order 2
    └── TuckerConv       1×1 convolution → core convolution → 1×1 convolution
        └── TuckerConv1d, TuckerConv2d, TuckerConv3d

By default the two channel modes are factorized (0: out, 1: in); the small spatial modes stay whole, inside the core.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab.tucker.weight import CHANNELS, Device, Modes, Ranks, TuckerLayer


class TuckerLinear(TuckerLayer):
    """nn.Linear with weight U C Vᵀ: three small matrix products, for inputs (…, in_features).

    >>> TuckerLinear(512, 256, ranks=8)(torch.randn(4, 512)).shape
    torch.Size([4, 256])

    A matrix has one rank: `ranks` is a number, or that number twice.

    >>> TuckerLinear.from_dense(nn.Linear(8, 6), ranks=3).ranks
    (3, 3)
    """

    dense_class = nn.Linear
    arguments = ("in_features", "out_features")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        ranks: Ranks,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__((out_features, in_features), ranks, CHANNELS, bias, device, dtype)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, input: Tensor) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        core, (out, into), _ = self.trained if self.training else self.point
        return F.linear(F.linear(F.linear(input, into.mT), core), out, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self._rank_repr()}"


class TuckerConv(TuckerLayer):
    """What TuckerConv1d, 2d and 3d share; the arguments are those of nn.ConvNd, with `ranks` and `modes` beside them.

    `modes` is "channels" (0 and 1), "all", or a tuple. Spatial factors are multiplied into the core before the core
    convolution; they cost some ten numbers each. Groups are not supported.
    """

    arguments = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    padding_mode: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        ranks: Ranks,
        stride: int | tuple[int, ...] = 1,
        padding: str | int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        modes: Modes = "channels",
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        # a dense layer without memory checks the arguments and brings them into their normal form
        options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
        options |= {"padding_mode": padding_mode, "device": "meta"}
        dense = self.dense_class(in_channels, out_channels, kernel_size, **options)
        super().__init__(dense.weight.shape, ranks, modes, bias, device, dtype)
        for name in dense.__constants__:
            setattr(self, name, getattr(dense, name))
        self._border = list(dense._reversed_padding_repeated_twice)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, …) → (N, out_channels, …)."""
        kernel, ends = (self.trained if self.training else self.point).split(CHANNELS)
        convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[len(self.kernel_size) - 1]
        stride = self.stride
        if self.only_picks_pixels:
            # Picked first, fewer pixels are multiplied. And a strided 1×1 convolution of fewer than 8 channels, as
            # small ranks make it, is broken in oneDNN's AVX2 kernels: it hangs, or its gradient is wrong (oneDNN
            # issue 6035).
            input = input[(..., *[slice(None, None, every) for every in stride])]  # type: ignore[index]
            stride = (1,) * len(stride)
        if 1 in ends:
            input = convolve(input, _pointwise(ends[1].mT, kernel.dim()))
        if self.padding_mode == "zeros":
            input = convolve(input, kernel, None, stride, self.padding, self.dilation)
        else:  # the border is added after the projection, where there are fewer channels
            border = F.pad(input, self._border, mode=self.padding_mode)
            input = convolve(border, kernel, None, stride, 0, self.dilation)
        if 0 in ends:
            return convolve(input, _pointwise(ends[0], kernel.dim()), self.bias)
        return input if self.bias is None else input + self.bias.reshape(-1, *[1] * (kernel.dim() - 2))

    @property
    def only_picks_pixels(self) -> bool:
        """Whether this is a matrix on every so many pixels: the shortcut of a residual network."""
        return max(self.kernel_size) == 1 and max(self.stride) > 1 and not any(self._border)

    def extra_repr(self) -> str:
        return f"{nn.modules.conv._ConvNd.extra_repr(self)}, {self._rank_repr()}"  # type: ignore


class TuckerConv1d(TuckerConv):
    """nn.Conv1d in Tucker format, for inputs (N, in_channels, length).

    >>> TuckerConv1d(8, 16, 3, ranks=4)(torch.randn(1, 8, 10)).shape
    torch.Size([1, 16, 8])
    """

    dense_class = nn.Conv1d


class TuckerConv2d(TuckerConv):
    """nn.Conv2d in Tucker format, for inputs (N, in_channels, height, width).

    >>> layer = TuckerConv2d(64, 128, 3, ranks=(32, 16), padding=1)
    >>> layer(torch.randn(2, 64, 8, 8)).shape
    torch.Size([2, 128, 8, 8])
    >>> layer
    TuckerConv2d(64, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), ranks=(32, 16), c.r.=86.8%)
    """

    dense_class = nn.Conv2d


class TuckerConv3d(TuckerConv):
    """nn.Conv3d in Tucker format, for inputs (N, in_channels, depth, height, width).

    >>> TuckerConv3d(4, 6, 3, ranks=2, padding="same")(torch.randn(1, 4, 5, 5, 5)).shape
    torch.Size([1, 6, 5, 5, 5])
    """

    dense_class = nn.Conv3d


def _pointwise(matrix: Tensor, dim: int) -> Tensor:
    """A matrix as the kernel of a 1×1 convolution."""
    return matrix.reshape(*matrix.shape, *[1] * (dim - 2))
