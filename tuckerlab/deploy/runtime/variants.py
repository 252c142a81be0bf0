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
from tuckerlab.training.metrics import checkpoint_bytes

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Variant:
    """A network that answers: in which runtime and precision, and from how large a file.

    `layouts` are ways to call it that give the same logits, by the layout of the images in memory; torch has two.
    `file` is what a process of its own can load (None: nothing that would do).
    """

    network: str
    runtime: str
    precision: str
    layouts: Mapping[str, Callable[[Tensor], Tensor]]
    file_bytes: int
    file: Path | None = None

    def __str__(self) -> str:
        return f"{self.network} · {self.runtime} {self.precision}"


def variants(label: str, network: nn.Module, data: ImageData, folder: Path, threads: int) -> list[Variant]:
    """Writes and loads every form of a network; the files lie in the folder and must stay there as long as they answer.

    All are made of one prepared network: batch norm folded, ranks rounded up to what kernels take at once. Ranges of
    int8 come from 256 training images.

    Raises TuckerlabError for a network that does not fit the data or cannot be exported.
    """
    example = data.normalize(data.train_images[:1])
    plain = prepared(network, example).module
    size, source = checkpoint_bytes(plain), None
    with suppress(TuckerlabError):  # a network that has no plain form answers here all the same
        written = export_plain(plain, folder / "plain", example)
        size, source = written.size_bytes, written.path
    layouts = {name: partial(_answer, _laid_out(plain, layout), layout) for name, layout in LAYOUTS.items()}
    made = [Variant(label, "torch", "fp32", layouts, size, source)]
    exported = export_onnx(plain, folder / "model.onnx", example).path
    chosen = data.train_images[epoch_order(len(data.train_images), 0, 0)[:CALIBRATION]]
    quantized = quantize_onnx(exported, folder / "int8.onnx", data.normalize(chosen))
    for precision, file in (("fp32", exported), ("int8", quantized)):
        session = partial(answers, open_session(file, threads=threads))
        made.append(Variant(label, "onnxruntime", precision, {"": session}, file.stat().st_size, file))
    return made


def _laid_out(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    return copy.deepcopy(network).eval().to(memory_format=layout)  # type: ignore[call-overload,no-any-return]


def _answer(network: nn.Module, layout: torch.memory_format, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = network(images.contiguous(memory_format=layout))
    return logits
