"""From a run to a file for whoever deploys it: the network, what it must be given, and where it comes from."""

import json
import os
from pathlib import Path
from typing import Any

from tuckerlab.deploy.export.onnx import export_onnx
from tuckerlab.deploy.export.parity import Exported
from tuckerlab.deploy.export.prepare import from_pixels
from tuckerlab.deploy.export.torch_files import SOURCE, WEIGHTS, export_plain, export_program
from tuckerlab.errors import DataError, TuckerlabError, check_choice
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.run_folder import RunFolder

IMAGES = 8  # as examples
FORMATS = {  # what writes it, how the file ends, how it is used
    "onnx": (export_onnx, ".onnx", 'onnxruntime.InferenceSession("{path}").run(None, {{"images": images}})[0]'),
    "torch": (export_program, ".pt2", 'torch.export.load("{path}").module()(images)'),
    "plain": (export_plain, "", "model.load()(images), after `import model` with {path} in sys.path"),
}


def run_export(
    run: str | os.PathLike[str], *, to: str, network: str | None = None, out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Exported:  # fmt: skip
    """Writes a network of a run as ONNX, as a program of torch.export or as plain torch, and prints how to use it.

    network: its label; None for the smallest in Tucker format. out: None for RUN/export/, where all is replaced;
    elsewhere that takes `overwrite`. TuckerlabError for what is not there or cannot be had.
    """
    check_choice("--to", to, FORMATS)
    folder = RunFolder.open(run)
    label = network or folder.small
    if label is None:
        raise DataError(f"{run}: no network in Tucker format; give --network and one of {', '.join(folder.labels)}")
    export, ending, use = FORMATS[to]
    trained: Any = folder.network(label)
    path = folder.folder / "export" / (in_file_names(label) + ending) if out is None else Path(out)
    for file in (path / SOURCE, path / WEIGHTS) if to == "plain" else (path,):
        if file.exists() and out is not None and not overwrite:
            raise TuckerlabError(f"--out {out}: {file} is there already; --overwrite replaces it")
    data = folder.data()
    row = folder.rows(label).iloc[0]
    shape = " × ".join(map(str, data.test_images.shape[1:]))
    metadata = {
        "input": f"float32, N × {shape}, pixels from 0 to 255",
        "classes": json.dumps(data.classes, ensure_ascii=False),
        "dataset": data.name,
        "model": json.dumps(trained.spec),
        "network": label,
        "run": folder.folder.name,
        "seed": str(row["seed"]),
        "commit": str(row["commit"]),
    }
    images = data.test_images[:IMAGES].float()
    exported = export(from_pixels(trained, *data.moments), path, images, metadata=metadata)
    print(f"{exported}\nto use it: {use.format(path=path.as_posix())}\nimages: {metadata['input']}")
    return exported
