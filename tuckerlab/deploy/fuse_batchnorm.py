"""Batch norm multiplied into the layer before it: in eval mode it is a scale and a shift of each channel.

>>> network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
>>> fold_batch_norm(network)
Sequential(
  (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
  (1): Identity()
  (2): ReLU()
)
"""

import copy
from collections import Counter
from collections.abc import Mapping

import torch as torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from tuckerlab.tucker.replace import replaced

NORM_AFTER: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    nn.Linear: nn.BatchNorm1d,  # of inputs N × features: of N × C × L the norm acts on C, the layer on L
}


def fold_batch_norm(model: nn.Module, example: Tensor | None = None) -> nn.Module:
    """A copy in eval mode, of the same function, without the batch norms that a layer before them can take up.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))
    >>> kept_norms(fold_batch_norm(network))
    {'2': 'it does not come right after a convolution or a linear layer'}

    A norm is folded where that is exact: it has running statistics, and all that it reads is the output of a
    convolution or a linear layer that nothing else reads. It leaves an nn.Identity, so that names stay. The others stay
    as they are and carry the reason as `kept_because`. Which module feeds which is read off a trace (torch.fx): in a
    network that cannot be traced every norm stays. The batch norm of a Tucker layer is folded after `to_plain`.

    example: a batch of inputs, which shows what a norm after a linear layer reads; without it these norms stay.
    """
    folded = copy.deepcopy(model).eval()
    reasons = dict.fromkeys(_norms(folded).values(), "the forward pass does not come by it")
    if not reasons:
        return folded
    flat = _flat(folded, example)
    try:
        called = calls(folded)
    except Exception as error:  # the forward of the caller's network, which may raise anything at a symbolic input
        called, why = {}, f"the network cannot be traced ({type(error).__name__}: {error})"
        reasons = dict.fromkeys(reasons, " ".join(why.split()))
    for node, norm in called.items():
        if norm not in reasons:
            continue
        source = node.all_input_nodes[0]
        layer = called.get(source)
        obstacle = _obstacle(layer, norm, flat)
        if layer is None or obstacle is not None:
            reasons[norm] = obstacle or NO_LAYER
        elif len(source.users) > 1 or used_elsewhere(folded, (layer, norm), called):
            reasons[norm] = "the layer before it, or the norm itself, is used a second time"
        else:
            folded = replaced(folded, layer, _fused(layer, norm))
            folded = replaced(folded, norm, nn.Identity().eval())
            del reasons[norm]
    for norm, reason in reasons.items():
        setattr(norm, "kept_because", reason)  # noqa: B010 (a note on a module of torch)
    return folded


def kept_norms(folded: nn.Module) -> dict[str, str]:
    """The batch norms that `fold_batch_norm` has left, and why.

    >>> kept_norms(fold_batch_norm(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), torch.zeros(1, 4)))
    {}
    """
    return {name: str(vars(norm).get("kept_because", "")) for name, norm in _norms(folded).items()}


NO_LAYER = "it does not come right after a convolution or a linear layer"


def _norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


def _flat(model: nn.Module, example: Tensor | None) -> dict[nn.Module, bool]:
    """Whether what each norm reads is N × features, of those that the example comes by."""
    found: dict[nn.Module, bool] = {}
    if example is None:
        return found

    def look(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        found[norm] = given[0].dim() == 2

    hooks = [norm.register_forward_pre_hook(look) for norm in _norms(model).values()]
    with torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()
    return found


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module:
    assert isinstance(norm, _BatchNorm)
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, norm)
    assert isinstance(layer, _ConvNd)
    return fuse_conv_bn_eval(layer, norm)


def _obstacle(layer: nn.Module | None, norm: nn.Module, flat: Mapping[nn.Module, bool]) -> str | None:
    """Why these two cannot become one, whatever is around them."""
    if NORM_AFTER.get(type(layer)) is not type(norm) or layer is None:  # type: ignore[arg-type]
        return NO_LAYER
    if getattr(norm, "running_mean", None) is None:
        return "it has no running statistics"
    if any(m._forward_hooks or m._forward_pre_hooks for m in (layer, norm)):
        return "it or the layer before it carries hooks"
    if isinstance(layer, nn.Linear) and not flat.get(norm, False):
        seen = "is not" if norm in flat else "is not known to be (no example shows it)"
        return f"what it reads {seen} N × features, and so it may act on another axis than the linear layer before it"
    return None


def calls(model: nn.Module) -> dict[fx.Node, nn.Module]:
    """The calls of modules in the forward pass, in their order, read off a trace; it raises what the forward raises.

    >>> [type(module).__name__ for module in calls(nn.Sequential(nn.Linear(2, 3), nn.ReLU())).values()]
    ['Linear', 'ReLU']
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    graph = fx.Tracer().trace(model)
    return {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}


def used_elsewhere(model: nn.Module, pair: tuple[nn.Module, nn.Module], called: Mapping[fx.Node, nn.Module]) -> bool:
    """Whether one of the two is called twice, or a weight of theirs is read by another module or by itself.

    >>> layer, norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
    >>> once, twice = nn.Sequential(layer, norm), nn.Sequential(layer, norm, layer)
    >>> used_elsewhere(once, (layer, norm), calls(once)), used_elsewhere(twice, (layer, norm), calls(twice))
    (False, True)
    """
    times = Counter(called.values())
    own = {id(parameter) for module in pair for parameter in module.parameters()}
    owners = [m for m in model.modules() if any(id(p) in own for p in m.parameters(recurse=False))]
    names = [name for name, m in model.named_modules(remove_duplicate=False) if m in pair]
    graph = next(iter(called)).graph
    read = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
    return (
        any(times[module] > 1 for module in pair)
        or any(owner not in pair for owner in owners)
        or any(target.startswith(f"{name}.") for target in read for name in names)
    )
