"""Checkpoints: what is written is read again, bit for bit, and what is not a checkpoint changes nothing."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from test_train import assert_same_weights
from torch import nn

from tuckerlab import CheckpointError, TuckerAdamW, TuckerConv2d, TuckerLinear, TuckerSGD, build, load, save, tuckerize
from tuckerlab.training.models import Network


def digits_network(**options: Any) -> nn.Module:
    return tuckerize(build("vgg_small", in_channels=1, image_size=8, width=0.25), **{"ranks": 0.5, **options})


def my_network(ranks: float) -> nn.Module:
    """A network that the package did not build: convolutions of order 1 and 2, and a linear layer."""
    layers = [nn.Conv1d(4, 12, 3), nn.Conv2d(6, 10, (3, 2), bias=False), nn.Linear(9, 7), nn.BatchNorm1d(5)]
    return tuckerize(nn.Sequential(*layers), include="*", ranks=ranks, modes="all")


@pytest.mark.parametrize(
    ("name", "options"),
    [("vgg_small", {"ranks": 0.01}), ("lenet5", {"ranks": 1.0, "modes": "all"}), ("vit_small", {"include": []})],
)
def test_a_network_is_rebuilt_from_the_file_alone(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = tuckerize(build(name, image_size=16, width=0.25, num_classes=7), **options)
    model(torch.randn(4, 3, 16, 16))  # running statistics
    facts = {"accuracy": 0.5, "note": "τ ≤ 0.1", "nothing": None}
    save(tmp_path / "m.safetensors", model, facts=facts)
    checkpoint = load(tmp_path / "m.safetensors")
    rebuilt = checkpoint.model
    assert checkpoint.facts == facts
    assert isinstance(rebuilt, Network)
    assert rebuilt.spec == model.spec
    assert_same_weights(rebuilt, model)
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(rebuilt.eval()(x), model.eval()(x))


def test_a_model_of_ones_own_takes_up_the_ranks_of_the_file(tmp_path: Path) -> None:
    model, other = my_network(0.3), my_network(0.9)
    save(tmp_path / "m.safetensors", model)
    assert load(tmp_path / "m.safetensors", other).model is other
    assert_same_weights(other, model)
    with pytest.raises(CheckpointError, match=r"a model that tuckerlab did not build; give load\(\) such a model"):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "make",
    [
        lambda: TuckerConv2d(6, 8, 3, ranks=(4, 2), bias=False, dtype=torch.float64),
        lambda: nn.Conv2d(4, 8, 3).to(torch.bfloat16, memory_format=torch.channels_last),
        lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2),  # shared weights
    ],
)
def test_single_layers_of_any_type_and_layout(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    model = make()
    save(tmp_path / "m.safetensors", model)
    assert_same_weights(load(tmp_path / "m.safetensors", make()).model, model)


def complaint(path: Path, model: nn.Module | None, **options: Any) -> str:
    """The message; neither the model nor the optimizer has changed."""
    before, told = deepcopy(model), str(options)
    with pytest.raises(CheckpointError) as caught:
        load(path, model, **options)
    if model is not None:
        assert_same_weights(model, before)
    assert str(options) == told
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path, model = tmp_path / "m.safetensors", digits_network()
    assert "there is no such file" in complaint(path, model)
    save(path, model)
    content = path.read_bytes()
    for broken in (b"", content[:-9], b"accuracy 97 %" * 100):
        path.write_bytes(broken)
        assert "cut off or not a safetensors file" in complaint(path, model)
        assert "cut off or not a safetensors file" in complaint(path, None)
    tensors = model.state_dict()
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    assert "not a checkpoint of tuckerlab" in complaint(path, model)
    for header in ("{", "[]", "1", json.dumps({"format": 99})):
        safetensors.torch.save_file(tensors, path, metadata={"tuckerlab": header})
        complaint(path, model)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (digits_network, lambda: digits_network(ranks=0.2, modes="all")),
        (digits_network, lambda: nn.Linear(3, 4)),
        (lambda: TuckerLinear(8, 6, ranks=2), lambda: TuckerLinear(9, 6, ranks=2)),  # other ranks it takes up
        (lambda: TuckerConv2d(8, 12, 3, ranks=4), lambda: TuckerConv2d(8, 12, 5, ranks=3)),
    ],
)
def test_a_checkpoint_of_another_model(one: Callable[[], nn.Module], other: Any, tmp_path: Path) -> None:
    save(tmp_path / "m.safetensors", one())
    assert "of another model" in complaint(tmp_path / "m.safetensors", other())


def test_an_optimizer_that_the_file_does_not_hold(tmp_path: Path) -> None:
    path, model = tmp_path / "m.safetensors", digits_network()
    save(path, model)
    other = digits_network()
    assert "holds no optimizer state" in complaint(path, other, optimizer=TuckerSGD(other))
    save(path, model, optimizer=TuckerSGD(model))
    assert "another optimizer" in complaint(path, other, optimizer=TuckerAdamW(other))
