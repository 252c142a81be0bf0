"""A network as files that torch alone can run: `model.py`, to read and to import, and `model.safetensors`."""

import ast
import builtins
import inspect
import keyword
import os
import pprint
import re
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count, zip_longest
from math import prod
from operator import attrgetter
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from tuckerlab.deploy.export.parity import Exported, answer, checked, notes, on_cpu
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

TOLERANCE = 1e-5  # the same kernels of torch on both sides
SOURCE, WEIGHTS = "model.py", "model.safetensors"
KEPT = 8  # outputs in the file, for its self test
TEMPLATE = Template((Path(__file__).parent / "templates" / "model.py.txt").read_text(encoding="utf-8"))

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)  # in eval mode
KNOWN = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardswish,
    nn.Hardsigmoid, nn.Softmax, nn.LogSoftmax, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, nn.Flatten,
)  # fmt: skip
OTHERS = "use onnx or torch"
UNDECIDED = "what its forward does depends on what is in a tensor, or how large it is (such as an `if` on it)"
IMPORTS = {"inf": "from math import inf", "nan": "from math import nan", "device": "from torch import device"}


def export_plain(
    model: nn.Module,
    folder: str | os.PathLike[str],
    example: Tensor,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Writes `model.py` and `model.safetensors` into a folder; they need torch, and neither tuckerlab nor safetensors.

    The source has the layers and the forward pass in plain words of torch, and `load()`, which reads the weights
    (nothing is unpickled); `python model.py` tests itself on the numbers that the network gave here. metadata: text by
    name, in the source as `ABOUT` and in the header of the weights, with the version of tuckerlab. A Tucker network is
    written as `to_plain` makes it; give `prepared(model, example, runtime="torch").module` for the fastest form. Files
    of these names are written over.

    Raises TuckerlabError, and writes nothing, for a network that torch.fx cannot trace, a layer that is not a plain one
    of torch.nn, or answers that differ by more than 1e-5 of the largest output.
    """
    folder, about = Path(folder), notes(metadata)
    if folder.exists() and not folder.is_dir():
        raise TuckerlabError(f"{folder}: is a file; give a folder")
    plain, example = on_cpu(model, example)
    source = Source.of(plain)
    low, high = float(example.min()), float(example.max())
    low, high = (low, high) if low < high else (-1.0, 1.0)
    shape = (1, *example.shape[1:])
    steps = torch.arange(prod(shape)).mul(7919).remainder(256).reshape(shape) / 255
    expected = answer(plain, (low + (high - low) * steps).to(example.dtype)).flatten()
    code = TEMPLATE.substitute(
        zeros=", ".join(map(str, shape)),
        range=f"{example.dtype}, here with numbers from {low:g} to {high:g}",
        imports="".join(f"{line}\n" for line in source.imports),
        about=pprint.pformat(about, width=118, sort_dicts=False),
        network=source.code,
        shape=shape,
        low=low,
        high=high,
        dtype=example.dtype,
        expected=[float(f"{value:.8g}") for value in expected[:KEPT].tolist()],
        scale=float(expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)),
    )
    tensors = {name: value.detach().contiguous().clone() for name, value in source.tensors.items()}
    with atomic_path(folder / WEIGHTS) as weights, atomic_path(folder / SOURCE) as file:
        safetensors.torch.save_file(tensors, weights, metadata=about)
        file.write_text(code, encoding="utf-8")
        written = runpy.run_path(str(file))["load"](weights)
        far = checked(written, plain, example, "the network in model.py", TOLERANCE)
        size = weights.stat().st_size + file.stat().st_size
    return Exported(folder, size, far)


@dataclass(frozen=True)
class Source:
    """The class `Network` as code, the imports that it needs beside torch, nn and F, and its tensors by name."""

    code: str
    imports: tuple[str, ...]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, network: nn.Module) -> "Source":
        """Traces a network in eval mode (torch.fx).

        Raises TuckerlabError for a network that cannot be traced, a layer that is not in KNOWN, or a function that is
        not of torch.
        """
        try:
            graph = fx.Tracer().trace(network.eval())
        except Exception as error:  # whatever the network's forward raises at a symbolic input
            said = UNDECIDED if isinstance(error, fx.proxy.TraceError) else " ".join(str(error).split())
            raise TuckerlabError(f"the network cannot be traced, {OTHERS}: {said}") from error
        parts, flat = _flatten(network, graph)
        written = graph.python_code("self")
        forward, used = _forward(written.src, written.globals)
        lines = ["class Network(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
        lines += [f"        {line}" for line in parts]
        return cls("\n".join([*lines, "", *(f"    {line}" for line in forward), ""]), used, flat.state_dict())


def construction(module: nn.Module) -> str:
    """How a layer is made; arguments that have their default value are left out.

    >>> construction(nn.Conv2d(3, 8, 3, padding=1))
    'nn.Conv2d(3, 8, kernel_size=(3, 3), padding=(1, 1))'
    """
    positional, named = [], []
    size = getattr(module, "kernel_size", ())
    dimensions = len(size) if isinstance(size, tuple) else 0
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        if name in ("self", "device", "dtype") or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(module, name)
        if name == "bias":
            if value is None and not getattr(module, "affine", True):
                continue  # affine=False says it, in every version of torch
            value = value is not None
        if name in ("in_channels", "out_channels", "in_features", "out_features", "num_features", "normalized_shape"):
            positional.append(repr(value))
        elif value not in (parameter.default, (parameter.default,) * dimensions):
            named.append(f"{name}={value!r}")
    return f"nn.{type(module).__name__}({', '.join(positional + named)})"


def _flatten(network: nn.Module, graph: fx.Graph) -> tuple[list[str], nn.Module]:
    """A name without dots for all that the graph reads, in the graph too: the lines that make it, and a module."""
    flat, lines, names = nn.Module(), list[str](), dict[str, str]()
    for node in list(graph.nodes):
        if node.op not in ("call_module", "get_attr"):
            continue
        target = str(node.target)
        value = attrgetter(target)(network)
        if isinstance(value, NOTHING):
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)
            continue
        if target not in names:
            name = names[target] = _identifier(target, flat)
            if isinstance(value, nn.Parameter):
                flat.register_parameter(name, value)
                lines.append(f"self.{name} = nn.Parameter(torch.empty({tuple(value.shape)}))")
            elif isinstance(value, Tensor):
                flat.register_buffer(name, value)
                lines.append(f'self.register_buffer("{name}", torch.empty({tuple(value.shape)}))')
            elif type(value) in KNOWN:
                flat.add_module(name, value)
                lines.append(f"self.{name} = {construction(value)}")
            else:
                kind = type(value).__name__
                raise TuckerlabError(f"layer {target!r} is a {kind}, which the plain format cannot write; {OTHERS}")
        node.target = names[target]
    return lines, flat


def _identifier(target: str, flat: nn.Module) -> str:
    """`features.0` as a name for an attribute that nothing has yet."""
    name = re.sub(r"\W", "_", target)
    if not name.isidentifier() or keyword.iskeyword(name) or hasattr(nn.Module, name):
        name = f"layer_{name}"
    while hasattr(flat, name):
        name += "_"
    return name


def _forward(written: str, known: Mapping[str, Any]) -> tuple[list[str], tuple[str, ...]]:
    """The lines of the forward pass that torch.fx has written, with short names, and the imports that they need.

    fx gives each value a name of its own and says where it is needed for the last time (`a = None`). Here the next
    value takes up that name, which reads better and frees the memory too.
    """
    (function,) = [part for part in ast.parse(written.strip()).body if isinstance(part, ast.FunctionDef)]
    inputs = [argument.arg for argument in function.args.args]
    for argument in function.args.args:
        argument.annotation = None
    names, free = {name: name for name in inputs}, list[str]()
    fresh = (name for name in chain("xyzuvw", (f"x{number}" for number in count(2))) if name not in inputs)
    lines, used = [f"def forward({ast.unparse(function.args)}):"], set[str]()
    for statement, following in zip_longest(function.body, function.body[1:]):
        if _over(statement):
            continue
        made = statement.targets if isinstance(statement, ast.Assign) else []
        value = ast.unparse(statement.value) if isinstance(statement, ast.Assign) else ""
        if value in inputs or (value.startswith("self.") and value.removeprefix("self.").isidentifier()):
            names |= {target.id: value for target in made if isinstance(target, ast.Name)}  # needs no name of its own
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node not in made:
                used |= set() if node.id in names else {node.id}
                node.id = names.get(node.id, node.id)
        gone = [names.pop(name) for name in _over(following) if name in names]
        free += [name for name in gone if name not in inputs and not name.startswith("self.")]
        for target in made:
            if isinstance(target, ast.Name):
                names[target.id] = target.id = free.pop() if free else next(fresh)
        lines.append("    " + _public(ast.unparse(statement)))
    return lines, tuple(sorted({_import(name, known) for name in used} - {""}))


def _over(statement: ast.stmt | None) -> list[str]:
    """The names that a statement `a = b = None` gives up; empty for any other."""
    if not isinstance(statement, ast.Assign) or ast.unparse(statement.value) != "None":
        return []
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]


def _public(line: str) -> str:
    """Functions of torch.nn.functional under that name."""
    found = re.findall(r"torch\._C\._nn\.(\w+)", line)
    if all(hasattr(F, name) for name in found):
        line = line.replace("torch._C._nn.", "F.")
    return line.replace("torch.nn.functional.", "F.")


def _import(name: str, known: Mapping[str, Any]) -> str:
    value = known.get(name)
    if name in ("self", "torch") or hasattr(builtins, name):
        return ""
    if name in IMPORTS:
        return IMPORTS[name]
    if isinstance(value, ModuleType) and name in sys.stdlib_module_names:
        return f"import {name}"
    raise TuckerlabError(f"the plain format cannot write {name}, which the forward pass calls; {OTHERS}")
