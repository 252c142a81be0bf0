"""Sweeps: what is trained, what is found again, and what is left after a kill in mid-sweep."""

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
from tuckerlab.experiments.methods import METHODS, Entry
from tuckerlab.experiments.methods.base import Tucker
from tuckerlab.experiments.methods.tucker_variants import BEFORE, CutAndTuned
from tuckerlab.experiments.setup import UNFINISHED, Experiment, set_up
from tuckerlab.experiments.sweep import grid, study as sweeps, worker
from tuckerlab.experiments.sweep.study import Sweep, run_sweep
from tuckerlab.experiments.sweep.worker import RETRIES, Report, SweepConfig, open_study, queue, work

LONG = 600.0  # seconds after which a test has failed
EPOCHS = 6
SETTINGS: dict[str, Any] = {
    "dataset": "digits", "width": 0.125, "epochs": EPOCHS, "batch_size": 256, "device": "cpu",
}  # fmt: skip
SWEEP: dict[str, Any] = {
    **SETTINGS, "seeds": 1, "methods": ["cut-tuned", "tucker"], "tolerances": [0.1], "study": "killed", "quiet": True,
}  # fmt: skip
ONE: dict[str, Any] = {**SWEEP, "epochs": 1, "methods": ["tucker"]}


def outcome(sweep: Sweep) -> list[Any]:
    """Everything that training decides, of each run and epoch."""
    runs = sweep.records.runs.sort_values("label")[["run", "test_accuracy", "conv_parameters", "gradient_evaluations"]]
    epochs = sweep.records.epochs.sort_values(["run", "epoch"])[["run", "epoch", "train_loss", "test_accuracy"]]
    return [*runs.values.tolist(), *epochs.values.tolist()]


def config_of(out: Path) -> SweepConfig:
    folder = out / "killed"
    folder.mkdir(exist_ok=True)
    return SweepConfig(folder, f"sqlite:///{folder / 'study.db'}", SETTINGS)


@cache
def study_of(out: Path) -> optuna.Study:
    """The study that the sweep will find there."""
    return open_study(config_of(out), set_up(**SETTINGS).plan)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """What comes of `SWEEP` when nothing happens to it."""
    return run_sweep(**SWEEP, out=tmp_path_factory.mktemp("runs"))


def test_a_grid_is_methods_times_settings_times_seeds() -> None:
    points = grid(["dense", "tucker", "pruning"], tolerances=[0.1, 0.2], compressions=[0.9], seeds=2)
    labels = ["dense", "Tucker τ 0.1", "Tucker τ 0.2", "Tucker 90 %", "pruned 90 %"]  # pruning takes no tolerance
    assert [point.make_method().label for point in points] == labels * 2
    assert [point.seed for point in points] == [0] * 5 + [1] * 5
    assert len({point.place for point in points}) == len(points)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workers": 0}, "workers 0"),
        ({"tolerances": "0.1,1.5"}, "1.5"),
        ({"tolerances": "0.1:0.2:3:4"}, "0.1:0.2:3:4"),
        ({"tolerances": []}, "tolerances"),
        ({"methods": ["tucker", "magic"]}, "magic"),
        ({"methods": ["pruning"]}, "pruning takes a compression"),
        ({"study": ".."}, r"'\.\.'"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "storage: unable to open"),
        ({"storage": "nonsense"}, "storage: .* postgresql://user@host"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "tcp://127.0.0.1:1"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_refused(
    options: dict[str, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "ANSWER", 0.2)
    with pytest.raises(TuckerlabError, match=named):
        run_sweep(**{**ONE, "out": tmp_path, **options})
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_command_line_hands_everything_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--dataset digits --model vgg_small --width 0.125 --epochs 1 --batch-size 256 --lr 0.05 --seeds 1"
    line = f"sweep {options} --method tucker --tolerances 0.1:0.3:2 --study mine"
    assert cli.main([*line.split(), "--device", "cpu", "--quiet", "--out", str(tmp_path)]) == 0
    found = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'mine/study.db'}")
    places = {trial.user_attrs["place"] for trial in found.trials}
    assert places == {"seed0/tucker-0.1", "seed0/tucker-0.3"}
    assert found.user_attrs["settings"]["recipe"]["lr"] == 0.05
    assert "Tucker τ 0.3" in capsys.readouterr().out
    assert cli.main(["sweep", "--method", "magic", "--out", str(tmp_path)]) == 2


def test_many_workers_take_each_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite locks no row; what two could take at once is looked for with as many connections as workers."""
    config, taken, points = config_of(tmp_path), [], grid(["tucker"], [0.1, 0.2, 0.3, 0.4], seeds=3)
    monkeypatch.setattr(worker, "train", lambda trial, *_: taken.append(trial.user_attrs) or 1)
    for _ in range(2):  # the second adds nothing
        queue(study_of(tmp_path), config, points)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [config] * 4))
    assert sorted(about["place"] for about in taken if about) == sorted(point.place for point in points)


def test_a_network_over_which_workers_die_is_to_blame(tmp_path: Path) -> None:
    study, config, points = study_of(tmp_path), config_of(tmp_path), grid(["tucker"], [0.1], seeds=1)
    queue(study, config, points)
    for _ in range(RETRIES + 1):
        assert [trial.state for trial in queue(study, config)] == [TrialState.WAITING]
        study.optimize(lambda trial: 1 / 0, n_trials=1, catch=(ZeroDivisionError,))
    assert queue(study, config) == []
    assert len(queue(study, config, points)) == 1  # a new sweep gives it another chance


def test_a_sweep_trains_what_a_method_trains_alone(whole: Sweep) -> None:
    alone = Tucker(Tolerance(0.1)).train(set_up(**SETTINGS))
    row = whole.records.runs.set_index("label").loc["Tucker τ 0.1"]
    assert row["test_accuracy"] == alone.test_accuracy
    epochs = whole.records.epochs[whole.records.epochs["run"] == row["run"]]
    assert epochs["train_loss"].tolist() == [epoch["train_loss"] for epoch in alone.epochs]
    trial = next(trial for trial in whole.study.trials if trial.user_attrs["label"] == "Tucker τ 0.1")
    assert trial.value == alone.test_accuracy
    assert trial.intermediate_values == {epoch["epoch"]: epoch["test_accuracy"] for epoch in alone.epochs}
    assert "Tucker" in whole._repr_html_()


def test_the_same_call_trains_nothing_and_a_longer_list_what_is_new(
    whole: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    real = Experiment.fit
    monkeypatch.setattr(
        Experiment, "fit", lambda self, model, name, **o: trained.append(name) or real(self, model, name, **o)
    )
    out = whole.folder.parent
    assert outcome(run_sweep(**SWEEP, out=out)) == outcome(whole)
    assert trained == []
    assert len(run_sweep(**{**SWEEP, "methods": ["tucker"], "tolerances": [0.5]}, out=out).records) == 3
    assert trained == ["tucker-0.5"]
    with pytest.raises(TuckerlabError, match="has other settings"):
        run_sweep(**{**SWEEP, "epochs": 9}, out=out)


def test_what_fails_stops_no_other_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ZeroDivisionError("a defect")

    class Failing(Tucker):
        label = "failing"  # type: ignore[assignment]

        def train(self, experiment: Experiment) -> Any:
            raise error

    monkeypatch.setitem(METHODS, "failing", Entry(Failing))
    options = {**ONE, "out": tmp_path}
    with pytest.raises(TuckerlabError, match=f"seed0/failing: {error}"):
        run_sweep(**{**options, "methods": ["failing"]})
    sweep = run_sweep(**{**options, "methods": ["failing", "tucker"]})
    assert sweep.failed == {"seed0/failing": str(error)}
    assert sweep.records.runs["label"].tolist() == ["Tucker τ 0.1"]
    monkeypatch.setattr(Failing, "train", Tucker.train)
    assert run_sweep(**{**options, "methods": ["failing"]}).failed == {}


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums of one order: what is compared must be equal


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is silent is soon taken for dead here; where that is wrong, both wait for each other's checkpoint."""
    monkeypatch.setattr(worker, "GRACE", 5)


def until(true: Callable[[], Any]) -> Any:
    """What a condition says once it holds, which other processes bring about."""
    began = time.monotonic()
    while time.monotonic() - began < LONG:
        if found := true():
            return found
        time.sleep(0.2)
    return pytest.fail("it never came to that")


@contextlib.contextmanager
def held_in_mid_trial(out: Path) -> Iterator[Callable[[], FrozenTrial | None]]:
    """Whoever trains the network that is cut waits between its two trainings; finds the trial that waits there."""
    slug, study = CutAndTuned(Tolerance(0.1)).slug, study_of(out)
    before, after = set_up(**SETTINGS).split(BEFORE)
    held = out / "killed" / "seed0" / f"{slug}-{after.recipe.epochs}{UNFINISHED}"
    held.parent.mkdir()

    def find() -> FrozenTrial | None:
        running = [trial for trial in study.trials if trial.user_attrs["place"] == f"seed0/{slug}"]
        return next((trial for trial in running if len(trial.intermediate_values) == before.recipe.epochs), None)

    with FileLock(held.with_suffix(".lock")):
        yield find


def pid_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["worker"].rpartition(":")[2])


def assert_nothing_is_lost_or_twice(sweep: Sweep, whole: Sweep, killed: FrozenTrial) -> None:
    """Epochs that the study knew of were not trained again; the one whose checkpoint was being written may be."""
    assert outcome(sweep) == outcome(whole)
    finished = [trial for trial in sweep.study.trials if trial.state == TrialState.COMPLETE]
    assert len({trial.user_attrs["place"] for trial in finished}) == len(finished) == len(whole.records)
    again = next(trial for trial in finished if trial.user_attrs["place"] == killed.user_attrs["place"])
    assert again.number > killed.number
    assert min(again.intermediate_values) >= max(killed.intermediate_values) > 1
    assert max(again.intermediate_values) == EPOCHS


def test_an_interruption_gives_the_network_back(whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Report, run: Any) -> None:
        if len(run.epochs) == 4:
            raise KeyboardInterrupt
        real(self, run)

    real = Report.on_epoch
    with monkeypatch.context() as patch:
        patch.setattr(Report, "on_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(**SWEEP, out=tmp_path)
    [cut_off] = [trial for trial in study_of(tmp_path).trials if trial.state == TrialState.FAIL]
    assert_nothing_is_lost_or_twice(run_sweep(**SWEEP, out=tmp_path), whole, cut_off)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_killed_worker_loses_nothing(whole: Sweep, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool, held_in_mid_trial(tmp_path) as find:
        sweep = pool.submit(run_sweep, **SWEEP, out=tmp_path, workers=2)
        victim = until(find)
        os.kill(pid_of(victim), signal.SIGKILL)
        until(lambda: any(t.state == TrialState.COMPLETE for t in study_of(tmp_path).trials))  # the other goes on
    assert_nothing_is_lost_or_twice(sweep.result(LONG), whole, victim)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_killed_driver_loses_nothing_and_its_workers_end(whole: Sweep, tmp_path: Path) -> None:
    code = f"from tuckerlab import run_sweep; run_sweep(**{SWEEP!r}, out={str(tmp_path)!r}, workers=2)"
    with held_in_mid_trial(tmp_path) as find:
        driver = subprocess.Popen([sys.executable, "-c", code], env=ONE_THREAD)
        try:
            victim = until(find)
            workers = [child.pid for child in psutil.Process(driver.pid).children()]
            assert pid_of(victim) in workers
        finally:
            driver.kill()
            driver.wait()
    sweep = run_sweep(**SWEEP, out=tmp_path)  # at once, while the workers may still be at it
    assert_nothing_is_lost_or_twice(sweep, whole, victim)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_killed_scheduler_loses_nothing(whole: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "ANSWER", 5.0)
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
            sweep = pool.submit(run_sweep, **SWEEP, out=tmp_path, scheduler=address)
            victim = until(find)
            os.kill(scheduler.pid, signal.SIGKILL)
            with pytest.raises(TuckerlabError, match=address):
                sweep.result(LONG)
    assert_nothing_is_lost_or_twice(run_sweep(**SWEEP, out=tmp_path), whole, victim)
