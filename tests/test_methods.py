"""What every method must keep to: equal training, its compression, and the same network after an interruption."""

from dataclasses import replace
from pathlib import Path

import contests
import pytest
import torch

from tuckerlab import Budget
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.methods.channel_pruning import Channels
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.int8 import Int8
from tuckerlab.experiments.methods.low_rank import Matrix
from tuckerlab.experiments.methods.magnitude_pruning import Pruned
from tuckerlab.experiments.methods.two_gradient import TwoGradients
from tuckerlab.experiments.run import run_experiment
from tuckerlab.training.run import Callback, Run

SMALL = [Channels(0.8), Matrix(Budget(0.8)), Tensorized(0.8, "cp"), Tensorized(0.8, "tt"), Pruned(0.8)]
ALL: list[Contender] = [Dense(), *SMALL, TwoGradients(Budget(0.8)), Int8(Dense()), Int8(Tucker(Budget(0.8)))]


class CutOff(Callback):
    """Ends everything after a step, as a power cut would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            raise KeyboardInterrupt


def test_in_a_contest(tmp_path: Path) -> None:
    records = run_experiment(ALL, contests.small_arena(*ALL), tmp_path, quiet=True).records
    runs = records.runs.set_index("label")
    assert runs.index.tolist() == [
        "dense", "channels 80 %", "matrix 80 %", "CP 80 %", "TT 80 %", "pruned 80 %", "two gradients 80 %", "int8",
        "Tucker 80 % int8",
    ]  # fmt: skip
    assert runs["method"].tolist() == [contender.method for contender in ALL]
    assert set(runs["gradient_evaluations"]) == {8}
    small = runs[~runs["method"].isin(["dense", "int8"])]
    assert small["conv_compression"].between(0.7999, 0.83).all()
    assert runs["latency_1_ms"].gt(0).all()
    last = records.epochs.groupby("run")["conv_parameters"].last()
    assert last[runs["run"]].tolist() == runs["conv_parameters"].tolist()
    for same in ("conv_parameters", "parameters", "multiply_adds"):
        assert runs[same]["dense"] == runs[same]["int8"]
    files = runs["checkpoint_bytes"]
    assert files["int8"] < 0.4 * files["dense"]
    assert files["Tucker 80 % int8"] < 0.6 * files["int8"]
    assert runs["multiply_adds"]["channels 80 %"] < 0.4 * runs["multiply_adds"]["dense"]


@pytest.mark.parametrize("contender", [*SMALL, TwoGradients(Budget(0.8))], ids=lambda contender: contender.slug)
def test_goes_on_after_a_cut(contender: Contender, tmp_path: Path) -> None:
    arena = contests.small_arena(contender, epochs=4)
    whole = contender.train(replace(arena, folder=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        contender.train(replace(arena, folder=tmp_path / "cut", callbacks=[CutOff(7)]))
    again = contender.train(replace(arena, folder=tmp_path / "cut"))
    assert again.evaluations == whole.evaluations
    models = (contender.answering(run.network, arena).eval() for run in (whole, again))
    with torch.no_grad():
        one, other = (model(arena.batch(32)[0]) for model in models)
    assert torch.equal(one, other)
