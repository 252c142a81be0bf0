"""Nested ranks: a step of one size is the step of that network alone, and every size can be cut from the whole."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from manifolds import layers_of, makers, orthonormality, take_step
from torch import nn

import tuckerlab as tl
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import evaluate
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.nested import SIZES


class OneSize(tl.Nested):
    def turn(self, step: int) -> float:
        return 0.5


def layer_of(kind: str) -> tl.TuckerLayer:
    if kind == "linear":
        return tl.TuckerLinear(20, 16, ranks=8).double()
    return tl.TuckerConv2d(12, 10, 3, ranks=(7, 6), padding=1).double()


def images_for(layer: tl.TuckerLayer) -> torch.Tensor:
    return torch.randn((6, 20) if isinstance(layer, tl.TuckerLinear) else (6, 12, 5, 5), dtype=torch.float64)


@makers
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_a_step_of_one_size_is_the_step_of_that_network(kind: str, make: Any) -> None:
    whole = layer_of(kind)
    whole.smallest = (2,) * len(whole.ranks)
    alone = copy.deepcopy(whole)
    ranks = whole.ranks_at(0.5)
    alone.assign(whole.point.leading(ranks))
    networks = [whole, alone]
    optimizers = [make(whole, ranks=OneSize(0.1, smallest=0.5)), make(alone)]
    assert whole.active == ranks
    behind = whole.core.detach().clone()
    for _ in range(5):
        images = images_for(whole)
        for network, optimizer in zip(networks, optimizers, strict=True):
            take_step(optimizer, network(images).square().mean())
        for part, other in zip(whole.trained.parts, alone.parts, strict=True):
            torch.testing.assert_close(part, other, rtol=1e-9, atol=1e-11)
        assert orthonormality(whole.factors) < 1e-12
    inner = tuple(slice(size) for size in whole.trained.core.shape)
    changed = whole.core.detach() != behind
    assert changed[inner].any()
    changed[inner] = False
    assert not changed.any()


def test_answers_are_of_all_ranks_and_training_of_the_active_ones() -> None:
    layer = layer_of("conv")
    layer.smallest, layer.active = (2, 2), (3, 2)
    images = images_for(layer)
    small = copy.deepcopy(layer)
    small.assign(layer.point.leading((3, 2)))
    torch.testing.assert_close(layer.train()(images), small(images))
    layer.active = None
    whole = layer(images)
    layer.active = (3, 2)
    torch.testing.assert_close(layer.eval()(images), whole)


@makers
def test_where_ranks_remain_parameters_do(make: Any) -> None:
    """DistributedDataParallel and others hold them."""
    layer = layer_of("conv")
    optimizer = make(layer, ranks=tl.Nested(0.1, smallest=0.6, steps=0))
    images = images_for(layer)
    take_step(optimizer, layer(images).square().mean())
    optimizer.adapt()
    parts, weight = layer.parts, layer.dense_weight()
    take_step(optimizer, layer(images).square().mean())
    moved = layer.dense_weight()
    optimizer.adapt()
    assert layer.active is None  # whoever refreshes statistics now means the whole
    assert all(old is new for old, new in zip(parts, layer.parts, strict=True))
    assert not torch.allclose(weight, moved)
    torch.testing.assert_close(layer.dense_weight(), moved)


def test_training_that_is_not_nested_ends_the_order() -> None:
    layer = layer_of("linear")
    layer.smallest = (2, 2)
    optimizer = tl.TuckerSGD(layer, lr=0.1)
    assert layer.smallest == (2, 2)
    take_step(optimizer, layer(images_for(layer)).square().mean())
    assert layer.smallest is None


def test_each_size_has_its_turn() -> None:
    ways = [tl.Nested(0.5, smallest=0.9).turn(step) for step in range(400)]
    assert ways[::2] == [1.0] * 200
    others = ways[1::2]
    assert set(others) == {i / SIZES for i in range(SIZES)}
    assert min(others.count(way) for way in set(others)) >= 200 // SIZES - 2


def network(ranks: float = 0.7) -> nn.Module:
    torch.manual_seed(0)
    model = tl.build("vgg_small", in_channels=1, image_size=8, width=0.25)
    return tl.tuckerize(model, include="features*", ranks=ranks)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Any, Path]:
    data, file = tl.load_data("digits"), tmp_path_factory.mktemp("nested") / "run.safetensors"
    recipe = Recipe(epochs=3, ranks=tl.Nested(0.4, smallest=0.9), seed=0)
    return tl.fit(network(), data, recipe, checkpoint=file).model, data, file


@pytest.mark.parametrize("compression", [0.45, 0.6, 0.8, 0.9])
def test_a_cut_is_as_small_as_asked_and_good(trained: tuple[nn.Module, Any, Path], compression: float) -> None:
    model, data, _ = trained
    small = tl.cut(model, tl.Budget(compression), data.sample())
    assert compression <= count_parameters(small).conv_compression < compression + 0.05
    assert evaluate(small, data).accuracy > evaluate(tl.cut(model, tl.Budget(0.4), data.sample()), data).accuracy - 0.04
    for part, layer in zip(small.modules(), model.modules(), strict=True):
        if isinstance(part, tl.TuckerLayer):
            torch.testing.assert_close(part.dense_weight(), layer.point.leading(part.ranks).dense())


def test_sizes_travel_in_the_checkpoint_and_none_smaller_is_cut(trained: tuple[nn.Module, Any, Path]) -> None:
    model, data, file = trained
    cuts = [tl.cut(network, tl.Budget(0.8), data.sample()) for network in (tl.load(file).model, model)]
    assert evaluate(cuts[0], data) == evaluate(cuts[1], data)
    other = network(ranks=0.5)
    plain = copy.deepcopy(other.state_dict())
    other.load_state_dict(model.state_dict())
    mine, theirs = map(layers_of, (model, other))
    assert [(m.smallest, m.ranks) for m in mine] == [(t.smallest, t.ranks) for t in theirs]
    other.load_state_dict(plain)
    assert all(layer.smallest is None for layer in theirs)
    with pytest.raises(tl.RankError, match=r"compression 0.95: the smallest size .* removes 0.9"):
        tl.cut(model, tl.Budget(0.95))
    with pytest.raises(tl.RankError, match="cut to a size"):
        tl.cut(model, tl.Tolerance(0.1))
    with pytest.raises(tl.TuckerlabError, match="no batch"):
        tl.cut(model, tl.Budget(0.8), iter([]))
    with pytest.raises(tl.TuckerlabError, match="give `images`"):
        tl.cut(model, tl.Budget(0.8))
