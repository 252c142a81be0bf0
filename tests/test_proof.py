"""The main job, small: what it leaves behind, what it does not do twice, and what it refuses at once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import write_pictures
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tuckerlab import Budget, Fixed, TuckerlabError, TuckerLayer, build, fit, load, load_data, run_poc
from tuckerlab.experiments import measuring, run, setup
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.config import Recipe
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.model_size import count_parameters

SMALL: dict[str, Any] = {"dataset": "digits", "epochs": 1, "width": 0.25, "quiet": True, "device": "cpu"}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Few digits, no latencies, empty pictures: how long something takes and how it looks is not the matter here."""
    digits, real = load_data("digits").subset(train=192, test=64), load_data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load_data", lambda name, **how: digits if name == "digits" else real(name, **how))
        patch.setattr(Picture, "savefig", lambda picture, path, **_: Path(path).touch())
        patch.setattr(measuring, "latencies", lambda models, images, **_: dict.fromkeys(models, np.array([1.0, 2.0])))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_poc(**SMALL, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "fit", lambda *_, **__: pytest.fail("this trains"))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def measured(result: RunFolder) -> pd.DataFrame:
    """What must not depend on the hour."""
    columns = ["label", "test_accuracy", "conv_parameters", "parameters", "multiply_adds", "checkpoint_bytes", "state"]
    return result.records.runs[columns]


def test_the_folder_has_the_record_the_networks_and_the_pictures(
    whole: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert whole.folder.name == "poc-digits-vgg_small-seed0-0f8a59d1"  # as in earlier versions, and so for runs
    assert [name[-8:] for name in whole.records.runs["run"]] == ["2a6158e1", "648447bd"]
    tables = [f"{name}.parquet" for name in ("epochs", "events", "ranks", "runs")]
    pictures = [f"{name}.png" for name in ("accuracy_over_time", "accuracy_vs_costs", "ranks_over_time")]
    assert files(whole.folder) == sorted(["dense.safetensors", "tucker-95.safetensors", *pictures, *tables])
    runs = Records.load(whole.folder).runs.set_index("label")
    assert list(runs.index) == ["dense", "Tucker 95 %"]
    assert runs.loc["Tucker 95 %", "conv_compression"] >= 0.95
    for label, name in (("dense", "dense"), ("Tucker 95 %", "tucker-95")):
        model, row = load(whole.folder / f"{name}.safetensors").model, runs.loc[label]
        assert evaluate(model, setup.load_data("digits")).accuracy == row["test_accuracy"]
        assert count_parameters(model).conv_stored == row["conv_parameters"]
    columns = ["multiply_adds", "latency_1_ms", "latency_128_ms", "step_ms", "checkpoint_bytes", "train_seconds"]
    assert (runs[columns] > 0).all(axis=None)
    assert runs.loc["Tucker 95 %", "memory_optimizer_bytes"] < 0.5 * runs.loc["dense", "memory_optimizer_bytes"]
    assert whole.records.epochs["step_ms"].gt(0).all()
    whole.show()
    printed = " ".join(capsys.readouterr().out.split())
    assert whole.finding in printed
    assert whole.finding in whole._repr_html_()


@pytest.mark.usefixtures("no_training")
def test_a_second_call_trains_nothing(whole: RunFolder, tmp_path: Path) -> None:
    again = run_poc(**SMALL, out=whole.folder.parent)
    pd.testing.assert_frame_equal(again.records.runs, whole.records.runs)
    shutil.copytree(whole.folder, tmp_path / whole.folder.name)
    for changes in ({"seed": 1}, {"epochs": 2}, {"compression": 0.8}, {"lr": 0.2}, {"resume": False}):
        with pytest.raises(pytest.fail.Exception, match="this trains"):
            run_poc(**{**SMALL, **changes}, out=tmp_path)


@pytest.mark.parametrize(
    ("cut_off", "steps"), [("dense", [2, 3, 1, 2, 3]), ("tucker", [2, 3]), ("record", [1, 2, 3, 1, 2, 3])]
)
def test_a_run_that_was_cut_off_is_resumed(
    cut_off: str, steps: list[int], whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutOff(Callback):
        def on_step(self, run: Run) -> None:
            is_tucker = any(isinstance(module, TuckerLayer) for module in run.model.modules())
            if run.step == 2 and is_tucker == (cut_off == "tucker"):
                raise KeyboardInterrupt

    def interrupted(*arguments: Any, **options: Any) -> Run:
        return fit(*arguments, **{**options, "checkpoint_seconds": 0, "callbacks": [CutOff()]})

    with monkeypatch.context() as patch:
        if cut_off == "record":
            patch.setattr(run.checkpoints, "save", Mock(side_effect=OSError("no space left")))
            patch.setattr(setup, "fit", lambda *a, **o: fit(*a, **{**o, "checkpoint": None}))
        else:
            patch.setattr(setup, "fit", interrupted)
        with pytest.raises((KeyboardInterrupt, OSError)):
            run_poc(**SMALL, out=tmp_path)
    assert not list(tmp_path.rglob("runs.parquet"))
    began: list[int] = []

    class Begin(Callback):
        def on_step(self, run: Run) -> None:
            began.append(run.step)

    monkeypatch.setattr(setup, "fit", lambda *a, **options: fit(*a, **{**options, "callbacks": [Begin()]}))
    resumed = run_poc(**SMALL, out=tmp_path)
    assert began == steps
    pd.testing.assert_frame_equal(measured(resumed), measured(whole))
    assert files(resumed.folder) == files(whole.folder)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    pictures = tmp_path / "some where" / "my pictures"
    for part in ("train", "test"):
        write_pictures(pictures / part, {"a": 4, "b": 4}, shape=(16, 16))
    result = run_poc(**{**SMALL, "dataset": f"folder:{pictures}", "image_size": 16, "out": tmp_path / "runs"})
    assert result.folder.name.startswith("poc-folder-my-pictures-vgg_small-seed0-")
    assert set(result.records.runs["dataset"]) == {f"folder:{pictures}"}
    assert RunFolder.open(result.folder).network("Tucker 95 %")(torch.zeros(1, 1, 16, 16)).shape == (1, 2)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"compression": 1}, "budget 1.0: allowed are numbers from 0"),
    ({"compression": []}, "compression []: give numbers such as"),
    ({"compression": 0.999}, "budget 0.999 cannot be met"),
    ({"tolerance": 0.1, "compression": 0.9}, "give one of them, not both"),
    ({"dataset": "letters"}, "'letters'"),
    ({"model": "vgg99"}, "model 'vgg99': allowed are lenet5, vgg_small"),
    ({"model": "vgg16"}, "vgg16 cannot take images of 8 × 8 pixels"),
    ({"epochs": 0}, "epochs 0: allowed are whole numbers"),
    ({"device": "abacus"}, "device 'abacus': allowed are auto, cpu"),
]


@pytest.mark.usefixtures("no_training")
def test_a_mistake_is_refused_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for options, said in WRONG:
        with pytest.raises(TuckerlabError) as caught:
            run_poc(**{**SMALL, **options})
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


class Allocations(TorchDispatchMode):
    """Notes the shape of everything that is given memory."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        self.shapes |= {tuple(x.shape) for x in tree_leaves(results) if isinstance(x, Tensor) and not x.is_meta}
        return results


def test_the_tucker_network_never_allocates_a_full_weight() -> None:
    spec = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.5}
    with torch.device("meta"):
        layers = [m for m in build(**spec).modules() if isinstance(m, nn.Conv2d)][1:]  # the first stays dense
    full = {tuple(layer.weight.shape) for layer in layers}
    largest = max(full, key=np.prod)  # a core has the shape of a smaller layer's weight now and then, of this one never
    unfolded = {(largest[i], np.prod(largest) // largest[i]) for i in (0, 1)}
    recipe = Recipe(epochs=1, batch_size=17, adapt_every=2, ranks=Budget(0.9))
    data = load_data("digits").subset(train=5 * 17, test=32)
    with Allocations() as mode:
        model = Tucker(Fixed()).network(spec, seed=0)
        fit(model, data, recipe, progress=False, device="cpu")
    factorized = [m for m in model.modules() if isinstance(m, TuckerLayer)]
    assert {layer.shape for layer in factorized} == full
    assert {tuple(layer.core.shape) for layer in factorized} <= mode.shapes  # it does look
    assert not ({largest} | unfolded) & mode.shapes
    with Allocations() as mode:
        Dense().network(spec, seed=0)
    assert full <= mode.shapes


def test_both_networks_get_the_same_images_in_the_same_order() -> None:
    experiment, seen = setup.set_up(dataset="digits", epochs=1, width=0.25, device="cpu"), dict[str, list[Tensor]]()
    for method in (Dense(), Tucker(Budget(0.9))):
        network, images = method.network(experiment.spec, 0), seen.setdefault(method.name, [])
        network.register_forward_pre_hook(
            lambda module, inputs, images=images: images.append(inputs[0].clone()) if module.training else None
        )
        method.fit(network, experiment)
    assert len(seen["dense"]) == len(seen["tucker"]) == 3
    assert all(torch.equal(one, other) for one, other in zip(*seen.values(), strict=True))
