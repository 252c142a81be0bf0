"""The geometry of tensors of fixed multilinear rank: tangent vectors, a retraction without SVD, other ranks, transport.

A `Point` W = C ×_i U_i has a core C and orthonormal factors U_i (n_i × r_i) in the factorized modes; modes that are not
factorized belong to the core. With Mat_i(C) = R_i Q_iᵀ (R_i lower triangular, r_i × r_i, Q_i orthonormal), each
tangent vector is uniquely

    Ẇ  =  Ċ ×_i U_i  +  Σ_i  (K̇_i Q_iᵀ folded) ×_{j≠i} U_j ,        U_iᵀ K̇_i = 0 ,

where K_i = U_i R_i is the K-form of the paper (arXiv 2305.19059, section 3). The blocks are orthogonal to each other,
so ‖Ẇ‖² = ‖Ċ‖² + Σ ‖K̇_i‖²: (Ċ, K̇_i) are *orthonormal coordinates* of the tangent space. Momentum and moments kept in
them mean what they mean for a dense weight, and they stay bounded by ‖∇L(W)‖ however small the singular values of C.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from tuckerlab.tucker.tensor import (
    feasible_ranks,
    fold,
    left_singular,
    mode_product,
    multi_mode_product,
    shape_of_core,
    unfold,
)

Parts = Sequence[Tensor]  # what belongs to the core, then to each factor: a weight, its gradient, …
Tangent = tuple[Tensor, ...]  # … or the coordinates (Ċ, K̇_1, K̇_2, …) of a tangent vector, in the same shapes


class Point(NamedTuple):
    """A tensor in Tucker format: core, one orthonormal factor (n_i × r_i) for each of `modes`."""

    core: Tensor
    factors: tuple[Tensor, ...]
    modes: tuple[int, ...]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The core, then the factors."""
        return (self.core, *self.factors)

    @classmethod
    def of(cls, parts: Parts, modes: tuple[int, ...]) -> Self:
        """From its parts: the core, then the factors."""
        return cls(parts[0], tuple(parts[1:]), modes)

    def leading(self, ranks: Sequence[int] | None) -> "Point":
        """The part with the first `ranks` directions of each mode (None: all); it shares memory with the whole."""
        if ranks is None:
            return self
        kept = dict(zip(self.modes, ranks, strict=True))
        core = self.core[tuple(slice(kept.get(mode)) for mode in range(self.core.dim()))]
        return Point(core, tuple(U[:, :rank] for U, rank in zip(self.factors, ranks, strict=True)), self.modes)

    def dense(self) -> Tensor:
        """The full tensor (for tests and small weights: it costs what the format saves)."""
        return self.split(())[0]

    def split(self, apart: Collection[int]) -> tuple[Tensor, dict[int, Tensor]]:
        """The core with all factors multiplied in but those of the modes `apart`; and these, by mode."""
        core = self.core
        ends: dict[int, Tensor] = {}
        for factor, mode in zip(self.factors, self.modes, strict=True):
            if mode in apart:
                ends[mode] = factor
            else:
                core = mode_product(core, factor, mode)
        return core, ends


@contextmanager
def full_precision(tensors: Iterable[Tensor]) -> Iterator[None]:
    """No autocast on the devices of these and no TF32: in a lower precision a step would leave the manifold."""
    backends: Any = torch.backends
    with ExitStack() as stack:
        for backend in (backends.cuda.matmul, backends.mkldnn.matmul):
            stack.callback(setattr, backend, "fp32_precision", backend.fp32_precision)
            backend.fp32_precision = "ieee"
        for device in {tensor.device.type for tensor in tensors}:
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


# --- a step at fixed ranks --------------------------------------------------------------------------------------------


def mode_roots(point: Point) -> tuple[Tensor, ...]:
    """R_i, lower triangular with R_i R_iᵀ = Mat_i(C) Mat_i(C)ᵀ, for each factorized mode, by Cholesky: no tall QR."""
    roots = []
    for mode in point.modes:
        matrix = unfold(point.core, mode)
        gram = matrix @ matrix.mT
        info = torch.finfo(gram.dtype)
        diagonal = gram.diagonal()  # raised by about its rounding error, for a core that is singular
        diagonal += 10 * info.eps * diagonal.sum() + info.tiny**0.5
        roots.append(torch.linalg.cholesky_ex(gram).L)
    return tuple(roots)


def project(point: Point, gradient: Parts, roots: Sequence[Tensor]) -> Tangent:
    """The projection of G onto the tangent space at `point`, from autograd's (∂L/∂C, ∂L/∂U_1, …) alone.

    Ċ = ∂L/∂C and K̇_i = (I − U_i U_iᵀ) ∂L/∂U_i R_i⁻ᵀ, which is (I − U_i U_iᵀ) Mat_i(G ×_{j≠i} U_jᵀ) Q_i and so never
    larger than G: the division by small singular values undoes the multiplication that is inside ∂L/∂U_i.
    """
    core, *factors = gradient
    return core, *(
        torch.linalg.solve_triangular(R, outside(U, g).mT, upper=False).mT  # from the left: from the right is slow
        for U, g, R in zip(point.factors, factors, roots, strict=True)
    )


def retract(point: Point, tangent: Tangent, step: float, roots: Sequence[Tensor]) -> Point:
    """The point reached from `point` along −step · Ẇ, with orthonormal factors, by r × r Cholesky factorizations alone.

    The factors move along v_i = K̇_i (R_iᵀR_i + ε² I)⁻¹ R_iᵀ with ε² = step² ‖K̇_iᵀK̇_i‖_F. Where a step is short against
    the singular values this is the tangent's K̇_i R_i⁻¹. A direction whose singular value σ is below ε is damped: its
    speed is σ/(σ² + ε²) instead of 1/σ, so that step · ‖v_i‖₂ ≤ ½ always and moves in two modes never multiply up to
    ruin. The damping needs no parameter and vanishes with the step (for ordinary factors the literature has it as
    ScaledGD(λ), Xu, Shen, Chi and Ma, ICML 2023). U_i − step · v_i is orthonormalized by Cholesky QR (its Gram matrix
    lies between I and 5/4 I) and the triangular factor moves into the core, which takes the step −step · Ċ.
    """
    core = point.core - step * tangent[0]
    factors = []
    for mode, U, K, R in zip(point.modes, point.factors, tangent[1:], roots, strict=True):
        damped = R.mT @ R
        damped.diagonal().add_(step**2 * torch.linalg.matrix_norm(K.mT @ K))
        velocity = K @ torch.cholesky_solve(R.mT, torch.linalg.cholesky_ex(damped).L)
        U, L = orthonormalize(U - step * velocity)
        factors.append(U)
        core = mode_product(core, L.mT, mode)
    return Point(core, tuple(factors), point.modes)


def carried(tangent: Tangent, new: Point) -> Tangent:
    """A tangent vector carried along a step of `retract`: the same coordinates, made orthogonal to the new factors.

    This is vector transport by parallelization (Huang, Absil and Gallivan, Numerische Mathematik 2017): along a step
    the basis moves smoothly. `Transport` is for points whose bases are far apart.
    """
    return tangent[0], *map(outside, new.factors, tangent[1:])


def orthonormalize(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky QR of a well-conditioned tall matrix: orthonormal U and lower triangular L with matrix = U Lᵀ."""
    gram = matrix.mT @ matrix
    gram.diagonal().add_(gram.diagonal() == 0)  # zero columns are the padding of a `Stack` and remain zero
    L = torch.linalg.cholesky_ex(gram).L
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    return matrix @ torch.linalg.solve_triangular(L, identity, upper=False).mT, L  # L is near the identity: see retract


def outside(U: Tensor, matrix: Tensor) -> Tensor:
    """(I − U Uᵀ) matrix: what lies outside the span of U."""
    return matrix - U @ (U.mT @ matrix)


def norm(tangent: Tangent) -> Tensor:
    """The Frobenius norm of the tangent vector."""
    return torch.cat([part.flatten() for part in tangent]).square().sum().sqrt()


# --- other ranks ------------------------------------------------------------------------------------------------------


def truncated(point: Point, ranks: Sequence[int], bases: Sequence[Tensor] | None = None) -> Point:
    """The truncated HOSVD to `ranks` no larger than the point's own; bases: the core's singular vectors, if known."""
    bases = bases or [left_singular(unfold(point.core, mode))[0] for mode in point.modes]
    rotations = [basis[:, :rank] for basis, rank in zip(bases, ranks, strict=True)]
    core = multi_mode_product(point.core, [rotation.mT for rotation in rotations], point.modes)
    factors = tuple(orthonormalize(U @ W)[0] for U, W in zip(point.factors, rotations, strict=True))
    return Point(core, factors, point.modes)


def grown(point: Point, tangent: Tangent, ranks: Sequence[int]) -> Point:
    """The same tensor with factors extended, up to `ranks`, by the strongest directions of K̇_i; zeros in the core."""
    extended = []
    for U, K, rank in zip(point.factors, tangent[1:], ranks, strict=True):
        room = max(0, min(rank, U.shape[0]) - U.shape[1])
        vectors, values = left_singular(K.mT)  # right singular vectors of K: r × r, so a tall K costs little
        count = int((values[:room] > 1e-6 * values[0]).sum())
        extended.append(torch.cat([U, outside(U, K @ (vectors[:, :count] / values[:count]))], dim=1))
    wanted = feasible_ranks(point.core.shape, point.modes, [U.shape[1] for U in extended])
    sizes = [max(rank, U.shape[1]) for rank, U in zip(wanted, point.factors, strict=True)]
    core = point.core.new_zeros(shape_of_core(point.core.shape, point.modes, sizes))
    core[tuple(slice(size) for size in point.core.shape)] = point.core
    factors = tuple(orthonormalize(U[:, :size])[0] for U, size in zip(extended, sizes, strict=True))
    return Point(core, factors, point.modes)


class Transport:
    """Carries tangent vectors from one point to another, whose ranks may differ, by orthogonal projection.

    Ẇ is projected onto the new tangent space, block by block; left out are the parts that a K̇_i block gives to the
    *other* K-blocks, which are of second order in the distance. A truncated direction leaves its velocity in K̇_i, and
    a direction that has been added takes its velocity from K̇_i into the core.
    """

    def __init__(self, old: Point, new: Point) -> None:
        self.old, self.new = old, new
        self.bases = [U.mT @ V for U, V in zip(new.factors, old.factors, strict=True)]  # r_new × r_old
        self.old_rows, self.new_rows = [], []  # Q_i of both points, in the new bases: r × (product of the others)
        for mode, old_root, new_root in zip(old.modes, mode_roots(old), mode_roots(new), strict=True):
            moved = multi_mode_product(old.core, self.bases, old.modes, skip=mode)
            self.old_rows.append(torch.linalg.solve_triangular(old_root, unfold(moved, mode), upper=False))
            self.new_rows.append(torch.linalg.solve_triangular(new_root, unfold(new.core, mode), upper=False))
        self.rows = [a @ b.mT for a, b in zip(self.old_rows, self.new_rows, strict=True)]  # r_old × r_new

    def __call__(self, tangent: Tangent) -> Tangent:
        """The tangent vector at the new point."""
        core = multi_mode_product(tangent[0], self.bases, self.old.modes)
        factors = []
        for i, (mode, K, U) in enumerate(zip(self.old.modes, tangent[1:], self.new.factors, strict=True)):
            core = core + fold((U.mT @ K) @ self.old_rows[i], mode, core.shape)
            moved = unfold(multi_mode_product(tangent[0], self.bases, self.old.modes, skip=mode), mode)
            factors.append(outside(U, K @ self.rows[i] + self.old.factors[i] @ (moved @ self.new_rows[i].mT)))
        return core, *factors

    def squares(self, moments: Tangent) -> Tangent:
        """Second moments (entrywise, not negative) in the new coordinates.

        If g has uncorrelated entries with E[g²] = s, then E[(Tg)²] = (T∘T) s: they follow a change of basis T with its
        entrywise square. The share of a coordinate that was in none of the old ones starts at the mean.
        """
        squared = [basis.square() for basis in self.bases]
        core = multi_mode_product(moments[0], squared, self.old.modes)
        known = core.new_ones(())
        for mode, square in zip(self.old.modes, squared, strict=True):
            known = known * square.sum(1).reshape([-1 if m == mode else 1 for m in range(core.dim())])
        core = core + (1 - known).clamp(min=0) * moments[0].mean()
        factors = []
        for moment, rows in zip(moments[1:], self.rows, strict=True):
            square = rows.square()
            factors.append(moment @ square + (1 - square.sum(0)).clamp(min=0) * moment.mean())
        return core, *factors
