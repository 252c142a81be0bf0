"""A network as files that torch alone can run: `model.py`, to read and to import, and `model.safetensors`."""

import ast
import inspect
import keyword
import os
import pprint
import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count, zip_longest
from math import prod
from operator import attrgetter
from pathlib import Path
from string import Template

import safetensors.torch
import torch
from torch import Tensor, fx, nn

from tuckerlab.deploy.export.parity import Exported, answer, checked, following, notes, plain_on_cpu
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

TOLERANCE = 1e-5  # the same kernels of torch on both sides
SOURCE, WEIGHTS = "model.py", "model.safetensors"
KEPT = 8  # outputs in the file, for its self test
TEMPLATE = Template((Path(__file__).parent / "templates" / "model.py.txt").read_text(encoding="utf-8"))
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)  # in eval mode
SIZES = ("in_channels", "out_channels", "in_features", "out_features", "num_features", "normalized_shape")
IMPORTS = {
    "inf": "from math import inf", "nan": "from math import nan", "device": "from torch import device",
    "math": "import math", "operator": "import operator",
}  # fmt: skip
OTHERS = "use onnx or torch"


def export_plain(
    model: nn.Module, folder: str | os.PathLike[str], example: Tensor, *, metadata: Mapping[str, str] | None = None
) -> Exported:
    """Writes `model.py` and `model.safetensors` into a folder; they need torch, and neither tuckerlab nor safetensors.

    The source has the layers and the forward pass in plain words of torch, and `load()`, which reads the weights
    (nothing is unpickled); `python model.py` tests itself on the numbers that the network gave here. metadata: text by
    name, in the source as `ABOUT` and in the header of the weights, with the version of tuckerlab. A Tucker network is
    written as `to_plain` makes it; give `prepared(model, example, align=False).module` for the fastest form. Files
    of these names are written over.

    Raises TuckerlabError, and writes nothing, for a network that torch.fx cannot trace, a layer that is not a plain one
    of torch.nn, or answers that differ by more than 1e-5 of the largest output.
    """
    folder, about = Path(folder), notes(metadata)
    plain, example = plain_on_cpu(model, example)
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

        Raises TuckerlabError for a network that cannot be traced, a layer that is not a plain one of torch.nn, or a
        function that is not of torch.
        """
        with following(f"as source, {OTHERS}"):
            graph = fx.Tracer().trace(network.eval())
        parts, flat = _flatten(network, graph)
        written = graph.python_code("self")
        lines = ["class Network(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
        code = "\n".join([*lines, *(f"        {line}" for line in parts), "", _forward(written.src), ""])
        used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        used &= written.globals.keys() - {"torch"}
        if unknown := sorted(used - IMPORTS.keys()):
            raise TuckerlabError(f"the plain format cannot write {unknown[0]}, which the forward pass calls; {OTHERS}")
        return cls(code, tuple(sorted(IMPORTS[name] for name in used)), flat.state_dict())


def construction(module: nn.Module) -> str:
    """How a layer of torch.nn is made; arguments that have their default value are left out.

    >>> construction(nn.Conv2d(3, 8, 3, padding=1))
    'nn.Conv2d(3, 8, kernel_size=(3, 3), padding=(1, 1))'

    Raises TuckerlabError for a layer that does not keep what it was made with, and for those of others.
    """
    kind = type(module)
    parameters = inspect.signature(kind.__init__).parameters
    wanted = {name: entry.default for name, entry in parameters.items() if name not in ("self", "device", "dtype")}
    if not kind.__module__.startswith("torch.nn.") or not all(hasattr(module, name) for name in wanted):
        raise TuckerlabError(f"the plain format cannot write a {kind.__name__}; {OTHERS}")
    arguments = []
    for name, default in wanted.items():
        value = getattr(module, name)
        if name == "bias":
            if value is None and not getattr(module, "affine", True):
                continue  # affine=False says it, in every version of torch
            value = value is not None
        if name in SIZES:
            arguments.append(repr(value))
        elif value not in (default, (default,) * len(value) if isinstance(value, tuple) else default):
            arguments.append(f"{name}={value!r}")
    return f"nn.{kind.__name__}({', '.join(arguments)})"


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
            if isinstance(value, nn.Module):
                flat.add_module(name, value)
                lines.append(f"self.{name} = {construction(value)}")
            elif isinstance(value, nn.Parameter):
                flat.register_parameter(name, value)
                lines.append(f"self.{name} = nn.Parameter(torch.empty({tuple(value.shape)}))")
            else:
                flat.register_buffer(name, value)
                lines.append(f'self.register_buffer("{name}", torch.empty({tuple(value.shape)}))')
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


def _forward(written: str) -> str:
    """The forward pass that torch.fx has written, with short names.

    fx gives each value a name of its own and says where it is needed for the last time (`a = None`). Here the next
    value takes up that name, which reads better and frees the memory too.
    """
    (function,) = (part for part in ast.parse(written.strip()).body if isinstance(part, ast.FunctionDef))
    inputs = [argument.arg for argument in function.args.args]
    for argument in function.args.args:
        argument.annotation = None
    names, free = {name: name for name in inputs}, list[str]()
    fresh = (name for name in chain("xyzuvw", (f"x{number}" for number in count(2))) if name not in inputs)
    lines = [f"    def forward({ast.unparse(function.args)}):"]
    for statement, after in zip_longest(function.body, function.body[1:]):
        if _given_up(statement):
            continue
        targets = [
            node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node not in targets:
                node.id = names.get(node.id, node.id)
        free += [names.pop(name) for name in _given_up(after) if name in names and name not in inputs]
        for node in targets:
            names[node.id] = node.id = free.pop() if free else next(fresh)
        line = ast.unparse(statement).replace("torch._C._nn.", "F.").replace("torch.nn.functional.", "F.")
        lines.append(f"        {line}")
    return "\n".join(lines)


def _given_up(statement: ast.stmt | None) -> list[str]:
    """The names that a statement `a = b = None` gives up; empty for any other."""
    if not isinstance(statement, ast.Assign) or ast.unparse(statement.value) != "None":
        return []
    return [target.id for target in statement.targets if isinstance(target, ast.Name)]
