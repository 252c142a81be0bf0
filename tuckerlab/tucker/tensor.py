"""Multilinear algebra in plain torch: unfoldings, mode products, the higher-order SVD and its truncation.

Notation and conventions follow Kolda and Bader, "Tensor decompositions and applications" (SIAM Review 2009), with
unfoldings in row-major order as in tensorly. Every function works on any device, and is differentiable where torch is.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from tuckerlab.errors import RankError, check_number, is_whole

PERMUTE_FROM = 48  # the size of a mode from which a product permutes, as measured on a CPU


def unfold(tensor: Tensor, mode: int) -> Tensor:
    """The mode-`mode` unfolding Mat_mode(tensor): the matrix n_mode × (product of the other sizes)."""
    return tensor.movedim(mode, 0).reshape(tensor.shape[mode], -1)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """The inverse of `unfold`: the tensor of the given shape whose mode-`mode` unfolding is `matrix`."""
    rest = [size for other, size in enumerate(shape) if other != mode]
    return matrix.reshape(shape[mode], *rest).movedim(0, mode)


def mode_product(tensor: Tensor, matrix: Tensor, mode: int) -> Tensor:
    """tensor ×_mode matrix: the matrix (m × n_mode) applied to each mode-`mode` fibre; n_mode becomes m."""
    size, lead, rest = tensor.shape[mode], tensor.shape[:mode], tensor.shape[mode + 1 :]
    if mode == 0:  # one matrix product, no copy
        return (matrix @ tensor.reshape(size, -1)).reshape(-1, *rest)
    if not rest:
        return (tensor.reshape(-1, size) @ matrix.mT).reshape(*lead, -1)
    if size >= PERMUTE_FROM:  # one large product is worth two copies; small batches of matrix products are not
        moved = tensor.movedim(mode, -1)
        return (moved.reshape(-1, size) @ matrix.mT).reshape(*moved.shape[:-1], -1).movedim(-1, mode)
    # a batch of matrix products over the modes in front; nothing is permuted
    return (matrix @ tensor.reshape(prod(lead), size, -1)).reshape(*lead, -1, *rest)


def multi_mode_product(
    tensor: Tensor, matrices: Sequence[Tensor], modes: Sequence[int], *, skip: int | None = None
) -> Tensor:
    """tensor ×_i matrices[i] over all `modes`, leaving out the mode `skip`."""
    for matrix, mode in zip(matrices, modes, strict=True):
        if mode != skip:
            tensor = mode_product(tensor, matrix, mode)
    return tensor


def left_singular(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (n × min(n, m), by falling singular value) and singular values of an n × m matrix.

    From the Gram matrix of the short side in double precision: for float32 as accurate as an SVD, and several times
    faster on the wide unfoldings of kernels. In float64, values below 1e-8 of the largest are noise.
    """
    double, basis = matrix.double(), None
    if matrix.shape[0] > matrix.shape[1]:  # an orthonormal basis of the columns first
        basis, double = torch.linalg.qr(double)
    squares, vectors = torch.linalg.eigh(double @ double.mT)
    vectors, values = vectors.flip(-1), squares.clamp(min=0).sqrt().flip(-1)
    return (vectors if basis is None else basis @ vectors).to(matrix.dtype), values.to(matrix.dtype)


def hosvd(tensor: Tensor, modes: Sequence[int]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Higher-order SVD: core, orthonormal factors and singular values, for each of `modes` in its own unfolding.

    Cutting all factors to their first r_i columns gives the truncated HOSVD, whose squared error is at most the sum
    of the squared discarded values (De Lathauwer, De Moor and Vandewalle, SIAM J. Matrix Anal. Appl. 2000).
    """
    pairs = [left_singular(unfold(tensor, mode)) for mode in modes]
    factors = [vectors for vectors, _ in pairs]
    core = multi_mode_product(tensor, [factor.mT for factor in factors], modes)
    return core, factors, [values for _, values in pairs]


def truncate(tensor: Tensor, modes: Sequence[int], ranks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Core and factors of the truncated HOSVD to `ranks`; RankError for ranks outside 1 … n_mode."""
    check_ranks(tensor.shape, modes, ranks)
    core, factors, _ = hosvd(tensor, modes)
    ranks = feasible_ranks(core.shape, modes, ranks)
    for mode, rank in zip(modes, ranks, strict=True):
        core = core.narrow(mode, 0, rank)
    return core.contiguous(), [f[:, :rank].contiguous() for f, rank in zip(factors, ranks, strict=True)]


def tolerance_ranks(values: Sequence[Tensor], tolerance: float) -> tuple[int, ...]:
    """Smallest rank in each mode whose discarded singular values have norm ≤ tolerance · ‖tensor‖ / √(modes).

    So the whole relative error, at most the root of the sum of squares over the modes, stays within `tolerance`.
    """
    check_fraction("tolerance", tolerance)
    ranks = []
    for mode_values in values:
        tails = mode_values.double().square().flip(0).cumsum(0).flip(0)  # tails[r]: energy that rank r discards
        ranks.append(max(1, int((tails > tolerance**2 / len(values) * tails[0]).sum())))
    return tuple(ranks)


def shape_of_core(shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int]) -> tuple[int, ...]:
    """The core's shape of a tensor of `shape` whose `modes` have these `ranks`."""
    sizes = list(shape)
    for mode, rank in zip(modes, ranks, strict=True):
        sizes[mode] = rank
    return tuple(sizes)


def numbers_at(shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int]) -> int:
    """Numbers in the core and the factors of a tensor of `shape` at these `ranks`."""
    factors = sum(shape[mode] * rank for mode, rank in zip(modes, ranks, strict=True))
    return prod(shape_of_core(shape, modes, ranks)) + factors


def feasible_ranks(core_shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int]) -> tuple[int, ...]:
    """Ranks lowered to what a tensor can have: no unfolding has a rank above the product of its other sizes."""
    sizes = list(shape_of_core(core_shape, modes, ranks))
    for mode in sorted(modes, key=lambda m: -sizes[m]):
        sizes[mode] = min(sizes[mode], prod(sizes[:mode]) * prod(sizes[mode + 1 :]))
    return tuple(sizes[mode] for mode in modes)


def check_ranks(shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int]) -> None:
    """RankError unless there is one rank for each mode, between 1 and the mode's size."""
    if len(ranks) != len(modes):
        raise RankError(f"{len(ranks)} ranks {tuple(ranks)} for {len(modes)} modes {tuple(modes)}: give one each")
    for mode, rank in zip(modes, ranks, strict=True):
        if not is_whole(rank) or not 1 <= rank <= shape[mode]:
            raise RankError(
                f"rank {rank!r} in mode {mode} of a weight of shape {tuple(shape)}: allowed are 1 to {shape[mode]}"
            )


def check_fraction(name: str, value: float) -> float:
    """The value if 0 ≤ value < 1; RankError otherwise."""
    return check_number(name, value, 0, below=1, error=RankError)
