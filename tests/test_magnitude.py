"""Magnitude pruning: what is zero, what is counted, and what survives an interruption."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tuckerlab import build, load_data
from tuckerlab.experiments.methods.magnitude_pruning import (
    MagnitudePruning,
    Pruned,
    convolution_weights,
    count_nonzero,
    file_bytes,
)
from tuckerlab.experiments.setup import arranged
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import count_parameters


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("vgg_small", in_channels=1, image_size=8, width=0.25)


class Watch(Callback):
    """The share of zeros after every step."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def on_step(self, run: Run) -> None:
        self.shares.append(count_nonzero(run.model).conv_compression)


def test_a_pruned_contender_counts_what_is_not_zero() -> None:
    data, watch, contender = load_data("digits").subset(train=320, test=64), Watch(), Pruned(0.9)
    recipe = Recipe(epochs=4, batch_size=32, adapt_every=4)
    arena = arranged([contender], data=data, recipe=recipe, model="vgg_small", width=0.25, device="cpu")
    run = contender.train(replace(arena, callbacks=[watch]))
    assert [row["conv_compression"] for row in run.epochs] == pytest.approx(watch.shares[9::10])
    assert run.epochs[-1]["conv_parameters"] == sum(int(w.count_nonzero()) for w in convolution_weights(run.model))
    assert contender.counts(run.network, arena).conv_compression == pytest.approx(0.9, abs=1e-3)
    assert run.evaluations == 40


def test_the_smallest_weights_of_all_layers_go() -> None:
    model, run = network(), None
    before = torch.cat([weight.detach().flatten() for weight in convolution_weights(model)])
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    run = Run(model, optimizer, 1, 1, step=6)  # type: ignore[arg-type]
    pruning = MagnitudePruning(0.7, total_steps=10, every=1)
    pruning.on_start(run)
    pruning.on_step(run)
    after = torch.cat([weight.detach().flatten() for weight in convolution_weights(model)])
    gone = after == 0
    assert gone.sum() == int(0.7 * len(before))
    assert before[gone].abs().max() < before[~gone].abs().min()
    assert torch.equal(before[~gone], after[~gone])


def test_only_zeros_of_convolutions_are_saved() -> None:
    model = network()
    dense = count_parameters(model)
    assert count_nonzero(model) == dense
    with torch.no_grad():
        convolution_weights(model)[2][:] = 0
    zeros = convolution_weights(model)[2].numel()
    counts = count_nonzero(model)
    assert (counts.conv_stored, counts.total_stored) == (dense.conv_stored - zeros, dense.total_stored - zeros)
    assert (counts.conv_dense, counts.total_dense) == (dense.conv_dense, dense.total_dense)
    bits = sum(-(-weight.numel() // 8) for i, weight in enumerate(convolution_weights(model)) if i != 2)
    assert file_bytes(model) == checkpoint_bytes(model) - 4 * zeros + bits
