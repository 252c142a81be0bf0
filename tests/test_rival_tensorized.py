"""CP and tensor-train: the same function as the convolution with the dense weight, at ranks that meet the target."""

import copy
import re
from pathlib import Path
from typing import Any

import contests
import pytest
import tensorly
import torch
import torch.nn.functional as F
from torch import nn

from tuckerlab import TuckerConv1d, TuckerConv2d, TuckerLinear
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.methods.cp_tt import (
    FORMS,
    Tensorized,
    chain,
    chosen_ranks,
    new_weight,
    ordered_shape,
    random_chain,
    ranks_at,
    stored,
)  # fmt: skip
from tuckerlab.experiments.setup import on_meta
from tuckerlab.training import checkpoint
from tuckerlab.training.metrics import checkpoint_bytes, multiply_adds
from tuckerlab.training.models import build
from tuckerlab.tucker.budget import Budget
from tuckerlab.tucker.weight import TuckerLayer

LAYERS = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "bias": bias}
    for kernel in (3, (5, 3), (1, 3), (3, 1), 1)
    for stride, dilation in ((1, 1), (2, 1), ((2, 1), (1, 2)))
    for padding in (0, 1, (2, 0))
    for bias in (False, True)
]
LAYERS += [{"kernel_size": 3, "padding": "same", "dilation": 2}]
LAYERS += [{"kernel_size": 3, "padding": (1, 2), "padding_mode": mode} for mode in ("circular", "reflect", "replicate")]


def kernel_of(weight: Any, layer: TuckerLayer, form: str) -> torch.Tensor:
    """The dense kernel, by the definition of the format."""
    parts = [factor.detach().double() for factor in weight.factors]
    if form == "cp":
        letters = "oihw"[: len(parts)]
        product = ",".join(f"{letter}r" for letter in letters)
        return torch.einsum(f"{product}->{letters}", *parts).reshape(layer.shape)
    product = ",".join(f"{'abcde'[i]}{'ihwo'[i]}{'abcde'[i + 1]}" for i in range(len(parts) - 1))
    letters = "ihw"[: len(parts) - 1]
    end = "abcde"[len(parts) - 1]
    return torch.einsum(f"{product},{end}oz->o{letters}", *parts).reshape(layer.shape)


def ranks_of(layer: TuckerLayer, form: str) -> tuple[int, ...]:
    order = len(ordered_shape(layer, form))
    return (5,) * (order - 1) if form == "cp" else (3, 4, 2)[: order - 1]


@pytest.mark.parametrize("form", FORMS)
class TestChain:
    @pytest.mark.parametrize("options", LAYERS, ids=str)
    def test_is_the_convolution_with_the_dense_weight(self, form: str, options: dict[str, Any]) -> None:
        layer = TuckerConv2d(6, 10, ranks=2, **options)
        weight = new_weight(ordered_shape(layer, form), ranks_of(layer, form), form, std=1.0)
        plain = chain(layer, weight, form).double()
        dense = nn.Conv2d(6, 10, **options, dtype=torch.float64)
        dense.weight = nn.Parameter(kernel_of(weight, layer, form))
        dense.bias = plain[-1].bias
        assert (dense.bias is None) == (layer.bias is None)
        images = torch.randn(2, 6, 11, 9, dtype=torch.float64)
        torch.testing.assert_close(plain(images), dense(images))

    @pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2}], ids=str)
    def test_is_what_the_library_computes(self, form: str, options: dict[str, Any]) -> None:
        with tensorly.backend_context("pytorch"):
            from tltorch import FactorizedConv

            layer = TuckerConv2d(6, 10, 3, ranks=2, **options)
            weight = new_weight(ordered_shape(layer, form), ranks_of(layer, form), form, std=1.0)
            library = FactorizedConv.from_factorization(weight, bias=torch.randn(10), **options)
            plain = chain(layer, weight, form)
            plain[-1].bias = library.bias
            images = torch.randn(2, 6, 9, 9)
            torch.testing.assert_close(plain(images), library(images), rtol=1e-4, atol=1e-3)

    def test_other_dimensions(self, form: str) -> None:
        layer = TuckerConv1d(6, 10, 3, ranks=2, stride=2, padding=1)
        weight = new_weight(ordered_shape(layer, form), ranks_of(layer, form), form, std=1.0)
        plain, kernel = chain(layer, weight, form).double(), kernel_of(weight, layer, form)
        images = torch.randn(2, 6, 9, dtype=torch.float64)
        torch.testing.assert_close(plain(images), F.conv1d(images, kernel, plain[-1].bias, 2, 1))

    def test_a_linear_layer(self, form: str) -> None:
        layer = TuckerLinear(6, 10, ranks=2)
        weight = new_weight(ordered_shape(layer, form), ranks_of(layer, form), form, std=1.0)
        plain = chain(layer, weight, form).double()
        inputs = torch.randn(2, 6, dtype=torch.float64)
        wanted = F.linear(inputs, kernel_of(weight, layer, form), plain[-1].bias)
        torch.testing.assert_close(plain(inputs), wanted)

    @pytest.mark.parametrize("options", LAYERS[:24:3], ids=str)
    def test_stores_what_is_counted(self, form: str, options: dict[str, Any]) -> None:
        layer = TuckerConv2d(6, 10, ranks=2, **{**options, "bias": False})
        plain = random_chain(layer, ranks_of(layer, form), form)
        numbers = sum(parameter.numel() for parameter in plain.parameters())
        assert numbers == stored(ranks_of(layer, form), ordered_shape(layer, form), form)

    def test_begins_with_the_variance_of_the_dense_layer(self, form: str) -> None:
        layer = TuckerConv2d(32, 32, 3, ranks=2)
        images = torch.eye(32 * 9).reshape(-1, 32, 3, 3)  # the answers are the kernel itself
        stds = []
        for _ in range(20):
            plain = random_chain(layer, (9, 9, 9), form)
            stds.append((plain(images) - plain[-1].bias[:, None, None]).std().item())
        assert sum(stds) / 20 == pytest.approx(nn.Conv2d(32, 32, 3).weight.std().item(), rel=0.15)
        assert plain[-1].bias.abs().max() <= (32 * 9) ** -0.5


class TestRanks:
    def test_cp_by_hand(self) -> None:
        assert ranks_at(0.1, (128, 128, 3, 3), "cp") == (56, 56, 56)  # 56 · 262 ≤ 14 745.6 < 57 · 262

    @pytest.mark.parametrize("shape", [(64, 3, 3, 64), (8, 5, 5, 100), (100, 3, 20), (128, 3, 3, 16)])
    @pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
    def test_a_tensor_train_can_have_them(self, shape: tuple[int, ...], share: float) -> None:
        ranks = ranks_at(share, shape, "tt")
        tensor = new_weight(shape, ranks, "tt", std=1.0)
        with tensorly.backend_context("pytorch"):
            full = tensor.to_tensor().detach().double()
        for i, rank in enumerate(ranks, start=1):
            rows = torch.Size(shape[:i]).numel()
            assert torch.linalg.matrix_rank(full.reshape(rows, -1), rtol=1e-6) == rank
        assert stored(ranks, shape, "tt") <= share * full.numel()

    @pytest.mark.parametrize("form", FORMS)
    def test_rank_one_is_the_least(self, form: str) -> None:
        assert ranks_at(0.0, (8, 8, 3, 3), form) == (1, 1, 1)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("rate", [0.8, 0.9, 0.95])
    @pytest.mark.parametrize(
        "spec", [contests.DIGITS, contests.STEEL, contests.CIFAR], ids=["digits", "steel", "cifar"]
    )
    def test_a_compression_is_met_and_used(self, spec: dict[str, Any], rate: float, form: str) -> None:
        contender, arena = Tensorized(rate, form), contests.arena_of(spec)
        network = contender.network(spec, seed=0)
        assert rate <= contender.counts(network, arena).conv_compression < rate + 0.01

    @pytest.mark.parametrize("form", FORMS)
    def test_linear_layers_are_in_the_target(self, form: str) -> None:
        contender, dense = Tensorized(0.9, form), build(**contests.LENET)
        counted = [layer.weight.numel() for layer in dense.modules() if isinstance(layer, nn.Conv2d)]
        counted.append(dense.classifier[1].weight.numel())
        network = contender.network(contests.LENET, seed=0)
        own = [layer.weight.numel() for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        own += [layer.weight.numel() for layer in network.classifier[1]]
        assert 0.9 <= 1 - sum(own) / sum(counted) < 0.91

    @pytest.mark.parametrize("form", FORMS)
    def test_a_compression_that_cannot_be_met(self, form: str) -> None:
        contender = Tensorized(0.999, form)
        with pytest.raises(RankError, match=r"with every rank at 1, \d+ of \d+ weights remain") as error:
            contender.train(Training(contests.small_arena(Tucker(Budget(0.9)))))
        least, total = (int(number) for number in re.findall(r"(\d+) of (\d+)", str(error.value))[0])
        network = on_meta(contests.small_arena().spec)
        assert chosen_ranks(network, 1 - (least + 0.5) / total, form) == [(1, 1, 1)] * 5
        with pytest.raises(RankError):
            chosen_ranks(network, 1 - (least - 0.5) / total, form)


class TestContender:
    @pytest.mark.parametrize("compression", [-0.1, 1.0, "0.9"])
    def test_a_compression_out_of_range(self, compression: Any) -> None:
        with pytest.raises(RankError, match="compression"):
            Tensorized(compression, "cp")

    def test_another_form(self) -> None:
        with pytest.raises(TuckerlabError, match="allowed are 'cp', 'tt'"):
            Tensorized(0.9, "tucker")


@pytest.mark.parametrize("form", FORMS)
class TestTraining:
    @pytest.mark.parametrize("spec", [contests.DIGITS, contests.LENET, contests.RESNET], ids=lambda s: s["name"])
    def test_plain_layers_alone_that_all_learn(self, form: str, spec: dict[str, Any]) -> None:
        network = Tensorized(0.8, form).network(spec, seed=0)
        assert not any(isinstance(layer, TuckerLayer) for layer in network.modules())
        assert "spec" not in vars(network)
        again = copy.deepcopy(network)
        again.load_state_dict(Tensorized(0.8, form).network(spec, seed=0).state_dict())
        images = torch.randn(4, spec["in_channels"], spec["image_size"], spec["image_size"])
        assert torch.equal(network(images), again(images))
        network(images).square().mean().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())

    def test_the_seed_decides(self, form: str) -> None:
        one, same, other = (Tensorized(0.9, form).network(contests.DIGITS, seed=seed) for seed in (1, 1, 2))
        name = "features.3.0.weight"
        assert torch.equal(one.state_dict()[name], same.state_dict()[name])
        assert not torch.equal(one.state_dict()[name], other.state_dict()[name])

    def test_the_library_leaves_tensorly_as_it_was(self, form: str) -> None:
        before = tensorly.get_backend()
        try:
            tensorly.set_backend("numpy")
            Tensorized(0.9, form).network(contests.DIGITS, seed=0)
            assert tensorly.get_backend() == "numpy"
        finally:
            tensorly.set_backend(before)

    def test_in_a_contest(self, form: str, tmp_path: Path) -> None:
        contender = Tensorized(0.8, form)
        row = contests.in_a_contest(contender, tmp_path).runs.iloc[0]
        assert (row["method"], row["label"], row["gradient_evaluations"]) == (form, f"{FORMS[form]} 80 %", 8)
        assert 0.8 <= row["conv_compression"] < 0.82
        run = contender.train(Training(contests.small_arena(contender)))
        assert row["test_accuracy"] == run.test_accuracy
        assert row["multiply_adds"] == multiply_adds(run.network, (1, 8, 8))
        assert row["checkpoint_bytes"] == checkpoint_bytes(run.network)
        checkpoint.load(tmp_path / f"{form}-80.safetensors", copy.deepcopy(run.network))

    def test_learns(self, form: str) -> None:
        run = Tensorized(0.8, form).train(Training(contests.small_arena(Tensorized(0.8, form), epochs=12)))
        assert run.epochs[-1]["train_loss"] < 0.8 * run.epochs[0]["train_loss"]

    def test_comes_again_without_training(self, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        contests.comes_again_without_training(Tensorized(0.8, form), tmp_path, monkeypatch)

    def test_goes_on_after_a_cut(self, form: str, tmp_path: Path) -> None:
        contests.goes_on_after_a_cut(Tensorized(0.8, form), tmp_path)

    def test_comes_back_when_stopped(self, form: str, tmp_path: Path) -> None:
        contests.comes_back_when_stopped(Tensorized(0.8, form), tmp_path)
