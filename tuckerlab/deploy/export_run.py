"""From a run to a file for whoever deploys it: the network, what it must be given, and where it comes from.

>>> run_export("runs/mine", to="paper")
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: --to paper: allowed are onnx, torch, plain
"""

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tuckerlab.deploy.chain_merging import MARGIN
from tuckerlab.deploy.export import Exported, FromPixels, Prepared, export_onnx, export_plain, export_program, prepared
from tuckerlab.deploy.export.onnx import check_opset
from tuckerlab.deploy.export.place import check_folder, check_free
from tuckerlab.deploy.export.prepare import Runtime
from tuckerlab.deploy.export.python_source import check_plain
from tuckerlab.deploy.trained_network import Trained
from tuckerlab.errors import TuckerlabError

FORMATS = {"onnx": ".onnx", "torch": ".pt2", "plain": ""}  # what the names of the files end with
FILES = (".onnx", ".pt2", ".pt", ".pth", ".py", ".safetensors")  # what the name of a folder would not end with

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

    @property
    def use(self) -> str:
        """Two lines of Python that use the file."""
        return "\n".join(USE[self.to]).format(path=self.exported.path.as_posix(), input=self.metadata["input"])


def run_export(
    run: str | os.PathLike[str],
    *,
    to: str,
    network: str | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    opset: int | None = None,
    margin: float = MARGIN,
    quiet: bool = False,
) -> Handover:
    """Writes a network of a run as ONNX ("onnx"), as a program of torch.export ("torch") or as plain torch ("plain").

    run: a run folder, or one checkpoint in it. network: its label, and "dense" for the full one; None for the smallest
    in Tucker format. seed: None for the first. out: None for RUN/export/. margin: as `merge` takes it. The file takes
    pixels from 0 to 255, as they are: the normalisation of the data is in it. A checkpoint that lies in no run folder
    does not know its data; its file takes normalised images, and says so. An earlier export is written over, any other
    file is not.

    Raises TuckerlabError (DataError, CheckpointError) for what is not there or cannot be had, before anything is done.
    """
    if to not in FORMATS:
        raise TuckerlabError(f"--to {to}: allowed are {', '.join(FORMATS)}")
    if opset is not None and to != "onnx":
        raise TuckerlabError(f"--opset {opset} with --to {to}: only onnx has an opset; leave it out")
    if to == "onnx":
        check_opset(opset)
    if not margin >= 0:
        raise TuckerlabError(f"--margin {margin}: allowed are numbers from 0 on, and inf for the smallest form")
    if out is not None:
        _check_out(to, out)
    source = Trained.find(run, network, seed)
    path = _place(source, to, out)
    if to == "plain":
        check_plain(path)
    else:
        check_free(path, FORMATS[to])
    check_folder(path if to == "plain" else path.parent)
    runtime: Runtime = "onnxruntime" if to == "onnx" else "torch"
    ready = prepared(source.network, source.images[:1], runtime=runtime, margin=margin, quiet=quiet)
    if not quiet:
        Console().print(f"writing {path}, and comparing its answers", highlight=False, markup=False, soft_wrap=True)
    module, example = ready.module, source.images
    if source.data is not None:
        module, example = FromPixels(module, source.data.mean, source.data.std), source.data.test_images[:8].float()
    metadata = source.metadata
    if to == "onnx":
        exported = export_onnx(module, path, example, opset=opset, metadata=metadata)
    elif to == "torch":
        exported = export_program(module, path, example, metadata=metadata)
    else:
        exported = export_plain(module, path, example, metadata=metadata)
    return Handover(exported, ready, metadata, source.dense_bytes, to)


def show(done: Handover) -> None:
    """Prints what became of the network, how large the file is, how near its answers are, and how it is used."""
    size, full = done.exported.size_bytes / 1e6, done.dense_bytes / 1e6
    print(
        *done.prepared.words,
        f"written: {done.exported.path}",
        f"size: {size:.3g} MB; the weights of the full network take {full:.3g} MB, {full / size:.1f} times as much",
        f"check: answers within {done.difference:.0e} of the largest output, for 1 and for 32 images",
        "to use it:",
        *(f"  {line}" for line in done.use.splitlines()),
        sep="\n",
    )


def _check_out(to: str, out: str | os.PathLike[str]) -> None:
    """TuckerlabError for a path that a file of this format, or a folder for it, cannot have."""
    path, ending = Path(out), FORMATS[to]
    if not os.fspath(out):
        raise TuckerlabError(f'--out "": give the path of a {"file" if ending else "folder"}, or leave it out')
    if path.is_dir():
        return
    if ending and path.suffix != ending:
        raise TuckerlabError(f"--out {path}: a file for {to} ends in {ending}; give such a name, or a folder there is")
    if not ending and path.suffix in FILES and not path.exists():
        raise TuckerlabError(f"--out {path}: plain makes a folder, not a {path.suffix} file; give the path of a folder")
    check_folder(path.parent)


def _place(source: Trained, to: str, out: str | os.PathLike[str] | None) -> Path:
    """Where the file goes: `out`, or a name of its own in a folder that is there, or one below the run."""
    name = f"{source.slug}{FORMATS[to]}"
    if out is None:
        return source.folder / "export" / name
    return Path(out) / name if to != "plain" and Path(out).is_dir() else Path(out)
