"""Sweeps: what is trained, what is found again, what is given up, and what is left after a kill in mid-sweep."""

import contextlib
import errno
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from filelock import FileLock
from hypothesis import given, strategies as st
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from tuckerlab import DivergedError, RankError, Tolerance, TuckerlabError, build, tuckerize
from tuckerlab.cli import main as cli
from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.methods.post_training import BEFORE, Cut, CutAndTuned
from tuckerlab.experiments.methods.registry import METHODS, Method
from tuckerlab.experiments.setup import Arena
from tuckerlab.experiments.sweep import Sweep, crew, driver, plan, run_sweep
from tuckerlab.experiments.sweep.cluster import ERRORS, Cluster
from tuckerlab.experiments.sweep.job import Job, grid, values
from tuckerlab.experiments.sweep.plan import Plan
from tuckerlab.experiments.sweep.study import delete_study, lock, open_study
from tuckerlab.experiments.sweep.trials import RETRIES, by_job, claim, end, enqueue, mend
from tuckerlab.experiments.sweep.worker import Report, layers
from tuckerlab.training.run import Run
from tuckerlab.tucker.layerwise import PerLayer
from tuckerlab.tucker.rank_policy import Spectrum
from tuckerlab.tucker.sgd_adamw import TuckerSGD

LONG = 240.0  # seconds after which a test has failed
EPOCHS = 8
SMALL: dict[str, Any] = {
    "width": 0.125, "epochs": EPOCHS, "batch_size": 256, "seeds": 1, "methods": ["tucker"], "tolerances": [0.1, 0.3],
    "device": "cpu", "heartbeat": 0.2, "quiet": True, "pruning": False,
}  # fmt: skip
ONE: dict[str, Any] = {**SMALL, "epochs": 1}
LAYERWISE: dict[str, Any] = {k: v for k, v in ONE.items() if k not in ("methods", "seeds")}
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of one order: what is compared must be equal


@pytest.fixture(scope="module", autouse=True)
def _patience() -> Iterator[None]:
    """A minute of grace at a heartbeat of 0.2 s: nobody who lives is taken for dead on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "GRACE", 300)
        yield


def until(true: Callable[[], Any], problem: Callable[[], str] = lambda: "") -> Any:
    """What a condition says once it holds, which other processes bring about."""
    began = time.monotonic()
    while time.monotonic() - began < LONG:
        if found := true():
            return found
        time.sleep(0.05)
    return pytest.fail(f"it never came to that: {problem()}")


def outcome(sweep: Sweep) -> dict[str, Any]:
    """Everything that training decides, of each run and epoch."""
    runs = sweep.records.runs.sort_values("label")
    epochs = sweep.records.epochs.sort_values(["run", "epoch"])
    told = runs[["run", "test_accuracy", "conv_parameters", "gradient_evaluations"]].values.tolist()
    return {"runs": told, "epochs": epochs[["run", "epoch", "train_loss", "test_accuracy"]].values.tolist()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """What comes of `SMALL` when nothing happens to it."""
    return run_sweep(**SMALL, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(plan_in(tmp_path), {})


def arena_of(epochs: int) -> Arena:
    """The arena of `SMALL`, with so many epochs."""
    return Plan("", "", "", width=0.125, epochs=epochs, batch_size=256).arena()


def plan_in(folder: Path, **more: Any) -> Plan:
    return Plan(str(folder), f"sqlite:///{folder / 'study.db'}", "sweep", **more)


# --- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.1", [0.1]),
        (" 0.3 , 0.1 ", [0.3, 0.1]),
        ("0.1:0.3:3", [0.1, 0.2, 0.3]),
        ("0.3:0.3:4", [0.3]),
        ([0.1, 0.2], [0.1, 0.2]),
        (None, []),
    ],
)
def test_lists_of_numbers(text: Any, numbers: list[float]) -> None:
    assert values("tolerances", text) == numbers


@pytest.mark.parametrize(
    "text", ["", ",", "much", "0.1:0.3", "0.1:0.3:0", "0.1:0.3:x", "0.1:0.2:3:4", "nan", [], [None]]
)
def test_a_list_that_holds_nothing_is_refused(text: Any) -> None:
    with pytest.raises(TuckerlabError, match=r"tolerances .*: give numbers such as"):
        values("tolerances", text)


def test_a_grid_is_methods_times_settings_times_seeds() -> None:
    jobs = grid(["dense", "tucker", "pruning"], tolerances=[0.1, 0.2], compressions=[0.9], seeds=2)
    assert len(jobs) == 2 * (1 + 3 + 1)  # dense has no setting, pruning no tolerance
    assert len({job.key for job in jobs}) == len(jobs)
    labels = {"dense", "Tucker τ 0.1", "Tucker τ 0.2", "Tucker 90 %", "pruned 90 %"}
    assert {job.contender().label for job in jobs} == labels
    assert [job.seed for job in jobs] == [0] * 5 + [1] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers 0: allowed are whole numbers from 1"),
        ({"seeds": 0}, "seeds 0"),
        ({"trials": True}, "trials True"),
        ({"tolerances": ","}, "tolerances ',': give numbers"),
        ({"tolerances": "0.1,1.5"}, "1.5"),
        ({"compressions": "0.9999"}, "0.9999"),
        ({"methods": ["tucker", "magic"]}, "unknown method 'magic': known are dense, tucker"),
        ({"methods": ["pruning"]}, "pruning takes a compression, not a tolerance"),
        ({"methods": ["tucker", "tucker"]}, "each once"),
        ({"methods": []}, "none: give one or more"),
        ({"per_layer": True}, "trains tucker with seed 0: leave out methods and seeds"),
        ({"per_layer": True, "methods": None}, "leave out methods and seeds"),
        ({"per_layer": True, "methods": None, "seeds": None, "compressions": "0.9"}, "no compressions"),
        ({"per_layer": True, "methods": None, "seeds": None, "tolerances": "0.1"}, "two or more tolerances"),
        ({"per_layer": True, "methods": None, "seeds": None, "tolerances": "0.1,1.5"}, "between 0 and 1"),
        ({"study": ".."}, r"study '\.\.': give a name of letters"),
        ({"study": "/tmp"}, "study '/tmp': "),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "has workers of its own: leave out workers 2"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "storage sqlite:////nowhere/at/all.db: unable to open"),
        ({"storage": "nonsense"}, "storage nonsense: "),
        ({"storage": "postgresql://me:secret@127.0.0.1:1/x"}, r"storage postgresql://me:\*\*\*@127.0.0.1:1/x: "),
        ({"scheduler": "tcp://127.0.0.1:1"}, "scheduler tcp://127.0.0.1:1 does not answer"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_one_line(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuckerlab.experiments.sweep.cluster.ANSWER", 0.2)
    with pytest.raises(TuckerlabError, match=message) as raised:
        run_sweep(**{**ONE, "out": tmp_path, **options})
    assert "secret" not in str(raised.value)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("line", "word"), [("--workers 0", "workers"), ("--tolerances ,", "tolerances ','"), ("--method magic", "magic")]
)
def test_the_command_line_says_so_too(line: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", *line.split(), "--out", str(tmp_path)]) == 2
    [said] = capsys.readouterr().err.strip().splitlines()
    assert said.startswith("error: ")
    assert word in said


def test_the_command_line_hands_everything_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--dataset digits --model vgg_small --width 0.125 --epochs 1 --batch-size 256 --lr 0.05 --seeds 1"
    line = f"sweep {options} --method tucker --method dense --tolerances 0.1:0.3:2 --study mine --no-pruning"
    assert cli.main([*line.split(), "--device", "cpu", "--quiet", "--out", str(tmp_path)]) == 0
    found = open_study(Plan(str(tmp_path / "mine"), f"sqlite:///{tmp_path / 'mine/study.db'}", "mine"))
    assert {trial.user_attrs["key"] for trial in found.trials} == {
        "dense-seed0", "tucker-0.1-seed0", "tucker-0.3-seed0",
    }  # fmt: skip
    assert found.user_attrs["settings"]["recipe"]["lr"] == 0.05
    assert "best at its size" in capsys.readouterr().out


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(**given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(driver, "run_sweep", full)
    assert cli.main(["sweep"]) == 2
    assert capsys.readouterr().err == "error: the system: No space left on device\n"


def test_a_study_of_another_version_of_optuna_is_one_line(tmp_path: Path) -> None:
    open_study(plan_in(tmp_path), {})
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as tables, tables:
        tables.execute("UPDATE alembic_version SET version_num = 'v2.4.0.a'")
    for act in (open_study, delete_study):
        with pytest.raises(TuckerlabError, match=r"storage sqlite\S+study.db: .* optuna"):
            act(plan_in(tmp_path))


# --- the queue -------------------------------------------------------------------------------------------------------

JOBS = grid(["tucker"], tolerances=[0.1, 0.2, 0.3, 0.4], seeds=5)


def states(study: Study) -> list[str]:
    return [standing.state for standing in by_job(study.trials).values()]


def test_opening_a_study_twice_adds_nothing(tmp_path: Path) -> None:
    one, other = (open_study(plan_in(tmp_path), {"a": 1}) for _ in range(2))
    for opened in (one, other, one):
        enqueue(opened, JOBS)
    assert len(one.trials) == len(JOBS)
    enqueue(other, grid(["tucker"], tolerances=[0.1, 0.5], seeds=5))
    assert len(one.trials) == len(JOBS) + 5


def test_many_workers_take_each_job_once(tmp_path: Path) -> None:
    """SQLite locks no row; what two could take at once is looked for with as many connections as workers."""
    plan = plan_in(tmp_path)
    enqueue(open_study(plan, {}), JOBS)

    def take(worker: int) -> list[str]:
        opened, taken = open_study(plan), []
        while True:
            with lock(plan):
                trial = claim(opened, f"worker {worker}")
            if trial is None:
                return taken
            taken.append(trial.user_attrs["key"])

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(take, range(4)))
    assert sorted(key for part in parts for key in part) == sorted(job.key for job in JOBS)


def test_a_job_that_was_queued_twice_counts_once(study: Study) -> None:
    for _ in range(2):  # two drivers at the same moment, neither of which sees the other's
        study.enqueue_trial({}, user_attrs={"key": "a", "method": "tucker", "seed": 0})
    first = claim(study, "one")
    assert first is not None
    assert claim(study, "two") is None  # while it runs …
    study.tell(first, 0.9)
    study.enqueue_trial({}, user_attrs={"key": "a", "method": "tucker", "seed": 0})
    assert claim(study, "two") is None  # … and afterwards
    assert states(study) == ["finished"]
    assert by_job(study.trials)["a"].losses == 0
    study.ask()  # a trial of somebody else's, who knows nothing of jobs
    assert claim(study, "two") is None
    assert list(by_job(study.trials)) == ["a"]


def test_what_is_lost_is_run_again_with_what_was_suggested(study: Study) -> None:
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])
    trial = claim(study, "one")
    assert trial is not None
    tau = trial.suggest_float("tau0", 0.1, 0.3)
    end(study, trial.number)
    assert states(study) == ["lost"]
    mend(study, pruning=True)
    mend(study, pruning=True)
    again = claim(study, "two")
    assert again is not None
    assert again.suggest_float("tau0", 0.1, 0.3) == tau
    assert (len(study.trials), states(study)) == (2, ["running"])


def test_what_was_given_up_once_and_then_lost_is_run_again_without_pruning(study: Study) -> None:
    jobs = [Job("a", {"method": "tucker", "seed": 0})]
    enqueue(study, jobs)
    study.tell(claim(study, "one"), state=TrialState.PRUNED)
    enqueue(study, jobs, pruning=False)
    trial = claim(study, "two", pruning=False)
    assert trial is not None
    end(study, trial.number)
    mend(study, pruning=True)
    assert claim(study, "three") is None  # for whom it is over
    mend(study, pruning=False)
    assert claim(study, "three", pruning=False) is not None


def test_a_trial_of_somebody_else_in_the_study_is_left_alone(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hands(crew.Crew):
        def start(self) -> None: ...

        def tend(self) -> list[str]:
            if (trial := claim(study, "one")) is not None:
                study.tell(trial, 0.9)
            return []

        def stop(self) -> None: ...

    monkeypatch.setattr(driver.Watch, "is_stale", lambda *_: True)
    theirs, jobs = study.ask(), [Job("a", {"method": "tucker", "seed": 0})]
    enqueue(study, jobs)
    driver._drive(study, jobs, plan_in(tmp_path), Hands(plan_in(tmp_path)), 1, "", quiet=True)
    assert states(study) == ["finished"]
    assert study.trials[theirs.number].state == TrialState.RUNNING


def test_a_job_over_which_workers_die_is_to_blame_and_one_given_back_is_not(study: Study) -> None:
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])
    for _ in range(2 * RETRIES):
        trial = claim(study, "one")
        assert trial is not None
        end(study, trial.number, trial, "given back")
        mend(study, pruning=True)
    for _ in range(RETRIES + 1):
        assert states(study) == ["waiting"]
        trial = claim(study, "one")
        assert trial is not None
        end(study, trial.number)
        mend(study, pruning=True)
    assert states(study) == ["failed"]
    assert by_job(study.trials)["a"].problem == f"{RETRIES + 1} workers died while they trained it"
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])  # a new sweep gives it another chance
    assert states(study) == ["waiting"]


def test_who_gives_no_sign_is_found_by_the_watch(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(driver.time, "monotonic", lambda: now[0])
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])
    trial, watch = claim(study, "one"), driver.Watch(grace=10)
    assert trial is not None

    def stale(at: float, beat: int | None = None) -> bool:
        now[0] = at
        if beat is not None:
            trial.set_user_attr("beat", beat)
        return watch.is_stale(study.trials[0])

    assert [stale(0), stale(9), stale(11)] == [False, False, True]  # died before its first sign
    assert [stale(12, 1), stale(21), stale(22, 2), stale(31), stale(33)] == [False, False, False, False, True]


# --- giving up -------------------------------------------------------------------------------------------------------


def curve(
    study: Study, accuracies: Sequence[float], parameters: int, method: str = "tucker", epochs: int = 10, first: int = 0
) -> Any:
    """A trial with these accuracies, and `first` parameters (or as many) in all epochs but the last of its run."""
    trial = study.ask()
    trial.set_user_attr("method", method)
    trial.set_user_attr("now", {"epoch": len(accuracies), "epochs": epochs, "parameters": parameters})
    sizes = {str(epoch): first or parameters for epoch in range(1, len(accuracies) + 1)}
    sizes |= {str(epochs): parameters}
    trial.set_user_attr("sizes", sizes)
    for epoch, accuracy in enumerate(accuracies, 1):
        trial.report(accuracy, epoch)
    return trial


@pytest.mark.parametrize(
    ("mine", "parameters", "method", "given_up"),
    [
        ([0.5] * 7, 100, "tucker", True),  # 0.3 below something that is no larger
        ([0.5] * 6, 100, "tucker", False),  # not two epochs since the ranks are down
        ([0.5] * 5 + [0.7, 0.5], 100, "tucker", False),  # bad once
        ([0.66] * 7, 100, "tucker", False),  # near enough
        ([0.5] * 7, 99, "tucker", False),  # smaller than all
        ([0.5] * 7, 100, "dense", False),  # the reference
    ],
)
def test_hopeless_is_far_below_something_smaller(
    study: Study, mine: list[float], parameters: int, method: str, given_up: bool
) -> None:
    curve(study, [0.8] * 10, 100)
    trial = curve(study, mine, parameters, method)
    assert trial.should_prune() == given_up


@pytest.mark.parametrize(
    ("others", "given_up"),
    [
        ({"first": 1000}, False),  # it was large in the epochs in which it was ahead, and was cut after them
        ({"first": 100}, True),
        ({"epochs": 20}, False),  # its epoch 7 is another share of its run
    ],
)
def test_what_is_compared_is_as_small_and_as_far(study: Study, others: dict[str, int], given_up: bool) -> None:
    curve(study, [0.8] * 10, 50, **others)
    assert curve(study, [0.5] * 7, 100).should_prune() == given_up


def test_what_is_reported_of_a_network_that_is_cut_is_of_the_size_it_had(tmp_path: Path, study: Study) -> None:
    training = Training(arena_of(2), tmp_path)
    for tau in (0.3, 0.5):  # the second finds the dense network trained
        report = Report(study.ask(), threading.Event(), single=True)
        run = Cut(Tolerance(tau)).train(replace(training, callbacks=[report]))
        report.say(run, is_result=True)
        trial = study.trials[-1]
        assert trial.intermediate_values == {row["epoch"]: row["test_accuracy"] for row in run.epochs}
        assert trial.user_attrs["sizes"] == {str(row["epoch"]): row["parameters"] for row in run.epochs}
        assert trial.user_attrs["sizes"]["2"] != trial.user_attrs["sizes"]["1"]
        assert trial.user_attrs.get("found", 0) == (0 if tau == 0.3 else 2)


def test_a_hopeless_trial_is_given_up_and_finished_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**SMALL, "out": tmp_path, "tolerances": [0.5, 0.02]}  # the small one first
    sweep = run_sweep(**{**options, "pruning": True, "margin": -1.0})  # whatever the accuracies
    assert sweep.given_up == (("Tucker τ 0.02", 0),)
    assert [network.name for network in sweep.front] == ["Tucker τ 0.5"]
    [trial] = [trial for trial in sweep.study.trials if trial.state == TrialState.PRUNED]
    assert max(trial.intermediate_values) == 6  # of 8: the second after 60 %
    assert run_sweep(**{**options, "pruning": True}).given_up  # and stays so
    full = run_sweep(**options)
    assert (full.given_up, len(full.records)) == ((), 2)
    assert full.study.trials[-1].user_attrs["found"] == 6


def test_a_network_of_which_a_seed_was_given_up_is_not_in_the_front(whole: Sweep) -> None:
    best = max(whole.front, key=lambda network: network.accuracy)
    assert best.name not in [network.name for network in replace(whole, given_up=((best.name, 7),)).front]


# --- a tolerance for each layer --------------------------------------------------------------------------------------

SPECTRA = st.lists(st.lists(st.floats(1e-3, 10), min_size=2, max_size=8), min_size=1, max_size=4)


@given(SPECTRA, st.floats(0.01, 0.9), st.integers(0, 20))
def test_equal_tolerances_are_one_tolerance(layers: list[list[float]], tau: float, step: int) -> None:
    falling = [torch.tensor(sorted(values, reverse=True)) for values in layers]
    spectra = [Spectrum((8, 8), (0, 1), (values, values)) for values in falling]
    alike = PerLayer((tau,) * len(layers), steps=15), Tolerance(tau, steps=15)
    assert alike[0].choose(spectra, step=step) == alike[1].choose(spectra, step=step)
    for i, spectrum in enumerate(spectra):  # and each layer has its own
        taus = tuple(0.01 + 0.1 * j for j in range(len(spectra)))
        assert PerLayer(taus).choose(spectra)[i] == Tolerance(taus[i]).choose([spectrum])[0]


def test_there_are_as_many_tolerances_as_layers() -> None:
    model = tuckerize(build("vgg_small", in_channels=1, image_size=8, width=0.25))
    spec = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.25}
    count = layers(spec)
    TuckerSGD(model, 0.1, ranks=PerLayer((0.1,) * count))
    with pytest.raises(RankError, match=f"{count + 1} tolerances for {count} layers"):
        TuckerSGD(model, 0.1, ranks=PerLayer((0.1,) * (count + 1)))
    with pytest.raises(RankError, match=r"1\.5"):
        PerLayer((0.1, 1.5))
    assert layers({**spec, "width": 100}) == count  # no weights are needed to count: these would fill 3 GB


def test_a_search_layer_by_layer_has_two_objectives_and_resumes(tmp_path: Path) -> None:
    options = {**LAYERWISE, "out": tmp_path, "per_layer": True}
    sweep = run_sweep(**options, trials=3)
    more = run_sweep(**options, trials=4)
    assert (len(sweep.records), len(more.records), more.folder) == (3, 4, sweep.folder)
    trials = more.study.trials
    assert [set(trial.params.values()) for trial in trials[:2]] == [{0.1}, {0.3}]  # the starts
    assert all(len(set(trial.params.values())) > 1 for trial in trials[2:])
    assert all(0.1 <= tau <= 0.3 for trial in trials for tau in trial.params.values())
    runs = more.records.runs
    assert sorted(tuple(trial.values) for trial in trials) == sorted(
        zip(runs["test_accuracy"], runs["conv_parameters"], strict=True)
    )
    assert runs["label"].is_unique
    best = {
        (round(accuracy, 9), size) for accuracy, size in (t.values for t in more.study.best_trials)
    }  # optuna's front
    assert {(round(network.accuracy / 100, 9), network.size) for network in more.front} == best


# --- sweeps ----------------------------------------------------------------------------------------------------------


def test_a_sweep_trains_what_a_contender_trains_alone(whole: Sweep) -> None:
    alone = Tucker(Tolerance(0.3)).train(Training(arena_of(EPOCHS)))
    row = whole.records.runs.set_index("label").loc["Tucker τ 0.3"]
    assert row["test_accuracy"] == alone.test_accuracy
    epochs = whole.records.epochs[whole.records.epochs["run"] == row["run"]]
    assert epochs["train_loss"].tolist() == [epoch["train_loss"] for epoch in alone.epochs]
    trial = next(trial for trial in whole.study.trials if trial.user_attrs["label"] == "Tucker τ 0.3")
    assert trial.value == alone.test_accuracy
    assert trial.intermediate_values == {epoch["epoch"]: epoch["test_accuracy"] for epoch in alone.epochs}
    assert "Tucker" in whole._repr_html_()


def test_the_same_call_trains_nothing_and_a_longer_list_what_is_new(
    whole: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = Training.fit

    def counted(self: Training, model: Any, name: str, **options: Any) -> Run:
        trained.append(name)
        return real(self, model, name, **options)

    monkeypatch.setattr(Training, "fit", counted)
    out = whole.folder.parent
    assert outcome(run_sweep(**SMALL, out=out)) == outcome(whole)
    assert trained == []
    assert len(run_sweep(**{**SMALL, "tolerances": [0.5]}, out=out).records) == 3
    assert trained == ["tucker-0.5"]
    with pytest.raises(TuckerlabError, match=r"study \S+ has other settings: epochs 8 there, 9 here"):
        run_sweep(**{**SMALL, "epochs": 9}, out=out, study=whole.folder.name)


def test_beginning_anew_forgets_study_and_folder(tmp_path: Path) -> None:
    options = {**ONE, "study": "mine", "storage": f"sqlite:///{tmp_path}/shared.db"}
    run_sweep(**{**options, "tolerances": [0.1]}, out=tmp_path / "a")
    for tau in (0.2, 0.3):  # from another folder, and from the same
        again = run_sweep(**{**options, "tolerances": [tau]}, out=tmp_path / "b", resume=False)
        assert again.records.runs["label"].tolist() == [f"Tucker τ {tau}"]
        assert len(again.study.trials) == 1
        assert [place.name for place in again.folder.glob("seed0/*/")] == [f"tucker-{tau}"]


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, resume: bool) -> None:
    thesis = tmp_path / "mine/thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("ten years of work")
    with pytest.raises(TuckerlabError, match="mine is not a sweep's folder; it is left alone"):
        run_sweep(**ONE, out=tmp_path, study="mine", resume=resume)
    assert [*tmp_path.rglob("*")] == [thesis.parent, thesis]


def test_an_interruption_gives_the_trial_back(whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        if any(trial.intermediate_values for trial in trials_of(tmp_path)):
            raise KeyboardInterrupt
        return real(*arguments)

    real = driver.by_job
    with monkeypatch.context() as patch:
        patch.setattr(driver, "by_job", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(**{**SMALL, "out": tmp_path, "study": "killed"})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tuckerlab")]
    [cut_off] = [trial for trial in trials_of(tmp_path) if trial.state == TrialState.FAIL]
    assert cut_off.user_attrs["end"] == "given back"
    again = run_sweep(**{**SMALL, "out": tmp_path, "study": "killed"})
    assert outcome(again) == outcome(whole)
    assert again.study.trials[-1].user_attrs.get("found", 0) == len(cut_off.intermediate_values)


@pytest.mark.parametrize("error", [DivergedError("too steep"), ZeroDivisionError("a defect")])
def test_a_trial_that_fails_stops_no_other_and_is_tried_again(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass(frozen=True)
    class Failing(Tucker):
        @property
        def label(self) -> str:
            return f"failing {super().label}"

        def train(self, training: Training) -> Run:
            raise error

    with monkeypatch.context() as patch:
        patch.setitem(METHODS, "failing", Method(Failing))
        options = {**ONE, "out": tmp_path, "tolerances": [0.1]}
        with pytest.raises(TuckerlabError, match=f"no trial could be trained: failing-tucker-0.1-seed0: {error}"):
            run_sweep(**{**options, "methods": ["failing"]})
        sweep = run_sweep(**{**options, "methods": ["failing", "tucker"]})
        assert sweep.failed == (("failing-tucker-0.1-seed0", str(error)),)
        assert sweep.records.runs["label"].tolist() == ["Tucker τ 0.1"]
        assert ("Traceback" in capsys.readouterr().err) == isinstance(error, ZeroDivisionError)
        patch.setattr(Failing, "train", Tucker.train)
        assert run_sweep(**{**options, "methods": ["failing"]}).failed == ()


def test_a_record_on_another_disk_is_missed(tmp_path: Path) -> None:
    sweep = run_sweep(**{**ONE, "tolerances": [0.1]}, out=tmp_path)
    (sweep.folder / "seed0/tucker-0.1/runs.parquet").unlink()
    with pytest.raises(TuckerlabError, match=r"has left no record here: give an --out that all machines see"):
        run_sweep(**{**ONE, "tolerances": [0.1]}, out=tmp_path)


# --- crews -----------------------------------------------------------------------------------------------------------


def test_a_worker_that_took_its_driver_for_gone_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Event] = []

    def work(plan: Plan, stop: threading.Event, arena: Any) -> None:
        begun.append(stop)
        if len(begun) == 1:
            stop.set()  # as its pulse does when the driver gave no sign for long
        stop.wait(LONG)

    monkeypatch.setattr(crew, "work", work)
    thread = crew.Thread(plan_in(tmp_path), None)  # type: ignore[arg-type]
    thread.start()
    thread.thread.join()
    assert thread.tend() == []
    until(lambda: len(begun) == 2)
    assert not begun[1].is_set()
    assert thread.tend() == []  # which is at work
    assert len(begun) == 2
    thread.stop()
    assert not thread.thread.is_alive()


def test_drivers_in_one_folder_have_logs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew.sys, "executable", "true")
    for name in ("one", "other"):
        workers = crew.Processes(plan_in(tmp_path, driver=name), 2)
        workers.start()
        workers.stop()
    assert len([*tmp_path.glob("worker*.log")]) == 4


def test_a_worker_of_a_cluster_that_can_only_fail_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Future:
        status = "error"

        def exception(self) -> Exception:
            return ModuleNotFoundError("No module named 'tuckerlab'")

    class Client:
        status, submitted = "running", 0

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def wait_for_workers(self, *_: Any, **__: Any) -> None: ...

        def scheduler_info(self, **_: Any) -> dict[str, Any]:
            return {"workers": {"tcp://there:1": {"nthreads": 1}}}

        def submit(self, *_: Any, **__: Any) -> Future:
            self.submitted += 1
            return Future()

    monkeypatch.setattr("distributed.Client", Client)
    cluster = Cluster(plan_in(tmp_path), "tcp://there:8786")
    cluster.start()
    for _ in range(1, ERRORS):
        assert cluster.tend() == []
    with pytest.raises(TuckerlabError, match=r"worker tcp://there:1: ModuleNotFoundError\(.*tuckerlab"):
        cluster.tend()
    assert cluster.client.submitted == ERRORS


# --- kills -----------------------------------------------------------------------------------------------------------

KILLED: dict[str, Any] = {**SMALL, "study": "killed"}
CUT: dict[str, Any] = {**KILLED, "methods": ["cut-tuned", "tucker"], "tolerances": [0.1]}


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """What comes of `CUT` when nothing happens to it."""
    return run_sweep(**CUT, out=tmp_path_factory.mktemp("runs"))


def plan_of(out: Path) -> Plan:
    folder = out / "killed"
    return Plan(str(folder), f"sqlite:///{folder / 'study.db'}", "killed")


class Background(threading.Thread):
    """A sweep in a thread of the test, and what comes of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(daemon=True)
        self.options, self.sweep, self.error = options, None, None

    sweep: Sweep | None
    error: BaseException | None

    def run(self) -> None:
        try:
            self.sweep = run_sweep(**self.options)
        except BaseException as error:
            self.error = error

    def result(self) -> Sweep:
        self.join(LONG)
        if self.error is not None:
            raise self.error
        assert self.sweep is not None, "it never came to an end"
        return self.sweep


OPENED: dict[Path, Study] = {}


def trials_of(out: Path) -> list[FrozenTrial]:
    """The trials of a study that another process may be about to make."""
    if out not in OPENED and (out / "killed/study.db").exists():
        with contextlib.suppress(KeyError):  # a data base without the study, as yet
            OPENED[out] = open_study(plan_of(out))
    return OPENED[out].trials if out in OPENED else []


@contextlib.contextmanager
def held_in_mid_trial(out: Path) -> Iterator[Callable[[], FrozenTrial | None]]:
    """Whoever trains the network that is cut waits between its two trainings; finds the trial that waits there."""
    folder, contender = plan_of(out).marker.parent, CutAndTuned(Tolerance(0.1))
    folder.mkdir()
    plan_of(out).marker.touch()
    before, after = Training(arena_of(EPOCHS), folder / "seed0").split(BEFORE)
    held = after.checkpoint(contender.slug)
    assert held is not None
    held.parent.mkdir()

    def find() -> FrozenTrial | None:
        cut = [t for t in trials_of(out) if t.user_attrs["key"] == f"{contender.slug}-seed0"]
        return next((t for t in cut if t.user_attrs.get("now", {}).get("epoch") == before.recipe.epochs), None)

    with FileLock(held.with_suffix(".lock")):
        yield find


def pid_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["worker"].rpartition(":")[2])


def assert_nothing_lost_or_twice(sweep: Sweep, whole: Sweep) -> None:
    assert outcome(sweep) == outcome(whole)
    finished = [trial.user_attrs["key"] for trial in sweep.study.trials if trial.state == TrialState.COMPLETE]
    assert len(finished) == len(set(finished)) == len(whole.records)


def assert_taken_up(sweep: Sweep, killed: FrozenTrial) -> None:
    """Epochs that the study knew of were not trained again; the one whose checkpoint was being written may be."""
    again = [t for t in sweep.study.trials if t.user_attrs.get("key") == killed.user_attrs["key"]][-1]
    assert again.number > killed.number
    assert again.state == TrialState.COMPLETE
    assert again.user_attrs.get("found", 0) >= len(killed.intermediate_values) - 1


@pytest.mark.slow
def test_a_killed_worker_loses_its_trial_alone_which_is_run_again(cut: Sweep, tmp_path: Path) -> None:
    options = {**CUT, "heartbeat": 1.0}  # the workers' grace
    sweep = Background(**options, out=tmp_path, workers=2)
    with held_in_mid_trial(tmp_path) as find:
        sweep.start()
        victim = until(find, lambda: str(sweep.error))
        os.kill(pid_of(victim), signal.SIGKILL)
    result = sweep.result()
    assert outcome(result) == outcome(cut)
    assert [t.state for t in result.study.trials].count(TrialState.COMPLETE) == 2
    killed = result.study.trials[victim.number]
    assert (killed.state, killed.user_attrs.get("end")) == (TrialState.FAIL, None)
    assert_taken_up(result, killed)
    others = [t for t in result.study.trials if t.state == TrialState.FAIL and t.number != killed.number]
    assert others == []


@pytest.mark.slow
def test_a_killed_driver_leaves_what_is_finished_and_its_workers_end(cut: Sweep, tmp_path: Path) -> None:
    options = {**CUT, "out": str(tmp_path), "workers": 2}
    command = f"from tuckerlab.experiments.sweep import run_sweep; run_sweep(**{options!r})"
    with held_in_mid_trial(tmp_path) as find:
        process = subprocess.Popen([sys.executable, "-c", command], env=ONE_THREAD)
        try:
            victim = until(find)
            workers = [child.pid for child in psutil.Process(process.pid).children()]
            assert pid_of(victim) in workers
        finally:
            process.kill()
            process.wait()
    before = {t.user_attrs["key"]: t.number for t in trials_of(tmp_path) if t.state == TrialState.COMPLETE}
    sweep = run_sweep(**CUT, out=tmp_path)  # at once, while the workers may still be at it
    assert_nothing_lost_or_twice(sweep, cut)
    counts = {key: standing.trial.number for key, standing in by_job(sweep.study.trials).items()}
    assert before.items() <= counts.items()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and a worker in processes of their own."""
    facts = tmp_path / "scheduler.json"
    dask, quiet = (
        [sys.executable, "-m", "distributed.cli."],
        {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ONE_THREAD},
    )
    schedule = [*dask[:2], f"{dask[2]}dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(facts)]
    processes = [subprocess.Popen(schedule, **quiet)]  # type: ignore[call-overload]
    try:
        until(lambda: facts.exists() and "address" in facts.read_text())
        [address] = re.findall(r'"address": "(tcp://[^"]+)"', facts.read_text())
        working = [*dask[:2], f"{dask[2]}dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        working += ["--local-directory", str(tmp_path / "dask"), "--death-timeout", "5"]
        processes.append(subprocess.Popen(working, **quiet))  # type: ignore[call-overload]
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_killed_scheduler_is_one_line_and_nothing_is_lost(
    whole: Sweep,
    tmp_path: Path,
    cluster: tuple[str, list["subprocess.Popen[bytes]"]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "GRACE", 30)  # 2 s without the scheduler
    address, (scheduler, worker) = cluster
    sweep = Background(**KILLED, out=tmp_path, scheduler=address)
    sweep.start()
    until(in_mid_trial_anywhere(tmp_path), lambda: str(sweep.error))
    os.kill(worker.pid, signal.SIGSTOP)  # or it might finish all by itself before the scheduler is missed
    os.kill(scheduler.pid, signal.SIGKILL)
    with pytest.raises(TuckerlabError, match=rf"scheduler {address} is gone; finished parts are kept"):
        sweep.result()
    os.kill(worker.pid, signal.SIGCONT)  # it comes back while the next sweep is at its trial
    assert_nothing_lost_or_twice(run_sweep(**{**KILLED, "out": tmp_path}), whole)


def in_mid_trial_anywhere(out: Path) -> Callable[[], bool]:
    return lambda: any(t.state == TrialState.RUNNING and t.intermediate_values for t in trials_of(out))


@pytest.fixture
def _same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_same_threads")
def test_the_workers_of_a_cluster_share_a_sweep(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        options = {**ONE, "tolerances": "0.1:0.4:4", "out": tmp_path, "scheduler": cluster.scheduler_address}
        sweep = run_sweep(**options)
    assert len(sweep.records) == len(sweep.study.trials) == 4
    assert {trial.state for trial in sweep.study.trials} == {TrialState.COMPLETE}


def test_a_worker_that_cannot_see_the_folder_says_so(tmp_path: Path) -> None:
    from tuckerlab.experiments.sweep.worker import work

    with pytest.raises(TuckerlabError, match="give an --out that all machines see"):
        work(replace(plan_in(tmp_path / "elsewhere")))
