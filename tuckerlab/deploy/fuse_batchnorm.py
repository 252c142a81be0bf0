"""Batch norm multiplied into the layer before it, and ranks rounded up to what the kernels of a runtime take at once.

Both change a layer and the one right after it, where nothing else sees what runs between the two. Which module feeds
which is read off a trace (torch.fx); in a network that cannot be traced everything stays.
"""

import copy
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tuckerlab.tucker.replace import replaced

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MULTIPLE, LEAST = 4, 16
"""Ranks become multiples, from the least on: below it the zeros are many and the time is little."""


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy in eval mode, of the same function, without the batch norms that a convolution before them can take up.

    A norm is folded where that is exact: it has running statistics, and all that it reads is the output of a
    convolution that nothing else reads. It leaves an nn.Identity, so that names stay. The others stay as they are
    (`kept_norms`): after a linear layer it is the input that says whether both act on the same axis. The batch norm of
    a Tucker layer is folded after `to_plain`.
    """
    folded = copy.deepcopy(model).eval()
    for layer, norm in _pairs(folded):
        if type(layer) in CONVOLUTIONS and type(norm) in NORMS and norm.running_mean is not None:
            folded = replaced(folded, layer, fuse_conv_bn_eval(layer, norm))  # type: ignore[type-var, arg-type]
            folded = replaced(folded, norm, nn.Identity().eval())
    return folded


def kept_norms(folded: nn.Module) -> list[str]:
    """The names of the batch norms that `fold_batch_norm` has left."""
    return [name for name, module in folded.named_modules() if isinstance(module, _BatchNorm)]


def aligned(network: nn.Module) -> nn.Module:
    """A copy of the same function in which convolutions pass on a multiple of 4 channels right to the next one.

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
    shape = list(tensor.shape)
    shape[dim] = extra
    return torch.cat([tensor.detach(), tensor.new_zeros(shape)], dim)


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Modules called right after each other, that nothing else calls, reads between, or shares a weight with."""
    modules = dict(network.named_modules(remove_duplicate=False))
    try:
        graph = fx.Tracer().trace(network)
    except Exception:  # the forward of the caller's network, which may raise anything at a symbolic input
        return
    called = {node: modules[str(node.target)] for node in graph.nodes if node.op == "call_module"}
    times = Counter(called.values())
    read = {modules.get(str(node.target).rpartition(".")[0]) for node in graph.nodes if node.op == "get_attr"}
    owners = Counter(parameter for module in network.modules() for parameter in module.parameters(recurse=False))

    def is_alone(module: nn.Module) -> bool:
        shares = any(owners[parameter] > 1 for parameter in module.parameters(recurse=False))
        return times[module] == 1 and not (
            module in read or shares or module._forward_hooks or module._forward_pre_hooks
        )

    for node, after in called.items():
        for source in node.all_input_nodes[:1]:
            if source in called and len(source.users) == 1 and is_alone(called[source]) and is_alone(after):
                yield called[source], after
