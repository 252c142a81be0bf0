"""All optimizers are torch optimizers: groups, schedules, closures, scalers, states; and weights that are replaced."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from manifolds import layers_of, makers, orthonormality, take_step, through_a_file
from torch import Tensor, nn

import tuckerlab as tl
from tuckerlab.tucker.optimizer import TuckerOptimizer


def network(seed: int = 0, ranks: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    first = [nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), tl.TuckerConv2d(8, 10, 3, ranks=ranks)]
    last = [nn.ReLU(), nn.Flatten(), tl.TuckerLinear(90, 12, ranks=ranks), nn.ReLU(), nn.Linear(12, 3)]
    return nn.Sequential(*first, *last)


def data(step: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(16, 2, 5, 5, generator=generator)
    return x, (x.mean(dim=(1, 2, 3)) > 0).long() + (x[:, 0, 0, 0] > 0).long()


def train(model: nn.Module, optimizer: TuckerOptimizer, steps: int | range) -> list[float]:
    losses = []
    for step in range(steps) if isinstance(steps, int) else steps:
        x, y = data(step)
        loss = F.cross_entropy(model(x), y)
        take_step(optimizer, loss)
        losses.append(loss.item())
    return losses


def ranks_of(model: nn.Module) -> list[tuple[int, ...]]:
    return [layer.ranks for layer in layers_of(model)]


def values_of(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def moved(model: nn.Module, before: list[Tensor]) -> list[bool]:
    return [not torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True)]


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


def test_a_closure_is_evaluated_once_with_gradients_and_its_loss_returned() -> None:
    plain, closed, losses = network(), network(), list[Tensor]()

    def closure() -> Tensor:
        losses.append(F.cross_entropy(closed(data()[0]), data()[1]))
        losses[-1].backward()
        return losses[-1]

    assert tl.TuckerSGD(closed).step(closure) is losses[0]
    assert [loss.item() for loss in losses] == train(plain, tl.TuckerSGD(plain), 1)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), closed.parameters(), strict=True))


@makers
def test_a_step_inside_autocast_is_a_step_outside_of_it(make: Any) -> None:
    """Whoever has the whole loop under autocast must not leave the manifold for it."""
    inside, outside = network(), network()
    optimizers = [make(model, ranks=tl.Tolerance(0.2, steps=0), adapt_every=2) for model in (inside, outside)]
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
@pytest.mark.parametrize(
    "policy", [tl.Tolerance(0.6, steps=0, growth=0.0), tl.Tolerance(0.0, growth=0.5), tl.Budget(0.7, steps=0)]
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
            layer.core[-1] *= 1e-4
            layer.core[:, -1] *= 1e-4
    other = copy.deepcopy((model, optimizer))
    other[1].ranks = tl.Tolerance(0.01, steps=0, growth=0.0)
    other[1].adapt()
    assert ranks_of(other[0]) == [(3, 3), (3, 3)]
    for step in range(10, 13):
        losses = [train(m, o, range(step, step + 1)) for m, o in ((model, optimizer), other)]
        assert losses[0] == pytest.approx(losses[1], rel=0.02)


@makers
def test_frozen_layers_stay_and_keep_their_ranks(make: Any) -> None:
    model = network()
    model[3].requires_grad_(False)
    model[8].requires_grad_(False)
    optimizer = make(model, ranks=tl.Tolerance(0.6, steps=0), adapt_every=2)
    before = values_of(model)
    train(model, optimizer, 6)
    assert moved(model[:6], before[:8]) == [True] * 4 + [False] * 4
    assert moved(model[8], before[-2:]) == [False] * 2
    assert model[3].ranks == (4, 4)
    assert model[6].ranks != (4, 4)


POLICIES = {"growth": lambda: tl.Tolerance(0.01, growth=0.5, steps=0), "budget": lambda: tl.Budget(0.8, steps=12)}


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
def test_copies_of_model_and_optimizer_go_on_by_themselves(make: Any) -> None:
    model = network(ranks=5)
    optimizer = make(model, ranks=tl.Tolerance(0.3, steps=0), adapt_every=3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)  # wraps the optimizer's step
    train(model, optimizer, 4)
    scheduler.step()
    copies = [copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))]
    before = values_of(model)
    losses = [train(m, o, range(4, 10)) for m, o in copies]
    assert not any(moved(model, before))
    assert losses[0] == losses[1] == train(model, optimizer, range(4, 10))


def assigned(model: nn.Module) -> nn.Module:
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()}, assign=True)
    return model


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "double": nn.Module.double,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "assign": assigned,
    "materialize": lambda model: tl.materialize(model.to("meta")),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_decay_split_by_tensors_keeps_layers_together_whatever_became_of_the_model(copied: Any) -> None:
    model = copied(network())
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
    optimizer = tl.TuckerSGD(groups, lr=0.05, momentum=0.9, ranks=tl.Budget(0.7, steps=0), adapt_every=2)
    for step in range(4):
        x, y = data(step)
        take_step(optimizer, F.cross_entropy(model(x.to(next(model.parameters()).dtype)), y))
    assert ranks_of(model) != ranks_of(network())
    assert orthonormality([U for layer in layers_of(model) for U in layer.factors]) < 1e-5


@pytest.mark.parametrize("by", ["tensors", "split"])
def test_a_budget_holds_however_the_dense_kernels_are_given(by: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 5), tl.TuckerConv2d(16, 16, 3, ranks=16), nn.Conv2d(16, 16, 1, groups=16))
    dense = [model[0].weight, model[0].bias, *model[2].parameters()]
    given: Any = model.parameters() if by == "tensors" else [{"params": model[1]}, {"params": dense}]
    tl.TuckerSGD(given, ranks=tl.Budget(0.3, steps=0)).adapt()
    kernels = 3 * 16 * 25 + 16 * 16 * 9 + 16
    stored = model[1].stored_numel + model[0].weight.numel() + model[2].weight.numel()
    assert 0.69 * kernels < stored <= 0.7 * kernels


def shared_core(model: nn.Module) -> nn.Module:
    other = tl.TuckerConv2d(8, 10, 3, ranks=(4, 4))
    other.core = model[3].core
    return nn.ModuleList([model, other])


def not_finite(model: nn.Module) -> None:
    with torch.no_grad():
        model[3].core[0, 0] = float("nan")
    tl.TuckerSGD(model, ranks=tl.Tolerance(0.1)).adapt()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda m: take_step(tl.TuckerSGD(m.bfloat16()), sum(p.sum() for p in m.parameters())), r"bfloat16.*autocast"),
        (not_finite, "a Tucker weight is not finite"),
        (lambda m: tl.TuckerSGD([{"params": m}, {"params": m[3]}]), "more than one parameter group"),
        (lambda m: tl.TuckerSGD(m.named_parameters()), r"named_parameters\(\)\?\)"),
        (lambda m: tl.TuckerSGD([{"params": [m[3].core]}]), r"only part of TuckerConv2d\(8, 10"),
        (lambda m: tl.TuckerSGD(shared_core(m)), "two Tucker layers share"),
        (lambda m: tl.TuckerMuon([{"params": m, "lr": -1.0}]), "lr -1"),
        (lambda m: tl.TuckerSGD([{"params": m, "weight_decay": None}]), "weight_decay None"),
        (lambda m: tl.TuckerAdamW(m, betas=(1.0, 0.9)), r"betas 1\.0"),
        (lambda m: tl.TuckerSGD(m[2]), "without parameters"),
        (lambda m: tl.TuckerSGD(m, ranks=0.1), r"ranks 0\.1"),
    ],
)
def test_what_is_refused(call: Callable[[nn.Module], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call(network())


@makers
@pytest.mark.parametrize("where", ["dense", "core", "factor"])
def test_a_gradient_that_is_not_finite_changes_nothing(make: Any, where: str) -> None:
    model = network()
    optimizer = make(model, ranks=tl.Tolerance(0.3, steps=0), adapt_every=3)
    train(model, optimizer, 2)
    F.cross_entropy(model(data()[0]), data()[1]).backward()
    weight = {"dense": model[8].weight, "core": model[3].core, "factor": model[6].factor1}[where]
    weight.grad.view(-1)[-1] = float("nan" if where == "core" else "inf")
    before, state = values_of(model), copy.deepcopy(list(optimizer.state.values()))
    with pytest.raises(tl.DivergedError, match="not finite at optimizer step 3: nothing has been changed"):
        optimizer.step()
    assert not any(moved(model, before))
    assert optimizer.steps == 2
    for old, new in zip(state, optimizer.state.values(), strict=True):
        assert all(torch.equal(torch.as_tensor(old[key]), torch.as_tensor(new[key])) for key in old)
    optimizer.zero_grad()
    train(model, optimizer, 1)  # and training can go on


def test_a_scaler_that_finds_an_overflow_skips_the_step() -> None:
    model, scaler = network(), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = tl.TuckerSGD(model, lr=0.1)
    x, y = data()
    for overflow in (True, False):
        before = values_of(model)
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(x), y)).backward()
        if overflow:
            model[8].weight.grad[0] = torch.inf
        scaler.step(optimizer)
        scaler.update()
        assert any(moved(model, before)) is not overflow
