"""A step of many weights in one padded batch is the step of each weight alone."""

import copy
from typing import Any

import pytest
import torch
from manifolds import layers_of, take_step
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tuckerlab import Tolerance, TuckerAdamW, TuckerConv2d, TuckerLinear, TuckerMuon, TuckerSGD
from tuckerlab.tucker.batched_step import batches


class Mixed(nn.Module):
    """Layers of several kinds and sizes; one of them gets no gradient in the second half."""

    def __init__(self) -> None:
        super().__init__()
        options: dict[str, Any] = {"padding": 1, "dtype": torch.float64}
        self.convolutions = nn.Sequential(
            TuckerConv2d(3, 8, 3, ranks=(4, 3), **options), nn.Tanh(), TuckerConv2d(8, 12, 3, ranks=(5, 6), **options),
            nn.Tanh(), TuckerConv2d(12, 6, 3, ranks=(2, 7), **options), nn.Tanh(),
            TuckerConv2d(6, 6, 3, ranks=(4, 4, 2, 2), modes="all", **options),
        )  # fmt: skip
        first, last = (TuckerLinear(*sizes, dtype=torch.float64) for sizes in ((6, 9, 4), (9, 5, 2)))
        self.linear = nn.Sequential(first, nn.Tanh(), last)
        self.sometimes = TuckerLinear(6, 5, ranks=3, dtype=torch.float64)

    def forward(self, x: Tensor, late: bool) -> Tensor:
        y = self.convolutions(x).mean((2, 3))
        result: Tensor = self.linear(y) if late else self.linear(y) + self.sometimes(y)
        return result


@pytest.mark.parametrize("kind", [TuckerSGD, TuckerAdamW, TuckerMuon])
def test_a_step_in_batches_is_the_step_one_by_one(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"momentum": 0.9, "nesterov": True} if kind is TuckerSGD else {}
    alone = Mixed()
    together = copy.deepcopy(alone)
    x = torch.randn(16, 3, 6, 6, dtype=torch.float64)
    for model, room in ((alone, 0), (together, 10**6)):
        monkeypatch.setattr("tuckerlab.tucker.batched_step.ROOM", {"cpu": room})
        decay = None if kind is TuckerMuon else 0.01  # Muon's other form is a term less
        optimizer = kind(model, 0.02, weight_decay=decay, ranks=Tolerance(0.3, steps=0), adapt_every=3, **options)
        for step in range(12):
            take_step(optimizer, model(x, step > 5).square().mean())
        layers = layers_of(model)
        steps = [int(optimizer.state[layer.core]["step"]) for layer in layers]
        assert steps == [12] * 6 + [6]
        assert len(batches(layers, steps)) == (7 if not room else 4)  # convolutions, one in all modes, linear, late
    for one, other in zip(alone.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


class Launches(TorchDispatchMode):
    """Counts operations that compute or copy; views cost a GPU nothing."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.count += not function.is_view
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("kind", [TuckerSGD, TuckerAdamW, TuckerMuon])
def test_the_launches_of_a_step_do_not_depend_on_the_number_of_layers(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launches(layers: int, room: int) -> int:
        monkeypatch.setattr("tuckerlab.tucker.batched_step.ROOM", {"cpu": room})
        model = nn.Sequential(*(TuckerLinear(8, 8, ranks=1 + i % 4, bias=False) for i in range(layers)))
        optimizer = kind(model, 0.01)
        for _ in range(2):
            model(torch.randn(4, 8)).square().mean().backward()
            optimizer.step()
        with Launches() as mode:
            optimizer.step()
        return mode.count

    assert launches(12, 10**6) == launches(4, 10**6) < (400 if kind is TuckerMuon else 200)
    assert launches(12, 0) > 2.5 * launches(4, 0)
