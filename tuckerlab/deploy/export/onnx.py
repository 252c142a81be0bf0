"""ONNX: one file that onnxruntime and most other runtimes read."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, checked, following, like, notes, plain_on_cpu
from tuckerlab.deploy.ort import answers, in_short, open_session
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 1  # bytes of a protobuf message; beyond it the weights need a file of their own


def export_onnx(
    model: nn.Module, path: str | os.PathLike[str], example: Tensor, *, opset: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Exported:  # fmt: skip
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

    path = Path(path)
    plain, example = plain_on_cpu(model, example)
    began = time.perf_counter()
    with following("as ONNX"):
        program = torch.onnx.export(
            plain, (like(example, 2),), input_names=["images"], output_names=["logits"], opset_version=opset,
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
        assert program is not None
        proto = program.model_proto
    torch_seconds = time.perf_counter() - began
    found = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if opset is not None and found != opset:
        raise TuckerlabError(f"opset {opset}: torch writes this model as opset {found} at the least; leave opset out")
    _forget(proto)
    onnx.helper.set_model_props(proto, notes(metadata))
    is_large = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > LARGEST
    beside = path.with_name(f"{path.name}.data")
    if is_large:
        beside.unlink(missing_ok=True)  # onnx would write on at its end
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary, save_as_external_data=is_large, location=beside.name)
        try:
            onnx.checker.check_model(str(temporary), full_check=True)
        except onnx.checker.ValidationError as error:
            raise TuckerlabError(f"onnx finds a mistake in what torch has written: {in_short(error)}") from error
        session = open_session(temporary)
        far = checked(lambda images: answers(session, images), plain, example, "the ONNX file")
        size = temporary.stat().st_size + (beside.stat().st_size if is_large else 0)
    return Exported(path, size, far, torch_seconds)


def _forget(proto: "onnx.ModelProto") -> None:
    """Takes out the notes of the exporter: as long as the small networks themselves, with paths of this machine."""
    graph = proto.graph
    del proto.metadata_props[:], graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
