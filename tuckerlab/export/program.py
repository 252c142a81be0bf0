"""torch.export: one file (.pt2) with the graph and the weights, for `torch.export.load`.

>>> export_program(nn.Linear(8, 4), "model.pt2", torch.zeros(8))
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: example: a tensor of shape (8,); give a batch of inputs, such as ...
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tuckerlab.atomic import atomic_path
from tuckerlab.convert import to_plain
from tuckerlab.errors import TuckerlabError
from tuckerlab.export.parity import Exported, checked, checked_example, like
from tuckerlab.export.sessions import in_short

ABOUT = "about.json"


def export_program(
    model: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Writes a network, Tucker or plain, as an exported program with a batch of any size, atomically, after a check.

    The file is loaded again and run on a batch of 1 and of 32. metadata: text by name, in the file as JSON
    (extra_files, "about.json"). A Tucker network is written as `to_plain` makes it; give
    `prepared(model, example, runtime="torch").module` for the fastest form.

    Raises TuckerlabError, and writes nothing, for a network that cannot be traced, and for one whose answers change.
    """
    example, path = checked_example(example), Path(path)
    plain = to_plain(model).cpu().eval()
    try:
        program = torch.export.export(
            plain, (like(example, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )  # a batch of 1 would be taken for a constant
    except Exception as error:  # whatever the network's forward raises when it is traced
        raise TuckerlabError(f"torch.export cannot trace the network: {in_short(error)}") from error
    about = json.dumps({key: str(value) for key, value in (metadata or {}).items()})
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            torch.export.save(program, file, extra_files={ABOUT: about})
        with temporary.open("rb") as file:
            written = torch.export.load(file).module()
        far = checked(written, plain, example, "the exported program")
        size = temporary.stat().st_size
    return Exported(path, size, far)
