"""The two-gradient scheme against its algebra written out densely."""

import pytest
import torch
import torch.nn.functional as F

from tuckerlab import Fixed, Tolerance, TuckerConv2d, TuckerLayer, TuckerLinear
from tuckerlab.experiments.methods.two_gradient import TwoGradient
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.tensor import hosvd, tolerance_ranks, truncate

LR = 0.3


CASES = [  # a kernel, and a matrix at two ranks; of 5, the new basis is all of the smaller mode
    (TuckerConv2d(6, 8, 3, ranks=(3, 2), bias=False, dtype=torch.float64), (4, 6, 5, 5), Fixed()),
    *(
        (TuckerLinear(9, 7, ranks=rank, bias=False, dtype=torch.float64), (20, 9), Tolerance(0.2, growth=0, steps=0))
        for rank in (1, 5)
    ),
]


@pytest.mark.parametrize(("layer", "shape", "policy"), CASES)
def test_a_step_is_the_one_that_is_written_down(layer: TuckerLayer, shape: tuple[int, ...], policy: RankPolicy) -> None:
    layer.reset_parameters()
    x = torch.randn(shape, dtype=torch.float64)
    y = torch.randn_like(layer(x))
    optimizer = TwoGradient(layer, LR, ranks=policy)

    def evaluate() -> float:
        optimizer.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        return loss.item()

    W, (U, V) = layer.dense_weight().detach(), (factor.detach() for factor in layer.factors)
    weight = W.clone().requires_grad_()
    answer = F.conv2d if W.dim() == 4 else F.linear
    (answer(x, weight) - y).square().mean().backward()
    G = weight.grad
    assert G is not None
    K0 = torch.einsum("oi...,ib->ob...", G, V).flatten(1) @ torch.einsum("oi...,oa,ib->ab...", W, U, V).flatten(1).T
    K1 = torch.einsum("oi...,oa->ia...", G, U).flatten(1) @ torch.einsum("oi...,oa,ib->ba...", W, U, V).flatten(1).T
    left, right = (torch.linalg.qr(torch.cat(pair, dim=1))[0] for pair in ((U, K0), (V, K1)))
    inside = torch.einsum("oi...,oa,ib->ab...", G, left, right)
    moved = W - LR * torch.einsum("ab...,oa,ib->oi...", inside, left, right)
    ranks = layer.ranks if isinstance(policy, Fixed) else tolerance_ranks(hosvd(moved, (0, 1))[2], policy.tau)
    core, factors = truncate(moved, (0, 1), ranks)
    evaluate()
    optimizer.step(evaluate)
    assert torch.allclose(layer.dense_weight(), torch.einsum("ab...,oa,ib->oi...", core, *factors), atol=1e-7)
    assert layer.ranks == tuple(core.shape[:2])
