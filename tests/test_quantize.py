"""int8 in ONNX: whole numbers in the file, nearly the same answers, on any processor, and clear refusals."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exports import IMAGES, network

from tuckerlab import TuckerlabError, export_onnx
from tuckerlab.deploy.export.onnx import answers, open_session, quantize_onnx


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with all that int8 must get past: pooling, shortcuts, a linear layer."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return export_onnx(network("resnet18", tucker=False), path, IMAGES[:1], metadata={"run": "there"}).path


@pytest.fixture(scope="module")
def quantized(source: Path) -> Path:
    return quantize_onnx(source, source.with_name("int8.onnx"), IMAGES)


def test_weights_are_whole_numbers_of_seven_bits_and_notes_stay(source: Path, quantized: Path) -> None:
    model = onnx.load(quantized)
    notes = {note.key: note.value for note in model.metadata_props}
    assert (notes["run"], notes["precision"]) == ("there", "int8")
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) > 1]
    assert len(weights) == sum(len(tensor.dims) > 1 for tensor in onnx.load(source).graph.initializer) > 4
    assert all(value.dtype == np.int8 and 32 < np.abs(value).max() <= 64 for value in weights)


def test_nearly_the_same_answers_at_any_batch(source: Path, quantized: Path) -> None:
    expected, found = answers(open_session(source), IMAGES), answers(open_session(quantized), IMAGES)
    assert 0 < (found - expected).norm() < 0.03 * expected.norm()
    torch.testing.assert_close(answers(open_session(quantized), IMAGES[:5]), found[:5])


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


def test_without_images_the_old_file_stays(source: Path, tmp_path: Path) -> None:
    (tmp_path / "int8.onnx").write_text("the old file")
    with pytest.raises(TuckerlabError, match="no images"):
        quantize_onnx(source, tmp_path / "int8.onnx", IMAGES[:0])
    assert (tmp_path / "int8.onnx").read_text() == "the old file"
