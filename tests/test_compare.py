"""The comparison: who takes part, that all get the same, what is kept, and what the picture shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tuckerlab import Budget, DivergedError, Tolerance, TuckerlabError, load_data
from tuckerlab.experiments import measuring, run, setup
from tuckerlab.experiments.methods import METHODS, make_method
from tuckerlab.experiments.methods.tucker_variants import Factors
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run import run_compare
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.plotting.styles import LOOKS, method_name
from tuckerlab.training.config import Recipe

SMALL: dict[str, Any] = {
    "dataset": "digits", "model": "vgg_small", "width": 0.25, "epochs": 2, "batch_size": 64, "compression": [0.8],
    "device": "cpu", "quiet": True,
}  # fmt: skip
METHODS_HERE = ["tucker", "tucker-adamw", "cut", "cut-tuned", "factors-sgd", "two-gradients"]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Few digits, no times, and no pictures."""
    digits = load_data("digits").subset(train=256, test=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load_data", lambda name, **how: digits)
        for name in ("interleave", "latencies"):
            patch.setattr(measuring, name, lambda functions, *_, **__: dict.fromkeys(functions, np.array([1.0, 2.0])))
        patch.setattr(run, "save_figures", lambda records, folder: None)
        yield


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_compare(**SMALL, methods=METHODS_HERE, seeds=2, out=tmp_path_factory.mktemp("runs"))


def test_every_method_is_there_for_every_seed(comparison: RunFolder) -> None:
    runs = Records.load(comparison.folder).runs
    assert sorted(runs["method"].unique()) == sorted(["dense", *METHODS_HERE])
    assert (runs.groupby("label")["seed"].nunique() == 2).all()
    smaller = runs[runs["method"] != "dense"]
    assert (smaller["conv_compression"] >= 0.799).all()


def test_all_get_the_same_number_of_gradient_evaluations(comparison: RunFolder) -> None:
    assert comparison.records.runs["gradient_evaluations"].nunique() == 1
    assert set(comparison.records.epochs.groupby("run")["epoch"].max()) == {1, 2}  # one with two gradients a step


def test_what_the_settings_do_not_suit_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: METHODS[name] for name in ("tucker", "two-gradients")}
    monkeypatch.setattr("tuckerlab.experiments.methods.METHODS", few)
    found = run_compare(**{**SMALL, "epochs": 1, "quiet": False}, seeds=1, out=tmp_path)
    assert found.records.runs["label"].tolist() == ["dense", "Tucker 80 %"]
    assert "left out: two gradients 80 %: " in capsys.readouterr().out


def test_the_record_says_how_each_was_trained(comparison: RunFolder) -> None:
    assert Factors(Budget(0.8), "adamw").recipe(Recipe()).lr == 3e-3
    runs = comparison.records.runs.set_index("method")
    assert (runs["threads"] == torch.get_num_threads()).all()
    assert runs.loc["cut-tuned", "step_ms"].isna().all()  # of two networks, one after the other
    assert runs.drop(index="cut-tuned")["step_ms"].notna().all()


def test_a_second_call_trains_nothing(comparison: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = run_compare(**SMALL, methods=METHODS_HERE, seeds=2, out=comparison.folder.parent)
    assert again.records.runs["run"].tolist() == comparison.records.runs["run"].tolist()
    left = {path.name for path in (comparison.folder / "seed0").iterdir()}
    assert not [name for name in left if ".training" in name]
    assert {"dense.safetensors", "cut-80.safetensors", "runs.parquet"} <= left


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_look_and_a_name(name: str) -> None:
    assert make_method(name, Budget(0.9)).name == name
    assert name in LOOKS
    assert method_name(name) != name


def test_what_takes_no_tolerance_says_so() -> None:
    with pytest.raises(TuckerlabError, match="cp takes a compression, not a tolerance"):
        make_method("cp", Tolerance(0.1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["magic"]}, r"method 'magic': allowed are dense, tucker"),
        ({"methods": []}, "nothing to compare"),
        ({"compression": [0.9999]}, "cannot be met"),
        ({"methods": ["channels"], "compression": [0.995]}, "every layer keeps 10%"),
        ({"methods": ["cut-tuned"], "epochs": 1}, "epochs 1: what trains twice"),
        ({"methods": ["two-gradients"], "epochs": 5}, "give an even number"),
        ({"seeds": 0}, "seeds 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_trained(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(TuckerlabError, match=said):
        run_compare(**{**SMALL, "methods": ["tucker"], "seeds": 1, "out": tmp_path, **changes})
    assert list(tmp_path.iterdir()) == []


def test_what_diverges_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def diverging(*arguments: Any, **options: Any) -> Any:
        if options.get("ranks"):
            raise DivergedError("the loss is nan")
        return real(*arguments, **options)

    real = setup.Experiment.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup.Experiment, "fit", diverging)
        found = run_compare(**SMALL, methods=["tucker"], seeds=1, out=tmp_path)
        assert found.records.runs["label"].tolist() == ["dense"]
        assert "left out, since training diverged: Tucker 80 %" in found.records.runs["note"].iloc[0]
        assert "Tucker 80 % is left out: the loss is nan" in capsys.readouterr().err
        patch.setattr(setup.Experiment, "fit", lambda *_, **__: diverging(ranks=True))
        with pytest.raises(DivergedError, match="the loss is nan"):
            run_compare(**SMALL, methods=["tucker"], seeds=1, out=tmp_path / "none")
