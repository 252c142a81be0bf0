"""All optimizers are torch optimizers: groups, schedules, closures, scalers, states; and weights that are replaced."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrizations

from tuckerlab import (
    Budget,
    CheckpointError,
    DivergedError,
    Fixed,
    Tolerance,
    TuckerAdamW,
    TuckerConv2d,
    TuckerlabError,
    TuckerLayer,
    TuckerLinear,
    TuckerMuon,
    TuckerSGD,
    materialize,
    tuckerize,
)
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_change import truncated

MAKERS: dict[str, Callable[..., TuckerOptimizer]] = {
    "TuckerSGD": lambda model, **k: TuckerSGD(model, **{"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, **k}),
    "TuckerAdamW": lambda model, **k: TuckerAdamW(model, **{"lr": 1e-2, **k}),
    "TuckerMuon": lambda model, **k: TuckerMuon(model, **{"lr": 0.05, **k}),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def network(seed: int = 0, ranks: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        TuckerConv2d(8, 10, 3, ranks=(ranks, ranks)),
        nn.ReLU(),
        nn.Flatten(),
        TuckerLinear(90, 12, ranks=ranks),
        nn.ReLU(),
        nn.Linear(12, 3),
    )


def data(step: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(16, 2, 5, 5, generator=generator)
    return x, (x.mean(dim=(1, 2, 3)) > 0).long() + (x[:, 0, 0, 0] > 0).long()


def train(model: nn.Module, optimizer: TuckerOptimizer, steps: int | range) -> list[float]:
    """The loss before each step."""
    losses = []
    for step in range(steps) if isinstance(steps, int) else steps:
        x, y = data(step)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def layers_of(model: nn.Module) -> list[TuckerLayer]:
    return [layer for layer in model.modules() if isinstance(layer, TuckerLayer)]


def ranks_of(model: nn.Module) -> list[tuple[int, ...]]:
    return [layer.ranks for layer in layers_of(model)]


def values_of(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def moved(model: nn.Module, before: list[Tensor]) -> list[bool]:
    return [not torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True)]


# --- param groups, schedules, closures ------------------------------------------------------------------------------


@makers
def test_groups_have_their_own_rates(make: Any) -> None:
    model = network()
    groups = [
        {"params": [model[0], model[1]], "lr": 0.0},
        {"params": model[3]},
        {"params": [model[6], model[8].weight], "lr": 0.0, "weight_decay": 0.0},
        {"params": [model[8].bias]},
    ]
    optimizer = make(groups)
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 4, 5, 1]
    before, weight = values_of(model), model[6].dense_weight().detach()
    train(model, optimizer, 3)
    assert moved(model, before)[:8] == [False] * 4 + [True] * 4
    torch.testing.assert_close(model[6].dense_weight().detach(), weight)
    assert moved(model, before)[-2:] == [False, True]


@makers
def test_groups_of_equal_settings_are_one_group(make: Any) -> None:
    whole, parts = network(), network()
    losses = train(whole, make(whole, ranks=Tolerance(0.2, steps=0), adapt_every=3), 10)
    groups = [{"params": list(parts[:4])}, {"params": [parts[6]]}, {"params": [parts[8]]}]
    assert train(parts, make(groups, ranks=Tolerance(0.2, steps=0), adapt_every=3), 10) == losses


@makers
def test_a_list_of_modules_and_parameters_is_one_group(make: Any) -> None:
    model = network()
    optimizer = make([model[3], model[6], model[8].weight])
    before = values_of(model)
    train(model, optimizer, 2)
    assert moved(model, before) == [False] * 4 + [True] * 8 + [True, False]


@makers
def test_a_group_added_later_trains_and_adapts(make: Any) -> None:
    model = network()
    optimizer = make(model[:6], ranks=Tolerance(0.5, growth=0.0, steps=0), adapt_every=2)
    train(model, optimizer, 2)
    before = values_of(model[6:])
    optimizer.add_param_group({"params": model[6:], "lr": 0.01})
    train(model, optimizer, 4)
    assert optimizer.param_groups[1]["lr"] == 0.01
    assert model[6].ranks < (4, 4)
    assert not torch.equal(model[8].weight, before[-2])


def test_a_parameter_belongs_to_one_group() -> None:
    model = network()
    with pytest.raises(ValueError, match="more than one parameter group"):
        TuckerSGD([{"params": model}, {"params": model[3]}])


@makers
def test_a_module_that_occurs_twice_is_stepped_once(make: Any) -> None:
    once, twice = TuckerLinear(6, 6, ranks=3), TuckerLinear(6, 6, ranks=3)
    twice.load_state_dict(once.state_dict())
    x = torch.randn(5, 6)
    for model, optimizer in ((once, make(once)), (twice, make([twice, nn.Sequential(twice, twice)]))):
        model(model(x)).square().mean().backward()
        optimizer.step()
    assert torch.equal(once.core, twice.core)


@makers
@pytest.mark.parametrize("schedule", ["OneCycleLR", "CosineAnnealingLR", "ReduceLROnPlateau"])
def test_schedules_of_torch_drive_the_rate(make: Any, schedule: str) -> None:
    model = network()
    optimizer = make(model, ranks=Tolerance(0.2, steps=0), adapt_every=4)
    settings = {"OneCycleLR": {"max_lr": 0.1, "total_steps": 21}, "CosineAnnealingLR": {"T_max": 20}}
    scheduler = getattr(torch.optim.lr_scheduler, schedule)(optimizer, **settings.get(schedule, {"patience": 0}))
    first, rates = optimizer.param_groups[0]["lr"], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a schedule warns if it finds that the optimizer's step is not called
        for step in range(20):
            train(model, optimizer, range(step, step + 1))
            scheduler.step(*([1.0] if schedule == "ReduceLROnPlateau" else []))
            rates.append(optimizer.param_groups[0]["lr"])
    assert rates[-1] < 0.05 * max(rates[0], first)
    before = values_of(model)
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, optimizer, 1)
    for a, b in zip(model.parameters(), before, strict=False):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@makers
def test_a_closure_is_evaluated_once_with_gradients_and_its_loss_returned(make: Any) -> None:
    plain, closed = network(), network()
    one, other, calls = make(plain), make(closed), []
    losses = train(plain, one, 3)

    def closure(step: int) -> Tensor:
        calls.append(step)
        other.zero_grad()
        loss = F.cross_entropy(closed(data(step)[0]), data(step)[1])
        loss.backward()
        return loss

    returned = [other.step(lambda step=step: closure(step)) for step in range(3)]
    assert [float(loss.detach()) for loss in returned] == losses
    assert calls == [0, 1, 2]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), closed.parameters(), strict=True))


def test_hooks_of_torch_are_called() -> None:
    model, calls = network(), []
    optimizer = TuckerSGD(model)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    train(model, optimizer, 2)
    assert calls == ["before", "after"] * 2


# --- mixed precision ------------------------------------------------------------------------------------------------


@makers
def test_autocast_in_bfloat16_trains_and_leaves_the_parameters_in_float32(make: Any) -> None:
    model = network()
    optimizer, losses = make(model, ranks=Tolerance(0.2, steps=0), adapt_every=5), []
    x, y = data()
    for _ in range(60):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(x)
            loss = F.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert out.dtype == torch.bfloat16
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert worst_orthonormality(model) < 1e-5


@makers
def test_a_step_inside_autocast_is_a_step_outside_of_it(make: Any) -> None:
    """Whoever has the whole loop under autocast must not leave the manifold for it."""
    inside, outside = network(), network()
    optimizers = [make(model, ranks=Tolerance(0.2, steps=0), adapt_every=2) for model in (inside, outside)]
    for step in range(6):
        for model, optimizer, whole in zip((inside, outside), optimizers, (True, False), strict=True):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(data(step)[0]), data(step)[1])
            optimizer.zero_grad()
            loss.backward()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=whole):
                optimizer.step()
    assert ranks_of(inside) == ranks_of(outside) != [(4, 4), (4, 4)]
    assert all(torch.equal(a, b) for a, b in zip(inside.parameters(), outside.parameters(), strict=True))


@makers
def test_grad_scaler_scales_and_skips(make: Any) -> None:
    plain, scaled = network(), network()
    one, other = make(plain), make(scaled)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    losses = train(plain, one, 4)
    for step in range(4):
        loss = F.cross_entropy(scaled(data(step)[0]), data(step)[1])
        other.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(other)
        scaler.update()
        assert loss.item() == pytest.approx(losses[step], rel=1e-4)
    before, steps = values_of(scaled), other.steps
    other.zero_grad()
    (scaler.scale(scaled(data()[0]).sum()) * float("inf")).backward()
    scaler.step(other)  # finds that the gradients are not finite, and steps over this batch
    scaler.update()
    assert not any(moved(scaled, before))
    assert other.steps == steps
    assert scaler.get_scale() == 2.0**9


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parameters_in_half_precision_are_refused_with_the_way_out(dtype: torch.dtype) -> None:
    model = TuckerLinear(6, 5, ranks=3).to(dtype)
    optimizer = TuckerSGD(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with pytest.raises(TuckerlabError, match=rf"{dtype}.*allowed are float32 and float64.*torch\.autocast"):
        optimizer.step()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@makers
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_and_grad_scaler_on_a_gpu(make: Any, dtype: torch.dtype) -> None:
    model = network().cuda()
    optimizer = make(model, ranks=Tolerance(0.2, steps=0), adapt_every=5)
    scaler, losses = torch.amp.GradScaler("cuda", enabled=dtype == torch.float16), []
    x, y = (tensor.cuda() for tensor in data())
    for _ in range(60):
        with torch.autocast("cuda", dtype=dtype):
            loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert worst_orthonormality(model) < 1e-5


def worst_orthonormality(model: nn.Module) -> float:
    factors = [factor.detach() for layer in layers_of(model) for factor in layer.factors]
    return max(float((U.mT @ U - torch.eye(U.shape[1], device=U.device)).abs().max()) for U in factors)


# --- weights that are replaced --------------------------------------------------------------------------------------


@makers
@pytest.mark.parametrize(
    "policy", [Tolerance(0.6, steps=0, growth=0.0), Tolerance(0.0, growth=0.5), Budget(0.7, steps=0)]
)
def test_every_weight_still_moves_after_a_rank_change_while_the_last_loss_lives(make: Any, policy: Any) -> None:
    model = network(ranks=8)
    optimizer = make(model, ranks=policy, adapt_every=2)
    train(model, optimizer, 1)
    loss = F.cross_entropy(model(data(1)[0]), data(1)[1])
    before = ranks_of(model)
    optimizer.zero_grad()
    loss.backward(retain_graph=True)
    optimizer.step()
    assert all(a != b for a, b in zip(ranks_of(model), before, strict=True))
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}  # the optimizer holds what the model has, and nothing else
    assert set(map(id, optimizer.state)) == held
    values = values_of(model)
    train(model, optimizer, range(2, 3))
    assert all(moved(model, values))
    assert loss.isfinite()


@makers
def test_momentum_goes_on_through_a_rank_change(make: Any) -> None:
    """A truncation that cuts next to nothing away changes next to nothing in what follows."""
    model = network(ranks=4)
    optimizer = make(model)
    train(model, optimizer, 10)
    with torch.no_grad():
        for layer in layers_of(model):  # the last direction fades out of each weight
            core, factors = layer.core.clone(), layer.factors
            core[-1] *= 1e-4
            core[:, -1] *= 1e-4
            layer.core.copy_(core)
            assert len(factors) == 2
    other = copy.deepcopy((model, optimizer))
    other[1].ranks = Tolerance(0.01, steps=0, growth=0.0)
    other[1].adapt()
    assert ranks_of(other[0]) == [(3, 3), (3, 3)]
    for step in range(10, 13):
        losses = [train(m, o, range(step, step + 1)) for m, o in ((model, optimizer), other)]
        assert losses[0] == pytest.approx(losses[1], rel=0.02)


@makers
def test_training_goes_on_when_the_model_takes_up_a_checkpoint_of_other_ranks(make: Any) -> None:
    model, other = network(ranks=4), network(seed=1, ranks=6)
    optimizer = make(model)
    train(model, optimizer, 3)
    model.load_state_dict(other.state_dict())
    assert ranks_of(model) == [(6, 6), (6, 6)]
    before = values_of(model)
    train(model, optimizer, 1)
    assert all(moved(model, before))
    losses = [train(model, optimizer, 1)[0] for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


@makers
def test_training_goes_on_after_a_truncation_by_hand(make: Any) -> None:
    model = network(ranks=4)
    optimizer = make(model)
    train(model, optimizer, 2)
    for layer in layers_of(model):
        layer.assign(truncated(layer.point, (2, 2)))
    before = values_of(model)
    train(model, optimizer, 1)
    assert all(moved(model, before))


@makers
def test_frozen_layers_stay_and_keep_their_ranks(make: Any) -> None:
    model = network()
    model[3].requires_grad_(False)
    model[8].requires_grad_(False)
    optimizer = make(model, ranks=Tolerance(0.6, steps=0), adapt_every=2)
    before = values_of(model)
    train(model, optimizer, 6)
    assert moved(model[:6], before[:8]) == [True] * 4 + [False] * 4
    assert moved(model[8], before[-2:]) == [False] * 2
    assert model[3].ranks == (4, 4)
    assert model[6].ranks != (4, 4)


@makers
def test_a_layer_without_a_gradient_in_this_step_stays(make: Any) -> None:
    model = nn.ModuleList([TuckerLinear(5, 5, ranks=2), TuckerLinear(5, 5, ranks=2)])
    optimizer = make(model)
    before = values_of(model)
    model[0](torch.randn(4, 5)).square().sum().backward()
    optimizer.step()
    assert moved(model, before) == [True] * 4 + [False] * 4


def test_ranks_may_be_exchanged_while_training() -> None:
    model = network(ranks=6)
    optimizer = TuckerSGD(model, lr=0.01, adapt_every=2)
    train(model, optimizer, 4)
    assert ranks_of(model) == [(6, 6), (6, 6)]
    optimizer.ranks = Fixed(0.25)
    train(model, optimizer, 2)
    assert ranks_of(model) == [(2, 2), (3, 3)]  # a quarter of 10 × 8 and of 12 × 90; a matrix has one rank


# --- states ---------------------------------------------------------------------------------------------------------


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Written and read again without unpickling anything but tensors and plain values."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


POLICIES = {
    "tolerance": lambda: Tolerance(0.3, steps=8),
    "growth": lambda: Tolerance(0.01, growth=0.5, steps=0),
    "budget": lambda: Budget(0.8, steps=12),
    "fixed": lambda: Fixed(),
}


@makers
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_run_resumed_from_its_states_is_the_run_that_was_not_interrupted(make: Any, policy: Any) -> None:
    model = network(ranks=6)
    optimizer = make(model, ranks=policy(), adapt_every=3)
    train(model, optimizer, 10)
    saved = [through_a_file(model.state_dict()), through_a_file(optimizer.state_dict())]
    expected = train(model, optimizer, range(10, 20))

    resumed = network(seed=7, ranks=2)
    again = make(resumed, ranks=policy(), adapt_every=3, lr=0.9)
    train(resumed, again, 2)  # whatever it has seen before is forgotten
    resumed.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    assert again.steps == 10
    assert train(resumed, again, range(10, 20)) == expected
    assert ranks_of(resumed) == ranks_of(model)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), model.parameters(), strict=True))


@makers
def test_the_optimizer_s_state_before_the_model_s_is_refused_with_the_order(make: Any) -> None:
    model = network(ranks=6)
    optimizer = make(model)
    train(model, optimizer, 2)
    other = network(ranks=3)
    fresh = make(other)
    with pytest.raises(CheckpointError, match="load the model's own state_dict first, it sets the ranks"):
        fresh.load_state_dict(optimizer.state_dict())
    assert len(fresh.state) == 0
    other.load_state_dict(model.state_dict())
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # else, as in torch, the two share their tensors
    assert train(other, fresh, range(2, 4)) == train(model, optimizer, range(2, 4))


@makers
def test_copies_of_model_and_optimizer_go_on_by_themselves(make: Any) -> None:
    model = network(ranks=5)
    optimizer = make(model, ranks=Tolerance(0.3, steps=0), adapt_every=3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)  # wraps the optimizer's step
    train(model, optimizer, 4)
    scheduler.step()
    copies = [copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))]
    before = values_of(model)
    losses = [train(m, o, range(4, 10)) for m, o in copies]
    assert not any(moved(model, before))
    assert losses[0] == losses[1] == train(model, optimizer, range(4, 10))


def test_the_state_of_a_new_optimizer_loads_into_a_new_one() -> None:
    model = network()
    state = through_a_file(TuckerSGD(model, lr=0.3).state_dict())
    optimizer = TuckerSGD(network())
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.3
    assert optimizer.steps == 0


# --- bad input ------------------------------------------------------------------------------------------------------


@makers
def test_tensors_in_place_of_the_model_are_understood(make: Any) -> None:
    model, given = network(), network()
    train(model, make(model, ranks=Budget(0.7, steps=0), adapt_every=2), 4)
    optimizer = make(given.parameters(), ranks=Budget(0.7, steps=0), adapt_every=2)
    train(given, optimizer, 4)
    assert ranks_of(given) == ranks_of(model)
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), model.parameters(), strict=True))


def test_names_beside_the_parameters_are_refused() -> None:
    with pytest.raises(TuckerlabError, match=r"named_parameters\(\)\?\): allowed are modules and parameters"):
        TuckerSGD(network().named_parameters())


def assigned(model: nn.Module) -> nn.Module:
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
    return model


def materialized(model: nn.Module) -> nn.Module:
    return materialize(model.to("meta"))


def pickled(model: nn.Module) -> nn.Module:
    copied: nn.Module = pickle.loads(pickle.dumps(model))  # our own bytes: a copy as pickle makes it
    return copied


COPIES = {"fresh": nn.Module.train, "deepcopy": copy.deepcopy, "double": nn.Module.double, "pickle": pickled}
COPIES |= {"assign": assigned, "materialize": materialized}


@makers
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_decay_split_by_tensors_keeps_layers_together_whatever_became_of_the_model(make: Any, copied: Any) -> None:
    model = copied(network())
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
    optimizer = make(groups, ranks=Budget(0.7, steps=0), adapt_every=2)
    losses = []
    for step in range(4):
        x, y = data(step)
        losses.append(F.cross_entropy(model(x.to(next(model.parameters()).dtype)), y))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert ranks_of(model) != ranks_of(network())
    for layer in layers_of(model):
        for U in layer.factors:
            assert (U.mT @ U - torch.eye(U.shape[1], dtype=U.dtype)).abs().max() < 1e-5


@makers
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_core_without_its_factors_is_refused_whatever_became_of_the_model(make: Any, copied: Any) -> None:
    model = copied(network())
    cores = [parameter for parameter in model.parameters() if parameter.dim() == 4]
    with pytest.raises(TuckerlabError, match=r"only part of TuckerConv2d\(8, 10.*belong in one group, together"):
        make([{"params": cores}])


@pytest.mark.parametrize("by", ["module", "tensors", "split"])
def test_a_budget_holds_however_the_dense_kernels_are_given(by: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 5), TuckerConv2d(16, 16, 3, ranks=16), nn.Conv2d(16, 16, 1, groups=16))
    dense = [model[0].weight, model[0].bias, *model[2].parameters()]
    given: dict[str, Any] = {
        "module": model,
        "tensors": model.parameters(),
        "split": [{"params": model[1]}, {"params": dense}],
    }
    optimizer = TuckerSGD(given[by], ranks=Budget(0.3, steps=0))
    optimizer.adapt()
    kernels = 3 * 16 * 25 + 16 * 16 * 9 + 16
    stored = model[1].stored_numel + model[0].weight.numel() + model[2].weight.numel()
    assert 0.69 * kernels < stored <= 0.7 * kernels


def test_matrices_are_the_same_weights_however_they_are_given() -> None:
    """Attention keeps a matrix of its own, embeddings are none."""
    torch.manual_seed(0)
    parts = {"head": nn.Linear(8, 8), "attention": nn.MultiheadAttention(8, 2), "tail": nn.Linear(8, 3)}
    model = nn.ModuleDict({"table": nn.Embedding(9, 8), **parts})
    by_module, by_parts = TuckerMuon(model), TuckerMuon([p for part in parts.values() for p in part.parameters()])
    assert list(by_module._weights) == list(by_parts._weights)
    assert model["attention"].in_proj_weight in by_module._weights


def test_a_computed_weight_is_no_hindrance_to_copies() -> None:
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(4, 4)), nn.Conv2d(1, 2, 3), TuckerLinear(4, 4, ranks=2)
    )
    model, optimizer = copy.deepcopy((model, TuckerMuon(model)))
    assert sum(optimizer._kernels.values()) == 18


@pytest.mark.parametrize("by", ["module", "tensors"])
def test_a_budget_counts_a_kernel_that_is_computed_and_no_stack_of_matrices(by: str) -> None:
    computed = parametrizations.weight_norm(nn.Conv2d(8, 8, 3))
    model = nn.Sequential(computed, nn.Conv2d(8, 8, 3))
    model.register_parameter("experts", nn.Parameter(torch.zeros(4, 32, 32)))
    optimizer = TuckerSGD(model if by == "module" else model.parameters())
    assert 2 * 576 <= sum(optimizer._kernels.values()) <= 2 * 576 + 8


def test_parameters_of_two_layers_are_refused() -> None:
    first = TuckerLinear(8, 6, ranks=3)
    second = copy.deepcopy(first)
    second.load_state_dict(first.state_dict(keep_vars=True), assign=True)
    with pytest.raises(TuckerlabError, match=r"parameters that 2 layers such as TuckerLinear.* share"):
        TuckerSGD(list(second.parameters()))


def test_what_has_no_parameters_is_named() -> None:
    with pytest.raises(TuckerlabError, match="nothing is left for a param group: it has no parameters"):
        TuckerSGD(nn.ReLU())
    with pytest.raises(TuckerlabError, match=r"TuckerSGD\(None\): give it a network, param groups, or parameters"):
        TuckerSGD(None)


def test_numpy_s_whole_numbers_are_whole_numbers() -> None:
    optimizer = TuckerSGD(
        network(ranks=np.int64(3)), adapt_every=np.int64(5), ranks=Tolerance(0.1, min_rank=np.int32(2))
    )
    assert optimizer.adapt_every == 5
    with pytest.raises(TuckerlabError, match="adapt_every True: allowed are whole numbers from 1"):
        TuckerSGD(network(), adapt_every=True)


# --- several processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=(tmp_path / "group").as_uri(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("by", ["wrapper", "module"])
def test_a_wrapper_that_holds_replaced_parameters_is_not_called_again(by: str) -> None:
    model = network()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    optimizer = TuckerSGD(wrapped if by == "wrapper" else model, ranks=Tolerance(0.3, steps=0), adapt_every=2)
    with pytest.raises(TuckerlabError, match="the ranks have changed since DistributedDataParallel was made"):
        train(wrapped, optimizer, 4)
    assert optimizer.steps == 2
    train(DistributedDataParallel(model, find_unused_parameters=True), optimizer, 2)


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("by", ["checkpoint", "tuckerize"])
def test_a_wrapper_is_not_called_again_after_parameters_were_replaced(by: str) -> None:
    model = network()
    wrapped = DistributedDataParallel(model)
    if by == "checkpoint":
        model.load_state_dict(network(ranks=2).state_dict())
    else:
        tuckerize(model, include="8", ranks=1)
    with pytest.raises(TuckerlabError, match="the ranks have changed since"):
        wrapped(data()[0])


@pytest.mark.usefixtures("one_process")
def test_a_wrapper_is_called_on_where_ranks_stay() -> None:
    model = network()
    train(DistributedDataParallel(model), TuckerSGD(model, ranks=Fixed(), adapt_every=1), 3)


@makers
@pytest.mark.parametrize("where", ["dense", "core", "factor"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(make: Any, where: str, value: float) -> None:
    model = network()
    optimizer = make(model, ranks=Tolerance(0.3, steps=0), adapt_every=3)
    train(model, optimizer, 2)
    F.cross_entropy(model(data()[0]), data()[1]).backward()
    weight = {"dense": model[8].weight, "core": model[3].core, "factor": model[6].factor1}[where]
    assert weight.grad is not None
    weight.grad.view(-1)[-1] = value
    before, state = values_of(model), copy.deepcopy(list(optimizer.state.values()))
    with pytest.raises(
        DivergedError, match="not finite at optimizer step 3: nothing has been changed; lower the learning"
    ):
        optimizer.step()
    assert not any(moved(model, before))
    assert optimizer.steps == 2
    for old, new in zip(state, optimizer.state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(old[key]), torch.as_tensor(new[key])) for key in old)
    optimizer.zero_grad()
    train(model, optimizer, 1)  # and training can go on


def test_a_weight_that_is_not_finite_is_named() -> None:
    model = TuckerLinear(5, 4, ranks=2)
    optimizer = TuckerSGD(model, ranks=Tolerance(0.1))
    with torch.no_grad():
        model.core[0, 0] = float("nan")
    with pytest.raises(
        DivergedError, match=r"the weight of TuckerLinear\(5, 4.* is not finite: lower the learning rate"
    ):
        optimizer.adapt()


def test_biases_may_have_a_group_of_their_own() -> None:
    model = network()
    biases = [parameter for name, parameter in model.named_parameters() if name.endswith("bias")]
    optimizer = TuckerSGD([{"params": biases, "weight_decay": 0.0}, {"params": model}], lr=0.1, weight_decay=0.1)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    assert len(optimizer.param_groups[0]["params"]) == len(biases)


def test_what_is_no_rank_policy_is_refused() -> None:
    with pytest.raises(TuckerlabError, match=r"ranks 0\.1: allowed are Tolerance"):
        TuckerSGD(network(), ranks=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("old", [True, False], ids=["allow_tf32", "fp32_precision"])
def test_a_loop_may_have_its_own_precision(old: bool) -> None:
    model = TuckerLinear(8, 6, ranks=2)
    optimizer = TuckerSGD(model, lr=0.1)
    matmul: Any = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        if old:
            matmul.allow_tf32 = True
        else:
            matmul.fp32_precision = "tf32"
        model(torch.randn(4, 8)).sum().backward()
        optimizer.step()
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before
