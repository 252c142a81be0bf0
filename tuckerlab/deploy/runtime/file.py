"""One file that answers images: loaded in each runtime that can run it, whatever format it has.

>>> open_model("model.txt")
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: model.txt: there is no such file or folder; give a run, an exported file or a ...
"""

import os
import re
import runpy
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.int8 import inputs_of, read_onnx
from tuckerlab.deploy.export.place import ABOUT
from tuckerlab.deploy.export.sessions import answers, in_short, open_session
from tuckerlab.deploy.trained_network import Trained
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.checkpoint import load
from tuckerlab.tucker.convert import to_plain

Answer = Callable[[Tensor], Tensor]
KINDS = (
    "an ONNX file (.onnx), an exported program (.pt2), a folder with model.py and model.safetensors, or a checkpoint"
)


@dataclass(frozen=True)
class Model:
    """What a file holds: ways to have it answer, by name, and the shape of an image (channels, height, width).

    `about` are the notes in the file. `slow`: the one of the ways that is there to compare with, not to be timed.

    >>> Model(Path("model.onnx"), {"onnxruntime": torch.sin}, (1, 8, 8), 1000).first
    'onnxruntime'
    """

    path: Path
    ways: Mapping[str, Answer]
    shape: tuple[int, ...]
    size_bytes: int
    about: Mapping[str, str] = field(default_factory=dict)
    slow: str | None = None

    @property
    def first(self) -> str:
        """The way that the file is made for."""
        return next(iter(self.ways))


def open_model(path: str | os.PathLike[str], threads: int | None = None) -> Model:
    """Loads a file by its ending, or the folder of a plain network.

    Raises TuckerlabError for what is none of these, is cut off, or does not take a batch of images.
    """
    place = Path(path)
    if not place.exists():
        raise TuckerlabError(f"{path}: there is no such file or folder; give a run, an exported file or a checkpoint")
    readers = {".onnx": _onnx, ".pt2": _program, ".safetensors": _checkpoint}
    if place.is_dir() and (place / "model.py").is_file():
        model = _plain(place)
    elif place.is_file() and place.suffix in readers:
        model = readers[place.suffix](place, threads)
    else:
        raise TuckerlabError(f"{path}: not a model; give {KINDS}")
    if len(model.shape) != 3:
        raise TuckerlabError(f"{path}: takes inputs of {len(model.shape) + 1} dimensions; a model of images takes 4")
    return model


def _onnx(path: Path, threads: int | None) -> Model:
    from onnx.reference import ReferenceEvaluator

    model = read_onnx(path)
    ((name, (batch, *shape)),) = inputs_of(model).items()
    if batch is not None or None in shape:
        wanted = " × ".join("?" if size is None else str(size) for size in (batch, *shape))
        raise TuckerlabError(
            f"{path}: takes {wanted}; a file of tuckerlab export takes any number of images of one size"
        )
    about = {note.key: note.value for note in model.metadata_props}

    ways: dict[str, Answer] = {"onnxruntime": partial(answers, open_session(path, threads=threads))}
    with suppress(Exception):  # it lacks operators of old versions and of other makers, and raises what it likes
        evaluator = ReferenceEvaluator(model)

        def reference(images: Tensor) -> Tensor:
            found: Any = evaluator.run(None, {name: images.numpy()})
            return torch.from_numpy(found[0])

        reference(torch.zeros(1, *(size or 1 for size in shape)))
        ways[REFERENCE] = reference
    sizes = tuple(size for size in shape if size is not None)
    return Model(path, ways, sizes, path.stat().st_size, about, slow=REFERENCE)


def origin(model: Model) -> Trained | None:
    """The trained network that an exported file came from, if its run is one of the folders above it.

    >>> origin(Model(Path("model.onnx"), {}, (1, 8, 8), 1000)) is None
    True
    """
    seed = model.about.get("seed", "")
    for folder in model.path.resolve().parents:
        if folder.name == model.about.get("run"):
            with suppress(TuckerlabError):
                return Trained.find(folder, model.about.get("network"), int(seed) if seed.isdigit() else None)
    return None


REFERENCE = "the onnx package"
"""Runs a model node by node in numpy: slow, and independent of onnxruntime."""


def _program(path: Path, threads: int | None) -> Model:
    import json

    notes = {ABOUT: ""}
    if not zipfile.is_zipfile(path):
        raise TuckerlabError(f"{path}: not an exported program, or cut off; tuckerlab export --to torch writes one")
    try:
        program = torch.export.load(path, extra_files=notes)
    except Exception as error:  # torch raises what it likes for a zip of something else
        raise TuckerlabError(f"{path}: torch cannot load it ({in_short(error)})") from None
    inputs = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(inputs) != 1:
        raise TuckerlabError(f"{path}: has {len(inputs)} inputs; a model that answers images has one")
    shape = tuple(int(size) for size in inputs[0].meta["val"].shape[1:])
    about = json.loads(notes[ABOUT]) if notes[ABOUT] else {}
    return Model(path, {"torch": in_inference(program.module())}, shape, path.stat().st_size, about)


def _plain(folder: Path) -> Model:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise TuckerlabError(f"{folder}: has a model.py, but no model.safetensors; export it again")
    try:
        made = runpy.run_path(str(folder / "model.py"))
        network = made["load"](weights)
        sizes = re.findall(r"torch\.zeros\(([\d, ]+)\)", made["__doc__"])[0]  # the example of how to use it
        shape = tuple(int(size) for size in sizes.split(",")[1:])
    except Exception as error:  # the code in the folder may be anything
        raise TuckerlabError(f"{folder}: its model.py does not load a network ({in_short(error)})") from None
    with safetensors.safe_open(weights, framework="pt") as file:
        about = dict(file.metadata() or {})
    size = weights.stat().st_size + (folder / "model.py").stat().st_size
    return Model(folder, {"torch": in_inference(network)}, shape, size, about)


def _checkpoint(path: Path, threads: int | None) -> Model:
    import tempfile

    from tuckerlab.deploy.export import export_onnx

    network = load(path).model.eval()
    spec: Any = network.spec
    shape = (spec["in_channels"], spec["image_size"], spec["image_size"])
    with tempfile.TemporaryDirectory() as folder:
        exported = export_onnx(network, Path(folder) / "model.onnx", torch.zeros(1, *shape)).path.read_bytes()
    session = open_session(exported, threads=threads)
    ways: dict[str, Answer] = {
        "torch, as trained": in_inference(network),
        "torch, ordinary layers": in_inference(to_plain(network).eval()),
        "onnxruntime": partial(answers, session),
    }
    return Model(path, ways, shape, path.stat().st_size)


def in_inference(network: nn.Module) -> Answer:
    """A network of torch as a function, without what training needs.

    >>> in_inference(nn.Identity())(torch.ones(1))
    tensor([1.])
    """

    def answer(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(images)
        return logits

    return answer
