"""Rank policies: what each chooses, within which limits, on which schedule; and planted ranks, found by training."""

from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from manifolds import random_point, take_step

from tuckerlab import Budget, Fixed, Nested, RankError, Tolerance, TuckerConv2d, TuckerSGD
from tuckerlab.tucker.rank_policy import RankPolicy, Spectrum
from tuckerlab.tucker.tensor import feasible_ranks


def spectrum(shape: tuple[int, ...], *values: list[float]) -> Spectrum:
    return Spectrum(shape, tuple(range(len(values))), tuple(torch.tensor(v) for v in values))


def falling(shape: tuple[int, ...], ranks: tuple[int, int], decay: float = 0.7) -> Spectrum:
    return spectrum(shape, *([decay**i for i in range(rank)] for rank in ranks))


@st.composite
def spectra(draw: st.DrawFn) -> list[Spectrum]:
    """One to four layers as they occur: any shapes, feasible present ranks, falling singular values."""
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)), *draw(st.sampled_from([(), (3,), (3, 3)])))
        ranks = feasible_ranks(shape, (0, 1), [draw(st.integers(1, shape[mode])) for mode in (0, 1)])
        values = [sorted((draw(st.floats(1e-3, 10)) for _ in range(rank)), reverse=True) for rank in ranks]
        layers.append(spectrum(shape, *values))
    return layers


policies = st.one_of(
    st.builds(Fixed, st.floats(0.01, 1)), st.builds(Tolerance, st.floats(0, 0.99)), st.builds(Budget, st.just(0.0))
)


@given(spectra(), policies, st.integers(1, 4), st.integers(0, 6), st.sampled_from([1, 2, 4, 8]))
def test_limits_hold_whatever_the_policy(
    layers: list[Spectrum], policy: Any, min_rank: int, room: int, multiple: int
) -> None:
    limits = {"min_rank": min_rank, "max_rank": min_rank + room, "multiple": multiple}
    limited = replace(policy, **limits)
    try:
        chosen = limited.choose(layers)
    except RankError as error:  # a budget whose layers cannot be that small
        assert isinstance(policy, Budget)
        assert "cannot be met" in str(error)  # noqa: PT017
        return
    for layer, ranks in zip(layers, chosen, strict=True):
        assert feasible_ranks(layer.shape, layer.modes, ranks) == ranks
        core = [*ranks, *layer.shape[2:]]
        for mode, (rank, present) in enumerate(zip(ranks, layer.ranks, strict=True)):
            at_most = prod(core) // core[mode]  # what the rank in the other mode leaves possible
            top = min(present, min_rank + room)
            assert min(min_rank, present, at_most) <= rank <= top
            assert rank % multiple == 0 or rank in (top, at_most)  # a multiple, where there is room for one


def stored(layers: list[Spectrum], ranks: list[tuple[int, ...]]) -> int:
    return sum(layer.stored(r) for layer, r in zip(layers, ranks, strict=True))


def total(layers: list[Spectrum]) -> int:
    return sum(prod(layer.shape) for layer in layers)


@given(spectra(), st.floats(0, 0.99), st.integers(0, 200))
def test_budget_meets_its_target_or_says_what_can_be_met(layers: list[Spectrum], share: float, other: int) -> None:
    try:
        ranks = Budget(share).choose(layers, other=other)
    except RankError as error:
        best = 1 - (stored(layers, [(1, 1)] * len(layers)) + other) / (total(layers) + other)
        assert best < share
        assert f"budget {share:.4g} cannot be met" in str(error)  # noqa: PT017
        assert f"at most {best:.4g} can be removed" in str(error)  # noqa: PT017
    else:
        assert stored(layers, ranks) + other <= (1 - share) * (total(layers) + other)


def test_budget_takes_the_directions_of_least_energy_and_no_more_than_needed() -> None:
    layers = [falling((16, 16, 3, 3), (16, 16), decay) for decay in (0.95, 0.8, 0.6)]
    ranks = Budget(0.6).choose(layers)
    energies = [[v.double().square() / v.double().square().sum() for v in layer.values] for layer in layers]
    kept = [e[:rank] for layer, r in zip(energies, ranks, strict=True) for e, rank in zip(layer, r, strict=True)]
    gone = [e[rank:] for layer, r in zip(energies, ranks, strict=True) for e, rank in zip(layer, r, strict=True)]
    assert min(float(e.min()) for e in kept) >= max(float(e.max()) for e in gone if len(e))
    last = max(range(3), key=lambda i: float(gone[2 * i].max()))  # the last direction that went
    back = [(r[0] + (i == last), r[1]) for i, r in enumerate(ranks)]
    assert stored(layers, back) > 0.4 * total(layers)
    assert ranks[0] > ranks[1] > ranks[2]  # the flatter the spectrum, the more is kept


def test_budget_comes_down_cubically_over_its_steps() -> None:
    layers, policy = [falling((32, 32, 3, 3), (32, 32), 0.9)], Budget(0.9, steps=50)
    for step in range(0, 60, 5):
        target = 0.9 * (1 - (1 - min(1, step / 50)) ** 3)
        size = stored(layers, policy.choose(layers, step=step))
        assert (1 - target - 0.1) * total(layers) < size <= (1 - target) * total(layers)
    assert policy.choose(layers) == policy.choose(layers, step=50)


def test_a_schedule_without_steps_is_fitted_to_the_run_and_one_with_steps_is_kept() -> None:
    assert Budget(0.9).over(1000).steps == Tolerance(0.1).over(1000).steps == 600
    assert Budget(0.9, steps=70).over(1000).steps == 70
    assert Tolerance(0.1, steps=0).over(1000).progress(0) == 1
    assert Tolerance(0.1).progress(500) == 0.5  # 1 000 steps in a loop of one's own
    assert Tolerance(0.1).over(1000) == Tolerance(0.1, steps=600)


@pytest.mark.parametrize(
    ("policy", "ranks", "expected"),
    [
        (Tolerance(0.1, growth=0.25), (8, 2), (10, 3)),
        (Tolerance(0.1, growth=0.5), (15, 11), (16, 12)),  # the size of the mode is the end
        (Tolerance(0.1, growth=0.25, max_rank=6), (8, 2), (8, 3)),  # growth never lowers
        (Tolerance(0.1, growth=0.25, multiple=4), (8, 4), (12, 8)),
        (Budget(0.5), (8, 2), (8, 2)),
    ],
    ids=str,
)
def test_growth(policy: RankPolicy, ranks: tuple[int, int], expected: tuple[int, int]) -> None:
    assert policy.larger((16, 12, 3, 3), (0, 1), ranks) == expected


@pytest.mark.parametrize(
    ("policy", "settings", "named"),
    [
        (Tolerance, {"tau": 1.0}, "tolerance 1.0"),
        (Budget, {"compression": 1}, "budget 1"),
        (Fixed, {"fraction": 0}, "fraction 0"),
        (Fixed, {"growth": 0.1}, "Fixed: growth 0.1"),
        (Tolerance, {"min_rank": 0}, "min_rank 0"),
        (Budget, {"min_rank": 4, "max_rank": 3}, "max_rank 3"),
        (Nested, {"compression": 0.5, "smallest": 0.5}, "a smallest size that removes more"),
    ],
)
def test_a_setting_out_of_range_is_named(policy: Any, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(RankError, match=named):
        policy(**settings)


@pytest.mark.parametrize(
    ("start", "policy", "every"),
    [((1, 1, 1, 1), Tolerance(0.02, steps=0), 10), ((11, 9, 2, 2), Tolerance(0.02, steps=60), 4)],
    ids=["grow", "shrink"],
)
def test_ranks_move_to_exactly_those_of_the_teacher(start: tuple[int, ...], policy: RankPolicy, every: int) -> None:
    """Regression onto a convolution of known ranks and well separated singular values, full batch."""
    teacher = random_point((12, 10, 3, 3), range(4), (4, 3, 2, 2))
    weight, input = teacher.dense() * 3 / teacher.core.norm(), torch.randn(16, 10, 6, 6)
    target = F.conv2d(input, weight, padding=1)
    layer = TuckerConv2d(10, 12, 3, start, bias=False, padding=1, modes="all")
    optimizer = TuckerSGD(layer, lr=0.05, momentum=0.9, ranks=policy, adapt_every=every)
    for _ in range(200):
        take_step(optimizer, 0.5 * (layer(input) - target).square().sum(dim=1).mean())
    optimizer.adapt(grow=False)
    assert layer.ranks == (4, 3, 2, 2)
    assert (layer.dense_weight() - weight).norm() < 1e-4 * weight.norm()


def test_a_budget_is_settled_when_it_is_met_and_nothing_grows() -> None:
    layers = [falling((8, 8), (2, 2)), falling((8, 8), (3, 3))]
    assert Budget(0.1).settled(layers)
    assert not Budget(0.1, growth=0.1).settled(layers)
    assert not Budget(0.6).settled(layers)
    assert Budget(0.6, steps=100).settled(layers, step=3)
    assert not Tolerance(0.1).settled(layers)
    assert Fixed(0.25).settled(layers[:1])
    assert not Fixed(0.1).settled(layers)
