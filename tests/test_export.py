"""What is exported answers as the network does, where there is no tuckerlab; and nothing is written that does not."""

import contextlib
import functools
import importlib
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import safetensors
import safetensors.torch
import torch
from exports import IMAGES, network
from torch import Tensor, nn

from tuckerlab import TuckerConv2d, TuckerlabError, __version__, export_onnx, export_plain, export_program, to_plain
from tuckerlab.data import load_data
from tuckerlab.deploy.export import FromPixels, parity, prepared
from tuckerlab.deploy.export.python_source import Source, construction
from tuckerlab.deploy.ort import answers, open_session
from tuckerlab.training.models import MODELS


@pytest.fixture(scope="module", autouse=True)
def _one_registry() -> Iterator[None]:
    """Each export of torch reads the source of 500 functions of onnxscript anew: a third of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        home = "onnxscript._framework_apis.torch_2_5"
        with contextlib.suppress(ImportError, AttributeError):  # another version: slower, but right
            patch.setattr(f"{home}.get_torchlib_ops", functools.cache(importlib.import_module(home).get_torchlib_ops))
        yield


def outputs(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        answer: Tensor = model.eval()(images)
    return answer


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def assert_varied(model: nn.Module) -> None:
    """A test on outputs that are all alike would see nothing."""
    logits = outputs(model, IMAGES)
    assert logits.std(0).min() > 1e-2 * logits.abs().max()


# --- onnx -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_onnx_answers_as_torch_does(name: str, tmp_path: Path) -> None:
    model = network(name, tucker=True)
    assert_varied(model)
    ready = prepared(model, IMAGES[:1])
    done = export_onnx(ready.module, tmp_path / "model.onnx", IMAGES[:1])
    session = open_session(tmp_path / "model.onnx")
    for batch in (1, 7, 32):
        assert relative(answers(session, IMAGES[:batch]), outputs(model, IMAGES[:batch])) < 1e-4
    assert done.difference < 1e-4
    assert done.size_bytes == (tmp_path / "model.onnx").stat().st_size
    numbers = sum(parameter.numel() for parameter in ready.module.parameters())
    assert 4 * numbers < done.size_bytes < 4 * numbers + 150_000
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.fixture
def small() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), TuckerConv2d(8, 8, 3, ranks=(2, 2)), nn.Flatten())
    return model.eval()


SMALL = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(2))


def test_a_tucker_model_and_its_plain_copy_are_written_alike_and_in_silence(
    small: nn.Module, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small.train()
    export_onnx(small, tmp_path / "tucker.onnx", SMALL, opset=18, metadata={"classes": '["a", "ü"]', "input": "pixels"})
    assert small.training
    assert capfd.readouterr() == ("", "")
    written = onnx.load(tmp_path / "tucker.onnx")
    notes = {"classes": '["a", "ü"]', "input": "pixels", "tuckerlab": __version__}
    assert {entry.key: entry.value for entry in written.metadata_props} == notes
    assert [node.op_type for node in written.graph.node].count("Conv") == 4
    assert [entry.version for entry in written.opset_import] == [18]
    assert str(Path.cwd()).encode() not in (tmp_path / "tucker.onnx").read_bytes()  # no paths of this machine
    found = answers(open_session(tmp_path / "tucker.onnx"), SMALL)
    torch.testing.assert_close(found, outputs(to_plain(small), SMALL), rtol=1e-4, atol=1e-5)


def test_an_opset_that_cannot_be_had_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    old = export_onnx(nn.Linear(4, 4), tmp_path / "model.onnx", torch.randn(2, 4), opset=13).path.read_bytes()
    for opset in (13, 99):
        with pytest.raises(TuckerlabError, match=f"opset {opset}: torch writes this model as opset 18"):
            export_onnx(nn.LayerNorm(4), tmp_path / "model.onnx", torch.randn(2, 4), opset=opset)
    assert (tmp_path / "model.onnx").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


SAVE_ONNX, SAVE_PROGRAM, SAVE_TENSORS = onnx.save, torch.export.save, safetensors.torch.save_file


def wrong_onnx(proto: onnx.ModelProto, *settings: Any, **more: Any) -> None:
    weight = next(tensor for tensor in proto.graph.initializer if len(tensor.dims) > 1)
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    SAVE_ONNX(proto, *settings, **more)


def wrong_program(program: torch.export.ExportedProgram, *settings: Any, **more: Any) -> None:
    weight = next(iter(program.state_dict.values())).data
    weight.neg_()
    SAVE_PROGRAM(program, *settings, **more)
    weight.neg_()  # it is the network's too


def wrong_tensors(tensors: dict[str, Tensor], *settings: Any, **more: Any) -> None:
    SAVE_TENSORS({name: -value for name, value in tensors.items()}, *settings, **more)


def test_weights_that_are_too_many_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuckerlab.deploy.export.onnx.LARGEST", 0)
    for _ in range(2):  # what is there from before is replaced
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 30))  # onnx keeps weights below 1 KB in the model
        done = export_onnx(model, tmp_path / "model.onnx", SMALL)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
        assert done.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
        assert 4 * 3 * 36 * 30 <= (tmp_path / "model.onnx.data").stat().st_size < 4 * 3 * 36 * 30 + 500
        found = answers(open_session(tmp_path / "model.onnx"), SMALL)
        torch.testing.assert_close(found, outputs(model, SMALL), rtol=1e-4, atol=1e-5)


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class TwoAnswers(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize("export", [export_onnx, export_program, export_plain])
def test_a_network_that_cannot_be_exported_leaves_nothing_behind(
    export: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TuckerlabError, match=r"cannot be written as .* use torch\.where") as caught:
        export(Branches(), tmp_path / "model", torch.randn(2, 3))
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("export", "name", "wrong"),
    [
        (export_onnx, "onnx.save", wrong_onnx),
        (export_program, "torch.export.save", wrong_program),
        (export_plain, "safetensors.torch.save_file", wrong_tensors),
    ],
)
def test_what_was_written_wrong_is_refused(
    export: Any, name: str, wrong: object, tmp_path: Path, small: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name, wrong)
    with pytest.raises(TuckerlabError, match="answers differently"):
        export(small, tmp_path / "model", SMALL)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert export(small, tmp_path / "model", SMALL).difference < 1e-4


# --- parity ---------------------------------------------------------------------------------------------------------


def test_what_does_not_answer_the_example_is_refused() -> None:
    images = torch.randn(2, 3)
    for model, example, named in [
        (5, images, "model: int"),
        (nn.Linear(4, 4), images, r"\(2, 3\).*give an example of the shape"),
        (nn.Identity(), torch.zeros(0, 3), r"example: a tensor of shape \(0, 3\)"),
        (TwoAnswers(), images, "tuple"),
    ]:
        with pytest.raises(TuckerlabError, match=named):
            parity.plain_on_cpu(model, example)


def test_a_hook_is_in_the_copy_or_the_copy_is_refused(small: nn.Module) -> None:
    hook = small[2].register_forward_hook(lambda layer, given, out: 1.5 * out + 0.5)
    torch.testing.assert_close(outputs(parity.plain_on_cpu(small, SMALL)[0], SMALL), outputs(small, SMALL))
    hook.remove()
    small[2].register_forward_hook(lambda layer, given, out: out if type(layer) is TuckerConv2d else out + 1)
    with pytest.raises(TuckerlabError, match="the copy that is to be written answers differently from the network"):
        parity.plain_on_cpu(small, SMALL)


def test_the_difference_is_relative_to_the_largest_output() -> None:
    images = 5 * torch.ones(3, 4)  # noise goes on top of what varies
    batches = [parity.like(images, batch) for batch in parity.BATCHES]
    expected = max(0.01 / float(batch.abs().max()) for batch in batches)
    assert parity.difference(lambda x: x + 0.01, lambda x: x, images) == pytest.approx(expected, rel=1e-3)
    assert parity.difference(lambda x: 1.001 * x, lambda x: x, 1e6 * images) == pytest.approx(1e-3, rel=1e-2)
    with pytest.raises(TuckerlabError, match="not finite"):
        parity.difference(lambda x: x, lambda x: x / 0, images)
    with pytest.raises(TuckerlabError, match="answers differently"):
        parity.checked(lambda x: x * float("nan"), lambda x: x, images, "it")
    for batch in parity.BATCHES:  # wrong at one size of the batch alone
        assert parity.difference(lambda x, at=batch: x + (len(x) == at), lambda x: x, images) > 0.1


# --- torch.export ---------------------------------------------------------------------------------------------------


def test_an_exported_program_runs_at_any_batch_and_knows_what_it_is(small: nn.Module, tmp_path: Path) -> None:
    done = export_program(small, tmp_path / "model.pt2", SMALL, metadata={"classes": "ä, b"})
    about = {"about.json": ""}
    loaded = torch.export.load(tmp_path / "model.pt2", extra_files=about).module()
    images = torch.randn(5, 3, 6, 6)
    torch.testing.assert_close(loaded(images), outputs(small, images))
    assert json.loads(about["about.json"]) == {"classes": "ä, b", "tuckerlab": __version__}
    assert (done.path, done.size_bytes) == (tmp_path / "model.pt2", (tmp_path / "model.pt2").stat().st_size)


# --- plain torch ----------------------------------------------------------------------------------------------------

ALONE = """
import importlib.util, sys
from pathlib import Path

class Barrier:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tuckerlab", "safetensors"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Barrier())
try:
    import tuckerlab
except ImportError:
    pass
else:
    sys.exit("tuckerlab is there")
import torch

for folder in sorted(Path(sys.argv[1]).iterdir()):
    spec = importlib.util.spec_from_file_location(folder.name.replace("-", "_"), folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.inference_mode():
        torch.save(module.load()(torch.load(sys.argv[2])), folder / "answer.pt")
"""


def test_plain_torch_runs_every_network_without_us(tmp_path: Path) -> None:
    models, folder = {}, tmp_path / "networks"
    for name, tucker in [*((name, True) for name in MODELS), ("resnet18", False)]:
        model = models[f"{name}-{tucker}"] = network(name, tucker=tucker)
        ready = prepared(model, IMAGES[:1]) if tucker else None  # dense: with its batch norms
        export_plain(ready.module if ready else model, folder / f"{name}-{tucker}", IMAGES[:1])
    torch.save(IMAGES, tmp_path / "images.pt")
    command = [sys.executable, "-c", ALONE, str(folder), str(tmp_path / "images.pt")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for label, model in models.items():
        assert_varied(model)
        assert relative(torch.load(folder / label / "answer.pt"), outputs(model, IMAGES)) < 1e-5


def test_the_self_test_of_the_source_sees_a_wrong_weight(
    small: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = export_plain(small, tmp_path, SMALL, metadata={"run": 'x""" \\ \n'})

    def run() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(tmp_path / "model.py"), run_name="__main__")
        return ended.value.code, capsys.readouterr().out[:5]

    assert run() == (False, "ok: w")
    weights = tmp_path / "model.safetensors"
    assert done.size_bytes == weights.stat().st_size + (tmp_path / "model.py").stat().st_size
    with safetensors.safe_open(weights, "pt") as file:
        assert file.metadata() == {"run": 'x""" \\ \n', "tuckerlab": __version__}
    content = bytearray(weights.read_bytes())
    content[-400:] = bytes(400)
    weights.write_bytes(content)
    assert run() == (True, "WRONG")


MADE = [
    nn.Conv1d(2, 4, 3, padding="same", padding_mode="circular"), nn.Conv3d(2, 4, (1, 2, 3), groups=2, bias=False),
    nn.ConvTranspose2d(2, 4, 3, output_padding=1, stride=2, dilation=2), nn.Linear(3, 4, bias=False), nn.Linear(3, 4),
    nn.BatchNorm2d(3, momentum=None), nn.BatchNorm3d(3, affine=False), nn.LayerNorm((3, 4), elementwise_affine=False),
    nn.LayerNorm(3, bias=False), nn.GroupNorm(2, 4, affine=False), nn.LeakyReLU(0.3, inplace=True), nn.GELU("tanh"),
    nn.Softplus(2, 10), nn.LogSoftmax(-1), nn.MaxPool2d((2, 3), 1, ceil_mode=True), nn.AdaptiveMaxPool3d(2),
    nn.AvgPool2d(2, count_include_pad=False, divisor_override=3), nn.AdaptiveAvgPool2d((2, None)), nn.Flatten(2),
]  # fmt: skip


def test_a_layer_is_constructed_as_it_was() -> None:
    for module in MADE:
        again = eval(construction(module))  # as Python will read it in the generated file; the text is our own
        assert repr(again) == repr(module)
        shapes = ({n: v.shape for n, v in one.state_dict().items()} for one in (again, module))
        assert next(shapes) == next(shapes)
        same = {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | tuple)}
        assert {name: vars(again)[name] for name in same} == same


def test_values_that_are_read_twice_keep_their_names() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.randn(4))
            self.register_buffer("a_b", torch.randn(4))
            self.a = nn.ModuleDict({"b": nn.Linear(4, 4), "1-é": nn.Linear(4, 4)})  # a_b is a name already

        def forward(self, x: Tensor, gain: float = 2.0) -> Tensor:
            first = self.a["1-é"](x) + self.scale
            second = self.a["b"](first).mul(gain) * self.a_b
            x = torch.cat([first, second, x], dim=1)
            return nn.functional.gelu(x).clamp(max=float("inf")) + first.mean(1, keepdim=True)

    odd, images = Odd().eval(), torch.randn(3, 4)
    source = Source.of(odd)
    space = {"torch": torch, "nn": nn, "F": nn.functional}
    exec("\n".join([*source.imports, source.code]), space)
    again = space["Network"]()  # type: ignore[operator]
    again.load_state_dict(source.tensors)
    torch.testing.assert_close(again(images), odd(images))
    assert "torch._C" not in source.code


class Custom(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return our_own(x)


@torch.fx.wrap
def our_own(x: Tensor) -> Tensor:
    return x + 1


def test_what_the_plain_format_cannot_write_is_named() -> None:
    attention = nn.Sequential(nn.MultiheadAttention(4, 2))
    for model, word in [(attention, "MultiheadAttention"), (Custom(), "our_own"), (nn.LSTM(2, 2), "")]:
        with pytest.raises(TuckerlabError, match=f"{word}.*use onnx or torch|use onnx or torch.*{word}"):
            Source.of(model)


# --- before it is written -------------------------------------------------------------------------------------------


def test_pixels_are_normalised_as_the_data_are() -> None:
    data = load_data("digits")
    model = nn.Identity()
    pixels = FromPixels(model, data.mean, data.std)(data.test_images[:16].float())
    torch.testing.assert_close(pixels, data.normalize(data.test_images[:16]))


@pytest.mark.parametrize("align", [False, True])
def test_a_prepared_network_is_plain_folded_and_the_same(align: bool) -> None:
    model = network("resnet18", tucker=True).train()
    ready = prepared(model, IMAGES[:1], align=align)
    assert model.training
    assert all(
        type(part).__module__.startswith("torch.nn") for part in ready.module.modules() if not [*part.children()]
    )
    assert (ready.folded, ready.kept, len(ready.words)) == (6, (), 1)
    assert relative(outputs(ready.module, IMAGES), outputs(model, IMAGES)) < 1e-5


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(TuckerlabError, match=r"bad\.onnx: onnxruntime cannot load it"):
        open_session(tmp_path / "bad.onnx")
