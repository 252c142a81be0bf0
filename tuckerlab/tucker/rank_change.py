"""From a point to one of other ranks, and what travels along: truncation, growth, transport of tangent vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tuckerlab.tucker.manifold import Point, Tangent, orthonormalize, outside
from tuckerlab.tucker.tensor import feasible_ranks, fold, left_singular, multi_mode_product, unfold


class Transport:
    """Carries tangent vectors from one point to another, whose ranks may differ, by orthogonal projection.

    Ẇ is projected onto the new tangent space, block by block; left out are the parts that a K̇_i block gives to the
    *other* K-blocks, which are of second order in the distance. A truncated direction leaves its velocity in K̇_i, and
    a direction that has been added takes its velocity from K̇_i into the core.
    """

    def __init__(self, old: Point, old_roots: Sequence[Tensor], new: Point, new_roots: Sequence[Tensor]) -> None:
        self.old, self.new = old, new
        self.bases = [U.mT @ V for U, V in zip(new.factors, old.factors, strict=True)]  # r_new × r_old
        self.old_rows, self.new_rows = [], []  # Q_i of both points, in the new bases: r × (product of the others)
        for mode, old_root, new_root in zip(old.modes, old_roots, new_roots, strict=True):
            moved = multi_mode_product(old.core, self.bases, old.modes, skip=mode)
            self.old_rows.append(torch.linalg.solve_triangular(old_root, unfold(moved, mode), upper=False))
            self.new_rows.append(torch.linalg.solve_triangular(new_root, unfold(new.core, mode), upper=False))
        self.rows = [a @ b.mT for a, b in zip(self.old_rows, self.new_rows, strict=True)]  # r_old × r_new

    def __call__(self, tangent: Tangent) -> Tangent:
        """The tangent vector at the new point."""
        core = multi_mode_product(tangent.core, self.bases, self.old.modes)
        factors = []
        for i, (mode, K, U) in enumerate(zip(self.old.modes, tangent.factors, self.new.factors, strict=True)):
            core = core + fold((U.mT @ K) @ self.old_rows[i], mode, core.shape)
            moved = unfold(multi_mode_product(tangent.core, self.bases, self.old.modes, skip=mode), mode)
            factors.append(outside(U, K @ self.rows[i] + self.old.factors[i] @ (moved @ self.new_rows[i].mT)))
        return Tangent(core, tuple(factors))

    def squares(self, moments: Tangent) -> Tangent:
        """Second moments (entrywise, not negative) in the new coordinates.

        If g has uncorrelated entries with E[g²] = s, then E[(Tg)²] = (T∘T) s: second moments follow a change of basis T
        with its entrywise square. The share of a coordinate that was in none of the old ones (all of it, in a direction
        that has been added) starts at the mean, so that it moves no faster than the others.
        """
        squared = [basis.square() for basis in self.bases]
        core = multi_mode_product(moments.core, squared, self.old.modes)
        known = core.new_ones(())
        for mode, square in zip(self.old.modes, squared, strict=True):
            known = known * square.sum(1).reshape([-1 if m == mode else 1 for m in range(core.dim())])
        core = core + (1 - known).clamp(min=0) * moments.core.mean()
        factors = []
        for moment, rows in zip(moments.factors, self.rows, strict=True):
            square = rows.square()
            factors.append(moment @ square + (1 - square.sum(0)).clamp(min=0) * moment.mean())
        return Tangent(core, tuple(factors))


def truncated(point: Point, ranks: Sequence[int], bases: Sequence[Tensor] | None = None) -> Point:
    """The truncated HOSVD of a point to `ranks` no larger than its own; the SVDs are those of the small core.

    `bases` are the left singular vectors of the core's unfoldings, where they are known already.
    """
    if bases is None:
        bases = [left_singular(unfold(point.core, mode))[0] for mode in point.modes]
    rotations = [basis[:, :rank] for basis, rank in zip(bases, ranks, strict=True)]
    core = multi_mode_product(point.core, [rotation.mT for rotation in rotations], point.modes)
    factors = tuple(orthonormalize(U @ W)[0] for U, W in zip(point.factors, rotations, strict=True))
    return Point(core, factors, point.modes)


def grown(point: Point, tangent: Tangent, ranks: Sequence[int]) -> Point:
    """The same tensor with factors extended, up to `ranks`, by the strongest directions of K̇_i; zeros in the core."""
    extra = []
    for U, K, rank in zip(point.factors, tangent.factors, ranks, strict=True):
        room = min(rank, U.shape[0]) - U.shape[1]
        vectors, values = left_singular(K.mT)  # right singular vectors of K: r × r, so a tall K costs little
        count = int((values[: max(room, 0)] > 1e-6 * values[0]).sum())
        extra.append(outside(U, K @ (vectors[:, :count] / values[:count])))
    core_shape = list(point.core.shape)
    wanted = [U.shape[1] + E.shape[1] for U, E in zip(point.factors, extra, strict=True)]
    wanted = list(feasible_ranks(core_shape, point.modes, wanted))
    factors = []
    for mode, U, E, rank in zip(point.modes, point.factors, extra, wanted, strict=True):
        core_shape[mode] = max(rank, U.shape[1])
        factors.append(orthonormalize(torch.cat([U, E[:, : core_shape[mode] - U.shape[1]]], dim=1))[0])
    core = point.core.new_zeros(core_shape)
    core[tuple(slice(size) for size in point.core.shape)] = point.core
    return Point(core, tuple(factors), point.modes)
