"""The two descents: against a closed form, what the spectrum does to each, and that nothing else is disturbed."""

import pytest
import torch

from tuckerlab.demos.planted_weight import HOPELESS, RANK, ordinary, planted, riemannian, spectrum


@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-8])
def test_the_spectrum_is_that_of_the_planted_weight(smallest: float) -> None:
    task = planted(smallest)
    planted_weight = torch.linalg.lstsq(task.x, task.y).solution.T
    values = torch.linalg.svdvals(planted_weight)[:RANK]
    assert torch.allclose(values, spectrum(smallest), rtol=1e-4, atol=1e-14)


def test_ordinary_descent_stalls_where_singular_values_fall() -> None:
    losses = ordinary(planted(1e-6), steps=80, lr=0.2)
    assert len(losses) == 80
    assert losses[-1] > 1e-4
    assert riemannian(planted(1e-6), steps=80)[-1] < 1e-10


def test_ordinary_descent_blows_up_with_long_steps() -> None:
    losses = ordinary(planted(1e-8), steps=80, lr=3.0)
    assert len(losses) < 80
    assert losses[-1] > HOPELESS
    assert all(value <= HOPELESS for value in losses[:-1])


def test_the_task_is_left_as_it_was_and_so_are_random_numbers() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    task = planted(0.1)
    first = ordinary(task, steps=5, lr=0.2)
    assert ordinary(task, steps=5, lr=0.2) == first == ordinary(planted(0.1), steps=5, lr=0.2)
    assert planted(0.1, seed=1).x.ne(task.x).any()
    assert torch.equal(torch.rand(3), expected)
