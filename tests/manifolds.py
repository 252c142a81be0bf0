"""What tests of the engine share: random points, tensors of full size, optimizers, and a step of training."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tuckerlab as tl
from tuckerlab.tucker.manifold import Point, Tangent, mode_roots
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.tensor import multi_mode_product, shape_of_core, unfold


def random_point(
    shape: Sequence[int], modes: Sequence[int], ranks: Sequence[int], *, dtype: torch.dtype | None = None
) -> Point:
    sizes = [(shape[mode], rank) for mode, rank in zip(modes, ranks, strict=True)]
    factors = tuple(torch.linalg.qr(torch.randn(size, dtype=dtype))[0] for size in sizes)
    return Point(torch.randn(shape_of_core(shape, modes, ranks), dtype=dtype), factors, tuple(modes))


def point_of(layer: tl.TuckerLayer) -> Point:
    """A layer's weight as it is now, in memory of its own."""
    return Point(layer.core.detach().clone(), tuple(f.detach().clone() for f in layer.factors), layer.modes)


def orthonormality(factors: Sequence[Tensor]) -> float:
    """The largest entry of UᵀU − I."""
    return max(float((U.mT @ U - torch.eye(U.shape[1], dtype=U.dtype)).detach().abs().max()) for U in factors)


def partial_gradients(point: Point, gradient: Tensor) -> tuple[Tensor, ...]:
    """∂L/∂C and ∂L/∂U_i for a dense gradient G = ∂L/∂W: what autograd returns without ever forming G."""
    down = [factor.mT for factor in point.factors]
    factors = [
        unfold(multi_mode_product(gradient, down, point.modes, skip=mode), mode) @ unfold(point.core, mode).mT
        for mode in point.modes
    ]
    return multi_mode_product(gradient, down, point.modes), *factors


def embed(point: Point, tangent: Tangent) -> Tensor:
    """The ambient (dense) tensor Ẇ of a tangent vector, for tests and figures."""
    roots, ambient = mode_roots(point), multi_mode_product(tangent[0], point.factors, point.modes)
    for i in range(len(point.modes)):
        directions = torch.linalg.solve_triangular(roots[i], tangent[i + 1], upper=False, left=False)
        swapped = (*point.factors[:i], directions, *point.factors[i + 1 :])
        ambient = ambient + multi_mode_product(point.core, swapped, point.modes)
    return ambient


def explicit_projection(point: Point, ambient: Tensor) -> Tensor:
    """The orthogonal projection onto the span of all first variations of core and factors: no formula of ours."""
    variables = (point.core, *point.factors)

    def weight(*parts: Tensor) -> Tensor:
        return multi_mode_product(parts[0], parts[1:], point.modes)

    jacobian = torch.autograd.functional.jacobian(weight, variables)
    columns = torch.cat([block.reshape(ambient.numel(), -1) for block in jacobian], dim=1)
    U, S, _ = torch.linalg.svd(columns, full_matrices=False)
    basis = U[:, S / S[0] > 1e-9]
    return (basis @ (basis.mT @ ambient.reshape(-1))).reshape(ambient.shape)


MAKERS: dict[str, Callable[..., TuckerOptimizer]] = {
    "TuckerSGD": lambda model, **k: tl.TuckerSGD(model, **{"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, **k}),
    "TuckerAdamW": lambda model, **k: tl.TuckerAdamW(model, **{"lr": 1e-2, **k}),
    "TuckerMuon": lambda model, **k: tl.TuckerMuon(model, **{"lr": 0.05, **k}),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def layers_of(model: nn.Module) -> list[tl.TuckerLayer]:
    return [layer for layer in model.modules() if isinstance(layer, tl.TuckerLayer)]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Written and read again without unpickling anything but tensors and plain values."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
