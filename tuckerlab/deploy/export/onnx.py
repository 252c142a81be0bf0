"""ONNX: one file that onnxruntime and most other runtimes read.

>>> export_onnx(nn.Linear(8, 4), "model.onnx", torch.zeros(1, 8), opset=0)
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: opset 0: allowed are 13 to ...; leave it out for the usual one
"""

import contextlib
import glob
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, checked, like, notes, on_cpu
from tuckerlab.deploy.export.torch_program import following
from tuckerlab.deploy.ort import answers, in_short, open_session
from tuckerlab.errors import TuckerlabError, is_whole
from tuckerlab.files import atomic_path

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 1  # bytes of a protobuf message; beyond it the weights need a file of their own
OLDEST = 13  # the oldest opset that what torch writes can be translated to


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike[str],
    example: Tensor,
    *,
    opset: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Writes a network, Tucker or plain, as ONNX with a batch of any size, atomically, after it was run and compared.

    example: a batch of inputs, which fixes all sizes but the batch. opset: the version of the operators; None for the
    one that torch prefers. metadata: text by name, kept in the file (metadata_props) with the version of tuckerlab.

    A Tucker network is written as `to_plain` makes it; give `prepared(model, example).module` for the fastest form.
    The file is checked by onnx and run by onnxruntime on a batch of 1 and of 32: the outputs must be within 1e-4 of
    torch, relative to the largest output. Above 2 GB the weights lie in a second file, which must stay beside it. A
    file that is there is written over.

    Raises TuckerlabError, and writes nothing, for an opset that does not exist, that cannot hold the model or that
    onnxruntime does not know, for a network that cannot be traced, and for one whose answers change.
    """
    import onnx
    import onnxscript  # noqa: F401 (what torch writes ONNX with; missing, it is named as it should be)

    path, began = Path(path), time.perf_counter()
    check_opset(opset)
    plain, example = on_cpu(model, example)
    ready = time.perf_counter()
    with following("as ONNX"):
        program = torch.onnx.export(
            plain, (like(example, 2),), input_names=["images"], output_names=["logits"], opset_version=opset,
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    torch_seconds = time.perf_counter() - ready
    if program is None:
        raise TuckerlabError("this network cannot be written as ONNX: torch gave nothing back")
    proto = program.model_proto
    found = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if opset is not None and found != opset:
        can = f"leave opset out or give {found} or more"
        raise TuckerlabError(f"opset {opset} cannot hold this model, torch writes opset {found} in its place: {can}")
    _forget(proto)
    onnx.helper.set_model_props(proto, notes(metadata))
    with _weights_beside(path, proto) as beside, atomic_path(path) as temporary:
        onnx.save(proto, temporary, save_as_external_data=bool(beside), location=beside.name if beside else None)
        try:
            onnx.checker.check_model(str(temporary), full_check=True)
        except onnx.checker.ValidationError as error:
            raise TuckerlabError(f"onnx finds a mistake in what torch has written: {in_short(error)}") from error
        session = open_session(temporary)
        far = checked(lambda images: answers(session, images), plain, example, "the ONNX file")
        size = temporary.stat().st_size + (beside.stat().st_size if beside else 0)
    return Exported(path, size, far, time.perf_counter() - began, torch_seconds)


def check_opset(opset: int | None) -> None:
    """TuckerlabError for an opset that does not exist, or that torch cannot write; None is that of torch."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not (is_whole(opset) and OLDEST <= opset <= newest):
        raise TuckerlabError(f"opset {opset!r}: allowed are {OLDEST} to {newest}; leave it out for the usual one")


def _forget(proto: "onnx.ModelProto") -> None:
    """Takes out the notes of the exporter: as long as the small networks themselves, with paths of this machine."""
    graph = proto.graph
    del proto.metadata_props[:], graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


@contextlib.contextmanager
def _weights_beside(path: Path, proto: "onnx.ModelProto") -> Iterator[Path | None]:
    """The file for weights that are too many for one: of the new model where the block ends well, else of the old one.

    Its name is new each time, so that the old model has its weights as long as it is there.
    """
    is_large = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > LARGEST
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.data") if is_large else None
    try:
        yield beside
    except BaseException:
        if beside:
            beside.unlink(missing_ok=True)
        raise
    for old in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.data"):
        if old != beside:
            with contextlib.suppress(OSError):  # Windows keeps what somebody reads
                old.unlink()
