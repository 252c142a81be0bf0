"""Sizes between trained networks: cut as the algebra says, from the right network, and honest about it."""

import copy
from typing import Any

import pytest
import torch
from slider import retruncations
from torch import nn

from tuckerlab import Budget, Fixed, Tolerance, build, load_data, tuckerize
from tuckerlab.data import ImageData
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.retruncation import cut
from tuckerlab.training.metrics import checkpoint_bytes, evaluate
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.tensor import multi_mode_product, truncate
from tuckerlab.tucker.weight import TuckerLayer

SPEC: dict[str, Any] = {"name": "vgg_small", "in_channels": 1, "image_size": 8, "width": 0.25}


def network(*, tucker: bool = True) -> nn.Module:
    return tuckerize(build(**SPEC), include="features*", ranks=Fixed(0.7)) if tucker else build(**SPEC)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data("digits").subset(train=64, test=64)


def tuckers(model: nn.Module) -> dict[str, TuckerLayer]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, TuckerLayer)}


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The dense weight of each layer that is a tensor in any of the networks here."""
    return {
        name: layer.dense_weight() if isinstance(layer, TuckerLayer) else layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, TuckerLayer | nn.Conv2d | nn.Linear)
    }


@pytest.mark.parametrize("policy", [Budget(0.9), Tolerance(0.3), Fixed(0.2)], ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("tucker", [False, True])
def test_a_cut_is_the_truncated_hosvd_of_the_weight(policy: RankPolicy, tucker: bool) -> None:
    model = network(tucker=tucker)
    before, after = weights(model), cut(model, policy)
    assert tuckers(after)
    assert bool(tuckers(model)) == tucker  # it stays what it is
    for name, layer in tuckers(after).items():
        core, factors = truncate(before[name], layer.modes, ranks=layer.ranks)
        wanted = multi_mode_product(core, factors, layer.modes)
        torch.testing.assert_close(layer.dense_weight(), wanted, rtol=1e-4, atol=1e-5)


def test_everything_else_stays_and_the_network_as_it_is() -> None:
    small = network().train()
    small(torch.randn(8, 1, 8, 8))  # the statistics of batch norm are not those of a new network
    before, after = copy.deepcopy(small.state_dict()), cut(small, Budget(0.9)).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    others = [name for name in before if not any(name.startswith(f"{layer}.") for layer in tuckers(small))]
    assert any("running_mean" in name for name in others)
    assert all(torch.equal(before[name], after[name]) for name in others)


@pytest.fixture(scope="module")
def networks() -> dict[Method, nn.Module]:
    torch.manual_seed(0)
    dense = build(**SPEC)
    policies = [Budget(0.6), Budget(0.9), Tolerance(0.4)]
    return {Dense(): dense} | {Tucker(p): cut(dense, p) for p in policies}


def test_a_row_is_the_nearest_trained_network_at_or_below_the_setting(
    networks: dict[Method, nn.Module], data: ImageData
) -> None:
    settings = {"compression": [0, 0.4, 0.6, 0.7, 0.9, 0.95, 0.999], "tolerance": [0, 0.2, 0.4, 0.6]}
    table = retruncations([networks], data, settings)
    assert table[["by", "setting", "source", "trained"]].to_numpy().tolist() == [
        ["compression", 0.0, "dense", True],
        ["compression", 0.4, "dense", False],
        ["compression", 0.6, "Tucker 60 %", True],
        ["compression", 0.7, "Tucker 60 %", False],
        ["compression", 0.9, "Tucker 90 %", True],
        ["compression", 0.95, "Tucker 90 %", False],
        ["tolerance", 0.0, "dense", True],
        ["tolerance", 0.2, "dense", False],
        ["tolerance", 0.4, "Tucker τ 0.4", True],
        ["tolerance", 0.6, "Tucker τ 0.4", False],
    ]  # and no row at 0.999, which cannot be met
    by_label = {method.label: network for method, network in networks.items()}
    for row in table.itertuples():
        policy = Budget(row.setting) if row.by == "compression" else Tolerance(row.setting)
        model = by_label[row.source] if row.trained else cut(by_label[row.source], policy)
        counts = count_parameters(model)
        assert (row.parameters, row.conv_parameters) == (counts.total_stored, counts.conv_stored)
        assert (row.compression, row.conv_compression) == (counts.compression, counts.conv_compression)
        assert row.file_bytes == checkpoint_bytes(model)
        assert row.test_accuracy == row.lowest == row.highest == evaluate(model, data).accuracy
    below = {method: network for method, network in networks.items() if method.label == "Tucker 90 %"}
    table = retruncations([below], data, {"compression": [0, 0.5, 0.9], "tolerance": [0.5]})
    assert table["setting"].tolist() == [0.9]


def test_accuracies_are_the_mean_and_the_ends_of_all_seeds(networks: dict[Method, nn.Module], data: ImageData) -> None:
    torch.manual_seed(1)
    other: dict[Method, nn.Module] = {Dense(): build(**SPEC)}
    [row] = retruncations([networks, other], data, {"compression": [0]}).itertuples()
    found = sorted(evaluate(seed[Dense()], data).accuracy for seed in (networks, other))
    assert (row.lowest, row.highest, row.seeds) == (*found, 2)
    assert row.test_accuracy == pytest.approx(sum(found) / 2)
