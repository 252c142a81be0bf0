"""int8 in ONNX: whole numbers in the file, nearly the same answers, on any processor, and clear refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tuckerlab.deploy.export.onnx import answers, open_session, quantize_onnx
from tuckerlab.errors import TuckerlabError

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


GRAPH = """network (float[N, 3, 8, 8] images) => (float[N, 5] logits) {
    a = Conv <kernel_shape = [3, 3]> (images, w1)
    b = BatchNormalization (a, scale, shift, mean, variance)
    c = Relu (b)
    d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c, w2)
    e = BatchNormalization (d, scale, shift, mean, variance)
    f = Add (c, e)
    g = Relu (f)
    h = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (g)
    i = Flatten (h)
    logits = Gemm (i, w3, bias)
}"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with all that int8 must get past: batch norm, pooling, a shortcut, a linear layer."""
    chance = np.random.default_rng(0)
    shapes = {"w1": (24, 3, 3, 3), "w2": (24, 24, 3, 3), "w3": (24 * 9, 5), "bias": (5,), "shift": (24,), "mean": (24,)}
    values = {
        name: chance.normal(0, shape[-1] / np.prod(shape[1:] or (1,)) ** 0.5, shape) for name, shape in shapes.items()
    }
    values |= {"scale": chance.uniform(0.5, 2, 24), "variance": chance.uniform(0.5, 2, 24)}
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> {GRAPH}')
    tensors = [onnx.numpy_helper.from_array(value.astype("float32"), name) for name, value in values.items()]
    model.graph.initializer.extend(tensors)
    onnx.helper.set_model_props(model, {"run": "there"})
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def quantized(source: Path, images: Tensor) -> Path:
    return quantize_onnx(source, source.with_name("int8.onnx"), images)


def weights(path: Path) -> dict[str, np.ndarray]:
    model = onnx.load(path)
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: value for name, value in tensors.items() if value.ndim >= 2}


def test_weights_are_whole_numbers_of_seven_bits_and_notes_stay(quantized: Path) -> None:
    notes = {note.key: note.value for note in onnx.load(quantized).metadata_props}
    assert notes == {"run": "there", "precision": "int8"}
    found = weights(quantized)
    assert len(found) == 3
    assert all(value.dtype == np.int8 and 32 < np.abs(value).max() <= 64 for value in found.values())


def test_nearly_the_same_answers(source: Path, quantized: Path, images: Tensor) -> None:
    expected, found = answers(open_session(source), images), answers(open_session(quantized), images)
    assert 0 < (found - expected).norm() < 0.03 * expected.norm()
    for batch in (1, 5):
        torch.testing.assert_close(answers(open_session(quantized), images[:batch]), found[:batch])


def test_the_runtime_computes_what_the_file_says(quantized: Path, images: Tensor) -> None:
    """With weights of 8 bits, sums of products overflow on processors without VNNI, and answers are far off."""
    from onnx.reference import ReferenceEvaluator

    told = ReferenceEvaluator(str(quantized)).run(None, {"images": images[:8].numpy()})[0]
    found = answers(open_session(quantized), images[:8]).numpy()
    assert np.abs(told - found).max() < 0.02 * np.abs(told).max()


def test_in_a_transformer_products_alone_become_int8(tmp_path: Path) -> None:
    text = """g (float[N, 4, 3] x) => (float[N, 4, 3] z)
        <float[3] one = {1, 1, 1}, float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 10}>
        {n = LayerNormalization(x, one, one) y = MatMul(n, w) z = Add(x, y)}"""
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'), tmp_path / "model.onnx")
    made = onnx.load(quantize_onnx(tmp_path / "model.onnx", tmp_path / "int8.onnx", torch.randn(40, 4, 3)))
    after = {output: node.op_type for node in made.graph.node for output in node.output}
    read = {node.op_type: [after.get(name, "") for name in node.input] for node in made.graph.node}
    assert read["MatMul"] == ["DequantizeLinear", "DequantizeLinear"]
    assert read["LayerNormalization"] == ["", "", ""]
    assert read["Add"][0] == ""


def test_without_images_the_old_file_stays(source: Path, images: Tensor, tmp_path: Path) -> None:
    (tmp_path / "int8.onnx").write_text("the old file")
    with pytest.raises(TuckerlabError, match="no images"):
        quantize_onnx(source, tmp_path / "int8.onnx", images[:0])
    assert (tmp_path / "int8.onnx").read_text() == "the old file"
