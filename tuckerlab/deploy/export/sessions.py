"""Networks in onnxruntime: a session for a file, and the time of a layer's forms in it.

>>> from tuckerlab.deploy.chain_merging import merge
>>> layer = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 8, 3, padding=1))
>>> time = onnxruntime_timer(repeats=3)({"chain": layer}, torch.zeros(1, 3, 8, 8))
>>> time["chain"] > 0
True
"""

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuckerlab.deploy.chain_merging import Timer
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.timing import interleave, latencies

if TYPE_CHECKING:
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

BORDERS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
OPSET = 20


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


def torch_timer(*, repeats: int = 20) -> Timer:
    """Times the forms of a layer in torch, in turn: medians in ms.

    >>> torch_timer(repeats=3)({"dense": nn.Linear(8, 8)}, torch.zeros(1, 8)).keys()
    dict_keys(['dense'])
    """

    def timer(forms: Mapping[str, nn.Module], images: Tensor) -> dict[str, float]:
        return {form: timing.median_ms for form, timing in latencies(forms, images, repeats=repeats).items()}

    return timer


def onnxruntime_timer(*, repeats: int = 20, threads: int | None = None) -> Timer:
    """Times the forms of a layer in onnxruntime, in turn: medians in ms."""

    def timer(forms: Mapping[str, nn.Module], images: Tensor) -> dict[str, float]:
        sessions = {
            form: open_session(chain_model(layer, images).SerializeToString(), threads=threads)
            for form, layer in forms.items()
        }
        calls = {form: partial(answers, session, images) for form, session in sessions.items()}
        return {form: timing.median_ms for form, timing in interleave(calls, repeats=repeats).items()}

    return timer


def chain_model(chain: nn.Module, images: Tensor) -> "onnx.ModelProto":
    """Convolutions and linear layers in a row as an ONNX model, as the exporter of torch writes them, but at once.

    >>> layer = nn.Conv1d(4, 6, 3, padding="same", padding_mode="reflect")
    >>> images = torch.randn(2, 4, 9)
    >>> session = open_session(chain_model(layer, images).SerializeToString())
    >>> torch.allclose(answers(session, images), layer(images), atol=1e-5)
    True
    """
    import onnx
    from onnx import helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    last = "x0"

    def constant(tensor: Tensor) -> str:
        weights.append(numpy_helper.from_array(tensor.detach().numpy(), f"w{len(weights)}"))
        return str(weights[-1].name)

    def node(kind: str, *inputs: str, **settings: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *inputs], [f"x{len(nodes) + 1}"], **settings))
        last = f"x{len(nodes)}"

    for layer in chain if isinstance(chain, nn.Sequential) else [chain]:
        assert isinstance(layer, nn.Linear | nn.modules.conv._ConvNd), layer
        bias = [] if layer.bias is None else [constant(layer.bias)]
        if isinstance(layer, nn.modules.conv._ConvNd):
            border = layer._reversed_padding_repeated_twice  # of the last axis first: before, after
            begins, ends = border[-2::-2], border[::-2]
            if layer.padding_mode != "zeros":
                node("Pad", constant(torch.tensor([0, 0, *begins, 0, 0, *ends])), mode=BORDERS[layer.padding_mode])
                begins = ends = [0] * len(begins)
            settings = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups}
            node("Conv", constant(layer.weight), *bias, pads=[*begins, *ends], **settings)
        elif images.dim() == 2:
            node("Gemm", constant(layer.weight), *bias, transB=1)
        else:
            node("MatMul", constant(layer.weight.mT.contiguous()))
            if bias:
                node("Add", *bias)
    value = partial(helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes, "chain", [value("x0", shape=list(images.shape))], [value(last, shape=None)], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def in_short(error: Exception) -> str:
    """What an error of another package says, on one line and without colours.

    >>> in_short(ValueError("no\\n  such"))
    'no such'
    """
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]
