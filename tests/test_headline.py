"""The headline, small: its networks and seeds, the time limit, going on after an interruption, and recorded results."""

from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, Mock

import contests
import numpy as np
import pytest
from contests import few_digits as few_digits
from made_up import dense, tucker

from tuckerlab import Budget, DataError, recorded, run_headline
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments import headline, measuring, run_folder as results, setup
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.weight import TuckerLayer

SMALL: dict[str, Any] = {**contests.SMALL, "compression": [0.8, 0.9], "pruning": [0.9], "seeds": 2, "epochs": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_headline(**SMALL, out=tmp_path_factory.mktemp("runs"))


def test_every_network_is_there_for_every_seed(whole: RunFolder) -> None:
    runs = Records.load(whole.folder).runs
    assert len(runs) == 2 * 4
    assert sorted(runs["seed"].unique()) == [0, 1]
    assert list(dict.fromkeys(runs["label"])) == ["dense", "Tucker 80 %", "Tucker 90 %", "pruned 90 %"]
    rates = runs.groupby("label")["conv_compression"].min()
    assert rates["Tucker 80 %"] >= 0.8
    assert rates["Tucker 90 %"] >= 0.9
    assert rates["pruned 90 %"] == pytest.approx(0.9, abs=1e-3)
    assert rates["dense"] == 0
    pruned, dense = (runs[runs["label"] == label].iloc[0] for label in ("pruned 90 %", "dense"))
    assert pruned["multiply_adds"] == dense["multiply_adds"]  # zeros that lie anywhere save no arithmetic
    assert pruned["checkpoint_bytes"] < 0.5 * dense["checkpoint_bytes"]
    assert {"accuracy_vs_costs", "accuracy_over_time"} <= whole.figures.keys()


def test_a_second_call_trains_nothing_and_an_interrupted_one_goes_on(
    whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Mock(side_effect=[DEFAULT] * 6 + [KeyboardInterrupt] + [DEFAULT] * 4, wraps=setup.fit)
    monkeypatch.setattr(setup, "fit", fit)
    assert len(run_headline(**SMALL, out=whole.folder.parent).records) == 8
    fit.assert_not_called()
    with pytest.raises(KeyboardInterrupt):
        run_headline(**SMALL, out=tmp_path)
    again = run_headline(**SMALL, out=tmp_path)
    assert [call.args[2].seed for call in fit.call_args_list] == [0] * 4 + [1] * 7
    columns = ["label", "seed", "test_accuracy", "conv_parameters"]
    assert again.records.runs[columns].equals(whole.records.runs[columns])


def test_in_equal_time_a_network_of_shorter_steps_gets_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {"dense": [6.0], "Tucker 80 %": [6.0, 5.0, 4.0, 3.0, 3.0], "Tucker 90 %": [2.0] * 5}
    monkeypatch.setattr(headline, "step_times", lambda ways, experiment: {each: seconds[each.label] for each in ways})
    options = {**SMALL, "compression": [0.9], "seeds": 1, "quiet": False}
    found = run_headline(**options, equal=["time"], out=tmp_path).records.runs.set_index("label")
    assert found["epochs"].to_dict() == {"dense": 1, "Tucker 90 %, equal time": 3, "pruned 90 %": 1}
    assert "in the time of 1 of the dense network: Tucker 90 % 3" in capsys.readouterr().out
    options |= {"compression": [0.9, 0.8], "quiet": True}
    seconds["Tucker 90 %"] = [0.1] * 5  # another measurement: what was decided holds
    more = run_headline(**options, equal=["time", "epochs"], out=tmp_path)
    runs = more.records.runs.set_index("label")
    assert runs["epochs"].to_dict() == {
        "dense": 1, "Tucker 90 %, equal time": 3, "Tucker 80 %, equal time": 2, "Tucker 90 %": 1, "Tucker 80 %": 1,
        "pruned 90 %": 1,
    }  # fmt: skip
    assert runs.loc[found.index, "test_accuracy"].equals(found["test_accuracy"])
    assert RunFolder.open(more.folder).network("Tucker 80 %, equal time").spec["name"] == "vgg_small"


def test_recorded_results_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("headline-gpu", "headline-cpu", "other"):
        (dense() + tucker()).save(tmp_path / name)
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert results.names() == ["headline-cpu", "headline-gpu", "other"]
    assert len(recorded("other").records) == len(recorded("headline-g").records) == 2
    assert "Tucker" in recorded("other")._repr_html_()
    for name, word in (("headline", "2 of that name"), ("nonsense", "0 of that name; there are headline-cpu")):
        with pytest.raises(DataError, match=word):
            recorded(name)


def test_steps_are_timed_at_the_ranks_of_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: SMALL[name] for name in ("dataset", "model", "width", "batch_size", "device")}
    method = Tucker(Budget(0.9), 0.5)
    experiment = setup.set_up([method], **given, epochs=4)
    trained = method.train(experiment)
    first = method.network(experiment.spec, 0)
    assert max(max(m.ranks) for m in first.modules() if isinstance(m, TuckerLayer)) == 16  # of 32
    stored = [count_parameters(first).total_stored, *(row["parameters"] for row in trained.epochs)]
    assert len(set(stored)) > 1
    monkeypatch.setattr(measuring, "stepper", lambda method, model, experiment: count_parameters(model).total_stored)
    monkeypatch.setattr(
        measuring, "interleave", lambda taking, **_: {name: np.array([ms]) for name, ms in taking.items()}
    )
    assert measuring.steps_by_epoch({method: trained}, experiment)[method] == [(a + b) / 2 for a, b in pairwise(stored)]


def test_all_ends_within_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 100 ms, four an epoch: 1.6 s an epoch of four networks, and four fifths of 10.8 s for it."""
    monkeypatch.setattr(headline, "step_times", lambda ways, experiment: {c: [100.0] * len(w) for c, w in ways.items()})
    planned = []
    monkeypatch.setattr(
        headline, "run_experiment", lambda _, experiment, *__, **___: planned.append(experiment.recipe.epochs)
    )
    asked = SMALL | {"compression": [0.9], "equal": ["time", "epochs"], "seeds": 1, "out": tmp_path, "epochs": None}
    run_headline(**asked, minutes=0.18)
    run_headline(**asked, minutes=0.18)  # as it was decided
    assert planned == [5, 5]
    with pytest.raises(TuckerlabError, match="give more time"):
        run_headline(**asked, minutes=0.01)
    with pytest.raises(TuckerlabError, match="give one of them"):
        run_headline(**asked | {"epochs": 2}, minutes=1)
