"""int8 for a network in an ONNX file: weights and activations become whole numbers of 8 bits.

Static quantization of onnxruntime after training: ranges of activations come from the answers to some training images,
weights get a scale for each channel. What keeps the accuracy was found on trained networks (`quantize_onnx` says it).
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tuckerlab.deploy.ort import quiet
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path

CALIBRATION = 256
"""Training images that are enough to know the ranges of activations."""

PRODUCTS = ["Conv", "Gemm", "MatMul"]
"""All that becomes int8 in a transformer."""

BATCH = 32
"""Of so many images at once: all answers within the network are held for one batch."""


def quantize_onnx(source: str | os.PathLike[str], target: str | os.PathLike[str], images: Tensor) -> Path:
    """Writes an int8 version of an ONNX model of one input, atomically; returns its path.

    images: some hundred training images as the network sees them, N × the shape of its input.

    What was found on trained networks (vgg_small on digits and on steel defects, dense and with 90 % of the convolution
    weights removed; a processor without VNNI) and is built in: weights of 7 bits, as 8 overflow in sums of products of
    such processors (outputs were off by 29 % to 45 % for Tucker networks, which lost 6 to 10 points of accuracy; with 7
    bits by 4 % to 9 %, and less than a point). Ranges as min and max: by entropy or as percentiles they were no better.
    All layers, as the first or last in float did not change the accuracy. In a transformer the products of matrices
    alone: with everything, agreement with fp32 fell from 90 % to 81 %; it gets smaller that way, but not faster.

    Raises TuckerlabError for no images.
    """
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    if not len(images):
        raise TuckerlabError("no images: give some hundred training images, which the ranges of activations come from")
    model = onnx.load(source)

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(torch.split(images.detach().float().cpu(), BATCH))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {model.graph.input[0].name: batch.contiguous().numpy()}

    with tempfile.TemporaryDirectory() as folder, atomic_path(target) as made, quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(os.fspath(source), prepared, skip_symbolic_shape=True)  # batch norm into convolutions
        is_transformer = any(node.op_type == "LayerNormalization" for node in onnx.load(prepared).graph.node)
        quantize_static(
            prepared, made, Images(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=PRODUCTS if is_transformer else None,
        )  # fmt: skip
        written = onnx.load(made)
        about = {note.key: note.value for note in model.metadata_props} | {"precision": "int8"}
        onnx.helper.set_model_props(written, about)
        for node in written.graph.node:
            node.ClearField("metadata_props")  # what the tools leave for themselves
        onnx.save(written, made)
    return Path(target)
