"""Networks in onnxruntime: a session for a file, and the time of a layer's forms in it."""

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tuckerlab.errors import TuckerlabError
from tuckerlab.training.timing import interleave

if TYPE_CHECKING:
    import onnxruntime  # type: ignore[import-untyped]

OPSET = 20  # of the models that are timed


def open_session(
    model: str | os.PathLike[str] | bytes, *, threads: int | None = None
) -> "onnxruntime.InferenceSession":
    """An onnxruntime session on the CPU for a file or its bytes; `threads` None: as many as torch uses.

    Raises TuckerlabError, with what onnxruntime says, for what it cannot load.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    source = model if isinstance(model, bytes) else os.fspath(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but Exception
        name = "the model" if isinstance(model, bytes) else Path(model).name
        raise TuckerlabError(f"{name}: onnxruntime cannot load it ({in_short(error)})") from None


def answers(session: "onnxruntime.InferenceSession", images: Tensor) -> Tensor:
    """The first output of a session for a batch; TuckerlabError, with what onnxruntime says, if it has none for it."""
    given = session.get_inputs()
    try:
        return torch.from_numpy(session.run(None, {given[0].name: images.numpy()})[0])
    except Exception as error:  # its exceptions have no common base but Exception
        shape = tuple(images.shape)
        raise TuckerlabError(f"onnxruntime cannot answer a batch of shape {shape} ({in_short(error)})") from None


def time_in_onnxruntime(
    forms: Mapping[str, nn.Module], images: Tensor, *, repeats: int = 20, threads: int | None = None
) -> dict[str, float]:
    """Times the forms of a layer in turn: medians in ms."""
    sessions = {name: open_session(chain_model(layer, images), threads=threads) for name, layer in forms.items()}
    calls = {name: partial(answers, session, images) for name, session in sessions.items()}
    return {name: timing.median_ms for name, timing in interleave(calls, repeats=repeats).items()}


def chain_model(chain: nn.Module, images: Tensor) -> bytes:
    """Convolutions and linear layers in a row as an ONNX model, at once: the exporter of torch takes a second for each.

    A border of another kind than zeros is left out: it costs every form of a layer the same.
    """
    import onnx
    from onnx import helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    last = "x0"
    for layer in chain if isinstance(chain, nn.Sequential) else [chain]:
        assert isinstance(layer, nn.Linear | _ConvNd), layer
        tensors = [layer.weight if isinstance(layer, _ConvNd) else layer.weight.mT.contiguous(), layer.bias]
        names = [f"w{len(nodes)}", f"b{len(nodes)}"]
        weights += [
            numpy_helper.from_array(tensor.detach().numpy(), name)
            for name, tensor in zip(names, tensors, strict=True)
            if tensor is not None
        ]
        given, last = last, f"x{len(nodes) + 1}"
        if isinstance(layer, _ConvNd):
            around = layer._reversed_padding_repeated_twice  # of the last axis first: before, after
            settings: dict[str, Any] = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups}
            inputs = [given, names[0], *([] if layer.bias is None else names[1:])]
            nodes.append(helper.make_node("Conv", inputs, [last], pads=[*around[-2::-2], *around[::-2]], **settings))
        else:
            product = last if layer.bias is None else f"{last}p"
            nodes.append(helper.make_node("MatMul", [given, names[0]], [product]))
            nodes += [] if layer.bias is None else [helper.make_node("Add", [product, names[1]], [last])]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x0", list(images.shape)), (last, None))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return bytes(model.SerializeToString())


def in_short(error: Exception) -> str:
    """What an error of another package says, on one line and without colours.

    >>> in_short(ValueError("no\\n  such"))
    'no such'
    """
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]
