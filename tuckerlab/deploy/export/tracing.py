"""What torch prints and says when it cannot follow a network, as one sentence.

>>> class Branches(nn.Module):
...     def forward(self, x):
...         return x if x.sum() > 0 else -x
>>> with following("as an exported program"):
...     torch.export.export(Branches(), (torch.ones(2, 3),))
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: this network cannot be written as an exported program: what its forward does ...
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch as torch
from torch import nn as nn

from tuckerlab.deploy.export.sessions import in_short
from tuckerlab.errors import TuckerlabError

TALKERS = ("torch", "onnxscript", "onnx_ir")
UNDECIDED = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException")
"""What torch raises where the numbers in a tensor decide: private names, so a new one gives torch's own words."""


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
        while first.__cause__ is not None and isinstance(first.__cause__, Exception):
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
    loggers = [logging.getLogger(name) for name in {*TALKERS, *known}]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),  # torch prints the graph there, of a network that it cannot follow
    ):
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
