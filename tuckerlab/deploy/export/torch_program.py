"""torch.export: one file (.pt2) with the graph and the weights, for `torch.export.load`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, compared, following, like, notes
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.files import atomic_path


def export_program(
    model: nn.Module, path: str | os.PathLike[str], example: Tensor, *, metadata: Mapping[str, str] | None = None
) -> Exported:
    """Writes a network, Tucker or plain, as an exported program with a batch of any size, atomically, after a check.

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
            written = torch.export.load(file).module()
        far = compared(written, original, example, "the exported program")
        size = temporary.stat().st_size
    return Exported(Path(path), size, far)
