"""The steps of the optimizers: exact against dense torch, orthonormal for long, stable where it is stiff."""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from manifolds import embed, explicit_projection, orthonormality, point_of, take_step
from torch import Tensor, nn

import tuckerlab as tl
from tuckerlab.tucker.manifold import Point
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.sgd_adamw_muon import polar
from tuckerlab.tucker.tensor import feasible_ranks

CONVOLUTIONS: list[Any] = [tl.TuckerConv1d, tl.TuckerConv2d, tl.TuckerConv3d]
FUNCTIONS: list[Callable[..., Tensor]] = [F.linear, F.conv1d, F.conv2d, F.conv3d]


@st.composite
def layers(draw: st.DrawFn, full: bool = False) -> tl.TuckerLayer:
    """A linear layer or a convolution of any dimension in float64, random shape, ranks (or all full) and modes."""
    dim = draw(st.integers(0, 3))
    shape = [draw(st.integers(2, 5)), draw(st.integers(2, 5)), *(draw(st.integers(1, 3)) for _ in range(dim))]
    if full:  # a mode larger than all others together cannot have full rank
        shape[0] = min(shape[0], shape[1])
        shape[1] = shape[0] if dim == 0 else min(shape[1], shape[0])
    every = dim > 0 and draw(st.booleans())
    modes = tuple(range(dim + 2)) if every else (0, 1)
    wanted = [shape[mode] if full else draw(st.integers(1, shape[mode])) for mode in modes]
    ranks = feasible_ranks(shape, modes, wanted)
    torch.manual_seed(draw(st.integers(0, 2**16)))
    if dim == 0:
        return tl.TuckerLinear(shape[1], shape[0], ranks=ranks, dtype=torch.float64)
    kind = CONVOLUTIONS[dim - 1]
    return kind(shape[1], shape[0], tuple(shape[2:]), ranks=ranks, padding=1, modes=modes, dtype=torch.float64)


def batch(layer: tl.TuckerLayer, seed: int = 0) -> tuple[Tensor, Callable[[Tensor, Tensor | None], Tensor]]:
    """An input for the layer, and the dense function of a weight and a bias that it is to agree with."""
    generator, dim = torch.Generator().manual_seed(seed), len(layer.shape) - 2
    size = (6, layer.shape[1], *[4] * dim)
    input = torch.randn(size, generator=generator, dtype=torch.float64)
    padding = {"padding": 1} if dim else {}
    return input, lambda weight, bias: FUNCTIONS[dim](input, weight, bias, **padding)


def loss_of(out: Tensor, seed: int = 1) -> Tensor:
    target = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=out.dtype)
    return (out - target).square().mean() + (0.3 * out).sin().mean()


@given(layers(), st.booleans(), st.sampled_from([0.0, 0.1]))
def test_the_direction_is_the_projection_of_the_dense_gradient(
    layer: tl.TuckerLayer, nesterov: bool, weight_decay: float
) -> None:
    """A step with lr=0 moves nothing and leaves the direction in the momentum buffer."""
    point = point_of(layer)
    input, dense = batch(layer)
    weight = point.dense().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(dense(weight, layer.bias)), weight)

    optimizer = tl.TuckerSGD(layer, lr=0.0, momentum=0.9, nesterov=nesterov, weight_decay=weight_decay)
    take_step(optimizer, loss_of(layer(input)))
    now = point_of(layer)
    direction = embed(now, tuple(optimizer.state[part]["momentum_buffer"] for part in layer.parts))
    expected = explicit_projection(point, gradient + weight_decay * point.dense())
    assert (direction - expected).norm() < 1e-10 * max(1.0, float(gradient.norm()))
    assert (now.dense() - point.dense()).norm() < 1e-12


@given(layers(full=True), st.sampled_from([(0.0, False), (0.9, False), (0.9, True)]), st.sampled_from([0.0, 0.05]))
def test_at_full_ranks_steps_are_those_of_dense_sgd(
    layer: tl.TuckerLayer, momentum: tuple[float, bool], weight_decay: float
) -> None:
    settings = {"lr": 0.1, "momentum": momentum[0], "nesterov": momentum[1], "weight_decay": weight_decay}
    assert layer.ranks == tuple(layer.shape[mode] for mode in layer.modes)
    weight, bias = layer.dense_weight().detach().requires_grad_(), layer.bias.detach().clone().requires_grad_()
    ours, theirs = tl.TuckerSGD(layer, **settings), torch.optim.SGD([weight, bias], **settings)
    for step in range(6):
        input, dense = batch(layer, seed=step)
        for optimizer, out in ((ours, layer(input)), (theirs, dense(weight, bias))):
            take_step(optimizer, loss_of(out))
        if step in (0, 5):
            assert (layer.dense_weight() - weight).norm() < 1e-8 * weight.norm()
            torch.testing.assert_close(layer.bias, bias, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (tl.TuckerSGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (tl.TuckerSGD, torch.optim.SGD, {}),
        (tl.TuckerAdamW, torch.optim.AdamW, {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.3}),
    ],
)
def test_dense_parameters_take_torch_s_steps_exactly(ours: Any, theirs: Any, settings: dict[str, Any]) -> None:
    models = []
    for kind in (ours, theirs):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 5))
        optimizer = kind(model if kind is ours else model.parameters(), lr=0.01, **settings)
        for step in range(5):
            out = model(torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(step)))
            take_step(optimizer, loss_of(out.double()))
        models.append(model)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


def test_adamw_is_torch_s_where_the_basis_is() -> None:
    """With unit vectors for factors, at full ranks, our coordinates are the entries of the weight."""
    layer = tl.TuckerLinear(4, 4, ranks=4, bias=False, dtype=torch.float64)
    eye = torch.eye(4, dtype=torch.float64)
    layer.assign(Point(torch.randn(4, 4, dtype=torch.float64), (eye, eye), (0, 1)))
    weight = layer.dense_weight().detach().requires_grad_()
    settings: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1}
    ours, theirs = tl.TuckerAdamW(layer, **settings), torch.optim.AdamW([weight], **settings)
    for step in range(10):
        input, dense = batch(layer, seed=step)
        for optimizer, out in ((ours, layer(input)), (theirs, dense(weight, None))):
            take_step(optimizer, loss_of(out))
    assert (layer.dense_weight() - weight).norm() < 1e-8


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 2.0), st.sampled_from([torch.float32, torch.float64]))
def test_the_polar_factor_keeps_the_singular_vectors_and_makes_the_values_one(
    rows: int, columns: int, decades: float, dtype: torch.dtype
) -> None:
    size = min(rows, columns)
    U, V = (torch.linalg.qr(torch.randn(n, size, dtype=dtype))[0] for n in (rows, columns))
    values = 3 * torch.logspace(0, -decades, size, dtype=dtype)
    found = U.mT @ polar(U * values @ V.mT) @ V
    assert (found - found.diagonal().diag()).abs().max() < 1e-3
    assert (found.diagonal() - 1).abs().max() < 0.34
    assert torch.equal(polar(torch.zeros(rows, columns, dtype=dtype)), torch.zeros(rows, columns, dtype=dtype))


def chain(hidden: nn.Module) -> nn.Sequential:
    """With a layer before and behind, so that the one between is hidden."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), hidden, nn.Tanh(), nn.Linear(8, 3)).double()


def run_of(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> None:
    for step in range(steps):
        x = torch.randn(16, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        take_step(optimizer, loss_of(model(x)))


def test_a_dense_matrix_takes_the_step_of_torch_s_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_full_precision(matrix: Tensor, *_: Any) -> Tensor:  # torch's own iteration is in bfloat16
        return polar(matrix)

    monkeypatch.setattr("torch.optim._muon._zeropower_via_newtonschulz", in_full_precision)
    ours = chain(nn.Linear(8, 8, bias=False))
    theirs = copy.deepcopy(ours)
    settings: dict[str, Any] = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    muon = torch.optim.Muon([theirs[2].weight], **settings)
    for optimizer, model in ((tl.TuckerMuon(ours, **settings), ours), (muon, theirs)):
        run_of(model, optimizer, steps=1)
    torch.testing.assert_close(ours[2].weight, theirs[2].weight, rtol=0, atol=1e-7)


@pytest.mark.parametrize("decay", [None, 0.1])
def test_a_tucker_weight_of_full_rank_takes_the_step_of_the_dense_one(decay: float | None) -> None:
    dense = nn.Linear(8, 8, dtype=torch.float64)
    plain, tucker = chain(copy.deepcopy(dense)), chain(tl.TuckerLinear.from_dense(dense, ranks=8))
    for model in (plain, tucker):
        run_of(model, tl.TuckerMuon(model, lr=0.02, weight_decay=decay))
    torch.testing.assert_close(tucker[2].dense_weight(), plain[2].weight, rtol=0, atol=1e-8)


@given(layers())
def test_a_step_has_the_length_it_is_asked_for_and_keeps_the_norm(layer: tl.TuckerLayer) -> None:
    before, lr = layer.dense_weight().detach(), 1e-4
    input, _ = batch(layer)
    take_step(tl.TuckerMuon(layer, lr=lr), loss_of(layer(input)))
    after = layer.dense_weight().detach()
    assert abs(float(after.norm() / before.norm()) - 1) < 1e-9
    assert float((after - before).norm() / before.norm()) < 1.01 * lr
    step = (after - before) / lr  # across the weight: along it the norm is kept
    assert float((step * before).sum().abs()) < 1e-3 * before.square().sum()


@pytest.mark.parametrize("make", [tl.TuckerSGD, tl.TuckerAdamW, tl.TuckerMuon])
def test_factors_stay_orthonormal_in_float32_over_many_steps(make: type[TuckerOptimizer]) -> None:
    conv, linear = tl.TuckerConv2d(6, 12, 3, ranks=(6, 2, 2, 2), modes="all"), tl.TuckerLinear(12 * 9, 5, ranks=4)
    model = nn.Sequential(conv, nn.Flatten(), linear)
    optimizer = make(model, lr=0.3 if make is tl.TuckerSGD else 0.1)
    x, y = torch.randn(16, 6, 5, 5), torch.randint(5, (16,))
    before = [layer.dense_weight().detach() for layer in (conv, linear)]
    for _ in range(100):
        take_step(optimizer, F.cross_entropy(model(x), y, label_smoothing=0.1))
        assert orthonormality((*conv.factors, *linear.factors)) < 2e-6
    for weight, layer in zip(before, (conv, linear), strict=True):
        assert (layer.dense_weight() - weight).norm() > 0.5 * weight.norm()  # the run was no standstill


def diagonal(values: Tensor) -> Point:
    """Both unfoldings of the core have these singular values: one kernel on each place of a diagonal."""
    kernels = torch.randn(6, 3, 3, dtype=torch.float64)
    core = torch.zeros(6, 6, 3, 3, dtype=torch.float64)
    core[range(6), range(6)] = kernels * (values / kernels.flatten(1).norm(dim=1)).reshape(-1, 1, 1)
    return Point(core, tuple(torch.linalg.qr(torch.randn(n, 6, dtype=torch.float64))[0] for n in (10, 9)), (0, 1))


def test_the_loss_falls_at_every_step_in_float32() -> None:
    """Least squares over white inputs; the teacher's singular values are all of one size."""
    layer = tl.TuckerConv2d(9, 10, 3, 6, bias=False)
    layer.assign(diagonal(torch.logspace(0, -8, 6, dtype=torch.float64)))
    weight = diagonal(torch.linspace(2, 0.5, 6, dtype=torch.float64)).dense().float()
    input = torch.randn(64, 9, 5, 5)
    target = F.conv2d(input, weight)
    optimizer, losses = tl.TuckerSGD(layer.float(), lr=0.05), list[float]()
    for _ in range(300):
        loss = 0.5 * (layer(input) - target).square().sum(dim=1).mean()
        take_step(optimizer, loss)
        losses.append(loss.item())
    floor = 1e-10 * losses[0]  # that rounding sets
    assert [step for step, (a, b) in enumerate(pairwise(losses)) if not b < a and not a < floor] == []
    assert losses[-1] < 1e-6 * losses[0]
