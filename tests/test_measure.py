"""Counts, multiply-adds and memory against formulas worked out by hand; timings against their definition."""

import copy
import time
from collections.abc import Callable
from functools import partial

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from test_train import assert_same_weights
from torch import Tensor, nn

from tuckerlab import TuckerConv2d, TuckerLinear, TuckerSGD
from tuckerlab.training.machine import interleave, latencies, training_memory
from tuckerlab.training.metrics import checkpoint_bytes, multiply_adds
from tuckerlab.tucker.model_size import Counts, count_parameters


def tucker_network() -> nn.Sequential:
    """1 → 8 channels dense, 8 → 16 in Tucker format with ranks (4, 2), classifier 16 · 16 → 10 of rank 3."""
    convolutions = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), TuckerConv2d(8, 16, 3, ranks=(4, 2), padding=1)]
    return nn.Sequential(*convolutions, nn.ReLU(), nn.Flatten(), TuckerLinear(256, 10, ranks=3))


TUCKER_CONV = 4 * 2 * 9 + 16 * 4 + 8 * 2
TUCKER_LINEAR = 3 * 3 + 10 * 3 + 256 * 3


def test_counts_of_a_dense_and_of_a_tucker_network() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, (3, 5)), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))
    assert count_parameters(model) == Counts(360, 360, 360 + 8 + 16 + 18, 360 + 8 + 16 + 18)
    conv, dense, biases_and_norm = 72 + TUCKER_CONV, 72 + 16 * 8 * 9, 8 + 16 + 16 + 10
    counts = count_parameters(tucker_network())
    assert counts == Counts(conv, dense, conv + TUCKER_LINEAR + biases_and_norm, dense + 2560 + biases_and_norm)
    assert counts.conv_compression == pytest.approx(1 - (72 + 152) / (72 + 1152))


def test_shared_layers_and_shared_weights_count_once() -> None:
    conv, twin = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
    twin.weight = conv.weight
    assert count_parameters(nn.Sequential(conv, conv, twin)) == Counts(144, 144, 152, 152)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(3, 6, 3, groups=3), 30 * 30 * 6 * 1 * 9),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 7)), 3072 * 7),
        (TuckerConv2d(3, 8, 3, (4, 2), stride=2, padding=1), 32 * 32 * 3 * 2 + 16 * 16 * (2 * 4 * 9 + 4 * 8)),
        (nn.MaxPool2d(2), 0),
    ],
)
def test_multiply_adds_by_formula(layer: nn.Module, expected: int) -> None:
    assert multiply_adds(layer, (3, 32, 32)) == expected


def test_latency_is_that_of_the_call() -> None:
    class Slow(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            assert not self.training
            assert torch.is_inference_mode_enabled()
            time.sleep(0.01)
            return images

    times = latencies({"slow": Slow()}, torch.zeros(4, 1), repeats=5)["slow"]
    assert 10 <= times.min() < 500


def test_interleave_takes_turns() -> None:
    order: list[str] = []
    functions: dict[str, Callable[[], object]] = {name: partial(order.append, name) for name in "ab"}
    times = interleave(functions, repeats=12, warmup=1)
    rounds = ["".join(order[i : i + 2]) for i in range(0, len(order), 2)]
    assert len(rounds) == 13
    assert set(rounds) == {"ab", "ba"}  # each in every round, and nobody always first
    assert [len(found) for found in times.values()] == [12, 12]


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> torch.optim.Optimizer:
    model(images).square().mean().backward()
    optimizer.step()
    return optimizer


def loss_on(images: Tensor) -> Callable[[nn.Module], Tensor]:
    labels = torch.zeros(len(images), dtype=torch.long)
    return lambda model: F.cross_entropy(model(images), labels)


@pytest.mark.parametrize(("momentum", "state"), [(0.0, 0), (0.9, 4 * 30 * 11)])
def test_memory_of_a_linear_layer_by_formula(momentum: float, state: int) -> None:
    model, images = nn.Linear(10, 30), torch.randn(8, 10)
    optimizer = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum), images)
    memory = training_memory(model, optimizer, loss_on(images))
    assert memory.weights == memory.gradients == 4 * 30 * 11
    assert memory.optimizer == state
    logarithms, total_weight = 4 * 8 * 30, 4
    assert memory.activations == 4 * 8 * 10 + logarithms + 8 * 8 + total_weight


def test_memory_of_a_tucker_network() -> None:
    model, images = tucker_network(), torch.randn(4, 1, 4, 4)
    memory = training_memory(model, stepped(model, TuckerSGD(model, lr=0.01, momentum=0.9), images), loss_on(images))
    numbers = count_parameters(model).total_stored
    assert memory.gradients == 4 * numbers
    assert memory.weights == 4 * numbers + 4 * 16 + 8
    assert 4 * (TUCKER_CONV + TUCKER_LINEAR) <= memory.optimizer <= 4 * numbers + 256
    assert memory.peak is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the peak is that of CUDA's allocator")
def test_the_peak_holds_weights_gradients_and_the_state_and_no_other_tensors() -> None:
    others, model, images = torch.zeros(2**28, device="cuda"), nn.Linear(1000, 1000).cuda(), torch.randn(8, 1000).cuda()
    optimizer = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), images)
    memory = training_memory(model, optimizer, lambda model: model(images).sum())
    parts = memory.weights + memory.gradients + memory.optimizer
    assert memory.peak is not None
    assert parts <= memory.peak < parts + 2**26 < others.nbytes


def test_the_size_of_a_file_is_counted_without_writing_it() -> None:
    model = tucker_network()
    assert checkpoint_bytes(model) == len(safetensors.torch.save(model.state_dict()))
    assert checkpoint_bytes(nn.Sequential(model, model)) < 1.2 * checkpoint_bytes(model)


def test_a_measurement_leaves_training_as_it_is() -> None:
    model, images = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3)), torch.randn(16, 4)
    optimizer = stepped(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), images)
    same, gradients = copy.deepcopy((model, optimizer)), [parameter.grad.clone() for parameter in model.parameters()]
    numbers = torch.get_rng_state()
    training_memory(model, optimizer, loss_on(images))
    latencies({"it": model}, images, repeats=2)
    multiply_adds(model, (4,))
    assert_same_weights(model, same[0], optimizer, same[1])
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), numbers)
