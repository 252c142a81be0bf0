"""What is exported answers as the network does, where there is no tuckerlab; and nothing is written that does not."""

import runpy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors
import safetensors.torch
import torch
from exports import IMAGES, network
from torch import Tensor, nn

from tuckerlab import TuckerConv2d, TuckerlabError, __version__, export_onnx, export_plain, export_program
from tuckerlab.deploy.export import parity
from tuckerlab.deploy.export.onnx import answers, open_session, quantize_onnx
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.training.models import MODELS


def outputs(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        answer: Tensor = model.eval()(images)
    return answer


def loaded(folder: Path) -> nn.Module:
    """What `export_plain` has written, again."""
    found: nn.Module = runpy.run_path(str(folder / "model.py"))["load"]()
    return found


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), TuckerConv2d(8, 8, 3, ranks=(2, 2)), nn.Flatten()).eval()


SMALL = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", MODELS)
def test_files_answer_as_the_network_does_and_know_what_they_are(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = network(name, tucker=True)
    logits = outputs(model, IMAGES)
    assert logits.std(0).min() > 1e-2 * logits.abs().max()  # on outputs that are all alike nothing would be seen
    model.train()
    done = export_onnx(model, tmp_path / "model.onnx", IMAGES[:1], metadata={"classes": '["a", "ü"]'})
    assert files(tmp_path) == [done.path]
    source = loaded(export_plain(model, tmp_path / "plain", IMAGES[:1]).path)
    assert model.training
    assert capfd.readouterr() == ("", "")
    session = open_session(done.path)
    for images in (IMAGES[:1], IMAGES[:7], IMAGES):
        for found in (answers(session, images), source(images)):
            assert (found - logits[: len(images)]).abs().max() < 1e-4 * logits.abs().max()
    notes = {entry.key: entry.value for entry in onnx.load(done.path).metadata_props}
    assert notes == {"classes": '["a", "ü"]', "tuckerlab": __version__}
    assert str(Path.cwd()).encode() not in done.path.read_bytes()  # no paths of this machine
    numbers = sum(parameter.numel() for parameter in prepared(model, IMAGES[:1], align=True)[0].parameters())
    assert 4 * numbers < done.size_bytes == done.path.stat().st_size < 4 * numbers + 150_000
    assert done.difference < 1e-4


def save_spoiled(save: Any, content: Any, *settings: Any, **more: Any) -> None:
    """Saves a network with its weights negated."""
    if isinstance(content, onnx.ModelProto):
        for tensor in [tensor for tensor in content.graph.initializer if len(tensor.dims) > 1]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(tensor), tensor.name))
    else:
        for tensor in (content if isinstance(content, dict) else content.state_dict).values():
            tensor.data.neg_()
    save(content, *settings, **more)


SAVES = {
    export_onnx: (onnx, "save"),
    export_program: (torch.export, "save"),
    export_plain: (safetensors.torch, "save_file"),
}


@pytest.mark.parametrize("export", SAVES)
def test_what_was_written_wrong_is_refused(
    export: Any, tmp_path: Path, small: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name = SAVES[export]
    monkeypatch.setattr(module, name, partial(save_spoiled, getattr(module, name)))
    with pytest.raises(TuckerlabError, match="answers differently"):
        export(small, tmp_path / "model", SMALL)
    assert not files(tmp_path)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("export", SAVES)
def test_a_network_that_cannot_be_exported_leaves_nothing_behind(
    export: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TuckerlabError, match=r"cannot be written as .* use torch\.where") as caught:
        export(Branches(), tmp_path / "model", torch.randn(2, 3))
    assert "\n" not in str(caught.value)
    assert not files(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_what_does_not_answer_the_example_is_refused() -> None:
    images = torch.randn(2, 3)
    for model, example, named in [
        (5, images, "export: int"),
        (nn.Linear(4, 4), images, r"\(2, 3\).*give an example of the shape"),
        (nn.Identity(), torch.zeros(0, 3), r"example: a tensor of shape \(0, 3\)"),
        (nn.LSTM(3, 2), images, "tuple"),
        (nn.Identity(), images / 0, "not finite"),
    ]:
        with pytest.raises(TuckerlabError, match=named):
            prepared(model, example)  # type: ignore[arg-type]


def test_a_hook_is_in_the_copy_or_the_copy_is_refused(small: nn.Module, tmp_path: Path) -> None:
    hook = small[2].register_forward_hook(lambda layer, given, out: 1.5 * out + 0.5)
    torch.testing.assert_close(outputs(prepared(small, SMALL)[0], SMALL), outputs(small, SMALL))
    hook.remove()
    small[2].register_forward_hook(lambda layer, given, out: out if type(layer) is TuckerConv2d else out + 1)
    with pytest.raises(TuckerlabError, match="the exported program answers differently from the network"):
        export_program(small, tmp_path / "model.pt2", SMALL)


def test_the_difference_is_relative_to_the_largest_output() -> None:
    images = 5 * torch.ones(3, 4)  # noise goes on top of what varies
    largest = [float(parity.like(images, batch).abs().max()) for batch in parity.BATCHES]
    found = parity.compared(lambda x: x + 1e-4, lambda x: x, images, "it")
    assert found == pytest.approx(1e-4 / min(largest), rel=1e-2)
    for wrong in (lambda x: x * float("nan"), lambda x: x[:, :1], lambda x: 1.001 * x):
        with pytest.raises(TuckerlabError, match="nothing was written"):
            parity.compared(wrong, lambda x: x, images, "it")
    for batch in parity.BATCHES:  # wrong at one size of the batch alone
        with pytest.raises(TuckerlabError, match="answers differently"):
            parity.compared(lambda x, at=batch: x + (len(x) == at), lambda x: x, images, "it")


def test_the_source_tests_itself_without_us_and_sees_a_wrong_weight(
    small: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"run": 'x""" \\ \n', "tuckerlab": __version__}
    done = export_plain(small, tmp_path, SMALL, metadata={"run": about["run"]})
    weights = tmp_path / "model.safetensors"
    assert done.size_bytes == weights.stat().st_size + (tmp_path / "model.py").stat().st_size
    with safetensors.safe_open(weights, "pt") as file:
        assert file.metadata() == about
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tuckerlab", "safetensors")]:
        monkeypatch.setitem(sys.modules, name, None)  # not installed here

    def run() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(tmp_path / "model.py"), run_name="__main__")
        return ended.value.code, capsys.readouterr().out[:5]

    assert run() == (False, "ok: w")
    assert runpy.run_path(str(tmp_path / "model.py"))["ABOUT"] == about
    content = bytearray(weights.read_bytes())
    content[-400:] = bytes(400)
    weights.write_bytes(content)
    assert run() == (True, "WRONG")


LAYERS = [
    nn.Conv2d(3, 4, 3, padding="same", padding_mode="circular"), nn.BatchNorm2d(4, momentum=None, affine=False),
    nn.ConvTranspose2d(4, 6, 3, output_padding=1, stride=2, groups=2, bias=False), nn.GroupNorm(2, 6, affine=False),
    nn.LeakyReLU(0.3, inplace=True), nn.MaxPool2d((2, 3), 1, ceil_mode=True), nn.Dropout(), nn.GELU("tanh"),
    nn.AdaptiveAvgPool2d((2, None)), nn.Flatten(2), nn.Flatten(), nn.LazyLinear(5), nn.LayerNorm(5, bias=False),
    nn.LayerNorm(5, elementwise_affine=False), nn.BatchNorm1d(5), nn.Softplus(2, 10), nn.LogSoftmax(-1),
]  # fmt: skip


class Odd(nn.Module):
    """Values that are read twice, names that are the same without their dots, a setting, an infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(4))
        self.register_buffer("a_b", torch.randn(4))
        self.a = nn.ModuleDict({"b": nn.Linear(4, 4), "1-é": nn.Linear(4, 4)})

    def forward(self, x: Tensor, gain: float = 2.0) -> Tensor:
        first = self.a["1-é"](x) + self.scale
        second = self.a["b"](first).mul(gain) * self.a_b
        x = self.a["b"](torch.cat([first, second, x], dim=1).unflatten(1, (3, 4)))
        return nn.functional.gelu(x).clamp(max=float("inf")) + first.mean(1).reshape(-1, 1, 1)


@pytest.mark.parametrize(("model", "images"), [(nn.Sequential(*LAYERS), SMALL), (Odd(), torch.randn(3, 4))])
def test_the_source_of_what_is_not_ours(model: nn.Module, images: Tensor, tmp_path: Path) -> None:
    outputs(model, images)
    export_plain(model, tmp_path, images)
    torch.testing.assert_close(loaded(tmp_path)(images), outputs(model, images))
    assert "torch._C" not in (tmp_path / "model.py").read_text()


@torch.fx.wrap
def our_own(x: Tensor) -> Tensor:
    return x + 1


class Custom(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = our_own(x)
        return answer


def test_what_the_plain_format_cannot_write_is_refused(tmp_path: Path) -> None:
    encoder, pool = nn.TransformerEncoderLayer(4, 2), nn.AvgPool2d(2, padding=1, count_include_pad=False)
    for model, word in [(encoder, "Encoder"), (Custom(), "our_own"), (pool, "answers differently")]:
        with pytest.raises(TuckerlabError, match=word):
            export_plain(nn.Sequential(model), tmp_path, torch.randn(2, 4, 4))
    assert not files(tmp_path)


def test_int8_has_whole_numbers_of_seven_bits_and_nearly_the_same_answers_at_any_batch(tmp_path: Path) -> None:
    """In a network with all that it must get past: pooling, shortcuts, a linear layer."""
    source, quantized = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    export_onnx(network("resnet18", tucker=False), source, IMAGES[:1], metadata={"run": "there"})
    quantized.write_text("the old file")
    with pytest.raises(TuckerlabError, match="no images"):
        quantize_onnx(source, quantized, IMAGES[:0])
    assert quantized.read_text() == "the old file"
    model = onnx.load(quantize_onnx(source, quantized, IMAGES))
    notes = {note.key: note.value for note in model.metadata_props}
    assert (notes["run"], notes["precision"]) == ("there", "int8")
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) > 1]
    assert len(weights) == sum(len(tensor.dims) > 1 for tensor in onnx.load(source).graph.initializer) > 4
    assert all(value.dtype == np.int8 and 32 < np.abs(value).max() <= 64 for value in weights)
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
