"""What every method must keep to: equal training, its compression, and the same network after an interruption."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import contests
import pytest
import torch

from tuckerlab import Budget, TuckerConv2d
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.pruning import Channels, Pruned
from tuckerlab.experiments.methods.tucker_variants import Matrix
from tuckerlab.experiments.methods.two_gradient import TwoGradients
from tuckerlab.experiments.run import run_experiment
from tuckerlab.training.run import Callback, Run

SMALL = [Channels(0.8), Matrix(Budget(0.8)), Tensorized(0.8, "cp"), Tensorized(0.8, "tt"), Pruned(0.8)]
ALL: list[Method] = [Dense(), *SMALL, TwoGradients(Budget(0.8)), Tucker(Budget(0.8))]


def test_in_a_contest(tmp_path: Path) -> None:
    records = run_experiment(ALL, contests.small_experiment(*ALL), tmp_path, quiet=True).records
    runs = records.runs.set_index("label")
    assert runs.index.tolist() == [
        "dense", "channels 80 %", "matrix 80 %", "CP 80 %", "TT 80 %", "pruned 80 %", "two gradients 80 %",
        "Tucker 80 %",
    ]  # fmt: skip
    assert runs["method"].tolist() == [method.name for method in ALL]
    assert set(runs["gradient_evaluations"]) == {8}
    small = runs[runs["method"] != "dense"]
    assert small["conv_compression"].between(0.7999, 0.83).all()
    assert runs["latency_1_ms"].gt(0).all()
    last = records.epochs.groupby("run")["conv_parameters"].last()
    assert last[runs["run"]].tolist() == runs["conv_parameters"].tolist()
    memory = runs["memory_weights_bytes"]
    assert memory["pruned 80 %"] == memory["dense"] + runs["conv_parameters"]["dense"]  # a byte says what is left
    assert runs["multiply_adds"]["channels 80 %"] < 0.4 * runs["multiply_adds"]["dense"]


class CutOff(Callback):
    """Ends everything after a step, as a power cut would."""

    def on_step(self, run: Run) -> None:
        if run.step == 7:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", [*SMALL, TwoGradients(Budget(0.8))], ids=lambda method: method.slug)
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


@pytest.mark.parametrize("compression", [1, -0.1, "0.9"])
def test_a_compression_is_a_share(compression: Any) -> None:
    with pytest.raises(RankError, match="allowed are numbers from 0"):
        Channels(compression)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        (Channels(0.9), {"epochs": 1}, "needs 2 or more"),
        (Channels(0.9), {"model": "vit_small"}, "a transformer"),
        (Matrix(Budget(0.999)), {}, "cannot be met"),
        (Tensorized(0.999, "cp"), {}, r"with every rank at 1, \d+ of \d+ weights"),
    ],
)
def test_what_is_out_of_reach_is_refused(method: Method, options: dict[str, Any], said: str) -> None:
    with pytest.raises(TuckerlabError, match=said):
        contests.small_experiment(method, **options)


def test_a_matrix_is_of_the_rank_of_its_layer() -> None:
    network = Matrix(Budget(0.9)).network(contests.DIGITS, seed=0)
    layers = [layer for layer in network.modules() if isinstance(layer, TuckerConv2d)]
    assert all(layer.modes == (0,) and layer.stored_numel <= layer.dense_numel for layer in layers)
    assert torch.linalg.matrix_rank(layers[0].dense_weight().flatten(1)) == layers[0].ranks[0]
