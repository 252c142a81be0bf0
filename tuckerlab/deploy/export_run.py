"""From a run to a file for whoever deploys it: the network, what it must be given, and where it comes from."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from tuckerlab.deploy.export import export_onnx, export_plain, export_program
from tuckerlab.deploy.export.parity import Exported
from tuckerlab.deploy.export.prepare import FromPixels
from tuckerlab.deploy.export.python_source import SOURCE, WEIGHTS
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import file_size
from tuckerlab.training.environment import provenance
from tuckerlab.training.models import build

IMAGES = 8  # as examples
FORMATS = {  # what writes it, what its files' names end with, and how it is used
    "onnx": (
        export_onnx, ".onnx", 'session = onnxruntime.InferenceSession("{path}")',
        'answer = session.run(None, {{"images": images}})[0]',
    ),
    "torch": (
        export_program, ".pt2", 'network = torch.export.load("{path}").module()', "answer = network(images)"
    ),
    "plain": (export_plain, "", "from model import load  # with {path} in sys.path", "answer = load()(images)"),
}  # fmt: skip


@dataclass(frozen=True)
class Handover:
    """What was written, what the file says about itself, and the bytes of the full network at four a number."""

    exported: Exported
    metadata: dict[str, str]
    dense_bytes: int
    to: str


def run_export(
    run: str | os.PathLike[str], *, to: str, network: str | None = None, out: str | os.PathLike[str] | None = None,
    overwrite: bool = False, quiet: bool = False,
) -> Handover:  # fmt: skip
    """Writes a network of a run as ONNX ("onnx"), as a program of torch.export ("torch") or as plain torch ("plain").

    network: its label, and "dense" for the full one; None for the smallest in Tucker format. Of several seeds it is
    the first. out: None for RUN/export/. overwrite: whether what lies at `out` already may be written over; what lies
    in RUN/export/ always is. The file takes pixels from 0 to 255, as they are: the normalisation of the data is in it.

    Raises TuckerlabError (DataError, CheckpointError) for what is not there or cannot be had.
    """
    if to not in FORMATS:
        raise TuckerlabError(f"--to {to}: allowed are {', '.join(FORMATS)}")
    folder = RunFolder.open(run)
    label = network or folder.small
    if label is None:
        raise DataError(f"{run}: no network in Tucker format; give --network and one of {', '.join(folder.labels)}")
    trained, row = folder.network(label), folder.rows(label).iloc[0]
    export, ending, *_ = FORMATS[to]
    path, data, spec = _place(folder, in_file_names(label) + ending, to, out, overwrite), folder.data(), trained.spec
    assert isinstance(spec, dict)
    here, side = provenance("cpu"), spec["image_size"]
    metadata = {
        "input": f"float32, N × {spec['in_channels']} × {side} × {side}, pixels from 0 to 255",
        "output": f"N × {spec['num_classes']}: a score for each class, the highest is the answer",
        "classes": json.dumps(data.classes, ensure_ascii=False),
        "dataset": data.name,
        "model": json.dumps(spec),
        "network": label,
        "run": folder.folder.name,
        "seed": str(row["seed"]),
        "commit": str(row["commit"]),
        "torch": str(here["torch"]),
        "date": str(here["date"]),
    }
    if not quiet:
        Console().print(f"writing {path}, and comparing its answers", highlight=False, markup=False, soft_wrap=True)
    module, images = FromPixels(trained, data.mean, data.std), data.test_images[:IMAGES].float()
    exported = export(module, path, images, metadata=metadata)
    with torch.device("meta"):
        dense_bytes = 4 * sum(parameter.numel() for parameter in build(**spec).parameters())
    return Handover(exported, metadata, dense_bytes, to)


def _place(folder: RunFolder, name: str, to: str, out: str | os.PathLike[str] | None, overwrite: bool) -> Path:
    """Where the file goes: `out`, or a name of its own in a folder that is there, or one below the run."""
    if out is None:
        return folder.folder / "export" / name
    if not os.fspath(out):
        raise TuckerlabError('--out "": give the path of a file or folder, or leave it out')
    path = Path(out)
    if to != "plain" and path.is_dir():
        path /= name
    for file in (path / SOURCE, path / WEIGHTS) if to == "plain" else (path,):
        if file.exists() and not overwrite:
            raise TuckerlabError(f"--out {out}: {file} is there already; --overwrite replaces it")
    return path


def show(done: Handover) -> None:
    """Prints how large the file is, how near its answers are, and how it is used."""
    size, full = done.exported.size_bytes, done.dense_bytes
    *_, opened, used = FORMATS[done.to]
    print(
        f"written: {done.exported.path}",
        f"size: {file_size(size)}; the weights of the full network take {file_size(full)}, {full / size:.1f}× as much",
        f"check: answers within {done.exported.difference:.0e} of the largest output, for 1 and for 32 images",
        "to use it:",
        f"  {opened.format(path=done.exported.path.as_posix())}",
        f"  {used.format()}  # images: {done.metadata['input']}",
        sep="\n",
    )
