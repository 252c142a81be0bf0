"""Multilinear algebra against tensorly and torch.linalg, over shapes, dtypes and devices."""

from math import prod

import pytest
import tensorly
import torch
from hypothesis import given, strategies as st
from manifolds import orthonormality
from tensorly import tenalg
from torch import Tensor

from tuckerlab.tucker.tensor import feasible_ranks, fold, hosvd, mode_product, tolerance_ranks, truncate, unfold

tensorly.set_backend("pytorch")

DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
seeds = st.integers(0, 2**16)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def error(tensor: Tensor, core: Tensor, factors: list[Tensor], modes: tuple[int, ...]) -> float:
    return float((tenalg.multi_mode_dot(core, factors, list(modes)) - tensor).norm() / tensor.norm())


@given(shapes, st.data(), seeds)
def test_unfoldings_and_products_are_tensorly_s(shape: list[int], data: st.DataObject, seed: int) -> None:
    mode = data.draw(st.integers(0, len(shape) - 1))
    tensor = random(*shape, seed=seed)
    assert torch.equal(unfold(tensor, mode), tensorly.unfold(tensor, mode))
    assert torch.equal(fold(unfold(tensor, mode), mode, shape), tensor)
    matrix = random(data.draw(st.integers(1, 4)), shape[mode], seed=seed + 1)
    torch.testing.assert_close(mode_product(tensor, matrix, mode), tenalg.mode_dot(tensor, matrix, mode))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "modes"), [((4, 40), (0, 1)), ((1, 7), (0,)), ((4, 3, 2, 2), (0, 1, 2, 3)), ((4, 3, 5), (2,))]
)
def test_hosvd(shape: tuple[int, ...], modes: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = random(*shape, dtype=dtype)
    core, factors, values = hosvd(tensor, modes)
    small = TOLERANCE[dtype]
    assert error(tensor, core, factors, modes) < 10 * small
    for mode, factor, value in zip(modes, factors, values, strict=True):
        assert factor.dtype == value.dtype == dtype
        assert factor.shape == (shape[mode], min(shape[mode], prod(shape) // shape[mode]))
        assert orthonormality([factor]) < small
        # all-orthogonality: the rows of the core's unfoldings are orthogonal, with the singular values as norms
        rows = unfold(core, mode)
        torch.testing.assert_close(rows @ rows.mT, value.square().diag(), atol=100 * small, rtol=100 * small)
        expected = torch.linalg.svdvals(unfold(tensor, mode))
        torch.testing.assert_close(value[: len(expected)], expected, atol=1e-6, rtol=1e-5)


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_truncation_is_quasi_optimal(seed: int, first: int, second: int) -> None:
    tensor, modes = random(6, 5, 3, seed=seed), (0, 1)
    core, factors = truncate(tensor, modes, ranks=(first, second))
    ranks = tuple(factor.shape[1] for factor in factors)
    ours = error(tensor, core, factors, modes)
    # De Lathauwer et al.: each of these is at most the squared error of the best, so ours is at most √d above that
    tails = [torch.linalg.svdvals(unfold(tensor, m))[r:].square().sum() for m, r in zip(modes, ranks, strict=True)]
    assert ours**2 * float(tensor.norm()) ** 2 <= float(sum(tails)) * (1 + 1e-9) + 1e-12


@given(seeds, st.floats(0, 0.99), st.sampled_from([(0, 1), (0, 1, 2), (2,)]))
def test_tolerance_bounds_the_error_and_no_smaller_rank_would(
    seed: int, tolerance: float, modes: tuple[int, ...]
) -> None:
    tensor = random(6, 5, 4, seed=seed) * torch.logspace(0, -2, 4, dtype=torch.float64)
    values = [torch.linalg.svdvals(unfold(tensor, mode)) for mode in modes]
    core, factors = truncate(tensor, modes, tolerance_ranks(values, tolerance))
    assert error(tensor, core, factors, modes) <= tolerance + 1e-7
    share = tolerance * tensor.norm() / len(modes) ** 0.5
    for rank, value in zip(tolerance_ranks(values, tolerance), values, strict=True):
        assert value[rank:].norm() <= share * (1 + 1e-6)
        assert rank == 1 or value[rank - 1 :].norm() > share * (1 - 1e-6)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data(), seeds)
def test_feasible_ranks_are_those_a_tensor_can_have(sizes: list[int], data: st.DataObject, seed: int) -> None:
    modes = data.draw(st.lists(st.sampled_from(range(len(sizes))), min_size=1, unique=True))
    wanted = tuple(data.draw(st.integers(1, 8)) for _ in modes)
    ranks = feasible_ranks(sizes, modes, wanted)
    assert all(1 <= rank <= want for rank, want in zip(ranks, wanted, strict=True))
    assert feasible_ranks(sizes, modes, ranks) == ranks
    core = list(sizes)
    for mode, rank in zip(modes, ranks, strict=True):
        core[mode] = rank
    tensor = random(*core, seed=seed)  # a random core has full rank in every unfolding that can have it
    assert [int(torch.linalg.matrix_rank(tensorly.unfold(tensor, mode))) for mode in modes] == list(ranks)
    for i, (rank, want) in enumerate(zip(ranks, wanted, strict=True)):  # and none was lowered more than needed
        others = prod(core) // core[modes[i]]
        assert rank in (want, others)
