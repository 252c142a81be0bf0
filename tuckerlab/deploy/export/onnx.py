"""ONNX: one file that onnxruntime and most other runtimes read; written, run, and made int8."""

import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tuckerlab.deploy.export.parity import Exported, compared, following, like, notes
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

if TYPE_CHECKING:
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

CALIBRATION = 256
"""Training images that are enough to know the ranges of activations."""
AT_ONCE = 32  # of them: all answers within the network are held for one batch


def export_onnx(
    model: nn.Module, path: str | os.PathLike[str], example: Tensor, *, metadata: Mapping[str, str] | None = None
) -> Exported:
    """Writes a network, Tucker or plain, as ONNX with a batch of any size, atomically, after it was run and compared.

    example: a batch of inputs, which fixes all sizes but the batch. metadata: text by name, kept in the file
    (metadata_props) with the version of tuckerlab.

    Tucker layers become ordinary ones, and batch norm is multiplied into the convolution before it. The file is run by
    onnxruntime on a batch of 1 and of 32: the outputs must be within 1e-4 of the network's, relative to the largest
    output. A file that is there is written over.

    Raises TuckerlabError, and writes nothing, for a network that cannot be traced, and one whose answers change.
    """
    import onnx
    import onnxruntime  # noqa: F401 (missing, it and the next are named as they should be)
    import onnxscript  # noqa: F401 (what torch writes ONNX with)

    plain, original, example = prepared(model, example, align=True)
    with following("as ONNX"):
        program = torch.onnx.export(
            plain, (like(example, 2),), input_names=["images"], output_names=["logits"], dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
        assert program is not None
    with atomic_path(path) as temporary:
        onnx.save(_signed(program.model_proto, notes(metadata)), temporary)
        with following("as ONNX"):
            session = open_session(temporary)
        far = compared(partial(answers, session), original, example, "the ONNX file")
        return Exported(Path(path), temporary.stat().st_size, far)


def _signed(proto: "onnx.ModelProto", about: dict[str, str]) -> "onnx.ModelProto":
    """With these notes alone: those of the exporters are as long as a small network, with paths of this machine."""
    import onnx

    graph = proto.graph
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(proto, about)
    return proto


def open_session(path: str | os.PathLike[str]) -> "onnxruntime.InferenceSession":
    """An onnxruntime session on the CPU for a file, with as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def answers(session: "onnxruntime.InferenceSession", images: Tensor) -> Tensor:
    """The first output of a session for a batch."""
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])


def quantize_onnx(source: str | os.PathLike[str], target: str | os.PathLike[str], images: Tensor) -> Path:
    """Writes an int8 version of an ONNX model of one input, atomically, from some hundred training images, normalised.

    Weights have 7 bits: with 8, sums of products overflow on processors without VNNI, and trained Tucker networks lost
    6 to 10 points of accuracy; with 7 it is less than a point. In a transformer the products of matrices alone become
    int8: with everything, agreement with fp32 fell from 90 % to 81 %, and it got no faster.
    """
    import onnx
    from onnxruntime import quantization as onnx_int8
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    if not len(images):
        raise TuckerlabError("no images: give some hundred training images, which the ranges of activations come from")
    model = onnx.load(source)
    name, batches = model.graph.input[0].name, torch.split(images.detach().float().cpu().contiguous(), AT_ONCE)
    inputs = iter([{name: batch.numpy()} for batch in batches])
    with tempfile.TemporaryDirectory() as folder, atomic_path(target) as made, following("as int8"):
        ready = Path(folder) / "prepared.onnx"
        quant_pre_process(os.fspath(source), ready, skip_symbolic_shape=True)
        is_transformer = any(node.op_type == "LayerNormalization" for node in onnx.load(ready).graph.node)
        onnx_int8.quantize_static(
            ready, made, SimpleNamespace(get_next=lambda: next(inputs, None)), per_channel=True, reduce_range=True,
            quant_format=onnx_int8.QuantFormat.QDQ, calibrate_method=onnx_int8.CalibrationMethod.MinMax,
            activation_type=onnx_int8.QuantType.QUInt8, weight_type=onnx_int8.QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"] if is_transformer else None,
        )  # fmt: skip
        about = {note.key: note.value for note in model.metadata_props} | {"precision": "int8"}
        onnx.save(_signed(onnx.load(made), about), made)
    return Path(target)
