"""The network that is written: ordinary layers, with batch norm multiplied into the convolutions before it."""

import copy
from collections import Counter, OrderedDict
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tuckerlab.deploy.export.parity import answer
from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.convert import check_module, replaced, to_plain

FOLDED: dict[type, type] = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d, nn.Conv3d: nn.BatchNorm3d}
MULTIPLE, LEAST = 4, 16
"""Ranks become multiples, from the least on: below it the zeros are many and the time is little."""


def from_pixels(network: nn.Module, mean: Tensor, std: Tensor) -> nn.Module:
    """The network with the normalisation of its data in front, as a batch norm; it takes pixels from 0 to 255."""
    norm = nn.BatchNorm2d(mean.numel(), eps=0.0, affine=False)
    norm.running_mean, norm.running_var = 255 * mean.flatten(), (255 * std.flatten()) ** 2
    return nn.Sequential(OrderedDict(normalize=norm, network=network)).eval()


def prepared(model: nn.Module, example: Tensor, *, align: bool = False) -> tuple[nn.Module, nn.Module, Tensor]:
    """The network to write, a copy to compare it with, and the example, all on the CPU; or an error."""
    check_module(model, "export")
    if not isinstance(example, Tensor) or example.dim() < 2 or len(example) < 1:
        given = f"a tensor of shape {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise TuckerlabError(f"example: {given}; give a batch of inputs, such as torch.zeros(1, 3, 32, 32)")
    original, example = copy.deepcopy(model).cpu().eval(), example.detach().cpu()
    if not answer(original, example).isfinite().all():
        raise TuckerlabError("the network returns numbers that are not finite: train it anew before it is exported")
    plain = folded(to_plain(original))
    return aligned(plain) if align else plain, original, example


def folded(network: nn.Module) -> nn.Module:
    """The network, changed: a convolution takes up the batch norm after it, where that is exact; names stay."""
    for layer, norm in _pairs(network):
        if type(norm) is FOLDED.get(type(layer)) and norm.running_mean is not None:
            network = replaced(network, layer, fuse_conv_bn_eval(layer, norm))  # type: ignore[type-var, arg-type]
            network = replaced(network, norm, nn.Identity())
    return network


def aligned(network: nn.Module) -> nn.Module:
    """The network, changed, so that convolutions pass on a multiple of 4 channels right to the next one, with zeros.

    onnxruntime computes other numbers of channels in a slower way: VGG16 with trained ranks such as 45 and 79 answers a
    tenth faster, and more, for 4 % more numbers.
    """
    for before, after in _pairs(network):
        if type(before) is nn.Conv2d and type(after) is nn.Conv2d and before.groups == after.groups == 1:
            extra = -before.out_channels % MULTIPLE
            if before.out_channels >= LEAST and extra:
                before.weight = nn.Parameter(F.pad(before.weight.detach(), (0, 0, 0, 0, 0, 0, 0, extra)))
                before.bias = None if before.bias is None else nn.Parameter(F.pad(before.bias.detach(), (0, extra)))
                after.weight = nn.Parameter(F.pad(after.weight.detach(), (0, 0, 0, 0, 0, extra)))
                before.out_channels += extra
                after.in_channels += extra
    return network


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

    alone = {
        module for module in called.values()
        if times[module] == 1 and module not in read and not module._forward_hooks and not module._forward_pre_hooks
        and all(owners[parameter] == 1 for parameter in module.parameters(recurse=False))
    }  # fmt: skip
    for node, after in called.items():
        for source in node.all_input_nodes[:1]:
            if len(source.users) == 1 and {called.get(source), after} <= alone:
                yield called[source], after
