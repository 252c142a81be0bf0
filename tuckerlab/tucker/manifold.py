"""The geometry of tensors of fixed multilinear rank: tangent vectors, a retraction without SVD, transport.

>>> from tuckerlab import TuckerLinear
>>> layer = TuckerLinear(6, 5, ranks=2)
>>> loss = (layer(torch.randn(4, 6)) - torch.randn(4, 5)).square().sum()
>>> gradients = torch.autograd.grad(loss, (layer.core, *layer.factors))
>>> roots = mode_roots(layer.point)
>>> tangent = project(layer.point, gradients[0], gradients[1:], roots)
>>> closer = retract(layer.point, tangent, step=0.01, roots=roots)
>>> closer.core.shape, closer.factors[0].shape
(torch.Size([2, 2]), torch.Size([5, 2]))

A `Point` W = C ×_i U_i has a core C and orthonormal factors U_i (n_i × r_i) in the factorized modes; modes that are not
factorized belong to the core. With Mat_i(C) = R_i Q_iᵀ (R_i lower triangular, r_i × r_i, Q_i orthonormal), each
tangent vector is uniquely

    Ẇ  =  Ċ ×_i U_i  +  Σ_i  (K̇_i Q_iᵀ folded) ×_{j≠i} U_j ,        U_iᵀ K̇_i = 0 ,

where K_i = U_i R_i is the K-form of the paper (arXiv 2305.19059, section 3). The blocks are orthogonal to each other,
so ‖Ẇ‖² = ‖Ċ‖² + Σ ‖K̇_i‖²: (Ċ, K̇_i) are *orthonormal coordinates* of the tangent space. Momentum and moments kept in
them mean what they mean for a dense weight, and they stay bounded by ‖∇L(W)‖ however small the singular values of C.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from tuckerlab.tucker.tensor import mode_product, multi_mode_product, unfold


class Point(NamedTuple):
    """A tensor in Tucker format: core, one orthonormal factor (n_i × r_i) for each of `modes`."""

    core: Tensor
    factors: tuple[Tensor, ...]
    modes: tuple[int, ...]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The core, then the factors."""
        return (self.core, *self.factors)

    def leading(self, ranks: Sequence[int]) -> "Point":
        """The part with the first `ranks` directions of each mode; it shares memory with the whole."""
        core, *factors = leading(self.parts, self.modes, ranks)
        return Point(core, tuple(factors), self.modes)

    def dense(self) -> Tensor:
        """The full tensor (for tests and small weights: it costs what the format saves)."""
        return multi_mode_product(self.core, self.factors, self.modes)


class Tangent(NamedTuple):
    """Orthonormal coordinates of a tangent vector: Ċ (the core's shape) and K̇_i (n_i × r_i)."""

    core: Tensor
    factors: tuple[Tensor, ...]

    @classmethod
    def of(cls, parts: Sequence[Tensor]) -> Self:
        """From its parts: the core's, then the factors'."""
        return cls(parts[0], tuple(parts[1:]))

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """What belongs to the core, then to the factors."""
        return (self.core, *self.factors)

    def norm(self) -> Tensor:
        """The Frobenius norm of the ambient vector."""
        return torch.cat([part.flatten() for part in self.parts]).square().sum().sqrt()


def leading(parts: Sequence[Tensor], modes: Sequence[int], ranks: Sequence[int] | None) -> list[Tensor]:
    """What belongs to the first `ranks` directions (None: to all), of a core and factors or their gradients."""
    if ranks is None:
        return list(parts)
    kept = dict(zip(modes, ranks, strict=True))
    core = parts[0][tuple(slice(kept.get(mode)) for mode in range(parts[0].dim()))]
    return [core, *(factor[:, :rank] for factor, rank in zip(parts[1:], ranks, strict=True))]


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


def mode_roots(point: Point) -> tuple[Tensor, ...]:
    """R_i, lower triangular with R_i R_iᵀ = Mat_i(C) Mat_i(C)ᵀ, for each factorized mode.

    A Cholesky factorization of the r × r Gram matrix: no tall QR and no wait for the device. A multiple of the
    identity at the size of the rounding error of the Gram matrix is added, so it exists for singular cores as well.
    """
    roots = []
    for mode in point.modes:
        matrix = unfold(point.core, mode)
        gram = matrix @ matrix.mT
        info = torch.finfo(gram.dtype)
        diagonal = gram.diagonal()
        diagonal += 10 * info.eps * diagonal.sum() + info.tiny**0.5
        roots.append(torch.linalg.cholesky_ex(gram).L)
    return tuple(roots)


def project(point: Point, core: Tensor, factors: Sequence[Tensor], roots: Sequence[Tensor]) -> Tangent:
    """The projection of G onto the tangent space at `point`, from autograd's ∂L/∂C and ∂L/∂U_i alone.

    Ċ = ∂L/∂C and K̇_i = (I − U_i U_iᵀ) ∂L/∂U_i R_i⁻ᵀ, which is (I − U_i U_iᵀ) Mat_i(G ×_{j≠i} U_jᵀ) Q_i and so never
    larger than G: the division by small singular values undoes the multiplication that is inside ∂L/∂U_i.
    """
    return Tangent(
        core,
        tuple(
            torch.linalg.solve_triangular(R, outside(U, g).mT, upper=False).mT  # from the left: from the right is slow
            for U, g, R in zip(point.factors, factors, roots, strict=True)
        ),
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
    core = point.core - step * tangent.core
    factors = []
    for mode, U, K, R in zip(point.modes, point.factors, tangent.factors, roots, strict=True):
        damped = R.mT @ R
        damped.diagonal().add_(step**2 * torch.linalg.matrix_norm(K.mT @ K))
        velocity = K @ torch.cholesky_solve(R.mT, torch.linalg.cholesky_ex(damped).L)
        U, L = orthonormalize(U - step * velocity)
        factors.append(U)
        core = mode_product(core, L.mT, mode)
    return Point(core, tuple(factors), point.modes)


def orthonormalize(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky QR of a well-conditioned tall matrix: orthonormal U and lower triangular L with matrix = U Lᵀ."""
    gram = matrix.mT @ matrix
    gram.diagonal().add_(gram.diagonal() == 0)  # zero columns are the padding of a `Stack` and remain zero
    L = torch.linalg.cholesky_ex(gram).L
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    return matrix @ torch.linalg.solve_triangular(L, identity, upper=False).mT, L  # L is near the identity: see retract


def carried(tangent: Tangent, new: Point) -> Tangent:
    """A tangent vector carried along a step of `retract`: the same coordinates, made orthogonal to the new factors.

    This is vector transport by parallelization (Huang, Absil and Gallivan, Numerische Mathematik 2017): along a step
    the basis moves smoothly, and keeping the coordinates keeps lengths. It costs next to nothing;
    `rank_change.Transport` is for points whose bases are far apart.
    """
    return Tangent.of([tangent.core, *map(outside, new.factors, tangent.factors)])


def outside(U: Tensor, matrix: Tensor) -> Tensor:
    """(I − U Uᵀ) matrix: what lies outside the span of U."""
    return matrix - U @ (U.mT @ matrix)
