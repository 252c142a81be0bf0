"""A network as files that torch alone can run: `model.py`, to read and to import, and `model.safetensors`.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> done = export_plain(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), folder, torch.zeros(1, 8))
>>> sorted(path.name for path in folder.iterdir()), done.difference
(['model.py', 'model.safetensors'], 0.0)
"""

import os
import pprint
import runpy
from collections.abc import Mapping
from math import prod
from pathlib import Path
from string import Template

import safetensors.torch
import torch
from torch import Tensor, nn

from tuckerlab.atomic import atomic_path
from tuckerlab.convert import to_plain
from tuckerlab.export.parity import Exported, answer, checked, checked_example
from tuckerlab.export.source import Source

TOLERANCE = 1e-5  # the same kernels of torch on both sides
WEIGHTS = "model.safetensors"
KEPT = 8  # outputs in the file, for its self test

TEMPLATE = Template((Path(__file__).parents[1] / "templates" / "plain" / "model.py.txt").read_text(encoding="utf-8"))


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
    name, in the source as `ABOUT` and in the header of the weights. A Tucker network is written as `to_plain` makes it;
    give `prepared(model, example, runtime="torch").module` for the fastest form.

    Raises TuckerlabError, and writes nothing, for a network that torch.fx cannot trace, a layer that is not a plain one
    of torch.nn, or answers that differ by more than 1e-5 of the largest output.
    """
    example, folder = checked_example(example), Path(folder)
    plain = to_plain(model).cpu().eval()
    source = Source.of(plain)
    code = _code(plain, source, example, metadata or {})
    tensors = {name: value.detach().contiguous().clone() for name, value in source.tensors.items()}
    header = {key: str(value) for key, value in (metadata or {}).items()}
    with atomic_path(folder / WEIGHTS) as weights, atomic_path(folder / "model.py") as file:
        safetensors.torch.save_file(tensors, weights, metadata=header)
        file.write_text(code, encoding="utf-8")
        written = runpy.run_path(str(file))["load"](weights)
        far = checked(written, plain, example, "the network in model.py", TOLERANCE)
        size = weights.stat().st_size + file.stat().st_size
    return Exported(folder, size, far)


def _code(plain: nn.Module, source: Source, example: Tensor, metadata: Mapping[str, str]) -> str:
    low, high = float(example.min()), float(example.max())
    low, high = (low, high) if low < high else (-1.0, 1.0)
    shape = (1, *example.shape[1:])
    steps = torch.arange(prod(shape)).mul(7919).remainder(256).reshape(shape) / 255
    expected = answer(plain, (low + (high - low) * steps).to(example.dtype)).flatten()
    return TEMPLATE.substitute(
        zeros=", ".join(map(str, shape)),
        range=f"{example.dtype}, here with numbers from {low:g} to {high:g}",
        imports="".join(f"{line}\n" for line in source.imports),
        about=pprint.pformat({key: str(value) for key, value in metadata.items()}, width=118, sort_dicts=False),
        network=source.code,
        shape=shape,
        low=low,
        high=high,
        dtype=example.dtype,
        expected=[float(f"{value:.8g}") for value in expected[:KEPT].tolist()],
        scale=float(expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)),
    )
