"""Networks in onnxruntime: a session for a file, and its answers."""

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tuckerlab.errors import TuckerlabError

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]


def open_session(
    model: str | os.PathLike[str] | bytes, *, threads: int | None = None
) -> "onnxruntime.InferenceSession":
    """An onnxruntime session on the CPU for a file or its bytes; `threads` None: as many as torch uses.

    Raises TuckerlabError, with what onnxruntime says, for what it cannot load.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    source = model if isinstance(model, bytes) else os.fspath(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but Exception
        name = "the model" if isinstance(model, bytes) else Path(model).name
        raise TuckerlabError(f"{name}: onnxruntime cannot load it ({in_short(error)})") from None


def answers(session: "onnxruntime.InferenceSession", images: Tensor) -> Tensor:
    """The first output of a session for a batch; TuckerlabError, with what onnxruntime says, if it has none for it."""
    try:
        return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])
    except Exception as error:  # its exceptions have no common base but Exception
        shape = tuple(images.shape)
        raise TuckerlabError(f"onnxruntime cannot answer a batch of shape {shape} ({in_short(error)})") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters print, log and warn of: it is about their own inside, and a failure raises."""
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),  # torch prints the graph there, of a network that it cannot follow
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def in_short(error: Exception) -> str:
    """What an error of another package says, on one line and without colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]
