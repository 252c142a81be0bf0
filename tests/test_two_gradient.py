"""The two-gradient scheme against its algebra written out densely, and within a training."""

import pytest
import torch
from torch import Tensor

from tuckerlab import Fixed, Tolerance, TuckerConv2d, TuckerLinear
from tuckerlab.experiments.methods.two_gradient import TwoGradient
from tuckerlab.tucker.tensor import hosvd, tolerance_ranks, truncate

LR = 0.3


class Problem:
    """Least squares with a layer in float64; `evaluate` is what the optimizer is to call."""

    def __init__(self, layer: torch.nn.Module, x: Tensor, **options: object) -> None:
        self.layer, self.x, self.y = layer, x, torch.randn_like(layer(x))
        self.optimizer = TwoGradient(layer, LR, **options)  # type: ignore[arg-type]
        self.losses: list[float] = []

    def evaluate(self) -> float:
        self.optimizer.zero_grad()
        loss = (self.layer(self.x) - self.y).square().mean()
        loss.backward()
        self.losses.append(loss.item())
        return loss.item()

    def step(self) -> None:
        self.evaluate()
        self.optimizer.step(self.evaluate)


def matrix_problem(rank: int, **options: object) -> Problem:
    torch.manual_seed(0)
    layer = TuckerLinear(9, 7, ranks=rank, bias=False, dtype=torch.float64)
    return Problem(layer, torch.randn(20, 9, dtype=torch.float64), **options)


def kernel_problem(**options: object) -> Problem:
    torch.manual_seed(0)
    layer = TuckerConv2d(6, 8, 3, ranks=(3, 2), bias=False, dtype=torch.float64)
    return Problem(layer, torch.randn(4, 6, 5, 5, dtype=torch.float64), **options)


@pytest.mark.parametrize("rank", [1, 5])  # of 5, the new basis is all of the smaller mode
def test_a_step_is_the_one_that_is_written_down(rank: int) -> None:
    problem = matrix_problem(rank, ranks=Tolerance(0.2, growth=0, steps=0))
    layer = problem.layer
    W = layer.dense_weight().detach()
    U, V = (factor.detach() for factor in layer.factors)
    G = 2 * (problem.x @ W.T - problem.y).T @ problem.x / problem.y.numel()
    left, right = (torch.linalg.qr(torch.cat(pair, dim=1))[0] for pair in ((U, G @ V), (V, G.T @ U)))
    moved = W - LR * left @ (left.T @ G @ right) @ right.T
    core, factors = truncate(moved, (0, 1), tolerance_ranks(hosvd(moved, (0, 1))[2], 0.2))
    expected = factors[0] @ core @ factors[1].T
    problem.step()
    assert torch.allclose(layer.dense_weight(), expected, atol=1e-7)
    assert layer.ranks == tuple(core.shape)


def test_a_step_of_a_kernel_is_the_one_that_is_written_down() -> None:
    problem = kernel_problem(ranks=Fixed())
    layer = problem.layer
    weight = layer.dense_weight().detach().requires_grad_()
    (torch.nn.functional.conv2d(problem.x, weight) - problem.y).square().mean().backward()
    W, G, (U, V) = weight.detach(), weight.grad, (factor.detach() for factor in layer.factors)
    assert G is not None
    K0 = torch.einsum("oihw,ib->obhw", G, V).flatten(1) @ torch.einsum("oihw,oa,ib->abhw", W, U, V).flatten(1).T
    K1 = torch.einsum("oihw,oa->iahw", G, U).flatten(1) @ torch.einsum("oihw,oa,ib->bahw", W, U, V).flatten(1).T
    left, right = (torch.linalg.qr(torch.cat(pair, dim=1))[0] for pair in ((U, K0), (V, K1)))
    inside = torch.einsum("oihw,oa,ib->abhw", G, left, right)
    moved = W - LR * torch.einsum("abhw,oa,ib->oihw", inside, left, right)
    core, factors = truncate(moved, (0, 1), ranks=(3, 2))
    problem.step()
    assert torch.allclose(layer.dense_weight(), torch.einsum("abhw,oa,ib->oihw", core, *factors), atol=1e-7)
