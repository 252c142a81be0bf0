"""ONNX: one file that onnxruntime and most other runtimes read.

>>> export_onnx(nn.Linear(8, 4), "model.onnx", torch.zeros(1, 8), opset=0)
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: opset 0: allowed here are 13 to ..., which torch can write and onnxruntime can run; ...
"""

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, checked, like, on_cpu
from tuckerlab.deploy.export.place import check_free, marked
from tuckerlab.deploy.export.sessions import answers, in_short, open_session
from tuckerlab.deploy.export.tracing import following
from tuckerlab.errors import TuckerlabError, is_whole
from tuckerlab.files import atomic_path

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 1  # bytes of a protobuf message; beyond it the weights need a file of their own
NATIVE = 18  # the opset that torch writes in before it is translated
INPUT, OUTPUT = "images", "logits"


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
    torch, relative to the largest output. Above 2 GB the weights lie in a second file, which must stay beside it.

    Raises TuckerlabError, and writes nothing, for an opset that does not exist, that cannot hold the model or that
    onnxruntime does not know, for a network that cannot be traced, for one whose answers change, and where a file lies
    that is no earlier export.
    """
    import onnx
    import onnxscript  # noqa: F401 (what torch writes ONNX with; missing, it is named as it should be)

    path, began = Path(path), time.perf_counter()
    check_opset(opset)
    check_free(path, ".onnx")
    plain, example = on_cpu(model, example)
    ready = time.perf_counter()
    program = _translated(plain, example, opset)
    torch_seconds = time.perf_counter() - ready
    proto = program.model_proto
    found = {entry.domain: entry.version for entry in proto.opset_import}[""]
    if opset is not None and found != opset:
        can = f"leave opset out or give {found} to {_newest()}"
        raise TuckerlabError(f"opset {opset} cannot hold this model, torch writes opset {found} in its place: {can}")
    _forget(proto)
    for key, value in marked(metadata).items():
        proto.metadata_props.add(key=key, value=value)
    with _weights_beside(path, proto) as beside, atomic_path(path) as temporary:
        onnx.save(proto, temporary, save_as_external_data=bool(beside), location=beside.name if beside else None)
        try:
            onnx.checker.check_model(str(temporary), full_check=True)
        except onnx.checker.ValidationError as error:
            raise TuckerlabError(f"onnx finds a mistake in what torch has written: {in_short(error)}") from error
        if beside:  # on the disk before the model that names it
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
        session = open_session(temporary)
        far = checked(lambda images: answers(session, images), plain, example, "the ONNX file")
        size = temporary.stat().st_size + (beside.stat().st_size if beside else 0)
    return Exported(path, size, far, time.perf_counter() - began, torch_seconds)


def _translated(plain: nn.Module, example: Tensor, opset: int | None) -> Any:
    images = like(example, 2)  # a batch of 1 would be taken for a constant
    with following("as ONNX"):
        program = torch.onnx.export(
            plain, (images,), input_names=[INPUT], output_names=[OUTPUT], opset_version=opset, dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    if program is None:
        raise TuckerlabError("this network cannot be written as ONNX: torch gave nothing back")
    return program


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
    old = _weights_of(path)
    try:
        yield beside
    except BaseException:
        if beside:
            beside.unlink(missing_ok=True)
        raise
    for weights in old:
        with contextlib.suppress(OSError):  # gone, or Windows keeps what somebody reads
            weights.unlink()


def _weights_of(path: Path) -> set[Path]:
    """The files that the model of this path keeps its weights in, as far as `export_onnx` has written them."""
    import onnx

    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception:  # there is none, or no model: of protobuf's, which has no types, onnx's and the system's
        return set()
    names = {entry.value for t in proto.graph.initializer for entry in t.external_data if entry.key == "location"}
    ours = re.compile(rf"{re.escape(path.name)}(\.[0-9a-f]{{8}})?\.data")
    return {path.with_name(name) for name in names if ours.fullmatch(name)}


def check_opset(opset: int | None) -> None:
    """TuckerlabError for an opset that onnxruntime does not know or no network can be had in; None is that of torch.

    >>> check_opset(20)
    """
    if opset is None:
        return
    oldest, newest = _oldest(), _newest()
    if not is_whole(opset) or not oldest <= opset <= newest:
        can = f"allowed here are {oldest} to {newest}, which torch can write and onnxruntime can run"
        raise TuckerlabError(f"opset {opset!r}: {can}; leave it out for the usual one")


def _newest() -> int:
    """The newest opset that both the onnx package and onnxruntime know: tried, since neither says it of the other."""
    import onnx

    for opset in range(onnx.defs.onnx_opset_version(), 1, -1):
        with contextlib.suppress(TuckerlabError):
            open_session(_product(opset).SerializeToString())
            return opset
    raise AssertionError("onnxruntime loads no model at all")


def _oldest() -> int:
    """The oldest opset that what torch writes can be translated to, tried with the layer that every network has."""
    import onnx.version_converter

    opset = NATIVE
    while opset > 1:
        try:
            onnx.version_converter.convert_version(_product(NATIVE), opset - 1)
        except Exception:  # of its own, or of C++
            break
        opset -= 1
    return opset


def _product(opset: int) -> "onnx.ModelProto":
    import onnx
    from onnx import helper

    a, b, c = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1]) for name in "abc")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [a, b], [c])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
