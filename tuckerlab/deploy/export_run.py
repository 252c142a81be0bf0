"""From a run to a file for whoever deploys it: the network, what it must be given, and where it comes from."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from tuckerlab.data import ImageData
from tuckerlab.deploy.export import Exported, FromPixels, Prepared, export_onnx, export_plain, export_program, prepared
from tuckerlab.deploy.export.python_source import SOURCE, WEIGHTS
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import file_size
from tuckerlab.training.models import build
from tuckerlab.training.provenance import provenance

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "plain": ""}  # what the names of the files end with
IMAGES = 8  # as examples

USE = {
    "onnx": (
        'session = onnxruntime.InferenceSession("{path}")',
        'answer = session.run(None, {{"images": images}})[0]  # images: {input}',
    ),
    "torch": ('network = torch.export.load("{path}").module()', "answer = network(images)  # images: {input}"),
    "plain": ("from model import load  # with {path} in sys.path", "answer = load()(images)  # images: {input}"),
}


@dataclass(frozen=True)
class Handover:
    """What was written, what was done to the network before, and what the file says about itself.

    `dense_bytes` is what the weights of the full network take, at four bytes a number.
    """

    exported: Exported
    prepared: Prepared
    metadata: dict[str, str]
    dense_bytes: int
    to: str

    @property
    def difference(self) -> float:
        """The largest between an output of the file and of the trained network, relative to the largest output."""
        return self.exported.difference + self.prepared.difference


def run_export(
    run: str | os.PathLike[str], *, to: str, network: str | None = None, seed: int | None = None,
    out: str | os.PathLike[str] | None = None, opset: int | None = None, overwrite: bool = False, quiet: bool = False,
) -> Handover:  # fmt: skip
    """Writes a network of a run as ONNX ("onnx"), as a program of torch.export ("torch") or as plain torch ("plain").

    network: its label, and "dense" for the full one; None for the smallest in Tucker format. seed: None for the first.
    out: None for RUN/export/. overwrite: whether what lies at `out` already may be written over; what lies in
    RUN/export/ always is. The file takes pixels from 0 to 255, as they are: the normalisation of the data is in it.

    Raises TuckerlabError (DataError, CheckpointError) for what is not there or cannot be had.
    """
    if to not in FORMATS:
        raise TuckerlabError(f"--to {to}: allowed are {', '.join(FORMATS)}")
    if opset is not None and to != "onnx":
        raise TuckerlabError(f"--opset {opset} with --to {to}: only onnx has an opset; leave it out")
    folder = RunFolder.open(run)
    label = network or folder.small
    if label is None:
        known = ", ".join(folder.labels)
        raise DataError(f"{run}: no network in Tucker format; give --network and one of {known}")
    trained, rows = folder.network(label, seed), folder.rows(label)
    row = rows.iloc[0] if seed is None else rows[rows["seed"] == seed].iloc[0]
    name = in_file_names(label) + (f"-seed{row['seed']}" if len(rows) > 1 else "")
    path, data, spec = _place(folder.path, name, to, out, overwrite), folder.data(), dict(trained.spec)  # type: ignore[arg-type]
    metadata, images = _metadata(spec, data, label, folder.path.name, row), data.test_images[:IMAGES]
    ready = prepared(trained, data.normalize(images[:1]), align=to == "onnx")
    if not quiet:
        Console().print(f"writing {path}, and comparing its answers", highlight=False, markup=False, soft_wrap=True)
    module, example = FromPixels(ready.module, data.mean, data.std), images.float()
    if to == "onnx":
        exported = export_onnx(module, path, example, opset=opset, metadata=metadata)
    else:
        exported = (export_program if to == "torch" else export_plain)(module, path, example, metadata=metadata)
    with torch.device("meta"):
        dense_bytes = 4 * sum(parameter.numel() for parameter in build(**spec).parameters())
    return Handover(exported, ready, metadata, dense_bytes, to)


def _metadata(spec: dict[str, Any], data: ImageData, label: str, run: str, row: pd.Series) -> dict[str, str]:
    """What goes with the file: input and output, classes, where the network comes from, versions."""
    here, side = provenance("cpu"), spec["image_size"]
    return {
        "input": f"float32, N × {spec['in_channels']} × {side} × {side}, pixels from 0 to 255",
        "output": f"N × {spec['num_classes']}: a score for each class, the highest is the answer",
        "classes": json.dumps(data.classes, ensure_ascii=False),
        "dataset": data.name,
        "model": json.dumps(spec),
        "network": label,
        "run": run,
        "seed": str(row["seed"]),
        "commit": str(row["commit"]),
        **{name: str(here[name]) for name in ("tuckerlab", "torch", "date")},
    }


def show(done: Handover) -> None:
    """Prints what became of the network, how large the file is, how near its answers are, and how it is used."""
    size, full = done.exported.size_bytes, done.dense_bytes
    path, given = done.exported.path.as_posix(), done.metadata["input"]
    print(
        *done.prepared.words,
        f"written: {done.exported.path}",
        f"size: {file_size(size)}; the weights of the full network take {file_size(full)}, {full / size:.1f}× as much",
        f"check: answers within {done.difference:.0e} of the largest output, for 1 and for 32 images",
        "to use it:",
        *(f"  {line.format(path=path, input=given)}" for line in USE[done.to]),
        sep="\n",
    )


def _place(folder: Path, name: str, to: str, out: str | os.PathLike[str] | None, overwrite: bool) -> Path:
    """Where the file goes: `out`, or a name of its own in a folder that is there, or one below the run."""
    name += FORMATS[to]
    if out is None:
        return folder / "export" / name
    if not os.fspath(out):
        raise TuckerlabError('--out "": give the path of a file or folder, or leave it out')
    path = Path(out)
    if to != "plain" and path.is_dir():
        path /= name
    for file in (path / SOURCE, path / WEIGHTS) if to == "plain" else (path,):
        if file.exists() and not overwrite:
            raise TuckerlabError(f"--out {out}: {file} is there already; --overwrite replaces it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TuckerlabError(f"--out {path}: nothing can be written there ({error.strerror})") from None
    return path
