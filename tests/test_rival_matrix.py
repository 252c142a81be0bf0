"""Low rank as a matrix: the same function as the dense convolution, within its budget, never of full size."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import contests
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tuckerlab import Budget, Tolerance, TuckerConv2d, TuckerSGD
from tuckerlab.errors import CheckpointError, RankError, TuckerlabError
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.methods.low_rank import Matrix, MatrixConv2d, as_matrix, merged
from tuckerlab.experiments.setup import on_meta
from tuckerlab.training import checkpoint
from tuckerlab.training.metrics import checkpoint_bytes, multiply_adds
from tuckerlab.training.models import build
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.weight import TuckerLayer

LAYERS = [
    {"kernel_size": kernel, "rank": rank, "stride": stride, "padding": padding, "dilation": dilation, "bias": bias}
    for kernel, rank in ((3, 4), ((5, 3), 10), ((1, 3), 1))
    for stride, dilation in ((1, 1), (2, 1), ((2, 1), (1, 2)))
    for padding in (0, 1, (2, 0))
    for bias in (False, True)
]
LAYERS.append({"kernel_size": 3, "rank": 3, "padding": "same", "dilation": 2})


def matrices(model: nn.Module) -> list[MatrixConv2d]:
    return [layer for layer in model.modules() if isinstance(layer, MatrixConv2d)]


class TestLayer:
    @pytest.mark.parametrize("options", LAYERS, ids=str)
    def test_is_the_convolution_with_its_dense_weight(self, options: dict[str, Any]) -> None:
        layer = MatrixConv2d(6, 10, **options, dtype=torch.float64)
        images = torch.randn(2, 6, 11, 9, dtype=torch.float64)
        kernel = layer.dense_weight().reshape(10, 6, *layer.kernel_size)
        assert torch.linalg.matrix_rank(kernel.flatten(1)) == options["rank"]
        settings = {name: value for name, value in options.items() if name not in ("kernel_size", "rank", "bias")}
        wanted = F.conv2d(images, kernel, layer.bias, **settings)
        torch.testing.assert_close(layer(images), wanted)
        plain = merged(layer)
        assert not any(isinstance(part, TuckerLayer) for part in plain.modules())
        torch.testing.assert_close(plain(images), wanted)

    def test_begins_with_the_variance_of_the_dense_layer(self) -> None:
        stds = [MatrixConv2d(16, 32, 3, rank=5).dense_weight().std().item() for _ in range(20)]
        assert sum(stds) / 20 == pytest.approx(nn.Conv2d(16, 32, 3).weight.std().item(), rel=0.1)

    def test_a_step_at_full_rank_is_that_of_the_dense_layer(self) -> None:
        layer = MatrixConv2d(2, 18, 3, rank=18, dtype=torch.float64)
        dense = nn.Conv2d(2, 18, 3, dtype=torch.float64)
        with torch.no_grad():
            dense.weight.copy_(layer.dense_weight().reshape(dense.weight.shape))
            dense.bias.copy_(layer.bias)
        options: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}
        optimizers = [TuckerSGD(layer, **options), torch.optim.SGD(dense.parameters(), **options)]
        for _ in range(3):
            images = torch.randn(4, 2, 6, 6, dtype=torch.float64)
            for one, optimizer in zip((layer, dense), optimizers, strict=True):
                optimizer.zero_grad()
                one(images).square().mean().backward()
                optimizer.step()
        torch.testing.assert_close(layer.dense_weight(), dense.weight.flatten(1))
        torch.testing.assert_close(layer.bias, dense.bias)

    def test_where_two_convolutions_save_nothing_there_is_one(self) -> None:
        assert isinstance(merged(MatrixConv2d(4, 8, 3, rank=7)), nn.Conv2d)  # 7 · (8 + 36) ≥ 8 · 36
        assert [part.weight.numel() for part in merged(MatrixConv2d(4, 8, 3, rank=6))] == [6 * 36, 6 * 8]

    @pytest.mark.parametrize("rank", [0, 9, 2.5])
    def test_a_rank_that_there_is_not(self, rank: Any) -> None:
        with pytest.raises(RankError, match=f"rank {rank}"):
            MatrixConv2d(4, 8, 3, rank)

    def test_other_borders_are_refused(self) -> None:
        with pytest.raises(TuckerlabError, match="circular"):
            as_matrix(TuckerConv2d(8, 8, 3, ranks=4, padding=1, padding_mode="circular"))


class Sizes(TorchDispatchMode):
    """The most numbers in any tensor that has memory."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not result.is_meta:
            self.most = max(self.most, result.numel())
        return result


class TestNetwork:
    def test_the_dense_weights_never_exist(self) -> None:
        with Sizes() as sizes:
            network = Matrix(Budget(0.9)).network(contests.DIGITS, seed=0)
        largest = max(layer.dense_numel for layer in matrices(network))
        assert largest == 128 * 128 * 9
        assert 0 < sizes.most < 0.8 * largest

    @pytest.mark.parametrize("spec", [contests.DIGITS, contests.LENET, contests.RESNET], ids=lambda s: s["name"])
    def test_factorizes_what_tucker_does(self, spec: dict[str, Any]) -> None:
        network = Matrix(Budget(0.9)).network(spec, seed=0)
        tucker = [name for name, layer in on_meta(spec).named_modules() if isinstance(layer, TuckerLayer)]
        assert [name for name, layer in network.named_modules() if isinstance(layer, TuckerLayer)] == tucker
        assert all(layer.stored_numel <= layer.dense_numel for layer in matrices(network))
        images = torch.randn(2, spec["in_channels"], spec["image_size"], spec["image_size"])
        plain = merged(network).eval()
        torch.testing.assert_close(plain(images), network.eval()(images), rtol=1e-3, atol=1e-5)
        assert not any(isinstance(part, TuckerLayer) for part in plain.modules())

    def test_the_seed_decides(self) -> None:
        one, same, other = (Matrix(Budget(0.9)).network(contests.DIGITS, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(matrices(one)[0].core, matrices(same)[0].core)
        assert not torch.equal(matrices(one)[0].core, matrices(other)[0].core)

    @pytest.mark.parametrize("rate", [0.8, 0.9, 0.95])
    @pytest.mark.parametrize(
        "spec", [contests.DIGITS, contests.STEEL, contests.CIFAR], ids=["digits", "steel", "cifar"]
    )
    def test_a_budget_is_met_and_used(self, spec: dict[str, Any], rate: float) -> None:
        contender, arena = Matrix(Budget(rate)), contests.arena_of(spec)
        network = contender.network(spec, seed=0)
        replace(arena.recipe, ranks=contender.ranks).make_optimizer(network, 10).adapt(grow=False)
        counts = contender.counts(network, arena)
        assert rate <= counts.conv_compression < rate + 0.02
        assert all(r == s for r, s in (layer.ranks for layer in matrices(network)))

    def test_what_is_counted_is_stored(self) -> None:
        contender, arena = Matrix(Budget(0.9)), contests.small_arena(Matrix(Budget(0.8)))
        network = contender.network(arena.spec, seed=0)
        plain, counts = merged(network), contender.counts(network, arena)
        weights = [part.weight.numel() for part in plain.modules() if isinstance(part, nn.Conv2d)]
        assert counts.conv_stored == sum(weights)
        assert counts.total_stored == sum(p.numel() for p in plain.parameters())
        assert counts.total_dense == sum(p.numel() for p in build(**arena.spec).parameters())
        assert contender.counts(plain, arena) == counts

    def test_a_budget_that_cannot_be_met(self) -> None:
        contender = Matrix(Budget(0.97))
        arena = contests.small_arena(Tucker(contender.policy))  # in Tucker format it can
        with pytest.raises(RankError, match="cannot be met"):
            contender.train(Training(arena))

    def test_a_checkpoint_of_other_ranks_is_taken_up(self, tmp_path: Path) -> None:
        contender = Matrix(Budget(0.9))
        small, new = (contender.network(contests.DIGITS, seed) for seed in (0, 1))
        replace(contests.arena_of(contests.DIGITS).recipe, ranks=contender.ranks).make_optimizer(small, 1).adapt()
        assert [layer.ranks for layer in matrices(small)] != [layer.ranks for layer in matrices(new)]
        checkpoint.save(tmp_path / "small.safetensors", small)
        checkpoint.load(tmp_path / "small.safetensors", new)
        images = torch.randn(2, 1, 8, 8)
        assert torch.equal(new.eval()(images), small.eval()(images))
        with pytest.raises(CheckpointError, match="give load"):
            checkpoint.load(tmp_path / "small.safetensors")
        with pytest.raises(CheckpointError, match="of another model"):
            checkpoint.load(tmp_path / "small.safetensors", materialize(on_meta(contests.DIGITS)))


class TestTraining:
    def test_in_a_contest(self, tmp_path: Path) -> None:
        contender = Matrix(Budget(0.8))
        records = contests.in_a_contest(contender, tmp_path)
        row = records.runs.iloc[0]
        assert (row["method"], row["label"], row["gradient_evaluations"]) == ("matrix", "matrix 80 %", 8)
        assert 0.8 <= row["conv_compression"] < 0.83
        run = contender.train(Training(contests.small_arena(contender)))
        assert row["test_accuracy"] == run.test_accuracy
        assert row["multiply_adds"] == multiply_adds(run.network, (1, 8, 8))
        assert row["checkpoint_bytes"] == checkpoint_bytes(run.network)
        checkpoint.load(tmp_path / "matrix-80.safetensors", copy.deepcopy(run.network))
        assert records.epochs["conv_parameters"].iloc[-1] == row["conv_parameters"]
        assert set(records.ranks["mode"]) == {0, 1}

    def test_ranks_adapt_to_a_tolerance(self) -> None:
        run = Matrix(Tolerance(0.3)).train(Training(contests.small_arena(Matrix(Tolerance(0.3)), epochs=8)))
        start, end = ([row["rank"] for row in run.ranks if row["step"] == step] for step in (0, 32))
        assert len(start) == len(end) == 10
        assert sum(end) < sum(start)

    def test_comes_again_without_training(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        contests.comes_again_without_training(Matrix(Budget(0.8)), tmp_path, monkeypatch)

    def test_goes_on_after_a_cut(self, tmp_path: Path) -> None:
        contests.goes_on_after_a_cut(Matrix(Budget(0.8)), tmp_path)

    def test_comes_back_when_stopped(self, tmp_path: Path) -> None:
        contests.comes_back_when_stopped(Matrix(Budget(0.8)), tmp_path)
