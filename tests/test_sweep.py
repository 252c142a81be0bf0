"""Sweeps: what is trained, what is found again, what is given up, and what is left after a kill in mid-sweep."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from tuckerlab import Tolerance, TuckerlabError
from tuckerlab.cli import main as cli
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.methods.post_training import BEFORE, CutAndTuned
from tuckerlab.experiments.methods.registry import METHODS, Method
from tuckerlab.experiments.setup import UNFINISHED, Arena, Settings, arranged
from tuckerlab.experiments.sweep import workers
from tuckerlab.experiments.sweep.grid import grid
from tuckerlab.experiments.sweep.storage import SweepConfig, open_study
from tuckerlab.experiments.sweep.study import RETRIES, Sweep, queue, run_sweep
from tuckerlab.experiments.sweep.workers import Report

LONG = 600.0  # seconds after which a test has failed
EPOCHS = 8
SMALL: dict[str, Any] = {
    "dataset": "digits", "width": 0.125, "epochs": EPOCHS, "batch_size": 256, "seeds": 1, "methods": ["tucker"],
    "tolerances": [0.1, 0.3], "device": "cpu", "heartbeat": 0.3, "quiet": True, "pruning": False,
}  # fmt: skip
ONE: dict[str, Any] = {**SMALL, "epochs": 1, "tolerances": [0.1]}


def outcome(sweep: Sweep) -> list[Any]:
    """Everything that training decides, of each run and epoch."""
    runs = sweep.records.runs.sort_values("label")[["run", "test_accuracy", "conv_parameters", "gradient_evaluations"]]
    epochs = sweep.records.epochs.sort_values(["run", "epoch"])[["run", "epoch", "train_loss", "test_accuracy"]]
    return [*runs.values.tolist(), *epochs.values.tolist()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """What comes of `SMALL` when nothing happens to it."""
    return run_sweep(**SMALL, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return config_of(tmp_path)


def config_of(out: Path) -> SweepConfig:
    """Of a sweep whose study has the name `killed`, and which has begun."""
    folder = out / "killed"
    folder.mkdir(exist_ok=True)
    settings: Settings = {"width": 0.125, "epochs": EPOCHS, "batch_size": 256, "device": "cpu"}
    made = SweepConfig(str(folder), f"sqlite:///{folder / 'study.db'}", "killed", "digits", settings)
    made.marker.touch()
    return made


def arena_of(config: SweepConfig) -> Arena:
    return arranged(dataset=config.dataset, **config.settings)


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_a_grid_is_methods_times_settings_times_seeds() -> None:
    points = grid(["dense", "tucker", "pruning"], tolerances=[0.1, 0.2], compressions=[0.9], seeds=2)
    labels = ["dense", "Tucker τ 0.1", "Tucker τ 0.2", "Tucker 90 %", "pruned 90 %"]  # pruning takes no tolerance
    assert [point.contender.label for point in points] == labels * 2
    assert [point.seed for point in points] == [0] * 5 + [1] * 5
    assert len({point.key for point in points}) == len({point.place for point in points}) == len(points)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": 0}, "workers 0"),
        ({"tolerances": "0.1,1.5"}, "1.5"),
        ({"tolerances": "0.1:0.2:3:4"}, "0.1:0.2:3:4"),
        ({"tolerances": []}, "tolerances"),
        ({"methods": ["tucker", "magic"]}, "magic"),
        ({"methods": ["pruning"]}, "pruning takes a compression"),
        ({"methods": ["tucker", "tucker"]}, "tucker, tucker"),
        ({"study": ".."}, r"'\.\.'"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "storage: unable to open"),
        ({"storage": "nonsense"}, "storage: .* postgresql://user@host"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "tcp://127.0.0.1:1"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "tcp://127.0.0.1:1"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_refused(
    options: dict[str, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ANSWER", 0.2)
    with pytest.raises(TuckerlabError, match=named):
        run_sweep(**{**ONE, "out": tmp_path, **options})
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_command_line_hands_everything_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--dataset digits --model vgg_small --width 0.125 --epochs 1 --batch-size 256 --lr 0.05 --seeds 1"
    line = f"sweep {options} --method tucker --method dense --tolerances 0.1:0.3:2 --study mine --no-pruning"
    assert cli.main([*line.split(), "--device", "cpu", "--quiet", "--out", str(tmp_path)]) == 0
    found = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'mine/study.db'}")
    keys = {trial.user_attrs["key"] for trial in found.trials}
    assert keys == {"dense-seed0", "tucker-0.1-seed0", "tucker-0.3-seed0"}
    assert found.user_attrs["settings"]["recipe"]["lr"] == 0.05
    assert "dense" in capsys.readouterr().out
    assert cli.main(["sweep", "--method", "magic", "--out", str(tmp_path)]) == 2


# --- the queue -------------------------------------------------------------------------------------------------------


def test_many_workers_take_each_network_once(config: SweepConfig) -> None:
    """SQLite locks no row; what two could take at once is looked for with as many connections as workers."""
    points = grid(["tucker"], tolerances=[0.1, 0.2, 0.3, 0.4], seeds=3)
    for _ in range(2):  # the second adds nothing
        queue(open_study(config, {}), points, config)

    def take(worker: int) -> list[str]:
        opened, taken = open_study(config, {}), []

        def train(trial: optuna.Trial) -> float:
            taken.append(trial.user_attrs.get("key"))
            return 0.5

        while opened.get_trials(states=(TrialState.WAITING,)):
            opened.optimize(train, n_trials=1)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [key for part in pool.map(take, range(4)) for key in part if key is not None]
    assert sorted(taken) == sorted(point.key for point in points)
    assert set(queue(open_study(config, {}), points, config)) == {TrialState.COMPLETE}


def test_a_network_over_which_workers_die_is_to_blame(config: SweepConfig) -> None:
    study, points = open_study(config, {}), grid(["tucker"], tolerances=[0.1], seeds=1)
    for _ in range(RETRIES + 1):
        assert queue(study, points, config) == [TrialState.WAITING]
        study.optimize(lambda trial: 1 / 0, n_trials=1, catch=(ZeroDivisionError,))
    assert queue(study, points, config) == [TrialState.FAIL]
    assert queue(study, points, config, again=True) == [TrialState.WAITING]  # a new sweep gives it another chance


# --- giving up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "changes", "given_up"),
    [
        ([0.5] * 7, {}, True),  # 0.3 below something that is no larger
        ([0.5] * 6, {}, False),  # not two epochs since the ranks are down
        ([0.5] * 5 + [0.7, 0.5], {}, False),  # bad once
        ([0.66] * 7, {}, False),  # near enough
        ([0.5] * 7, {"size": 99}, False),  # smaller than all
        ([0.5] * 7, {"method": "dense"}, False),  # the reference
        ([0.5] * 7, {"others": [1000] * 9 + [50]}, False),  # the other was large when it was ahead
        ([0.5] * 7, {"others": [100] * 9 + [50]}, True),
        ([0.5] * 7, {"epochs": 20}, False),  # its epoch 7 is another share of its run
    ],
)
def test_far_behind_is_below_something_smaller(
    mine: list[float], changes: dict[str, Any], given_up: bool, config: SweepConfig
) -> None:
    study, pruned = open_study(config, {}), []

    def train(trial: optuna.Trial, accuracies: list[float], sizes: list[int], method: str, epochs: int = 10) -> float:
        for name, value in {"method": method, "epochs": epochs, "parameters": sizes}.items():
            trial.set_user_attr(name, value)
        for epoch, accuracy in enumerate(accuracies, 1):
            trial.report(accuracy, epoch)
        pruned.append(trial.should_prune())
        return accuracies[-1]

    others, size, method = changes.get("others", [100] * 10), changes.get("size", 100), changes.get("method", "tucker")
    study.optimize(lambda trial: train(trial, [0.8] * 10, others, "tucker", changes.get("epochs", 10)), n_trials=1)
    study.optimize(lambda trial: train(trial, mine, [size] * len(mine), method), n_trials=1)
    assert pruned == [False, given_up]


def test_what_is_far_behind_is_given_up_and_finished_when_asked(tmp_path: Path) -> None:
    options = {**SMALL, "out": tmp_path, "tolerances": [0.5, 0.02]}  # the small one first
    sweep = run_sweep(**{**options, "pruning": True, "margin": -1.0})  # whatever the accuracies
    assert sweep.given_up == (("Tucker τ 0.02", 0),)
    assert [network.name for network in sweep.front] == ["Tucker τ 0.5"]
    [trial] = [trial for trial in sweep.study.trials if trial.state == TrialState.PRUNED]
    assert max(trial.intermediate_values) == 6  # of 8: the second after 60 %
    assert run_sweep(**{**options, "pruning": True}).given_up  # and stays so
    full = run_sweep(**options)
    assert (full.given_up, len(full.records)) == ((), 2)
    assert full.study.trials[-1].user_attrs["resumed_epochs"] == 5


# --- sweeps ----------------------------------------------------------------------------------------------------------


def test_a_sweep_trains_what_a_method_trains_alone(whole: Sweep, config: SweepConfig) -> None:
    alone = Tucker(Tolerance(0.3)).train(arena_of(config))
    row = whole.records.runs.set_index("label").loc["Tucker τ 0.3"]
    assert row["test_accuracy"] == alone.test_accuracy
    epochs = whole.records.epochs[whole.records.epochs["run"] == row["run"]]
    assert epochs["train_loss"].tolist() == [epoch["train_loss"] for epoch in alone.epochs]
    trial = next(trial for trial in whole.study.trials if trial.user_attrs["label"] == "Tucker τ 0.3")
    assert trial.value == alone.test_accuracy
    assert trial.intermediate_values == {epoch["epoch"]: epoch["test_accuracy"] for epoch in alone.epochs}
    assert trial.user_attrs["parameters"] == [epoch["parameters"] for epoch in alone.epochs]
    assert "Tucker" in whole._repr_html_()


def test_the_same_call_trains_nothing_and_a_longer_list_what_is_new(
    whole: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = Arena.fit
    monkeypatch.setattr(
        Arena, "fit", lambda self, model, name, **o: trained.append(name) or real(self, model, name, **o)
    )
    out = whole.folder.parent
    assert outcome(run_sweep(**SMALL, out=out)) == outcome(whole)
    assert trained == []
    assert len(run_sweep(**{**SMALL, "tolerances": [0.5]}, out=out).records) == 3
    assert trained == ["tucker-0.5"]
    with pytest.raises(TuckerlabError, match="has other settings"):
        run_sweep(**{**SMALL, "epochs": 9}, out=out, study=whole.folder.name)


def test_beginning_anew_forgets_study_and_folder(tmp_path: Path) -> None:
    options = {**ONE, "study": "mine", "storage": f"sqlite:///{tmp_path}/shared.db"}
    run_sweep(**options, out=tmp_path / "a")
    for tau in (0.2, 0.3):  # from another folder, and from the same
        again = run_sweep(**{**options, "tolerances": [tau]}, out=tmp_path / "b", resume=False)
        assert again.records.runs["label"].tolist() == [f"Tucker τ {tau}"]
        assert len(again.study.trials) == 1
        assert [place.name for place in again.folder.glob("seed0/*/")] == [f"tucker-{tau}"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "mine/thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("ten years of work")
    with pytest.raises(TuckerlabError, match=r"mine"):
        run_sweep(**ONE, out=tmp_path, study="mine", resume=False)
    assert [*tmp_path.rglob("*")] == [thesis.parent, thesis]


def test_what_fails_stops_no_other_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ZeroDivisionError("a defect")

    class Failing(Tucker):
        label = "failing"  # type: ignore[assignment]

        def train(self, arena: Arena) -> Any:
            raise error

    monkeypatch.setitem(METHODS, "failing", Method(Failing))
    options = {**ONE, "out": tmp_path}
    with pytest.raises(TuckerlabError, match=f"failing-seed0: {error}"):
        run_sweep(**{**options, "methods": ["failing"]})
    sweep = run_sweep(**{**options, "methods": ["failing", "tucker"]})
    assert sweep.failed == (("failing-seed0", str(error)),)
    assert sweep.records.runs["label"].tolist() == ["Tucker τ 0.1"]
    monkeypatch.setattr(Failing, "train", Tucker.train)
    assert run_sweep(**{**options, "methods": ["failing"]}).failed == ()


def test_what_another_disk_holds_is_missed(tmp_path: Path) -> None:
    sweep = run_sweep(**ONE, out=tmp_path)
    (sweep.folder / "seed0/tucker-0.1/runs.parquet").unlink()
    with pytest.raises(TuckerlabError, match=r"tucker-0\.1"):
        run_sweep(**ONE, out=tmp_path)


# --- kills -----------------------------------------------------------------------------------------------------------

KILLED: dict[str, Any] = {**SMALL, "study": "killed"}
CUT: dict[str, Any] = {**KILLED, "methods": ["cut-tuned", "tucker"], "tolerances": [0.1], "heartbeat": 1.0}
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of one order: what is compared must be equal


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """What comes of `CUT` when nothing happens to it."""
    return run_sweep(**CUT, out=tmp_path_factory.mktemp("runs"))


def until(true: Callable[[], Any]) -> Any:
    """What a condition says once it holds, which other processes bring about."""
    began = time.monotonic()
    while time.monotonic() - began < LONG:
        if found := true():
            return found
        time.sleep(0.2)
    return pytest.fail("it never came to that")


@cache
def study_of(out: Path) -> optuna.Study:
    """The study that the sweep will find there."""
    config = config_of(out)
    return open_study(config, arena_of(config).plan)


@contextlib.contextmanager
def held_in_mid_trial(out: Path) -> Iterator[Callable[[], FrozenTrial | None]]:
    """Whoever trains the network that is cut waits between its two trainings; finds the trial that waits there."""
    config, contender = config_of(out), CutAndTuned(Tolerance(0.1))
    before, after = arena_of(config).split(BEFORE)
    held = Path(config.folder) / "seed0" / f"{contender.slug}-{after.recipe.epochs}{UNFINISHED}"
    held.parent.mkdir()
    study = study_of(out)

    def find() -> FrozenTrial | None:
        running = [trial for trial in study.trials if trial.user_attrs["key"] == f"{contender.slug}-seed0"]
        return next((t for t in running if len(t.user_attrs.get("parameters", [])) == before.recipe.epochs), None)

    with FileLock(held.with_suffix(".lock")):
        yield find


def pid_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["worker"].rpartition(":")[2])


def assert_nothing_is_lost_or_twice(sweep: Sweep, whole: Sweep) -> None:
    assert outcome(sweep) == outcome(whole)
    finished = [trial.user_attrs["key"] for trial in sweep.study.trials if trial.state == TrialState.COMPLETE]
    assert len(finished) == len(set(finished)) == len(whole.records)


def assert_is_taken_up(sweep: Sweep, killed: FrozenTrial) -> None:
    """Epochs that the study knew of were not trained again; the one whose checkpoint was being written may be."""
    again = [t for t in sweep.study.trials if t.user_attrs.get("key") == killed.user_attrs["key"]][-1]
    assert again.number > killed.number
    assert again.state == TrialState.COMPLETE
    assert again.user_attrs["resumed_epochs"] >= len(killed.intermediate_values) - 1 > 0


def test_an_interruption_gives_the_network_back(whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Report, run: Any) -> None:
        if len(run.epochs) == 4:
            raise KeyboardInterrupt
        real(self, run)

    real = Report.on_epoch
    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(**KILLED, out=tmp_path)
    [cut_off] = [trial for trial in study_of(tmp_path).trials if trial.state == TrialState.FAIL]
    again = run_sweep(**KILLED, out=tmp_path)
    assert_nothing_is_lost_or_twice(again, whole)
    assert_is_taken_up(again, cut_off)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cut: Sweep, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, held_in_mid_trial(tmp_path) as find:
        sweep = pool.submit(run_sweep, **CUT, out=tmp_path, workers=2)
        victim = until(find)
        os.kill(pid_of(victim), signal.SIGKILL)
        until(lambda: any(t.state == TrialState.COMPLETE for t in study_of(tmp_path).trials))  # the other goes on
    assert_nothing_is_lost_or_twice(sweep.result(LONG), cut)
    assert_is_taken_up(sweep.result(), victim)


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_and_its_workers_end(cut: Sweep, tmp_path: Path) -> None:
    code = f"from tuckerlab import run_sweep; run_sweep(**{CUT!r}, out={str(tmp_path)!r}, workers=2)"
    with held_in_mid_trial(tmp_path) as find:
        driver = subprocess.Popen([sys.executable, "-c", code], env=ONE_THREAD)
        try:
            victim = until(find)
            workers = [child.pid for child in psutil.Process(driver.pid).children()]
            assert pid_of(victim) in workers
        finally:
            driver.kill()
            driver.wait()
    sweep = run_sweep(**CUT, out=tmp_path)  # at once, while the workers may still be at it
    assert_nothing_is_lost_or_twice(sweep, cut)
    assert_is_taken_up(sweep, victim)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


@pytest.mark.slow
def test_a_killed_scheduler_loses_nothing(cut: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ANSWER", 5.0)
    facts, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    options = {"env": ONE_THREAD, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:

        def start(*command: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        scheduler = start(*dask, "--port", "0", "--no-dashboard", "--scheduler-file", str(facts))
        until(lambda: facts.exists() and "address" in facts.read_text())
        [address] = re.findall(r'"address": "(tcp://[^"]+)"', facts.read_text())
        dask[-1] = "distributed.cli.dask_worker"
        start(*dask, address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "5")
        with held_in_mid_trial(tmp_path) as find:
            sweep = pool.submit(run_sweep, **CUT, out=tmp_path, scheduler=address)
            victim = until(find)
            os.kill(scheduler.pid, signal.SIGKILL)
            with pytest.raises(TuckerlabError, match=address):
                sweep.result(LONG)
    again = run_sweep(**CUT, out=tmp_path)
    assert_nothing_is_lost_or_twice(again, cut)
    assert_is_taken_up(again, victim)
