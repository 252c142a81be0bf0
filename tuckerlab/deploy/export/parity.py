"""Does the exported network give the answers of the network that it came from?

>>> difference(lambda x: x + 1e-6, lambda x: x, torch.ones(2, 3)) < 1e-5
True
"""

import copy
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.training.eval_mode import undisturbed
from tuckerlab.tucker.convert import to_plain

BATCHES = (1, 32)
TOLERANCE = 1e-4

Function = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Exported:
    """A file that was written and checked: its path (of several: their folder), bytes, and distance from the network.

    `difference` is the largest between any two outputs, relative to the largest output: see `difference`. `seconds` is
    what it took, `torch_seconds` the part of it that torch's own exporter had.

    >>> print(Exported(Path("model.onnx"), 2_400_000, 3e-7, 5.2, 4.4))
    model.onnx: 2.4 MB, outputs within 3e-07 of torch; 5.2 s, of which torch's exporter took 4.4 s
    """

    path: Path
    size_bytes: int
    difference: float
    seconds: float = 0.0
    torch_seconds: float = 0.0

    def __str__(self) -> str:
        said = f"{self.path}: {self.size_bytes / 1e6:.3g} MB, outputs within {self.difference:.0e} of torch"
        took = f"; {self.seconds:.1f} s, of which torch's exporter took {self.torch_seconds:.1f} s"
        return said + took if self.torch_seconds else said


def notes(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """What is written into an export about itself, as text, with the version of tuckerlab."""
    version = importlib.metadata.version("tuckerlab")
    return {key: str(value) for key, value in {"tuckerlab": version, **(metadata or {})}.items()}


def difference(exported: Function, reference: Function, example: Tensor) -> float:
    """The largest |exported − reference| over the outputs of a batch of 1 and one of 32, relative to max |reference|.

    >>> difference(lambda x: 2 * x, lambda x: x, torch.ones(4, 3))
    1.0

    The batches are the example, repeated, with noise of its own spread on top (a number type without fractions: without
    noise). Raises TuckerlabError if the reference gives anything but one tensor, or numbers that are not finite.
    """
    differences: list[Tensor] = []
    for batch in BATCHES:
        images = like(example, batch)
        expected = answer(reference, images)
        with torch.no_grad():
            found = exported(images)
        if found.shape != expected.shape:
            shapes = f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
            raise TuckerlabError(f"outputs of shape {shapes} for a batch of {batch}")
        scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
        differences.append((found.to(expected) - expected).abs().max() / scale)
    return float(torch.stack(differences).max())  # unlike max(), this does not lose a NaN


def answer(network: Function, images: Tensor) -> Tensor:
    """What a network answers; TuckerlabError if it raises, or that is not one tensor of finite numbers."""
    try:
        with torch.no_grad():
            found = network(images)
    except Exception as error:  # the forward of the caller's network, which may raise anything
        raise TuckerlabError(
            f"the network does not answer a batch of shape {tuple(images.shape)} ({_named(error)}); give an example of "
            "the shape that it takes"
        ) from error
    if not isinstance(found, Tensor):
        kind = type(found).__name__
        raise TuckerlabError(f"the network returns {kind}: only networks that return one tensor can be exported")
    if not found.isfinite().all():
        raise TuckerlabError("the network returns numbers that are not finite: train it anew before it is exported")
    return found


def like(example: Tensor, batch: int) -> Tensor:
    """A batch of another size in the manner of the example; the same each time.

    >>> like(torch.zeros(1, 3, 8, 8), 32).shape
    torch.Size([32, 3, 8, 8])
    """
    images = example[torch.arange(batch) % len(example)]
    if not example.is_floating_point():
        return images
    spread = example.std(correction=0) or torch.ones(())
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return images + (spread * noise).to(images)


def checked(exported: Function, reference: Function, example: Tensor, what: str, tolerance: float = TOLERANCE) -> float:
    """`difference`, or TuckerlabError if it is above the tolerance."""
    found = difference(exported, reference, example)
    if not found <= tolerance:
        raise TuckerlabError(
            f"{what} answers differently from the network: by {found:.1g} of its largest output, allowed are "
            f"{tolerance:g}; nothing was written"
        )
    return found


def on_cpu(
    model: object, example: object, copied: Callable[[nn.Module], nn.Module] = to_plain
) -> tuple[nn.Module, Tensor]:
    """A copy of a network in eval mode that answers as the network itself does, and the example.

    >>> on_cpu(5, torch.zeros(1, 3))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: model: int; give a network of torch (nn.Module)

    Raises TuckerlabError for what is neither, and where the copy answers differently: it would lack something that the
    network does.
    """
    if not isinstance(model, nn.Module):
        raise TuckerlabError(f"model: {type(model).__name__}; give a network of torch (nn.Module)")
    if not isinstance(example, Tensor) or example.dim() < 2 or len(example) < 1:
        given = f"a tensor of shape {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise TuckerlabError(f"example: {given}; give a batch of inputs, such as torch.zeros(1, 3, 32, 32)")
    images, network = example.detach().cpu(), copied(model).cpu().eval()
    is_here = all(t.device.type == "cpu" for t in (*model.parameters(), *model.buffers()))
    itself = model if is_here else copy.deepcopy(model).cpu()  # the arithmetic of a GPU is another
    with undisturbed(itself, training=False):
        answer(itself, images)  # what cannot be compared afterwards is not worth the seconds that follow
        try:
            checked(network, itself, images, "the copy that is to be written")
        except TuckerlabError:
            raise
        except Exception as error:  # a hook that reads what only the Tucker layer has, for example
            what = f"fails where the network does not ({_named(error)})"
            raise TuckerlabError(f"the copy that is to be written {what}") from error
    return network, images


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
