"""A network as files that torch alone can run: a program of torch.export, or `model.py` and `model.safetensors`."""

import ast
import json
import os
import pprint
import re
import runpy
import textwrap
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from string import Template

import safetensors.torch
import torch
from torch import Tensor, fx, nn

from tuckerlab.deploy.export.parity import Exported, answer, compared, following, like, notes
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

SOURCE, WEIGHTS = "model.py", "model.safetensors"
KEPT = 8  # outputs in the file, for its self test
TEMPLATE = Template((Path(__file__).parent / "templates" / "model.py.txt").read_text(encoding="utf-8"))
NOTHING = (nn.Identity, nn.modules.dropout._DropoutNd)  # in eval mode
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
    (nothing is unpickled); `python model.py` tests itself on the numbers that the network gave here. Otherwise as
    `export_onnx`; metadata goes into the source as `ABOUT` and into the header of the weights.

    Raises TuckerlabError, and writes nothing, for a network that torch.fx cannot trace, a layer that is not a plain one
    of torch.nn, and answers that change.
    """
    folder, about = Path(folder), notes(metadata)
    plain, original, example = prepared(model, example)
    imports, network, tensors = written(plain)
    low, high, shape = float(example.min()), float(example.max()), (1, *example.shape[1:])
    ramp = torch.linspace(low, high, example[0].numel()).reshape(shape).to(example.dtype)
    expected = answer(original, ramp).flatten()
    code = TEMPLATE.substitute(
        imports="".join(f"{line}\n" for line in imports),
        about=pprint.pformat(about, width=118, sort_dicts=False),
        network=network,
        shape=shape,
        low=low,
        high=high,
        dtype=example.dtype,
        expected=[float(f"{value:.8g}") for value in expected[:KEPT].tolist()],
        scale=float(expected.abs().max()) or 1.0,
    )
    with atomic_path(folder / WEIGHTS) as weights, atomic_path(folder / SOURCE) as file:
        safetensors.torch.save_file(tensors, weights, metadata=about)
        file.write_text(code, encoding="utf-8")
        with following(f"as source, {OTHERS}"):
            loaded = runpy.run_path(str(file))["load"](weights)
        far = compared(loaded, original, example, "the network in model.py")
        return Exported(folder, weights.stat().st_size + file.stat().st_size, far)


def export_program(
    model: nn.Module, path: str | os.PathLike[str], example: Tensor, *, metadata: Mapping[str, str] | None = None
) -> Exported:
    """Writes a network, Tucker or plain, as one file for `torch.export.load`, with a batch of any size, after a check.

    As `export_onnx`; metadata goes into the file as JSON (extra_files, "about.json").

    Raises TuckerlabError, and writes nothing, for a network that cannot be traced, and for one whose answers change.
    """
    plain, original, example = prepared(model, example)
    images = like(example, 2)  # a batch of 1 would be taken for a constant
    with following("as an exported program"):
        program = torch.export.export(plain, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            torch.export.save(program, file, extra_files={"about.json": json.dumps(notes(metadata))})
        with temporary.open("rb") as file:
            loaded = torch.export.load(file).module()
        far = compared(loaded, original, example, "the exported program")
        return Exported(Path(path), temporary.stat().st_size, far)


def written(network: nn.Module) -> tuple[list[str], str, dict[str, Tensor]]:
    """What a network imports beside torch, nn and F, its class `Network` as code, and its tensors by name."""
    with following(f"as source, {OTHERS}"):
        graph = fx.Tracer().trace(network)
    lines, names, tensors = list[str](), dict[str, str](), dict[str, Tensor]()
    for node in list(graph.nodes):
        node.type = None
        if node.op not in ("call_module", "get_attr"):
            continue
        target = str(node.target)
        value = attrgetter(target)(network)
        if isinstance(value, NOTHING):
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)
            continue
        if target not in names:  # the name that fx gives to its answer is one that no other has
            names[target] = name = f"layer{node.name}" if node.name.startswith("_") else node.name
            made, found = _part(value, name)
            lines.append(made)
            tensors |= {key: tensor.detach().contiguous().clone() for key, tensor in found.items()}
        node.target = names[target]
    forward = graph.python_code("self")
    layers = textwrap.indent("\n".join(["super().__init__()", *lines]), " " * 8)
    body = textwrap.indent(forward.src.strip(), " " * 4)
    body = body.replace("torch._C._nn.", "F.").replace("torch.nn.functional.", "F.")
    code = f"class Network(nn.Module):\n    def __init__(self) -> None:\n{layers}\n\n{body}\n"
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    used &= forward.globals.keys() - {"torch"}
    if unknown := sorted(used - IMPORTS.keys()):
        raise TuckerlabError(f"the plain format cannot write {unknown[0]}, which the forward pass calls; {OTHERS}")
    return sorted(IMPORTS[name] for name in used), code, tensors


def _part(value: nn.Module | Tensor, name: str) -> tuple[str, dict[str, Tensor]]:
    """The line that makes a layer or a tensor of a network, and its tensors by name."""
    if isinstance(value, nn.Parameter):
        return f"self.{name} = nn.Parameter(torch.empty({tuple(value.shape)}))", {name: value}
    if isinstance(value, Tensor):
        return f'self.register_buffer("{name}", torch.empty({tuple(value.shape)}))', {name: value}
    if not type(value).__module__.startswith("torch.nn.") or list(value.children()):
        raise TuckerlabError(f"the plain format cannot write a {type(value).__name__}; {OTHERS}")
    made = re.sub("=(same|valid|reflect|replicate|circular)", r'="\1"', f"self.{name} = nn.{value!r}")
    made = made.replace(", bias=True", "").replace("affine=False, bias=False", "affine=False")  # for older torch
    return made, {f"{name}.{key}": tensor for key, tensor in value.state_dict().items()}
