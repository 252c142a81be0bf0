"""Does an exported network give the answers of the network that it came from?"""

import io
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuckerlab import __version__
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import file_size

BATCHES = (1, 32)
TOLERANCE = 1e-4

Function = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Exported:
    """A file that was written: its path (of several: their folder), bytes, and what `compared` found."""

    path: Path
    size_bytes: int
    difference: float

    def __str__(self) -> str:
        return f"{self.path}: {file_size(self.size_bytes)}, outputs within {self.difference:.0e} of torch"


def notes(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """What is written into an export about itself, as text, with the version of tuckerlab."""
    return {key: str(value) for key, value in {"tuckerlab": __version__, **(metadata or {})}.items()}


def compared(exported: Function, original: Function, example: Tensor, what: str) -> float:
    """The largest |exported − original| on batches like the example, relative to max |original|; or an error."""
    far = 0.0
    for batch in BATCHES:
        images = like(example, batch)
        expected, found = answer(original, images), answer(exported, images)
        own = math.inf
        if found.shape == expected.shape:
            scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
            own = float((found.to(expected) - expected).abs().max() / scale)
        if not own <= TOLERANCE:  # NaN too
            raise TuckerlabError(
                f"{what} answers differently from the network: by {own:.1g} of its largest output, allowed are "
                f"{TOLERANCE:g}; nothing was written"
            )
        far = max(far, own)
    return far


def answer(network: Function, images: Tensor) -> Tensor:
    """What a network answers; TuckerlabError if it raises, or that is not one tensor."""
    try:
        with torch.no_grad():
            found = network(images)
    except Exception as error:  # the forward of the caller's network, which may raise anything
        raise TuckerlabError(
            f"the network does not answer a batch of shape {tuple(images.shape)} ({in_short(error)}); give an example "
            "of the shape that it takes"
        ) from error
    if not isinstance(found, Tensor):
        kind = type(found).__name__
        raise TuckerlabError(f"the network returns {kind}: only networks that return one tensor can be exported")
    return found


def like(example: Tensor, batch: int) -> Tensor:
    """A batch of another size in the manner of the example, with noise on fractions; the same each time."""
    images = example[torch.arange(batch) % len(example)]
    if not example.is_floating_point():
        return images
    spread = example.std(correction=0) or torch.ones(())
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return images + (spread * noise).to(images)


@contextmanager
def following(what: str) -> Iterator[None]:
    """The block in which others follow a network's forward, in silence; TuckerlabError where it cannot: "as ONNX"."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    silence = io.StringIO()  # torch prints the graph there, of a network that it cannot follow
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(silence), redirect_stderr(silence):
            yield
    except Exception as error:  # whatever the network's forward raises when it is followed
        first = error
        while isinstance(first.__cause__, Exception):
            first = first.__cause__
        raise TuckerlabError(
            f"this network cannot be written {what} ({in_short(first)}); where its forward depends on the numbers in "
            "the images (an `if` on a tensor, .item()), use torch.where"
        ) from error
    finally:
        logging.disable(before)


def in_short(error: Exception) -> str:
    """What an error of another package says, on one line and without colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]
