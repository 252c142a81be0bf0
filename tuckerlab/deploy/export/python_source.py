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

from tuckerlab.deploy.export.parity import Exported, answer, checked, on_cpu
from tuckerlab.deploy.export.place import check_free, marked
from tuckerlab.deploy.export.source import Source
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

TOLERANCE = 1e-5  # the same kernels of torch on both sides
SOURCE, WEIGHTS = "model.py", "model.safetensors"
KEPT = 8  # outputs in the file, for its self test

TEMPLATE = Template((Path(__file__).parent / "templates" / "model.py.txt").read_text(encoding="utf-8"))


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
    written as `to_plain` makes it; give `prepared(model, example, runtime="torch").module` for the fastest form.

    Raises TuckerlabError, and writes nothing, for a network that torch.fx cannot trace, a layer that is not a plain one
    of torch.nn, answers that differ by more than 1e-5 of the largest output, or a file that is no earlier export.
    """
    folder, notes = Path(folder), marked(metadata)
    check_plain(folder)
    plain, example = on_cpu(model, example)
    source = Source.of(plain)
    code = _code(plain, source, example, notes)
    tensors = {name: value.detach().contiguous().clone() for name, value in source.tensors.items()}
    with atomic_path(folder / WEIGHTS) as weights, atomic_path(folder / SOURCE) as file:
        safetensors.torch.save_file(tensors, weights, metadata=notes)
        file.write_text(code, encoding="utf-8")
        written = runpy.run_path(str(file))["load"](weights)
        far = checked(written, plain, example, "the network in model.py", TOLERANCE)
        size = weights.stat().st_size + file.stat().st_size
    return Exported(folder, size, far)


def check_plain(folder: Path) -> None:
    """TuckerlabError where a folder cannot take the files of an export, or has some of other origin.

    >>> check_plain(Path(__file__))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: ...python_source.py: is a file; give a folder
    """
    if folder.exists() and not folder.is_dir():
        raise TuckerlabError(f"{folder}: is a file; give a folder")
    for name in (SOURCE, WEIGHTS):
        check_free(folder / name, Path(name).suffix)


def _code(plain: nn.Module, source: Source, example: Tensor, notes: dict[str, str]) -> str:
    low, high = float(example.min()), float(example.max())
    low, high = (low, high) if low < high else (-1.0, 1.0)
    shape = (1, *example.shape[1:])
    steps = torch.arange(prod(shape)).mul(7919).remainder(256).reshape(shape) / 255
    expected = answer(plain, (low + (high - low) * steps).to(example.dtype)).flatten()
    return TEMPLATE.substitute(
        zeros=", ".join(map(str, shape)),
        range=f"{example.dtype}, here with numbers from {low:g} to {high:g}",
        imports="".join(f"{line}\n" for line in source.imports),
        about=pprint.pformat(notes, width=118, sort_dicts=False),
        network=source.code,
        shape=shape,
        low=low,
        high=high,
        dtype=example.dtype,
        expected=[float(f"{value:.8g}") for value in expected[:KEPT].tolist()],
        scale=float(expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)),
    )
