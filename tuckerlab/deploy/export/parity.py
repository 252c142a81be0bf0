"""Does the exported network give the answers of the network that it came from?"""

import contextlib
import copy
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.deploy.ort import in_short, quiet
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import file_size
from tuckerlab.tucker.convert import to_plain

BATCHES = (1, 32)
TOLERANCE = 1e-4

Function = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Exported:
    """A file that was written and checked: its path (of several: their folder), bytes, and distance from the network.

    `difference` is the largest between any two outputs, relative to the largest output; `torch_seconds` is what torch's
    own exporter took.
    """

    path: Path
    size_bytes: int
    difference: float
    torch_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.path}: {file_size(self.size_bytes)}, outputs within {self.difference:.0e} of torch"


def notes(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """What is written into an export about itself, as text, with the version of tuckerlab."""
    version = importlib.metadata.version("tuckerlab")
    return {key: str(value) for key, value in {"tuckerlab": version, **(metadata or {})}.items()}


@contextlib.contextmanager
def following(what: str) -> Iterator[None]:
    """The block in which torch follows a network's forward, without its chatter; TuckerlabError where it cannot.

    what: as which kind of file it is to be written, such as "as ONNX".
    """
    try:
        with quiet():
            yield
    except Exception as error:  # whatever the network's forward raises when it is followed
        first = error
        while isinstance(first.__cause__, Exception):
            first = first.__cause__
        raise TuckerlabError(
            f"this network cannot be written {what} ({in_short(first)}); where its forward depends on the numbers in "
            "the images (an `if` on a tensor, .item()), use torch.where"
        ) from error


def on_cpu(model: object, example: object) -> tuple[nn.Module, Tensor]:
    """A copy of a network in eval mode and of the example, after it was seen to answer.

    Raises TuckerlabError for what is neither, and where the answer is not one tensor of finite numbers.
    """
    if not isinstance(model, nn.Module):
        raise TuckerlabError(f"model: {type(model).__name__}; give a network of torch (nn.Module)")
    if not isinstance(example, Tensor) or example.dim() < 2 or len(example) < 1:
        given = f"a tensor of shape {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise TuckerlabError(f"example: {given}; give a batch of inputs, such as torch.zeros(1, 3, 32, 32)")
    network, images = copy.deepcopy(model).cpu().eval(), example.detach().cpu()
    answer(network, images)
    return network, images


def plain_on_cpu(model: object, example: object) -> tuple[nn.Module, Tensor]:
    """The same with torch.nn modules only; TuckerlabError where the plain copy answers differently."""
    network, images = on_cpu(model, example)
    plain = to_plain(network).eval()
    checked(plain, network, images, "the copy that is to be written")  # a hook may read what only a Tucker layer has
    return plain, images


def checked(exported: Function, reference: Function, example: Tensor, what: str, tolerance: float = TOLERANCE) -> float:
    """`difference`, or TuckerlabError if it is above the tolerance."""
    found = difference(exported, reference, example)
    if not found <= tolerance:
        raise TuckerlabError(
            f"{what} answers differently from the network: by {found:.1g} of its largest output, allowed are "
            f"{tolerance:g}; nothing was written"
        )
    return found


def difference(exported: Function, reference: Function, example: Tensor) -> float:
    """The largest |exported − reference| over the outputs of a batch of 1 and one of 32, relative to max |reference|.

    The batches are the example, repeated, with noise of its own spread on top. Raises TuckerlabError where the shapes
    differ, and where the reference gives anything but one tensor of finite numbers.
    """
    differences: list[Tensor] = []
    for batch in BATCHES:
        images = like(example, batch)
        expected, found = answer(reference, images), answer(exported, images, finite=False)
        if found.shape != expected.shape:
            shapes = f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
            raise TuckerlabError(f"outputs of shape {shapes} for a batch of {batch}")
        scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
        differences.append((found.to(expected) - expected).abs().max() / scale)
    return float(torch.stack(differences).max())  # unlike max(), this does not lose a NaN


def answer(network: Function, images: Tensor, *, finite: bool = True) -> Tensor:
    """What a network answers; TuckerlabError if it raises, or that is not one tensor (of finite numbers)."""
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
    if finite and not found.isfinite().all():
        raise TuckerlabError("the network returns numbers that are not finite: train it anew before it is exported")
    return found


def like(example: Tensor, batch: int) -> Tensor:
    """A batch of another size in the manner of the example, with noise on fractions; the same each time."""
    images = example[torch.arange(batch) % len(example)]
    if not example.is_floating_point():
        return images
    spread = example.std(correction=0) or torch.ones(())
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return images + (spread * noise).to(images)
