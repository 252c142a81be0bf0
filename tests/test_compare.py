"""The comparison: all methods get the same and keep to their size, before and after a cut; what is refused or kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import contests
import pytest
import torch
from contests import few_digits as few_digits

from tuckerlab import Budget, DivergedError, Tolerance, TuckerConv2d, TuckerlabError
from tuckerlab.errors import RankError
from tuckerlab.experiments import setup
from tuckerlab.experiments.methods import METHODS, make_method
from tuckerlab.experiments.methods.base import Method
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.pruning import Channels, Pruned
from tuckerlab.experiments.methods.tucker_variants import Factors, Matrix
from tuckerlab.experiments.methods.two_gradient import TwoGradients
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run import run_compare
from tuckerlab.plotting.styles import LOOKS, method_name
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Callback, Run

SMALL: dict[str, Any] = {**contests.SMALL, "epochs": 2, "compression": [0.8], "seeds": 1}


def test_all_methods_get_the_same_gradients_and_keep_to_their_size(tmp_path: Path) -> None:
    folder = run_compare(**SMALL, out=tmp_path).folder
    assert folder.name == "compare-digits-vgg_small-a689793a"  # stays, or nothing would be gone on with
    records = Records.load(folder)
    runs = records.runs.set_index("method")
    assert runs.index.tolist() == [*METHODS]
    assert runs["label"].tolist() == [
        "dense", "Tucker 80 %", "any size 80 %", "dense AdamW", "Tucker 80 % AdamW", "pruned 80 %", "cut 80 %",
        "cut and tuned 80 %", "factors SGD 80 %", "factors AdamW 80 %", "factors Muon 80 %", "two gradients 80 %",
        "matrix 80 %", "CP 80 %", "TT 80 %", "channels 80 %",
    ]  # fmt: skip
    assert set(runs["gradient_evaluations"]) == {8}
    assert set(records.epochs.groupby("run")["epoch"].max()) == {1, 2}  # one with two gradients a step
    small = runs.drop(index=["dense", "dense-adamw"])
    assert small["conv_compression"].between(0.799, 0.83).all()
    last = records.epochs.groupby("run")["conv_parameters"].last()
    assert last[runs["run"]].tolist() == runs["conv_parameters"].tolist()
    memory = runs["memory_weights_bytes"]
    assert memory["pruning"] == memory["dense"] + runs["conv_parameters"]["dense"]  # a byte says what is left
    assert runs["multiply_adds"]["channels"] < 0.4 * runs["multiply_adds"]["dense"]
    assert (runs["threads"] == torch.get_num_threads()).all()
    twice = ["cut-tuned", "channels"]  # of two networks, one after the other
    assert runs.loc[twice, "step_ms"].isna().all()
    assert runs.drop(index=twice)["step_ms"].notna().all()
    assert Factors(Budget(0.8), "adamw").recipe(Recipe()).lr == 3e-3


def test_what_the_settings_do_not_suit_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: METHODS[name] for name in ("tucker", "two-gradients")}
    monkeypatch.setattr("tuckerlab.experiments.methods.METHODS", few)
    found = run_compare(**{**SMALL, "epochs": 1, "quiet": False}, out=tmp_path)
    assert found.records.runs["label"].tolist() == ["dense", "Tucker 80 %"]
    assert "left out: two gradients 80 %: " in capsys.readouterr().out


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_look_and_a_name(name: str) -> None:
    assert make_method(name, Budget(0.9)).name == name
    assert name in LOOKS
    assert method_name(name) != name


def test_what_a_method_cannot_be_is_refused() -> None:
    with pytest.raises(TuckerlabError, match="cp takes a compression, not a tolerance"):
        make_method("cp", Tolerance(0.1))
    for compression in (1, -0.1, "0.9"):
        with pytest.raises(RankError, match="allowed are numbers from 0"):
            Channels(compression)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": ["magic"]}, r"method 'magic': allowed are dense, tucker"),
        ({"methods": []}, "nothing to compare"),
        ({"compression": [0.9999]}, "cannot be met"),
        ({"methods": ["matrix"], "compression": [0.999]}, "cannot be met"),
        ({"methods": ["cp"], "compression": [0.999]}, r"with every rank at 1, \d+ of \d+ weights"),
        ({"methods": ["channels"], "compression": [0.995]}, "every layer keeps 10%"),
        ({"methods": ["channels"], "model": "vit_small"}, "a transformer"),
        ({"methods": ["channels"], "epochs": 1}, "needs 2 or more"),
        ({"methods": ["cut-tuned"], "epochs": 1}, "epochs 1: what trains twice"),
        ({"methods": ["two-gradients"], "epochs": 5}, "give an even number"),
        ({"seeds": 0}, "seeds 0"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_trained(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(TuckerlabError, match=said):
        run_compare(**{**SMALL, "methods": ["tucker"], "out": tmp_path, **changes})
    assert list(tmp_path.iterdir()) == []


def test_what_diverges_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def diverging(*arguments: Any, **options: Any) -> Any:
        if options.get("ranks"):
            raise DivergedError("the loss is nan")
        return real(*arguments, **options)

    real = setup.Experiment.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup.Experiment, "fit", diverging)
        found = run_compare(**SMALL, methods=["tucker"], out=tmp_path)
        assert found.records.runs["label"].tolist() == ["dense"]
        assert "left out, since training diverged: Tucker 80 %" in found.records.runs["note"].iloc[0]
        assert "Tucker 80 % is left out: the loss is nan" in capsys.readouterr().err
        patch.setattr(setup.Experiment, "fit", lambda *_, **__: diverging(ranks=True))
        with pytest.raises(DivergedError, match="the loss is nan"):
            run_compare(**SMALL, methods=["tucker"], out=tmp_path / "none")


class CutOff(Callback):
    """Ends everything after a step, as a power cut would."""

    def on_step(self, run: Run) -> None:
        if run.step == 7:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "method",
    [
        Channels(0.8), Matrix(Budget(0.8)), Tensorized(0.8, "cp"), Tensorized(0.8, "tt"), Pruned(0.8),
        TwoGradients(Budget(0.8)),
    ],
    ids=lambda method: method.slug,
)  # fmt: skip
def test_goes_on_after_a_cut(method: Method, tmp_path: Path) -> None:
    experiment = contests.small_experiment(method, epochs=4)
    whole = method.train(replace(experiment, folder=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        method.train(replace(experiment, folder=tmp_path / "cut", callbacks=[CutOff()]))
    again = method.train(replace(experiment, folder=tmp_path / "cut"))
    assert again.evaluations == whole.evaluations
    with torch.no_grad():
        one, other = (run.network.eval()(experiment.batch(32)[0]) for run in (whole, again))
    assert torch.equal(one, other)


def test_a_matrix_is_of_the_rank_of_its_layer() -> None:
    network = Matrix(Budget(0.9)).network(contests.DIGITS, seed=0)
    layers = [layer for layer in network.modules() if isinstance(layer, TuckerConv2d)]
    assert all(layer.modes == (0,) and layer.stored_numel <= layer.dense_numel for layer in layers)
    assert torch.linalg.matrix_rank(layers[0].dense_weight().flatten(1)) == layers[0].ranks[0]
