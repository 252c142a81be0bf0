"""Low rank as a matrix: each kernel unfolded to out × (in·kh·kw), a k×k convolution to r channels and a 1×1 one out.

>>> from tuckerlab import Budget
>>> Matrix(Budget(0.9)).label
'matrix 90 %'

What differs from Tucker is the format alone: the optimizer (in order 2), the policy, the recipe and the small start are
the same. The k×k part sees all input channels, so a rank costs in·kh·kw + out numbers. Training on the manifold of
low-rank matrices with ranks that adapt is Schotthöfer, Zangrando, Kusch, Ceruti and Tudisco, "Low-rank lottery tickets"
(NeurIPS 2022); the step here is this package's own. Nothing was tuned here.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, setting
from tuckerlab.experiments.methods.swapped import swapped
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.layers import TuckerConv2d
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.model_size import Counts
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.weight import TuckerLayer

START = 0.7
"""The first rank, as a share of the largest; less where core and factors would store more than the dense weight."""


@dataclass(frozen=True)
class Matrix(Contender):
    """Each kernel a matrix of low rank, small from the start: the dense weights never exist.

    >>> from tuckerlab import Budget, load_data
    >>> from tuckerlab.training.config import Recipe
    >>> contender, data = Matrix(Budget(0.8)), load_data("digits").subset(train=128, test=64)
    >>> arena = Arena.of([contender], data, "vgg_small", 0.25, Recipe(epochs=1, batch_size=64), "cpu")
    >>> contender.train(Training(arena)).epochs[-1]["conv_compression"] > 0.8
    True

    The outcome is the network of plain layers that `merged` makes of it, and counted is what that stores. The policy
    counts the r × r cores too, so a budget is met with about a hundredth to spare. Linear layers and 1×1 convolutions
    are matrices in Tucker format already. Raises RankError for a budget that cannot be met:
    rank 1 of a matrix stores more than rank 1 in Tucker format.
    """

    policy: RankPolicy
    method = "matrix"

    @property
    def label(self) -> str:
        return f"matrix {setting(self.policy)}"

    @property
    def ranks(self) -> RankPolicy:
        return self.policy

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        network = _on_meta(spec)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return materialize(network)

    def check(self, arena: Arena) -> None:
        replace(arena.recipe, ranks=self.policy).make_optimizer(_on_meta(arena.spec), 1)

    def train(self, training: Training) -> Run:
        arena = training.arena
        network = self.network(training.spec, training.seed)
        run = training.fit(network, self.slug, ranks=self.policy, counts=lambda model: self.counts(model, arena))
        if not run.is_over:
            return run
        plain = merged(run.model)
        return training.changed(run, plain, arena.counts(plain))

    def answering(self, model: nn.Module, arena: Arena) -> nn.Module:
        """The form of `merged`."""
        return merged(model)

    def counts(self, model: nn.Module, arena: Arena) -> Counts:
        """The numbers that the form of `merged` stores."""
        return arena.counts(merged(model))


def _on_meta(spec: dict[str, Any]) -> nn.Module:
    network = swapped(on_meta(spec), TuckerConv2d, as_matrix)
    vars(network).pop("spec")  # it would rebuild another network
    return network


class MatrixConv2d(TuckerLayer):
    """nn.Conv2d whose kernel, unfolded to out × (in·kh·kw), is U C Vᵀ: an order of two, one rank.

    >>> layer = MatrixConv2d(64, 128, 3, rank=16, padding=1)
    >>> layer(torch.randn(2, 64, 8, 8)).shape, layer.ranks
    (torch.Size([2, 128, 8, 8]), (16, 16))

    Arguments are those of nn.Conv2d, without groups and with zeros as padding. Raises RankError for a rank outside
    1 … min(out, in·kh·kw).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        rank: int,
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        # a dense layer without memory checks the arguments and brings them into their normal form
        dense = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, device="meta")
        super().__init__((out_channels, dense.weight[0].numel()), rank, bias=bias, device=device, dtype=dtype)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size: Any = dense.kernel_size
        self.options: dict[str, Any] = {
            "stride": dense.stride, "padding": dense.padding, "dilation": dense.dilation
        }  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, height, width) → (N, out_channels, …), through rank channels."""
        out, into = self.factors
        inner = F.conv2d(input, self.kernel(into), **self.options)
        return F.conv2d(inner, (out @ self.core)[..., None, None], self.bias)  # r × r is merged: pixels are many

    def kernel(self, rows: Tensor) -> Tensor:
        """Columns of length in·kh·kw as kernels in × kh × kw."""
        return rows.mT.reshape(-1, self.in_channels, *self.kernel_size)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, {self._rank_repr()}"


def as_matrix(layer: TuckerConv2d) -> nn.Module:
    """A new layer of low matrix rank with the arguments of a Tucker layer; a 1×1 convolution is one already, and stays.

    >>> as_matrix(TuckerConv2d(8, 16, 3, ranks=4)).ranks
    (11, 11)

    Raises TuckerlabError for borders that are not padded with zeros.
    """
    if layer.padding_mode != "zeros":
        raise TuckerlabError(f"padding_mode {layer.padding_mode!r} in low rank as a matrix: only 'zeros' is there")
    if max(layer.kernel_size) == 1:
        return layer
    rank = first_rank(layer.out_channels, layer.dense_numel // layer.out_channels)
    return MatrixConv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, rank, layer.stride, layer.padding, layer.dilation,
        layer.bias is not None, layer.core.device, layer.core.dtype,
    )  # fmt: skip


def first_rank(rows: int, columns: int) -> int:
    """The rank to begin with: `START` of the largest, or the most that core and factors hold in the matrix's numbers.

    >>> first_rank(16, 72), first_rank(64, 64)
    (11, 26)
    """
    both = rows + columns
    no_larger = int((-both + (both**2 + 4 * rows * columns) ** 0.5) / 2)  # r² + (m + n) r ≤ m n
    return max(1, min(round(START * min(rows, columns)), no_larger))


def merged(model: nn.Module) -> nn.Module:
    """A copy with torch.nn modules only, of the same function, its cores multiplied into the 1×1 convolutions.

    >>> merged(nn.Sequential(MatrixConv2d(64, 64, 3, rank=8, padding=1)))[0]
    Sequential(
      (0): Conv2d(64, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (1): Conv2d(8, 64, kernel_size=(1, 1), stride=(1, 1))
    )

    Where two convolutions would store no less than one with the whole kernel, it is that one.
    """
    return to_plain(swapped(copy.deepcopy(model), MatrixConv2d, _plain))


@torch.no_grad()
def _plain(layer: MatrixConv2d) -> nn.Module:
    """One or two ordinary convolutions; the bias belongs to the last."""
    out, into = layer.factors
    if layer.ranks[0] * sum(layer.shape) >= layer.dense_numel:
        return _convolution(layer, layer.kernel(layer.dense_weight().mT), layer.bias)
    last = nn.Conv2d(layer.ranks[0], layer.out_channels, 1, bias=layer.bias is not None, device="meta")
    last = _filled(last, (out @ layer.core)[..., None, None], layer.bias)
    return nn.Sequential(_convolution(layer, layer.kernel(into), None), last)


def _convolution(layer: MatrixConv2d, kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    options = {**layer.options, "bias": bias is not None}
    new = nn.Conv2d(layer.in_channels, len(kernel), layer.kernel_size, **options, device="meta")
    return _filled(new, kernel, bias)


def _filled(new: nn.Conv2d, kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    new.weight = nn.Parameter(kernel.clone(memory_format=torch.contiguous_format))
    new.bias = None if bias is None else nn.Parameter(bias.clone())
    return new
