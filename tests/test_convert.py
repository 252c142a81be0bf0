"""From dense to Tucker and back: which layers, what stays dense and why, and that functions are kept."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from manifolds import take_step, through_a_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import tuckerlab as tl
from tuckerlab.tucker.plain_layers import numbers, smallest_form
from tuckerlab.tucker.tensor import feasible_ranks

EXACT = {"ranks": 1.0, "include": "*"}
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


class Residual(nn.Module):
    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.down = nn.ModuleDict({"conv": nn.Conv2d(channels, 12, 3, stride=(2, 1)), "act": nn.Tanh()})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.block(self.block(x))
        return self.down["act"](self.down["conv"](x))


def cnn() -> nn.Sequential:
    ends = [nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(108, 20), nn.Linear(20, 5)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Residual(), *ends)


def kinds(module: nn.Module) -> dict[str, str]:
    weighted = (tl.TuckerLayer, nn.modules.conv._ConvNd, nn.Linear)
    return {name: type(m).__name__ for name, m in module.named_modules() if isinstance(m, weighted)}


def reasons(module: nn.Module) -> dict[str, str]:
    return {name: m.dense_because for name, m in module.named_modules() if hasattr(m, "dense_because")}


@pytest.mark.parametrize(
    ("options", "tucker"),
    [
        ({}, ["1.block.0", "1.down.conv", "4"]),  # all but the first and the last
        ({"include": "*"}, ["0", "1.block.0", "1.down.conv", "4", "5"]),
        ({"include": "1.*", "exclude": ["*block*"]}, ["1.down.conv"]),
        ({"include": []}, []),
    ],
)
def test_include_and_exclude(options: dict[str, Any], tucker: list[str]) -> None:
    model = cnn()
    assert tl.tuckerize(model, **options) is model
    assert [name for name, kind in kinds(model).items() if kind.startswith("Tucker")] == tucker
    assert set(reasons(model)) == set(kinds(model)) - set(tucker)  # nothing stays dense without a reason
    assert "1.block.0" not in tucker or model[1].block[0].ranks == (6, 6)  # 70 % of 8, rounded
    assert model(torch.randn(2, 3, 6, 7)).shape == (2, 5)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(30, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 30, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.embedding(x)))


def hooked() -> nn.Linear:
    layer = nn.Linear(8, 8)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.Conv2d(8, 8, 3, groups=2), "2 groups"),
        (lambda: nn.Conv2d(1, 8, 3), "channel mode of size 1"),
        (lambda: nn.ConvTranspose2d(8, 8, 3), "ConvTranspose2d is not a plain"),
        (lambda: parametrizations.weight_norm(nn.Linear(8, 8)), "ParametrizedLinear is not a plain"),
        (lambda: nn.utils.weight_norm(nn.Linear(8, 8)), "more than a weight and a bias, or computes"),
        (lambda: prune.random_unstructured(nn.Linear(8, 8), "bias", 0.5), "or computes them anew"),
        (hooked, "it carries hooks"),
    ],
)
def test_what_cannot_be_factorized_stays_with_a_reason(make: Callable[[], nn.Module], reason: str) -> None:
    layer = make()
    model = tl.tuckerize(nn.Sequential(nn.Linear(8, 8), layer, nn.Linear(8, 8)), include="*", ranks=0.5)
    assert model[1] is layer
    assert reason in reasons(model)["1"]
    assert kinds(model)["0"] == kinds(model)["2"] == "TuckerLinear"


@pytest.mark.parametrize("hold", [lambda layer: [layer], lambda layer: {"a": (layer, 1)}])
def test_a_layer_that_is_also_held_in_a_list_is_an_error_before_anything_changes(hold: Any) -> None:
    model = nn.Sequential(cnn())
    model[0].again = hold(model[0][4])
    before = list(model.modules())
    with pytest.raises(tl.TuckerlabError, match=r"0's `again` holds the layer '0.4' as well"):
        tl.tuckerize(model)
    assert list(model.modules()) == before
    assert not reasons(model)


def test_tied_weights_stay_tied_and_a_module_used_twice_is_replaced_twice() -> None:
    model = tl.tuckerize(Tied(), include="*", ranks=0.5)
    assert kinds(model) == {"hidden": "TuckerLinear", "head": "Linear"}
    assert reasons(model) == {"head": "its weight is shared with another module"}
    assert model.head.weight is model.embedding.weight
    shared = nn.Linear(8, 8)
    twice, x = nn.Sequential(shared, nn.ReLU(), nn.ModuleList([shared])[0]), torch.randn(3, 8)
    expected = twice(x)
    tl.tuckerize(twice, **EXACT)
    assert isinstance(twice[0], tl.TuckerLinear)
    assert twice[0] is twice[2]
    torch.testing.assert_close(twice(x), expected, **CLOSE)
    plain = tl.to_plain(twice)
    assert plain[0] is plain[2]


@pytest.mark.parametrize("training", [True, False])
def test_modules_that_read_the_weights_of_their_layers_go_on_working(training: bool) -> None:
    """In eval without gradients torch takes a fast path that reads linear1.weight and the like."""
    encoder = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    model, x = nn.Sequential(nn.Linear(12, 16), encoder, nn.Linear(16, 6)).train(training), torch.randn(2, 5, 12)
    with torch.set_grad_enabled(training):
        expected = model(x)
        tl.tuckerize(model, **EXACT)
        torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(tl.to_plain(model)(x), expected, atol=1e-5, rtol=1e-4)
    assert [name for name, kind in kinds(model).items() if kind.startswith("Tucker")] == ["0", "2"]
    assert reasons(model)["1.linear1"] == "its owner TransformerEncoderLayer reads the weight directly"


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


class Masked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 3)
        self.register_buffer("mask", torch.ones(3, 3, dtype=torch.bool))


def not_finite() -> nn.Module:
    model = cnn()
    model[4].weight.data[3, 4] = torch.nan
    return model


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: tl.to_plain(None), r"nn.Module"),
        (lambda: tl.tuckerize(cnn(), include=["4", "x.*"]), "'x.*' matches no dense convolution"),
        (lambda: tl.tuckerize(not_finite()), "4: its weight holds numbers that are not finite"),
        (lambda: tl.tuckerize(on_meta(cnn), ranks=tl.Tolerance(0.1)), r"give Fixed\(fraction\)"),
        (lambda: tl.materialize(on_meta(lambda: nn.MultiheadAttention(8, 2))), r"no reset_parameters\(\)"),
        (lambda: tl.materialize(on_meta(Masked)), "no values to mask"),
    ],
)
def test_what_is_refused(call: Callable[[], object], named: str) -> None:
    with pytest.raises(tl.TuckerlabError, match=named):
        call()


def test_by_default_nothing_stores_more_than_it_did() -> None:
    model = nn.Sequential(nn.Linear(8, 32), nn.Linear(32, 64), nn.Linear(64, 400), nn.Linear(400, 5))
    for layer in tl.tuckerize(model)[1:3]:
        assert 0.85 * layer.dense_numel < layer.stored_numel <= layer.dense_numel


class Largest(TorchDispatchMode):
    """Counts the numbers in the largest tensor that has memory."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        made = [t.numel() for t in tree_leaves(result) if isinstance(t, Tensor) and not t.is_meta]
        self.numbers = max([self.numbers, *made])
        return result


def test_a_full_weight_is_formed_neither_at_first_nor_in_training_nor_when_ranks_change() -> None:
    layer = on_meta(lambda: nn.Linear(4096, 4096))
    with Largest() as largest:
        layer = tl.materialize(tl.tuckerize(layer, ranks=16 / 4096))
        optimizer = tl.TuckerSGD(layer, lr=0.1, momentum=0.9, ranks=tl.Tolerance(0.5, steps=0), adapt_every=2)
        for _ in range(2):
            take_step(optimizer, layer(torch.randn(4, 4096)).square().mean())
    assert layer.ranks != (16, 16)
    assert largest.numbers == 16 * 4096


def test_materialize_keeps_what_is_tied_and_what_has_values() -> None:
    model = on_meta(Tied)
    with torch.device("meta"):
        model.norm = nn.BatchNorm1d(4)
    model.norm.running_mean = torch.tensor([1.0, 2.0, 3.0, 4.0])
    model.hidden.bias = nn.Parameter(torch.arange(8.0), requires_grad=False)
    tl.materialize(model)
    assert model.head.weight is model.embedding.weight
    assert 0.5 < float(model.head.weight.detach().std()) < 1.5  # as an embedding, not as a linear layer
    assert model.norm.running_mean.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert model.norm.running_var.tolist() == [1.0] * 4
    assert torch.equal(model.hidden.bias, torch.arange(8.0))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


LAYERS: dict[str, Callable[[], tl.TuckerLayer]] = {
    "stride": lambda: tl.TuckerConv2d(16, 24, 3, ranks=(6, 4), stride=(2, 1), bias=False),
    "border": lambda: tl.TuckerConv2d(16, 8, 3, ranks=(3, 4), padding=2, dilation=2, padding_mode="circular"),
    "same": lambda: tl.TuckerConv1d(16, 24, 4, ranks=(6, 4), padding="same", padding_mode="reflect"),
    "1x1": lambda: tl.TuckerConv2d(16, 24, 1, ranks=(4, 4)),
    "shortcut": lambda: tl.TuckerConv2d(16, 24, 1, ranks=(4, 4), stride=2),
    "all modes": lambda: tl.TuckerConv2d(16, 24, 3, ranks=(6, 4, 2, 2), modes="all"),
    "one mode": lambda: tl.TuckerConv2d(16, 24, 3, ranks=(4,), modes=(1,)),
    "full": lambda: tl.TuckerConv2d(16, 16, 3, ranks=(16, 16)),
    "3d": lambda: tl.TuckerConv3d(8, 6, 2, ranks=(2, 3)),
    "tokens": lambda: tl.TuckerLinear(20, 12, ranks=3, bias=False),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_all_forms_of_a_layer_are_the_same_function_and_as_large_as_they_say(make: Callable[[], Any]) -> None:
    layer = make().double()
    sides = [7] * (len(layer.shape) - 2)
    shape = (2, layer.shape[1], *sides) if sides else (4, 5, layer.shape[1])
    before, x = copy.deepcopy(layer.state_dict()), torch.randn(shape, dtype=torch.float64)
    for back, apart in ((tl.to_dense(layer), ()), (tl.to_plain(layer), smallest_form(layer))):
        torch.testing.assert_close(back(x), layer(x), rtol=1e-10, atol=1e-12)
        assert all(type(m).__module__.startswith("torch.nn") for m in back.modules())
        weights = [parameter for name, parameter in back.named_parameters() if name.endswith("weight")]
        assert len(weights) == len(apart) + 1
        assert sum(weight.numel() for weight in weights) == numbers(layer, apart) <= layer.dense_numel
        with torch.no_grad():
            for parameter in back.parameters():
                parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())  # copies, not views


def test_the_plain_form_of_a_shortcut_takes_the_stride_first() -> None:
    """Where there are 16 channels: a strided 1×1 convolution of fewer than 8 is broken in oneDNN."""
    assert [part.stride for part in tl.to_plain(LAYERS["shortcut"]())] == [(2, 2), (1, 1)]


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_the_plain_form_is_the_smallest_of_all(out: int, into: int, a: int, b: int, kernel: int) -> None:
    shape = (out, into, kernel, kernel)
    layer = tl.TuckerConv2d(into, out, kernel, ranks=feasible_ranks(shape, (0, 1), (min(a, out), min(b, into))))
    assert numbers(layer, smallest_form(layer)) == min(numbers(layer, apart) for apart in [(), (0,), (1,), (0, 1)])


@pytest.mark.parametrize("convert", [tl.to_plain, tl.to_dense])
def test_there_and_back_dtype_mode_hooks_and_what_is_frozen_are_kept(convert: Callable[..., nn.Module]) -> None:
    model = cnn().double().eval()
    model[1].block[0].requires_grad_(False)
    model[4].bias.requires_grad_(False)
    tl.tuckerize(model, ranks=0.5)
    assert [p.requires_grad for p in model[1].block[0].parameters()] == [False] * 4
    model[4].register_forward_hook(lambda layer, given, out: 2 * out)
    model[1].block[0].register_forward_pre_hook(lambda layer, given: (given[0] + 1.0,))
    model[4].register_forward_hook(lambda layer, given, options, out: out + len(options), with_kwargs=True)
    x = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    back = convert(model)
    torch.testing.assert_close(back(x), model(x), **CLOSE)
    for network in (model, back):
        assert all(parameter.dtype == torch.float64 for parameter in network.parameters())
        assert not any(module.training for module in network.modules())
    assert kinds(model)["4"] == "TuckerLinear"  # the model itself stays as it is
    frozen = [name for name, parameter in back.named_parameters() if not parameter.requires_grad]
    assert len(frozen) > 2
    assert all(name.startswith("1.block.0") or (name.startswith("4") and name.endswith("bias")) for name in frozen)


@pytest.mark.parametrize(("ranks", "assign"), [(0.2, False), (1.0, True)])
def test_a_checkpoint_of_other_ranks_resizes_the_layers(ranks: float, assign: bool) -> None:
    saved, model = tl.tuckerize(cnn(), ranks=ranks), tl.tuckerize(cnn(), ranks=0.4)
    model[4].requires_grad_(False)
    assert model.load_state_dict(through_a_file(saved.state_dict()), assign=assign) == ([], [])
    x = torch.randn(2, 3, 6, 7)
    torch.testing.assert_close(model.eval()(x), saved.eval()(x))
    assert not any(parameter.requires_grad for parameter in model[4].parameters())
    assert model[1].block[0].core.requires_grad
