"""Batch norm multiplied into the layer before it, and ranks rounded up to what the kernels of a runtime take at once.

>>> network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
>>> fold_batch_norm(network)
Sequential(
  (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
  (1): Identity()
  (2): ReLU()
)

Both change a layer and the one right after it, where nothing else sees what runs between the two. Which module feeds
which is read off a trace (torch.fx); in a network that cannot be traced everything stays.
"""

import copy
from collections import Counter
from collections.abc import Iterator

import torch
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
MULTIPLE, LEAST = 4, 16
"""Ranks become multiples, from the least on: below it the zeros are many and the time is little."""


def fold_batch_norm(model: nn.Module, example: Tensor | None = None) -> nn.Module:
    """A copy in eval mode, of the same function, without the batch norms that a layer before them can take up.

    A norm is folded where that is exact: it has running statistics, and all that it reads is the output of a
    convolution or a linear layer that nothing else reads. It leaves an nn.Identity, so that names stay. The others stay
    as they are (`kept_norms`). The batch norm of a Tucker layer is folded after `to_plain`.

    example: a batch of inputs, which shows what a norm after a linear layer reads; without it these norms stay.
    """
    folded = copy.deepcopy(model).eval()
    flat = _reading_features(folded, example)
    for layer, norm in _pairs(folded):
        if NORM_AFTER.get(type(layer)) is not type(norm) or getattr(norm, "running_mean", None) is None:
            continue
        assert isinstance(norm, _BatchNorm)
        if isinstance(layer, _ConvNd):
            folded = replaced(folded, layer, fuse_conv_bn_eval(layer, norm))
        elif isinstance(layer, nn.Linear) and norm in flat:
            folded = replaced(folded, layer, fuse_linear_bn_eval(layer, norm))
        else:
            continue
        folded = replaced(folded, norm, nn.Identity().eval())
    return folded


def kept_norms(folded: nn.Module) -> list[str]:
    """The names of the batch norms that `fold_batch_norm` has left.

    >>> kept_norms(fold_batch_norm(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8))))
    ['2']
    """
    return [name for name, module in folded.named_modules() if isinstance(module, _BatchNorm)]


def aligned(network: nn.Module) -> nn.Module:
    """A copy of the same function in which convolutions pass on a multiple of 4 channels right to the next one.

    >>> [aligned(nn.Sequential(nn.Conv2d(64, n, 1), nn.Conv2d(n, 64, 1)))[0].out_channels for n in (15, 17)]
    [15, 20]

    The channels that are added carry zeros, so the outputs are the same up to the order of additions. onnxruntime
    computes a convolution in blocks of channels where they are multiples of 4, and otherwise in a slower way: VGG16
    with trained ranks such as 45 and 79 answers a tenth faster, and more, for 4 % more numbers.
    """
    network = copy.deepcopy(network)
    for before, after in _pairs(network):
        if type(before) is nn.Conv2d and type(after) is nn.Conv2d and before.groups == after.groups == 1:
            extra = -before.out_channels % MULTIPLE
            if before.out_channels >= LEAST and extra and not before.weight.is_meta:
                before.weight = nn.Parameter(_longer(before.weight, 0, extra))
                before.bias = None if before.bias is None else nn.Parameter(_longer(before.bias, 0, extra))
                after.weight = nn.Parameter(_longer(after.weight, 1, extra))
                before.out_channels += extra
                after.in_channels += extra
    return network


def _longer(tensor: Tensor, dim: int, extra: int) -> Tensor:
    zeros = tensor.new_zeros([extra if axis == dim else size for axis, size in enumerate(tensor.shape)])
    return torch.cat([tensor.detach(), zeros], dim)


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Modules called right after each other, that nothing else calls, reads between, or shares a weight with."""
    modules = dict(network.named_modules(remove_duplicate=False))
    try:
        graph = fx.Tracer().trace(network)
    except Exception:  # the forward of the caller's network, which may raise anything at a symbolic input
        return
    called = {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}
    times = Counter(called.values())
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    owners = Counter(id(p) for module in network.modules() for p in module.parameters(recurse=False))
    shared = {module for module in modules.values() if any(owners[id(p)] > 1 for p in module.parameters(recurse=False))}
    shared |= {modules[name] for name in read if name in modules}
    for node, after in called.items():
        source = next(iter(node.all_input_nodes), None)
        before = None if source is None else called.get(source)
        if source is None or before is None or len(source.users) > 1:
            continue
        if all(times[m] == 1 and m not in shared and not m._forward_hooks and not m._forward_pre_hooks
               for m in (before, after)):  # fmt: skip
            yield before, after


def _reading_features(model: nn.Module, example: Tensor | None) -> set[nn.Module]:
    """The batch norms that read N × features when the example is answered."""
    found: set[nn.Module] = set()
    if example is None:
        return found

    def look(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        if given[0].dim() == 2:
            found.add(norm)

    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    with torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()
    return found
