"""Sweeps: what is trained, what is found again, what is given up, and what is left after a kill in mid-sweep."""

import os
import re
import signal
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
from hypothesis import given, strategies as st
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from tuckerlab import Budget, DivergedError, RankError, Tolerance, TuckerlabError, build, cli, methods, tuckerize
from tuckerlab.arena import on_meta
from tuckerlab.contender import Contender, Tucker
from tuckerlab.layerwise import PerLayer
from tuckerlab.methods import METHODS, Method
from tuckerlab.optim import TuckerSGD
from tuckerlab.ranks import Spectrum
from tuckerlab.run import Run
from tuckerlab.sweep import Sweep, driver, run_sweep
from tuckerlab.sweep.job import Job, grid, search, values
from tuckerlab.sweep.plan import Plan
from tuckerlab.sweep.study import lock, open_study
from tuckerlab.sweep.trials import RETRIES, claim, end, enqueue, mend, standings
from tuckerlab.sweep.worker import layers
from tuckerlab.training import Training

LONG = 240.0  # seconds after which a test has failed
EPOCHS = 8
SMALL: dict[str, Any] = {
    "width": 0.125, "epochs": EPOCHS, "batch_size": 256, "seeds": 1, "methods": ["tucker"], "tolerances": [0.1, 0.3],
    "device": "cpu", "heartbeat": 0.2, "quiet": True, "pruning": False,
}  # fmt: skip
ONE: dict[str, Any] = {**SMALL, "epochs": 1}


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


def plan_in(folder: Path, **more: Any) -> Plan:
    return Plan(str(folder), f"sqlite:///{folder / 'study.db'}", "sweep", **more)


# --- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0.1", [0.1]),
        ("0.02,0.05,0.1", [0.02, 0.05, 0.1]),
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


@pytest.mark.parametrize("name", METHODS)
def test_every_method_makes_a_contender_of_its_name(name: str) -> None:
    found = methods.contender(name, Budget(0.9) if METHODS[name].policies else None)
    assert isinstance(found, Contender)
    assert found.method == name


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
        ({"per_layer": True, "compressions": "0.9"}, "no compressions"),
        ({"per_layer": True, "tolerances": "0.1"}, "two tolerances"),
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
    monkeypatch.setattr("tuckerlab.sweep.cluster.ANSWER", 0.2)
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


# --- the queue -------------------------------------------------------------------------------------------------------

JOBS = grid(["tucker"], tolerances=[0.1, 0.2, 0.3, 0.4], seeds=5)


def states(study: Study) -> list[str]:
    return [standing.state for standing in standings(study.trials).values()]


def test_opening_a_study_twice_adds_nothing(tmp_path: Path) -> None:
    one, other = (open_study(plan_in(tmp_path), {"a": 1}) for _ in range(2))
    for opened in (one, other, one):
        enqueue(opened, JOBS)
    assert len(one.trials) == len(JOBS)
    enqueue(other, grid(["tucker"], tolerances=[0.1, 0.5], seeds=5))
    assert len(one.trials) == len(JOBS) + 5
    with pytest.raises(TuckerlabError, match=r"study sweep has other settings: a 1 there, 2 here"):
        open_study(plan_in(tmp_path), {"a": 2})


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
    assert standings(study.trials)["a"].losses == 0
    study.ask()  # a trial of somebody else's, who knows nothing of jobs
    assert claim(study, "two") is None
    assert list(standings(study.trials)) == ["a"]


def test_what_is_lost_is_run_again_with_what_was_suggested(study: Study) -> None:
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])
    trial = claim(study, "one")
    assert trial is not None
    tau = trial.suggest_float("tau0", 0.1, 0.3)
    end(study, trial.number)
    assert states(study) == ["lost"]
    mend(study)
    mend(study)
    again = claim(study, "two")
    assert again is not None
    assert again.suggest_float("tau0", 0.1, 0.3) == tau
    assert (len(study.trials), states(study)) == (2, ["running"])


def test_a_job_over_which_workers_die_is_to_blame_and_one_given_back_is_not(study: Study) -> None:
    enqueue(study, [Job("a", {"method": "tucker", "seed": 0})])
    for _ in range(2 * RETRIES):
        trial = claim(study, "one")
        assert trial is not None
        end(study, trial.number, trial, "given back")
        mend(study)
    for _ in range(RETRIES + 1):
        assert states(study) == ["waiting"]
        trial = claim(study, "one")
        assert trial is not None
        end(study, trial.number)
        mend(study)
    assert states(study) == ["failed"]
    assert standings(study.trials)["a"].problem == f"{RETRIES + 1} workers died while they trained it"
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


def curve(study: Study, accuracies: Sequence[float], parameters: int, method: str = "tucker", epochs: int = 10) -> Any:
    trial = study.ask()
    trial.set_user_attr("method", method)
    trial.set_user_attr("now", {"epoch": len(accuracies), "epochs": epochs, "parameters": parameters})
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
    assert on_meta(spec)  # no weights were needed to count


def test_a_search_layer_by_layer_has_two_objectives_and_resumes(tmp_path: Path) -> None:
    options = {**ONE, "out": tmp_path, "per_layer": True}
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
    arena = Plan("", "", "", width=0.125, epochs=EPOCHS, batch_size=256).arena()
    alone = Tucker(Tolerance(0.3)).train(Training(arena))
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


def test_beginning_anew_trains_again(tmp_path: Path) -> None:
    first = run_sweep(**ONE, out=tmp_path)
    again = run_sweep(**{**ONE, "tolerances": [0.2]}, out=tmp_path, resume=False)
    assert again.folder == first.folder
    assert again.records.runs["label"].tolist() == ["Tucker τ 0.2"]
    assert len(again.study.trials) == 1


def test_an_interruption_gives_the_trial_back(whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        if any(trial.intermediate_values for trial in trials_of(tmp_path)):
            raise KeyboardInterrupt
        return real(*arguments)

    real = driver.standings
    with monkeypatch.context() as patch:
        patch.setattr(driver, "standings", interrupted)
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


# --- kills -----------------------------------------------------------------------------------------------------------

KILLED: dict[str, Any] = {**SMALL, "study": "killed"}


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
    if out not in OPENED and (out / "killed/sweep.json").exists():
        OPENED[out] = open_study(plan_of(out))
    return OPENED[out].trials if out in OPENED else []


def in_mid_trial(out: Path) -> Callable[[], FrozenTrial | None]:
    """Finds a trial that is being trained, some epochs of which are there, and more are to come."""

    def find() -> FrozenTrial | None:
        running = [trial for trial in trials_of(out) if trial.state == TrialState.RUNNING]
        return next((t for t in running if t.user_attrs.get("worker") and 1 <= len(t.intermediate_values) < 6), None)

    return find


def pid_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["worker"].rpartition(":")[2])


def assert_nothing_lost_or_twice(sweep: Sweep, whole: Sweep) -> None:
    assert outcome(sweep) == outcome(whole)
    finished = [trial.user_attrs["key"] for trial in sweep.study.trials if trial.state == TrialState.COMPLETE]
    assert sorted(finished) == sorted({job.key for job in grid(["tucker"], tolerances=[0.1, 0.3], seeds=1)})


def assert_taken_up(sweep: Sweep, killed: FrozenTrial) -> None:
    """Epochs that the study knew of were not trained again; the one whose checkpoint was being written may be."""
    again = [t for t in sweep.study.trials if t.user_attrs.get("key") == killed.user_attrs["key"]][-1]
    assert again.number > killed.number
    assert again.state == TrialState.COMPLETE
    assert again.user_attrs.get("found", 0) >= len(killed.intermediate_values) - 1


@pytest.mark.slow
def test_a_killed_worker_loses_its_trial_alone_which_is_run_again(whole: Sweep, tmp_path: Path) -> None:
    sweep = Background(**KILLED, out=tmp_path, workers=2)
    sweep.start()
    victim = until(in_mid_trial(tmp_path), lambda: str(sweep.error))
    os.kill(pid_of(victim), signal.SIGKILL)
    result = sweep.result()
    assert_nothing_lost_or_twice(result, whole)
    killed = result.study.trials[victim.number]
    assert (killed.state, killed.user_attrs.get("end")) == (TrialState.FAIL, None)
    assert_taken_up(result, killed)
    others = [t for t in result.study.trials if t.state == TrialState.FAIL and t.number != killed.number]
    assert others == []


@pytest.mark.slow
def test_a_killed_driver_leaves_what_is_finished_and_its_workers_end(whole: Sweep, tmp_path: Path) -> None:
    options = {**KILLED, "out": str(tmp_path), "workers": 2, "tolerances": [0.1, 0.3]}
    command = f"from tuckerlab.sweep import run_sweep; run_sweep(**{options!r})"
    process = subprocess.Popen([sys.executable, "-c", command])
    try:
        victim = until(in_mid_trial(tmp_path))
        workers = [child.pid for child in psutil.Process(process.pid).children()]
        assert pid_of(victim) in workers
    finally:
        process.kill()
        process.wait()
    before = {t.user_attrs["key"]: t.number for t in trials_of(tmp_path) if t.state == TrialState.COMPLETE}
    sweep = run_sweep(**{**KILLED, "out": tmp_path})  # at once, while the workers may still be at it
    assert_nothing_lost_or_twice(sweep, whole)
    counts = {key: standing.trial.number for key, standing in standings(sweep.study.trials).items()}
    assert before.items() <= counts.items()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and a worker in processes of their own."""
    facts = tmp_path / "scheduler.json"
    dask, quiet = (
        [sys.executable, "-m", "distributed.cli."],
        {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
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
    whole: Sweep, tmp_path: Path, cluster: tuple[str, list["subprocess.Popen[bytes]"]]
) -> None:
    address, (scheduler, _) = cluster
    sweep = Background(**KILLED, out=tmp_path, scheduler=address)
    sweep.start()
    until(in_mid_trial_anywhere(tmp_path), lambda: str(sweep.error))
    os.kill(scheduler.pid, signal.SIGKILL)
    with pytest.raises(TuckerlabError, match=rf"scheduler {address} is gone; finished parts are kept"):
        sweep.result()
    assert_nothing_lost_or_twice(run_sweep(**{**KILLED, "out": tmp_path}), whole)


def in_mid_trial_anywhere(out: Path) -> Callable[[], bool]:
    return lambda: any(t.state == TrialState.RUNNING and t.intermediate_values for t in trials_of(out))


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
    from tuckerlab.sweep.worker import work

    with pytest.raises(TuckerlabError, match="give an --out that all machines see"):
        work(replace(plan_in(tmp_path / "elsewhere")))


def test_a_search_starts_where_it_was_told() -> None:
    assert [job.params for job in search([0.1, 0.2], layers=2, trials=1)] == [{"tau0": 0.1, "tau1": 0.1}]
