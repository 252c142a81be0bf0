"""From dense networks to Tucker networks and back: `tuckerize`, `to_dense`, `to_plain`; and weights from nothing.

What cannot or should not be factorized stays as it is, and carries the reason as `dense_because`; `summary` lists it.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.layers import TuckerConv1d, TuckerConv2d, TuckerConv3d, TuckerLinear
from tuckerlab.tucker.plain_layers import ordinary, smallest_form
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy, Spectrum
from tuckerlab.tucker.tensor import left_singular, unfold
from tuckerlab.tucker.weight import CHANNELS, Modes, TuckerLayer, factorized_modes

FRACTION = 0.7  # of each mode's size: the ranks that a layer gets where none are given
Dense = nn.modules.conv._ConvNd | nn.Linear
Patterns = str | Sequence[str]
KINDS: dict[type[Any], type[TuckerLayer]] = {
    kind.dense_class: kind for kind in (TuckerLinear, TuckerConv1d, TuckerConv2d, TuckerConv3d)
}
# modules that read the weights of their children directly, so that these must stay dense
READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
OF_MODULES = vars(nn.Module()).keys()
HOOKS = tuple(name for name in OF_MODULES if "hook" in name)


def tuckerize(
    module: nn.Module,
    *,
    include: Patterns | None = None,
    exclude: Patterns = (),
    ranks: RankPolicy | float | None = None,
    modes: Modes = "channels",
) -> nn.Module:
    """Replaces, in place, the convolutions and linear layers of a module by Tucker layers; returns the module.

    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> [type(layer).__name__ for layer in tuckerize(model, ranks=Fixed(0.25))]
    ['Linear', 'ReLU', 'TuckerLinear', 'ReLU', 'Linear']
    >>> model[0].dense_because
    'the first layer stays dense unless include names it'

    include: names or patterns ("features.*") of the layers to factorize. By default all but the first and the last
    layer with weights: they read the input and write the classes, and are seldom worth it.
    exclude: names or patterns that stay dense, whatever `include` says.
    ranks: a policy, or a fraction of each mode (0.5 for Fixed(0.5)). The default keeps 70 % of each mode, a good start
    for training, or less where core and factors would store more than the dense weight (matrices).
    modes: of convolutions, as the layers take them: "channels", "all", or a tuple.
    Trained weights are approximated (truncated HOSVD); an untrained network starts from the leading singular
    subspaces of its own initialisation (spectral initialisation, Khodak et al., ICLR 2021). A module on the "meta"
    device has no weights: its Tucker layers stay there until `materialize` makes them, random and small from the start.

    A layer stays dense, with the reason in its attribute `dense_because`, if it is grouped, has a channel mode of size
    1, shares its weight, carries hooks, is of a subclass, or belongs to a module that reads its weight directly.
    Raises TuckerlabError for a pattern that matches nothing.
    """
    check_module(module, "tuckerize")
    policy = ranks if isinstance(ranks, RankPolicy) else Fixed(FRACTION if ranks is None else ranks)
    reasons = _reasons(module, include, exclude)
    chosen = {name: layer for name, layer in _weighted(module).items() if reasons[name] is None}
    dense = {name: layer for name, layer in _weighted(module).items() if name not in chosen}
    check_replaceable(module, chosen)
    spectra = [_spectrum(name, layer, modes, policy) for name, layer in chosen.items()]
    other = sum(layer.weight.numel() for layer in dense.values() if isinstance(layer, nn.modules.conv._ConvNd))
    found = policy.choose(spectra, other=other)
    if ranks is None:
        found = [_no_larger_than_dense(*pair) for pair in zip(spectra, found, strict=True)]
    for name, layer in dense.items():
        setattr(layer, "dense_because", reasons[name])  # noqa: B010 (a note on a module of torch)
    for layer, spectrum, layer_ranks in zip(chosen.values(), spectra, found, strict=True):
        module = replaced(module, layer, KINDS[type(layer)].from_dense(layer, layer_ranks, spectrum.modes))
    return module


def to_dense(module: nn.Module) -> nn.Module:
    """A copy with each Tucker layer replaced by the dense layer of the same function (and of the full size).

    >>> to_dense(nn.Sequential(TuckerLinear(8, 6, ranks=2)))
    Sequential(
      (0): Linear(in_features=8, out_features=6, bias=True)
    )
    """
    return _converted(module, lambda layer: ordinary(layer, ()))


def to_plain(module: nn.Module) -> nn.Module:
    """A copy with torch.nn modules only, of the same function: it runs where tuckerlab is not installed.

    >>> to_plain(nn.Sequential(TuckerConv2d(64, 64, 3, ranks=(8, 8), padding=1)))[0]
    Sequential(
      (0): Conv2d(64, 8, kernel_size=(1, 1), stride=(1, 1), bias=False)
      (1): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
      (2): Conv2d(8, 64, kernel_size=(1, 1), stride=(1, 1))
    )

    A Tucker convolution becomes three ordinary ones, a linear layer two. Where multiplying a factor of a channel mode
    into the core stores no more numbers (ranks near the mode's size, 1×1 kernels), the factor goes, and a layer with
    it. Factors of spatial modes are always multiplied in: no ordinary layer holds them apart. Hooks go along, and what
    was frozen stays frozen.
    """
    plain = _converted(module, lambda layer: ordinary(layer, smallest_form(layer)))
    vars(plain).pop("spec", None)  # it would rebuild another network
    return plain


def _converted(module: nn.Module, convert: Callable[[TuckerLayer], nn.Module]) -> nn.Module:
    check_module(module, "to_plain and to_dense")
    module = copy.deepcopy(module)
    layers = {name: m for name, m in module.named_modules() if isinstance(m, TuckerLayer)}
    check_replaceable(module, layers)
    for layer in layers.values():
        module = replaced(module, layer, convert(layer))
    return module


def replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The module with `old` replaced by `new`, in place, wherever it occurs; hooks on its calls go along."""
    new.train(old.training)
    vars(new).update((name, vars(old)[name]) for name in HOOKS if "forward" in name or "backward" in name)
    for parent in module.modules():
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
    return new if module is old else module


def check_module(module: object, function: str) -> None:
    """TuckerlabError for what is no network of torch."""
    if not isinstance(module, nn.Module):
        raise TuckerlabError(f"{function}: {type(module).__name__}; give a network of torch (nn.Module)")


def check_replaceable(module: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """TuckerlabError for a layer that is kept in a list or the like as well, which would go on with the old one."""
    names = {layer: name for name, layer in layers.items()}
    for owner, part in module.named_modules():
        for attribute in vars(part).keys() - OF_MODULES:
            for held in _modules_in(vars(part)[attribute]):
                if held in names:
                    raise TuckerlabError(
                        f"{owner or 'the network'}'s `{attribute}` holds the layer {names[held]!r} as well, and would "
                        "go on using it as it is: use nn.ModuleList or nn.ModuleDict, or exclude the layer"
                    )


def _modules_in(value: object) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, list | tuple | set | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _modules_in(item)


def _weighted(module: nn.Module) -> dict[str, Dense]:
    return {name: m for name, m in module.named_modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)}


def _named(module: nn.Module, patterns: Patterns) -> set[str]:
    """The layers with weights that the patterns name; what is a name is meant as it stands, whatever it contains."""
    names, found = list(_weighted(module)), set[str]()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        here = {pattern} if pattern in names else {name for name in names if fnmatchcase(name, pattern)}
        if not here:
            known = ", ".join(names) or "none"
            raise TuckerlabError(
                f"pattern {pattern!r} matches no dense convolution or linear layer; there are: {known}"
            )
        found |= here
    return found


def _reasons(module: nn.Module, include: Patterns | None, exclude: Patterns) -> dict[str, str | None]:
    """For each layer with weights, why it stays dense; None: it is to be factorized."""
    layers = _weighted(module)
    included, excluded = None if include is None else _named(module, include), _named(module, exclude)
    owners = {child: m for m in module.modules() if isinstance(m, READERS) for child in m.modules() if child is not m}
    uses: Counter[Tensor] = Counter(parameter for m in module.modules() for parameter in m.parameters(recurse=False))

    def reason(position: int, name: str, layer: Dense) -> str | None:
        if name in excluded:
            return "excluded"
        if included is not None and name not in included:
            return "not included"
        if included is None and len(layers) > 1 and position in (0, len(layers) - 1):
            return f"the {'last' if position else 'first'} layer stays dense unless include names it"
        if layer in owners:
            return f"its owner {type(owners[layer]).__name__} reads the weight directly"
        if type(layer) not in KINDS:
            return f"{type(layer).__name__} is not a plain convolution or linear layer"
        if layer._parameters.keys() != {"weight", "bias"} or layer._buffers or layer._modules:
            return "it holds more than a weight and a bias, or computes them anew at each call (weight norm, pruning)"
        if isinstance(layer, nn.modules.conv._ConvNd) and layer.groups != 1:
            return f"a convolution in {layer.groups} groups cannot be factorized"
        if min(layer.weight.shape[:2]) == 1:
            return f"a channel mode of size 1 in its weight {tuple(layer.weight.shape)} leaves nothing to factorize"
        if uses[layer.weight] > 1:
            return "its weight is shared with another module"
        if any(vars(layer)[name] for name in HOOKS) or "forward" in vars(layer):
            return "it carries hooks or a forward of its own, which a replacement would lose"
        return None

    return {name: reason(position, name, layer) for position, (name, layer) in enumerate(layers.items())}


def _spectrum(name: str, layer: Dense, modes: Modes, policy: RankPolicy) -> Spectrum:
    weight = layer.weight.detach()
    # a linear layer has no choice: a matrix has one rank
    modes = CHANNELS if isinstance(layer, nn.Linear) else factorized_modes(weight.dim(), modes)
    if not weight.is_meta and not weight.isfinite().all():
        raise TuckerlabError(f"{name or 'the layer'}: its weight holds numbers that are not finite (NaN or infinity)")
    if isinstance(policy, Fixed):  # needs no singular values, and so works without weights
        values = tuple(torch.empty(weight.shape[mode]) for mode in modes)
    elif weight.is_meta:
        raise TuckerlabError(f"{policy} for a module on the meta device: it has no weights; give Fixed(fraction)")
    else:
        values = tuple(left_singular(unfold(weight, mode))[1].cpu() for mode in modes)
    return Spectrum(tuple(weight.shape), modes, values)


def _no_larger_than_dense(spectrum: Spectrum, ranks: tuple[int, ...]) -> tuple[int, ...]:
    while spectrum.stored(ranks) > prod(spectrum.shape) and max(ranks) > 1:
        ranks = tuple(max(1, int(0.98 * rank)) for rank in ranks)
    return ranks


def materialize(module: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """Gives memory and random initial weights to a module that was built on the "meta" device; returns it.

    >>> with torch.device("meta"):
    ...     model = nn.Sequential(nn.Linear(8, 2**20), nn.Linear(2**20, 2**20), nn.Linear(2**20, 2))  # 4 TiB, if it had
    >>> model = materialize(tuckerize(model, include="1", ranks=Fixed(1e-6)))
    >>> model[1].ranks
    (1, 1)

    With `tuckerize` in between, the full weights never exist. What has weights already keeps them, and what is shared
    stays shared. Raises TuckerlabError if a module has parameters or buffers of its own that it has no
    `reset_parameters` for.
    """
    made: dict[Tensor, Tensor] = {}  # what takes the place of each tensor without memory
    for part in module.modules():
        fresh, given = dict[str, Tensor](), list[Tensor]()
        stores: list[dict[str, Any]] = [part._parameters, part._buffers]
        for store in stores:
            for name, tensor in store.items():
                if tensor is not None and tensor.is_meta and tensor not in made:
                    made[tensor] = store[name] = fresh[name] = _memory_for(tensor, device)
                elif tensor is not None:
                    store[name] = made.get(tensor, tensor)
                    given.append(store[name])
        if not fresh:
            continue
        if not callable(getattr(part, "reset_parameters", None)):
            raise TuckerlabError(f"{type(part).__name__} has no reset_parameters(): build it off the meta device")
        kept = [tensor.detach().clone() for tensor in given]
        part.reset_parameters()  # type: ignore[operator]
        if empty := [name for name, tensor in fresh.items() if _is_blank(tensor)]:
            raise TuckerlabError(f"reset_parameters() of {type(part).__name__} gives no values to {', '.join(empty)}")
        with torch.no_grad():
            for tensor, value in zip(given, kept, strict=True):
                tensor.copy_(value)
    return module


def _memory_for(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Filled with NaN where that exists, which no initialisation leaves there."""
    new = torch.full_like(tensor, torch.nan if tensor.is_floating_point() else 0, device=device)
    return nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new


def _is_blank(tensor: Tensor) -> bool:
    return bool(tensor.isnan().any()) if tensor.is_floating_point() else tensor._version == 0
