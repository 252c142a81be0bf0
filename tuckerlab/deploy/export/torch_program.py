"""torch.export: one file (.pt2) with the graph and the weights, for `torch.export.load`."""

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, checked, like, notes, on_cpu
from tuckerlab.deploy.ort import in_short
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

TALKERS = ("torch", "onnxscript", "onnx_ir")
UNDECIDED = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException")
"""What torch raises where the numbers in a tensor decide: private names, so a new one gives torch's own words."""


def export_program(
    model: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Writes a network, Tucker or plain, as an exported program with a batch of any size, atomically, after a check.

    The file is loaded again and run on a batch of 1 and of 32; a file that is there is written over. metadata: text by
    name, in the file as JSON (extra_files, "about.json"), with the version of tuckerlab. A Tucker network is written as
    `to_plain` makes it; give `prepared(model, example, runtime="torch").module` for the fastest form.

    Raises TuckerlabError, and writes nothing, for a network that cannot be traced, and for one whose answers change.
    """
    plain, example = on_cpu(model, example)
    images = like(example, 2)  # a batch of 1 would be taken for a constant
    with following("as an exported program"):
        program = torch.export.export(plain, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            torch.export.save(program, file, extra_files={"about.json": json.dumps(notes(metadata))})
        with temporary.open("rb") as file:
            written = torch.export.load(file).module()
        far = checked(written, plain, example, "the exported program")
        size = temporary.stat().st_size
    return Exported(Path(path), size, far)


@contextlib.contextmanager
def following(what: str) -> Iterator[None]:
    """The block in which torch follows a network's forward, without its chatter; TuckerlabError where it cannot.

    >>> with following("as ONNX"):
    ...     raise RuntimeError("boom")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: this network cannot be written as ONNX: boom

    what: as which kind of file it is to be written.
    """
    try:
        with _silence():
            yield
    except Exception as error:  # whatever the network's forward raises when it is followed
        first = error
        while isinstance(first.__cause__, Exception):
            first = first.__cause__
        said = in_short(first)
        if type(first).__name__ in UNDECIDED:
            said = (
                "what its forward does depends on the numbers in the images (an `if` on a tensor, or `.item()`), and "
                "a file has one way for all images; choose number by number instead, with torch.where"
            )
        raise TuckerlabError(f"this network cannot be written {what}: {said}") from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what exporters print, log and warn of: it is about their own inside, and a failure raises."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in TALKERS]
    levels = {logger: logger.level for logger in map(logging.getLogger, {*TALKERS, *known})}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),  # torch prints the graph there, of a network that it cannot follow
    ):
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        for logger in levels:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)
