"""Pruning: which weights and channels go, what is left of the function, and what is counted."""

import math
from dataclasses import replace
from typing import Any

import contests
import pytest
import torch
from exports import calibrated
from test_train import During
from torch import Tensor, nn

from tuckerlab import build
from tuckerlab.experiments.methods.pruning import KEPT, MagnitudePruning, Pruned, convolutions, pruned, without
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters


def network(name: str = "vgg_small", in_channels: int = 1, image_size: int = 8, width: float = 0.25) -> nn.Module:
    """With batch norms that do something, as after training."""
    model = build(name, in_channels=in_channels, image_size=image_size, width=width)
    return calibrated(model, torch.randn(16, in_channels, image_size, image_size))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([layer.weight.detach().flatten() for layer in convolutions(model)])


def test_what_is_zero_is_not_counted() -> None:
    shares, method = list[float](), Pruned(0.9)
    watch = During(0, math.inf, lambda run: shares.append((weights(run.model) == 0).double().mean().item()))
    experiment = contests.small_experiment(method, epochs=5)
    run = method.train(replace(experiment, callbacks=[watch]))
    assert [row["conv_compression"] for row in run.epochs] == pytest.approx(shares[3::4])
    assert shares[-1] == pytest.approx(0.9, abs=1e-3)
    zeros, dense, counts = int((weights(run.model) == 0).sum()), count_parameters(run.model), run.epochs[-1]
    assert counts["conv_parameters"] == dense.conv_stored - zeros
    assert counts["parameters"] == dense.total_stored - zeros


def test_the_smallest_weights_of_all_layers_go() -> None:
    model = network()
    before = weights(model)
    run: Any = Run(model, torch.optim.SGD(model.parameters(), 0.0), 1, 1, step=6)  # type: ignore[arg-type]
    pruning = MagnitudePruning(0.7, total_steps=10, every=1)
    pruning.on_start(run)
    pruning.on_step(run)
    after = weights(model)
    gone = after == 0
    assert gone.sum() == int(0.7 * len(before))
    assert before[gone].abs().max() < before[~gone].abs().min()
    assert torch.equal(before[~gone], after[~gone])


def test_a_file_holds_what_is_left_and_where_it_lies() -> None:
    model, method = network(), Pruned(0.9)
    with torch.no_grad():
        convolutions(model)[2].weight[:] = 0
    zeros = convolutions(model)[2].weight.numel()
    bits = sum(-(-layer.weight.numel() // 8) for i, layer in enumerate(convolutions(model)) if i != 2)
    assert method.file_bytes(model) == checkpoint_bytes(model) - 4 * zeros + bits


def widths(model: nn.Module) -> list[int]:
    return [layer.out_channels for layer in convolutions(model)]


@pytest.mark.parametrize("spec", [("vgg_small", 1, 8, 1.0), ("resnet18", 3, 32, 0.25), ("lenet5", 1, 28, 1.0)])
def test_the_target_is_met_and_hardly_more(spec: tuple[str, int, int, float]) -> None:
    dense, (_, channels, size, _) = network(*spec), spec
    for target in (0.8, 0.95):
        model = pruned(dense, target, torch.zeros(1, channels, size, size))
        reached = 1 - count_parameters(model).conv_stored / count_parameters(dense).conv_stored
        assert target <= reached < target + 0.01
        assert all(left >= KEPT * all_ for left, all_ in zip(widths(model), widths(dense), strict=True))
        assert model(torch.zeros(2, channels, size, size)).shape == (2, 10)


@pytest.mark.parametrize("gone", [0, 40])
def test_it_is_the_dense_network_with_the_least_channels_silent(gone: int) -> None:
    """An oracle without the library: norms by hand, and channels that answer zero in the place of none."""
    dense = network()
    left = without(dense, gone, torch.zeros(1, 1, 8, 8))
    norms = [layer for layer in dense.modules() if isinstance(layer, nn.BatchNorm2d)]
    readers = [*convolutions(dense)[1:], dense.classifier[2]]
    scores = []
    for convolution, norm, reader in zip(convolutions(dense), norms, readers, strict=True):
        read = reader.weight.square().transpose(0, 1).flatten(1).sum(1)
        score = (convolution.weight.square().sum((1, 2, 3)) + norm.weight.square() + read).detach()
        score /= score.mean()
        score[score.topk(math.ceil(0.1 * len(score))).indices] = math.inf
        scores.append(score)
    limit = torch.cat(scores).sort().values[gone]
    with torch.no_grad():
        for score, norm in zip(scores, norms, strict=True):
            norm.weight[score < limit] = 0
            norm.bias[score < limit] = 0
    assert widths(left) == [int((score >= limit).sum()) for score in scores]
    images = torch.randn(16, 1, 8, 8)
    torch.testing.assert_close(left(images), dense(images), rtol=1e-4, atol=1e-5)
