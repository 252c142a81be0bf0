"""The geometry against explicit dense linear algebra in float64, and against finite differences."""

import pytest
import torch
from hypothesis import given, strategies as st
from manifolds import embed, explicit_projection, orthonormality, partial_gradients, random_point
from torch import Tensor

from tuckerlab.tucker.manifold import (
    Point,
    Tangent,
    Transport,
    carried,
    grown,
    mode_roots,
    norm,
    project,
    retract,
    truncated,
)
from tuckerlab.tucker.tensor import feasible_ranks, multi_mode_product, truncate, unfold

KINDS = {  # shape, factorized modes, ranks
    "matrix": ((7, 6), (0, 1), (3, 3)),
    "conv1d": ((6, 5, 3), (0, 1), (3, 2)),
    "conv2d": ((6, 5, 3, 2), (0, 1), (4, 3)),
    "conv2d, all modes": ((5, 4, 3, 3), (0, 1, 2, 3), (3, 2, 2, 2)),
    "conv3d": ((4, 3, 2, 2, 2), (0, 1), (3, 2)),
    "one mode": ((6, 4, 3), (1,), (2,)),
    "full ranks": ((4, 4), (0, 1), (4, 4)),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@st.composite
def points(draw: st.DrawFn) -> Point:
    """A random point of order 2 to 4, with any of its modes factorized and any feasible ranks."""
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    modes = tuple(sorted(draw(st.sets(st.sampled_from(range(len(shape))), min_size=1))))
    ranks = feasible_ranks(shape, modes, [draw(st.integers(1, shape[mode])) for mode in modes])
    torch.manual_seed(draw(st.integers(0, 2**16)))
    return random_point(shape, modes, ranks, dtype=torch.float64)


def make(kind: str, seed: int = 0) -> Point:
    torch.manual_seed(seed)
    return random_point(*KINDS[kind], dtype=torch.float64)


def gradient_like(point: Point, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn_like(point.dense())


def tangent_at(point: Point, seed: int = 1) -> Tangent:
    return project(point, partial_gradients(point, gradient_like(point, seed)), mode_roots(point))


def rotated(point: Point, seed: int) -> Point:
    """The same tensor in other bases."""
    torch.manual_seed(seed)
    rotations = [torch.linalg.qr(torch.randn(U.shape[1], U.shape[1], dtype=torch.float64))[0] for U in point.factors]
    core = multi_mode_product(point.core, [Q.mT for Q in rotations], point.modes)
    return Point(core, tuple(U @ Q for U, Q in zip(point.factors, rotations, strict=True)), point.modes)


@given(points())
def test_coordinates_are_orthonormal(point: Point) -> None:
    one, two = tangent_at(point, 1), tangent_at(point, 2)
    product = sum((a * b).sum() for a, b in zip(one, two, strict=True))
    ambient = (embed(point, one) * embed(point, two)).sum()
    torch.testing.assert_close(product, ambient, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(norm(one), embed(point, one).norm(), atol=1e-9, rtol=1e-9)
    for U, K in zip(point.factors, one[1:], strict=True):
        assert (U.mT @ K).abs().max() < 1e-10 * (1 + K.norm())  # the gauge: K̇ has nothing inside the span of U


@pytest.mark.parametrize("smallest", [1e-2, 1e-8, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coordinates_are_bounded_however_small_the_singular_values(dtype: torch.dtype, smallest: float) -> None:
    point = make("matrix")
    values = torch.tensor([1.0, smallest**0.5, smallest], dtype=torch.float64)
    point = Point(values.diag().to(dtype), tuple(U.to(dtype) for U in point.factors), point.modes)
    tangent = tangent_at(point)
    assert all(part.isfinite().all() for part in tangent)
    assert norm(tangent) <= gradient_like(point).norm() * 1.001


@kinds
def test_retraction_has_the_tangent_as_its_derivative(kind: str) -> None:
    point = make(kind)
    tangent, roots = tangent_at(point), mode_roots(point)
    direction = embed(point, tangent)
    errors = [
        float((retract(point, tangent, step, roots).dense() - (point.dense() - step * direction)).norm())
        for step in (1e-3, 1e-4)
    ]
    assert errors[0] < 1e-5 * float(direction.norm()) ** 2 + 1e-12  # of second order in the step …
    assert errors[1] < errors[0] / 50 + 1e-12  # … so a tenth of the step has a hundredth of the error


@given(points(), st.sampled_from([1e-6, 1e-2, 1.0, 1e3, 1e8]))
def test_retraction_stays_on_the_manifold_for_any_step(point: Point, step: float) -> None:
    new = retract(point, tangent_at(point), step, mode_roots(point))
    assert new.core.shape == point.core.shape
    assert orthonormality(new.factors) < 1e-12


@kinds
@pytest.mark.parametrize("way", ["transport", "carried"])
def test_a_tangent_vector_moved_along_a_step_is_near_its_projection(kind: str, way: str) -> None:
    """By transport to second order; with the same coordinates to first order, and no longer than it was."""
    point, velocity = make(kind), tangent_at(make(kind), seed=7)
    tangent, ambient = tangent_at(point), embed(point, velocity)
    errors = []
    for step in (1e-3, 1e-4):
        new = retract(point, tangent, step / float(norm(tangent)), mode_roots(point))
        moved = carried(velocity, new) if way == "carried" else Transport(point, new)(velocity)
        assert all((U.mT @ K).abs().max() < 1e-10 for U, K in zip(new.factors, moved[1:], strict=True))
        assert way == "transport" or norm(moved) <= norm(velocity) * (1 + 1e-12)
        errors.append(float((embed(new, moved) - explicit_projection(new, ambient)).norm() / ambient.norm()))
    assert errors[0] < 0.05
    assert errors[1] < errors[0] / (5 if way == "carried" else 30) + 1e-12


@given(points(), st.integers(0, 2**16))
def test_transport_between_two_bases_of_one_tensor_keeps_vectors_and_the_sum_of_moments(
    point: Point, seed: int
) -> None:
    other, tangent = rotated(point, seed), tangent_at(point)
    difference = embed(other, Transport(point, other)(tangent)) - embed(point, tangent)
    assert difference.norm() < 1e-9 * (1 + norm(tangent))
    moments = tuple(map(torch.rand_like, point.parts))
    for new, old in zip(Transport(point, other).squares(moments), moments, strict=True):
        assert (new > 0).all()
        torch.testing.assert_close(new.sum(), old.sum(), rtol=1e-6, atol=1e-9)


@given(points(), st.data())
def test_truncation_of_a_point_is_that_of_its_dense_tensor(point: Point, data: st.DataObject) -> None:
    wanted = [data.draw(st.integers(1, U.shape[1])) for U in point.factors]
    ranks = feasible_ranks(point.core.shape, point.modes, wanted)
    new = truncated(point, ranks)
    core, factors = truncate(point.dense(), point.modes, ranks=ranks)
    torch.testing.assert_close(new.dense(), multi_mode_product(core, factors, point.modes), atol=1e-6, rtol=1e-6)
    assert tuple(U.shape[1] for U in new.factors) == ranks
    assert orthonormality(new.factors) < 1e-12


@pytest.mark.parametrize("kind", ["matrix", "conv1d", "conv2d", "conv2d, all modes", "conv3d"])
def test_growth_keeps_the_tensor_and_the_velocity_and_takes_the_strongest_directions(kind: str) -> None:
    point = make(kind)
    tangent = tangent_at(point)
    larger = grown(point, tangent, [rank + 1 for rank in KINDS[kind][2]])
    torch.testing.assert_close(larger.dense(), point.dense(), atol=1e-12, rtol=0)
    assert orthonormality(larger.factors) < 1e-12
    for mode, old, new, K in zip(point.modes, point.factors, larger.factors, tangent[1:], strict=True):
        assert new.shape[1] == old.shape[1] + 1
        assert abs(float(new[:, -1] @ torch.linalg.svd(K)[0][:, 0])) == pytest.approx(1, abs=1e-6)
        assert (unfold(larger.core, mode)[old.shape[1] :] == 0).all()
    moved = Transport(point, larger)(tangent)  # the old tangent space lies inside the new one
    torch.testing.assert_close(embed(larger, moved), embed(point, tangent), atol=1e-6, rtol=1e-6)


def test_growth_stops_at_the_mode_s_size_at_the_velocity_s_rank_and_at_what_a_tensor_can_have() -> None:
    point = make("matrix")
    core, *factors = tangent = tangent_at(point)
    assert grown(point, tangent, (9, 9)).core.shape == (6, 6)  # 6 is the smaller mode, and a matrix has one rank
    one = core, *(K[:, :1] @ torch.ones(1, 3, dtype=K.dtype) for K in factors)
    assert grown(point, one, (6, 6)).core.shape == (4, 4)
    assert grown(point, (core, *map(torch.zeros_like, factors)), (6, 6)).core.shape == (3, 3)
    assert grown(point, tangent, (3, 3)).core.shape == (3, 3)
