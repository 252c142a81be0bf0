"""Counts, multiply-adds and memory against formulas worked out by hand; timings against their definition."""

import time
from collections.abc import Callable
from functools import partial

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import TuckerConv2d, TuckerLinear, TuckerSGD
from tuckerlab.training.memory import training_memory
from tuckerlab.training.metrics import checkpoint_bytes, multiply_adds
from tuckerlab.training.timing import Timing, interleave, latencies
from tuckerlab.tucker.model_size import Counts, count_parameters


def tucker_network() -> nn.Sequential:
    """1 → 8 channels dense, 8 → 16 in Tucker format with ranks (4, 2), classifier 16 · 16 → 10 of rank 3."""
    convolutions = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), TuckerConv2d(8, 16, 3, ranks=(4, 2), padding=1)]
    return nn.Sequential(*convolutions, nn.ReLU(), nn.Flatten(), TuckerLinear(256, 10, ranks=3))


TUCKER_CONV = 4 * 2 * 9 + 16 * 4 + 8 * 2
TUCKER_LINEAR = 3 * 3 + 10 * 3 + 256 * 3


class TestCounts:
    def test_dense_network(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 8, (3, 5)), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))
        assert count_parameters(model) == Counts(360, 360, 360 + 8 + 16 + 18, 360 + 8 + 16 + 18)
        assert count_parameters(model).conv_compression == count_parameters(model).compression == 0

    def test_tucker_network(self) -> None:
        biases_and_norm = 8 + 16 + 16 + 10
        counts = count_parameters(tucker_network())
        assert counts.conv_stored == 72 + TUCKER_CONV
        assert counts.conv_dense == 72 + 16 * 8 * 9
        assert counts.total_stored == 72 + TUCKER_CONV + TUCKER_LINEAR + biases_and_norm
        assert counts.total_dense == 72 + 16 * 8 * 9 + 2560 + biases_and_norm
        assert counts.conv_compression == pytest.approx(1 - (72 + 152) / (72 + 1152))

    def test_shared_layers_and_shared_weights_count_once(self) -> None:
        conv, twin = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
        twin.weight = conv.weight
        assert count_parameters(nn.Sequential(conv, conv, twin)) == Counts(144, 144, 152, 152)
        shared = TuckerConv2d(4, 4, 3, ranks=2)
        assert count_parameters(nn.Sequential(shared, shared)) == count_parameters(shared)


class TestMultiplyAdds:
    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            (nn.Conv2d(3, 8, 5, stride=2, padding=2), 16 * 16 * 8 * 3 * 25),
            (nn.Conv2d(3, 6, 3, groups=3), 30 * 30 * 6 * 1 * 9),
            (nn.Sequential(nn.Flatten(), nn.Linear(3072, 7)), 3072 * 7),
            (TuckerConv2d(3, 8, 3, (4, 2), stride=2, padding=1), 32 * 32 * 3 * 2 + 16 * 16 * (2 * 4 * 9 + 4 * 8)),
            (nn.Sequential(nn.Flatten(), TuckerLinear(3072, 7, ranks=5)), 3072 * 5 + 25 + 5 * 7),
            (nn.MaxPool2d(2), 0),
        ],
    )
    def test_by_formula(self, layer: nn.Module, expected: int) -> None:
        assert multiply_adds(layer, (3, 32, 32)) == expected


class TestTiming:
    def test_statistics(self) -> None:
        times = Timing((4.0, 1.0, 3.0, 2.0, 100.0))
        assert (times.median_ms, times.iqr_ms, times.runs) == (3.0, 2.0, 5)
        assert str(times) == "3 ms ± 2 (5 runs)"
        assert times.ratio(Timing((8.0, 2.0, 6.0, 4.0, 200.0))) == 0.5

    def test_latency_is_that_of_the_call(self) -> None:
        class Slow(nn.Module):
            def forward(self, images: Tensor) -> Tensor:
                assert not self.training
                assert torch.is_inference_mode_enabled()
                time.sleep(0.01)
                return images

        model = Slow()
        timing = latencies({"slow": model}, torch.zeros(4, 1), repeats=5)["slow"]
        assert 10 <= timing.median_ms < 500
        assert timing.runs == 5
        assert timing.batch == 4
        assert model.training

    def test_interleave_takes_turns(self) -> None:
        order: list[str] = []
        functions: dict[str, Callable[[], object]] = {name: partial(order.append, name) for name in "ab"}
        times = interleave(functions, repeats=12, warmup=1)
        rounds = ["".join(order[i : i + 2]) for i in range(0, len(order), 2)]
        assert len(rounds) == 13
        assert set(rounds) == {"ab", "ba"}  # each in every round, and nobody always first
        assert [timing.runs for timing in times.values()] == [12, 12]


class TestMemory:
    def stepped(self, model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> torch.optim.Optimizer:
        model(images).square().mean().backward()
        optimizer.step()
        return optimizer

    @pytest.mark.parametrize(("momentum", "state"), [(0.0, 0), (0.9, 4 * 30 * 11)])
    def test_linear_by_formula(self, momentum: float, state: int) -> None:
        model, images, labels = nn.Linear(10, 30), torch.randn(8, 10), torch.zeros(8, dtype=torch.long)
        optimizer = self.stepped(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum), images)
        memory = training_memory(model, optimizer, (images, labels))
        assert memory.weights == memory.gradients == 4 * 30 * 11
        assert memory.optimizer_state == state
        logarithms, total_weight = 4 * 8 * 30, 4
        assert memory.activations == 4 * 8 * 10 + logarithms + 8 * 8 + total_weight
        assert memory.total == memory.weights + memory.gradients + state + memory.activations
        assert memory.peak_allocated is None

    def test_tucker_network(self) -> None:
        model = tucker_network()
        images = torch.randn(4, 1, 4, 4)
        optimizer = self.stepped(model, TuckerSGD(model, lr=0.01, momentum=0.9), images)
        memory = training_memory(model, optimizer, (images, torch.zeros(4, dtype=torch.long)))
        numbers = count_parameters(model).total_stored
        assert memory.gradients == 4 * numbers
        assert memory.weights == 4 * numbers + 4 * 16 + 8
        assert 4 * (TUCKER_CONV + TUCKER_LINEAR) <= memory.optimizer_state <= 4 * numbers + 256

    def test_a_slice_of_a_data_set_is_not_the_data_set(self) -> None:
        model, data, labels = nn.Linear(10, 3), torch.randn(1000, 10), torch.zeros(1000, dtype=torch.long)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        sliced = training_memory(model, optimizer, (data[:8], labels[:8]))
        assert sliced == training_memory(model, optimizer, (data[:8].clone(), labels[:8].clone()))


def test_checkpoint_bytes_are_the_size_of_the_file() -> None:
    model = tucker_network()
    assert checkpoint_bytes(model) == len(safetensors.torch.save(model.state_dict()))


def test_measuring_costs_no_accuracy_of_later_training() -> None:
    """A run that is measured between two steps ends with the same weights as one that is not."""
    weights = []
    for measured in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        images, labels = torch.randn(16, 4), torch.randint(3, (16,))
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            if measured and optimizer.state:
                training_memory(model, optimizer, (images, labels))
                latencies({"it": model}, images, repeats=2)
                multiply_adds(model, (4,))
            optimizer.step()
            assert all(module.training for module in model.modules())
        weights.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    assert torch.equal(*weights)
