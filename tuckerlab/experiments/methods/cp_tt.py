"""The two other common formats, CP and tensor-train, at fixed ranks: chains of plain convolutions, by plain SGD.

>>> Tensorized(0.9, "cp").label, Tensorized(0.9, "tt").slug
('CP 90 %', 'tt-90')

CP: in → r by 1×1, one depthwise convolution for each side of the kernel, r → out by 1×1 (Lebedev, Ganin, Rakhuba,
Oseledets and Lempitsky, "Speeding-up convolutional neural networks using fine-tuned CP-decomposition", ICLR 2015).
Tensor-train: the same without the depthwise (Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 2011).

Ranks are by tensorly's rules, factors by tensorly-torch (Kossaifi et al., "Factorized higher-order CNNs", CVPR 2020).
What of its `FactorizedConv` (0.5) is not used here, and why: the forward pass is right but leaves channels_last; a new
layer is not initialised, and what `reset_parameters` draws for tensor-train is too small by √(∏ ranks) (mended here; CP
is right); a fraction that is small for the layer gives CP rank 0; `from_conv` makes stride (2, 1) to (2, 2), forgets
padding_mode, and fails on groups and on padding "same".

Tried here, on digits at 90 % with one seed, where an image is 0.3 points. CP: at learning rate 0.1 as at 0.2 99.4 %, at
0.03 98.6 %, with batch norm between the factors 99.2 %. Tensor-train: equal ranks 98.9 %, ranks in proportion to the
sides (tensorly's default) 98.3 %, first weights as small as the library's 98.3 %. So all is the recipe's own.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.experiments.methods.swapped import swapped
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.training.run import Run
from tuckerlab.tucker.layers import TuckerConv
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.tensor import check_fraction
from tuckerlab.tucker.weight import TuckerLayer

FORMS = {"cp": "CP", "tt": "TT"}
"""The formats, and their names for people."""

SHARES = 10_000  # in these parts of a layer's weights its ranks are looked for


@dataclass(frozen=True)
class Tensorized(Contender):
    """In CP ("cp") or tensor-train ("tt") format at the ranks that meet a compression; random, small from the start.

    >>> from tuckerlab import load_data
    >>> from tuckerlab.experiments.setup import Arena
    >>> from tuckerlab.training.config import Recipe
    >>> contender, data = Tensorized(0.8, "tt"), load_data("digits").subset(train=128, test=64)
    >>> arena = Arena.of([contender], data, "vgg_small", 0.25, Recipe(epochs=1, batch_size=64), "cpu")
    >>> contender.train(Training(arena)).epochs[-1]["conv_compression"] > 0.8
    True

    Factorized are the layers that Tucker factorizes, and counted is what `Budget` counts. Each layer keeps the same
    share of its weights, rounded down to whole ranks. Raises TuckerlabError for another form, RankError for a
    compression outside 0 … 1 (1 excluded) and for one that rank 1 everywhere does not meet.
    """

    compression: float
    form: str

    def __post_init__(self) -> None:
        check_fraction("compression", self.compression)
        if self.form not in FORMS:
            raise TuckerlabError(f"form {self.form!r}: allowed are {', '.join(map(repr, FORMS))}")

    @property
    def method(self) -> str:  # type: ignore[override]
        return self.form

    @property
    def label(self) -> str:
        return f"{FORMS[self.form]} {100 * self.compression:g} %"

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        network = on_meta(spec)
        ranks = iter(chosen_ranks(network, self.compression, self.form))
        vars(network).pop("spec")  # it would rebuild another network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return materialize(swapped(network, TuckerLayer, lambda layer: random_chain(layer, next(ranks), self.form)))

    def check(self, arena: Arena) -> None:
        chosen_ranks(on_meta(arena.spec), self.compression, self.form)

    def train(self, training: Training) -> Run:
        network = self.network(training.spec, training.seed)
        return training.fit(network, self.slug, counts=training.arena.counts)


def chosen_ranks(network: nn.Module, compression: float, form: str) -> list[tuple[int, ...]]:
    """For each Tucker layer of a network the ranks in another format, so that all convolutions meet a compression.

    >>> spec = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 1.0}
    >>> chosen_ranks(on_meta(spec), 0.9, "cp")[-1], chosen_ranks(on_meta(spec), 0.9, "tt")[-1]
    ((56, 56, 56), (32, 32, 32))
    """
    layers = [layer for layer in network.modules() if isinstance(layer, TuckerLayer)]
    other = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd))
    total = other + sum(layer.dense_numel for layer in layers)
    shapes = [ordered_shape(layer, form) for layer in layers]

    def ranks(parts: int) -> list[tuple[int, ...]]:
        return [ranks_at(parts / SHARES, shape, form) for shape in shapes]

    def stored_at(parts: int) -> int:
        return other + sum(stored(*each, form) for each in zip(ranks(parts), shapes, strict=True))

    room = (1 - compression) * total
    too_many = bisect_left(range(SHARES + 1), True, key=lambda parts: stored_at(parts) > room)
    if too_many == 0:
        raise RankError(
            f"compression {compression:g} in {FORMS[form]} format cannot be met: with every rank at 1, {stored_at(0)} "
            f"of {total} weights remain, so at most {1 - stored_at(0) / total:.4g} can be removed here"
        )
    return ranks(too_many - 1)


def ordered_shape(layer: TuckerLayer, form: str) -> tuple[int, ...]:
    """Sizes of the tensor that is factorized: CP (out, in, …), tensor-train (in, …, out); no sides of length 1.

    >>> from tuckerlab import TuckerConv2d
    >>> ordered_shape(TuckerConv2d(8, 16, (3, 1), ranks=4), "tt")
    (8, 3, 16)
    """
    out, into, *sides = layer.shape
    sides = [side for side in sides if side > 1]
    return (out, into, *sides) if form == "cp" else (into, *sides, out)


def ranks_at(share: float, shape: Sequence[int], form: str) -> tuple[int, ...]:
    """The ranks between neighbours in the chain that keep a share of a tensor's numbers: all the same, at least 1.

    >>> ranks_at(0.1, (64, 3, 3, 64), "tt"), ranks_at(0.1, (4, 3, 3, 64), "tt"), ranks_at(0.1, (64, 32, 3, 3), "cp")
    ((16, 16, 16), (2, 2, 2), (18, 18, 18))

    No rank of a tensor-train exceeds what its unfolding can have.
    """
    from tensorly.cp_tensor import validate_cp_rank
    from tensorly.tt_tensor import validate_tt_rank

    if form == "cp" or len(shape) == 2:  # of a matrix both are the same
        return (max(1, int(validate_cp_rank(shape, share, rounding="floor"))),) * (len(shape) - 1)
    same = max(1, validate_tt_rank(shape, share, constant_rank=True, rounding="floor")[1])
    return tuple(int(rank) for rank in validate_tt_rank(shape, same, allow_overparametrization=False)[1:-1])


def stored(ranks: Sequence[int], shape: Sequence[int], form: str) -> int:
    """Numbers in the factors.

    >>> stored((2, 2, 2), (16, 8, 3, 3), "cp"), stored((2, 3, 2), (8, 3, 3, 16), "tt")
    (60, 84)
    """
    if form == "cp":
        return ranks[0] * sum(shape)
    return sum(a * size * b for a, size, b in zip((1, *ranks), shape, (*ranks, 1), strict=True))


def random_chain(layer: TuckerLayer, ranks: Sequence[int], form: str) -> nn.Sequential:
    """New plain layers in place of one: normal factors, of a product as large as the dense layer begins with.

    >>> from tuckerlab import TuckerLinear
    >>> random_chain(TuckerLinear(8, 6, ranks=2), (3,), "tt")
    Sequential(
      (0): Linear(in_features=8, out_features=3, bias=False)
      (1): Linear(in_features=3, out_features=6, bias=True)
    )
    """
    fan_in = prod(layer.shape[1:])
    parts = chain(layer, new_weight(ordered_shape(layer, form), ranks, form, std=(3 * fan_in) ** -0.5), form)
    if isinstance(parts[-1].bias, Tensor):
        nn.init.uniform_(parts[-1].bias, -(fan_in**-0.5), fan_in**-0.5)
    return parts


def new_weight(shape: Sequence[int], ranks: Sequence[int], form: str, std: float) -> Any:
    """A random tensor of tensorly-torch whose numbers have this standard deviation.

    >>> new_weight((40, 3, 3, 40), (9, 9, 9), "tt", std=0.5)
    TTTensor(shape=(40, 3, 3, 40), rank=(1, 9, 9, 9, 1))
    """
    import tensorly

    with tensorly.backend_context("pytorch"):  # the import too sets it, for everyone and for good
        from tltorch import FactorizedTensor

        rank = ranks[0] if form == "cp" else (1, *ranks, 1)
        weight = FactorizedTensor.new(tuple(shape), rank=rank, factorization=form)
        return weight.normal_(std=std if form == "cp" else std * prod(ranks) ** 0.5)  # it forgets a root


def chain(layer: TuckerLayer, weight: Any, form: str) -> nn.Sequential:
    """Plain layers with the arguments of a layer and the factors of a tensor of tensorly-torch; the last has the bias.

    >>> from tuckerlab import TuckerConv2d
    >>> layer = TuckerConv2d(64, 32, 3, ranks=4, padding=1)
    >>> chain(layer, new_weight((32, 64, 3, 3), (8, 8, 8), "cp", std=1.0), "cp")
    Sequential(
      (0): Conv2d(64, 8, kernel_size=(1, 1), stride=(1, 1), bias=False)
      (1): Conv2d(8, 8, kernel_size=(3, 1), stride=(1, 1), padding=(1, 0), groups=8, bias=False)
      (2): Conv2d(8, 8, kernel_size=(1, 3), stride=(1, 1), padding=(0, 1), groups=8, bias=False)
      (3): Conv2d(8, 32, kernel_size=(1, 1), stride=(1, 1))
    )
    """
    first, *sides, last = matrices(weight, form)
    bias = layer.bias is not None
    if not isinstance(layer, TuckerConv):
        return nn.Sequential(_linear(first), _linear(last, bias))
    axes = range(len(layer.kernel_size))
    long = [axis for axis in axes if layer.kernel_size[axis] > 1]
    parts = [_convolution(layer, first, set(axes) - set(long))]  # a stride along a side of length 1 goes here
    for axis, side in zip(long, sides, strict=True):
        parts.append(_convolution(layer, side, {axis}, groups=len(side) if form == "cp" else 1))
    return nn.Sequential(*parts, _convolution(layer, last, (), bias=bias))


def matrices(weight: Any, form: str) -> list[Tensor]:
    """The factors as the chain has them, each out × in, those between the first and the last × length.

    >>> [tuple(m.shape) for m in matrices(new_weight((8, 3, 3, 16), (2, 4, 5), "tt", std=1.0), "tt")]
    [(2, 8), (4, 2, 3), (5, 4, 3), (16, 5)]
    """
    first, *rest = [factor.detach() for factor in weight.factors]
    if form == "cp":
        into, *sides = rest
        return [into.mT, *(side.mT.unsqueeze(1) for side in sides), first * weight.weights.detach()]
    *sides, last = rest
    return [first[0].mT, *(side.permute(2, 0, 1) for side in sides), last[:, :, 0].mT]


def _linear(matrix: Tensor, bias: bool = False) -> nn.Linear:
    new = nn.Linear(matrix.shape[1], matrix.shape[0], bias=bias)
    new.weight = nn.Parameter(matrix.clone(memory_format=torch.contiguous_format))
    return new


def _convolution(
    layer: TuckerConv, kernel: Tensor, axes: Collection[int], groups: int = 1, bias: bool = False
) -> nn.Module:
    """A convolution that has the layer's arguments along some axes, and is pointwise along the others."""

    def along(values: Any, elsewhere: int) -> Any:
        return values if isinstance(values, str) else tuple(v if a in axes else elsewhere for a, v in enumerate(values))

    size = along(layer.kernel_size, 1)
    new: nn.Module = layer.dense_class(
        kernel.shape[1] * groups, kernel.shape[0], size, along(layer.stride, 1), along(layer.padding, 0),
        along(layer.dilation, 1), groups=groups, bias=bias, padding_mode=layer.padding_mode,
    )  # fmt: skip
    new.weight = nn.Parameter(kernel.reshape(*kernel.shape[:2], *size).clone(memory_format=torch.contiguous_format))
    return new
