"""A layer whose weight is a point on the manifold of Tucker tensors: W = C ×₁U₁ ×₂U₂ …, never formed.

The layer owns the geometry (`point`, `assign`); an optimizer only asks for it.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Self
from weakref import WeakSet

import torch
from torch import Tensor, nn

from tuckerlab.errors import RankError
from tuckerlab.tucker.data_parallel import renew_wrappers
from tuckerlab.tucker.manifold import Point, orthonormalize, outside
from tuckerlab.tucker.tensor import check_ranks, feasible_ranks, shape_of_core, truncate

CHANNELS = (0, 1)
Ranks = int | Sequence[int]
Modes = str | Sequence[int]
Device = torch.device | str | None


def factorized_modes(dim: int, modes: Modes) -> tuple[int, ...]:
    """The modes that are meant of a weight of order `dim`: "channels" (0 and 1), "all", or the numbers themselves."""
    named = {"channels": CHANNELS, "all": tuple(range(dim))}
    numbers = named.get(modes, ()) if isinstance(modes, str) else tuple(modes)
    if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(dim)):
        raise RankError(
            f"modes {modes!r} of a weight of order {dim}: allowed are 'channels', 'all', or different numbers "
            f"from 0 to {dim - 1}"
        )
    return numbers


# asked for `owners`: copies, checkpoints and moves exchange parameters, so a mark on those would be lost
_ALIVE: "WeakSet[TuckerLayer]" = WeakSet()


def owners() -> dict[Tensor, "TuckerLayer"]:
    """Of each core and factor that there is, the layer: an optimizer must not step one of them alone."""
    return {part: layer for layer in _ALIVE for part in layer.parts}


class TuckerLayer(nn.Module):
    """A layer with weight W = C ×_i U_i over `modes`: `core` C and `factors` U_i (n_i × r_i, orthonormal columns).

    >>> TuckerLayer((8, 6, 3, 3), ranks=(4, 2)).stored_numel
    116

    Raises RankError for a rank outside 1 … n_i, and for one above the product of the core's other sizes (no tensor
    has such a rank). A new layer is random, with the output variance of the dense layer's own initialisation.
    """

    dense_class: ClassVar[type[Any]]  # of torch.nn
    arguments: ClassVar[tuple[str, ...]]  # that it takes, beside bias, device and dtype
    core: nn.Parameter
    bias: nn.Parameter | None
    smallest: tuple[int, ...] | None = None  # of a weight that is good at each size from all of its ranks to these …
    active: tuple[int, ...] | None = None  # … the ranks that are trained now: see `rank_policy.Nested`

    def __init__(
        self,
        shape: Sequence[int],
        ranks: Ranks,
        modes: Modes = CHANNELS,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.modes = tuple(shape), factorized_modes(len(shape), modes)
        ranks = self._each(ranks)
        check_ranks(self.shape, self.modes, ranks)
        if (feasible := feasible_ranks(self.shape, self.modes, ranks)) != ranks:
            raise RankError(
                f"ranks {ranks} of a weight of shape {self.shape}: no rank can exceed the product of the core's "
                f"other sizes; the nearest allowed are {feasible}"
            )
        core = shape_of_core(self.shape, self.modes, ranks)
        sizes = [core, *((self.shape[mode], rank) for mode, rank in zip(self.modes, ranks, strict=True))]
        for name, size in zip(self._names(), sizes, strict=True):
            setattr(self, name, nn.Parameter(torch.empty(size, device=device, dtype=dtype)))
        self.register_parameter("bias", None)
        if bias:
            self.bias = nn.Parameter(torch.empty(self.shape[0], device=device, dtype=dtype))
        _ALIVE.add(self)
        self.reset_parameters()

    @classmethod
    def from_dense(cls, dense: Any, ranks: Ranks, modes: Modes = "channels") -> Self:
        """The truncated HOSVD of a dense layer's weight; on the meta device too, and what is frozen stays so."""
        given: dict[str, Any] = {name: getattr(dense, name) for name in cls.arguments}
        if isinstance(dense, nn.modules.conv._ConvNd):
            if dense.groups != 1:
                raise RankError(
                    f"a convolution in {dense.groups} groups: only groups=1 can be factorized; leave it dense"
                )
            given["modes"] = modes
        layer = cls(**given, ranks=1, bias=dense.bias is not None, device="meta", dtype=dense.weight.dtype)
        layer.requires_grad_(dense.weight.requires_grad)
        core, factors = truncate(dense.weight.detach(), layer.modes, layer._each(ranks))
        layer.assign(Point.of([core, *factors], layer.modes))
        if dense.bias is not None:
            layer.bias = nn.Parameter(dense.bias.detach().clone(), dense.bias.requires_grad)
        return layer

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Random orthonormal factors, which preserve norms; a normal core with the expected norm of a dense weight.

        PyTorch draws that with variance 1 / (3 fan_in); so outputs have the dense layer's variance, for any ranks.
        """
        if self.core.is_meta:
            return
        fan_in = prod(self.shape[1:])
        self.core.normal_(std=(self.dense_numel / (3 * fan_in * self.core.numel())) ** 0.5)
        for factor in self.factors:  # in float64: QR knows no half precision
            factor.copy_(nn.init.orthogonal_(torch.empty_like(factor, dtype=torch.float64)))
        if self.bias is not None:
            self.bias.uniform_(-(fan_in**-0.5), fan_in**-0.5)

    @property
    def factors(self) -> tuple[nn.Parameter, ...]:
        """U_i, one for each of `modes`; registered as the parameters factor0, factor1, …"""
        return self.parts[1:]

    @property
    def parts(self) -> tuple[nn.Parameter, ...]:
        """The core, then the factors."""
        return tuple(getattr(self, name) for name in self._names())

    @property
    def ranks(self) -> tuple[int, ...]:
        """r_i, one for each of `modes`."""
        return tuple(self.core.shape[mode] for mode in self.modes)

    @property
    def dense_numel(self) -> int:
        """Numbers in the dense weight."""
        return prod(self.shape)

    @property
    def stored_numel(self) -> int:
        """Numbers stored for the weight: core and factors."""
        return sum(part.numel() for part in self.parts)

    @property
    def point(self) -> Point:
        """The weight as a point on the manifold, sharing memory with the parameters."""
        return Point(self.core, self.factors, self.modes)

    @torch.no_grad()
    def assign(self, point: Point) -> None:
        """Makes `point`, of any ranks, the weight, in new parameters: a graph that is still alive keeps the old ones.

        The optimizers of this package notice; another one would go on stepping the old parameters.
        """
        for name, value in zip(self._names(), point.parts, strict=True):
            new = value.detach().clone(memory_format=torch.contiguous_format)
            setattr(self, name, nn.Parameter(new, requires_grad=getattr(self, name).requires_grad))
        self.smallest = self.active = None
        renew_wrappers(self)

    def dense_weight(self) -> Tensor:
        """The full weight W: for conversion and tests; neither training nor inference forms it."""
        return self.point.dense()

    @property
    def trained(self) -> Point:
        """The part of the weight that is trained now: all of it, or the leading part at the `active` ranks."""
        return self.point.leading(self.active)

    def ranks_at(self, way: float) -> tuple[int, ...]:
        """Ranks on the way from all of them (0) to the `smallest` (1), in equal ratios."""
        ends = zip(self.ranks, self.smallest or self.ranks, strict=True)
        between = [round(rank ** (1 - way) * least**way) for rank, least in ends]
        return feasible_ranks(self.shape, self.modes, between)

    @torch.no_grad()
    def keep_order(self) -> None:
        """After a step of the leading part, the directions behind it are made orthogonal to it again."""
        for factor, rank in zip(self.factors, self.active or (), strict=False):
            if rank < factor.shape[1]:
                factor[:, rank:] = orthonormalize(outside(factor[:, :rank], factor[:, rank:]))[0]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies and pickles are made without __init__."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        _ALIVE.add(self)

    def _names(self) -> list[str]:
        return ["core", *(f"factor{i}" for i in range(len(self.modes)))]

    def _each(self, ranks: Ranks) -> tuple[int, ...]:
        """One rank for each mode; whatever else was given is for `check_ranks` to refuse."""
        return tuple(ranks) if isinstance(ranks, Sequence) else (ranks,) * len(self.modes)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.smallest:
            destination[prefix + "smallest"] = torch.tensor(self.smallest)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """A checkpoint of other ranks resizes the layer; torch refuses one of another weight."""
        core, *factors = [state_dict.get(prefix + name, torch.empty(0)) for name in self._names()]
        rows, ranks = [f.shape[0] for f in factors], [f.shape[-1] for f in factors]
        is_ours = rows == [self.shape[mode] for mode in self.modes]
        if is_ours and tuple(core.shape) == shape_of_core(self.shape, self.modes, ranks) != tuple(self.core.shape):
            self.assign(Point.of([part.to(self.core) for part in (core, *factors)], self.modes))
        smallest = state_dict.pop(prefix + "smallest", None)
        self.smallest, self.active = None if smallest is None else tuple(smallest.tolist()), None
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _rank_repr(self) -> str:
        return f"ranks={self.ranks}, c.r.={1 - self.stored_numel / self.dense_numel:.1%}"
