"""A network in each form that it can be shipped in: torch in fp32, onnxruntime in fp32 and int8."""

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.deploy.export import export_onnx, export_plain, prepared
from tuckerlab.deploy.export.int8 import CALIBRATION, quantize_onnx
from tuckerlab.deploy.ort import answers, open_session
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.augment import epoch_order
from tuckerlab.training.eval_mode import undisturbed
from tuckerlab.training.metrics import checkpoint_bytes

Answer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Variant:
    """A network that answers: in which runtime and precision, and from how large a file.

    `forms` are ways to call it that give the same answers, by the layout of the images in memory; torch has two. `file`
    is what a process of its own can load (None: nothing that would do).
    """

    network: str
    runtime: str
    precision: str
    forms: Mapping[str, Answer]
    file_bytes: int
    file: Path | None = None

    @property
    def answer(self) -> Answer:
        """Logits of a batch, in the first of the forms."""
        return next(iter(self.forms.values()))

    @property
    def name(self) -> str:
        """Which one it is among all."""
        return f"{self.network} · {self.runtime} {self.precision}"


def variants(label: str, network: nn.Module, data: ImageData, folder: Path, threads: int) -> list[Variant]:
    """Writes and loads every form of a network; the files lie in the folder and must stay there as long as they answer.

    All are made of one prepared network: chains merged where that is faster in onnxruntime for one image, batch norm
    folded, ranks rounded up to what its kernels take at once. Ranges of int8 come from 256 training images.

    Raises TuckerlabError for a network that does not fit the data or cannot be exported.
    """
    example = data.normalize(data.train_images[:1])
    _check(label, network, example, data.num_classes)
    plain = prepared(network, example, threads=threads).module
    chosen = epoch_order(len(data.train_images), 0, 0)[:CALIBRATION]
    calibration = data.normalize(data.train_images[chosen])
    folder.mkdir(parents=True, exist_ok=True)
    size, file = checkpoint_bytes(plain), None
    with suppress(TuckerlabError):  # a network that has no plain form answers here all the same
        written = export_plain(plain, folder / "plain", example)
        size, file = written.size_bytes, written.path
    made = [Variant(label, "torch", "fp32", _in_torch(plain), size, file)]
    exported = export_onnx(plain, folder / "model.onnx", example).path
    files = {"fp32": exported, "int8": quantize_onnx(exported, folder / "int8.onnx", calibration)}
    for precision, file in files.items():
        session = open_session(file, threads=threads)
        size = file.stat().st_size
        made.append(Variant(label, "onnxruntime", precision, {"": partial(answers, session)}, size, file))
    return made


def _check(label: str, network: nn.Module, example: Tensor, classes: int) -> None:
    try:
        with undisturbed(network, training=False), torch.inference_mode():
            shape = tuple(network(example).shape)
    except RuntimeError:  # of torch, for shapes that do not fit
        shape = ()
    if shape != (1, classes):
        image = " × ".join(map(str, example.shape[1:]))
        raise TuckerlabError(
            f"{label}: does not answer images of {image} with numbers for {classes} classes; give the data it is for"
        )


def _in_torch(network: nn.Module) -> dict[str, Answer]:
    def form(layout: torch.memory_format) -> Answer:
        def answer(images: Tensor) -> Tensor:
            with torch.inference_mode():
                logits: Tensor = copied(images.contiguous(memory_format=layout))
            return logits

        copied = copy.deepcopy(network).eval().to(memory_format=layout)  # type: ignore[call-overload]
        return answer

    return {"contiguous": form(torch.contiguous_format), "channels_last": form(torch.channels_last)}
