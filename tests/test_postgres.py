"""A sweep whose study is in PostgreSQL: its server is killed in mid-sweep, and no network is lost or trained twice."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from tuckerlab.experiments.setup import set_up
from tuckerlab.experiments.sweep import grid, worker
from tuckerlab.experiments.sweep.worker import SweepConfig, by_point, open_study, queue, work

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
SETTINGS: dict[str, Any] = {"dataset": "digits", "width": 0.125, "device": "cpu"}


class Server:
    """A server of its own in a folder, run by an ordinary user."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        if os.geteuid() == 0:  # for whom it does not start
            shutil.chown(folder, "postgres", "postgres")
        self.call("initdb", "--auth=trust", "--username=tuckerlab", "--no-sync")

    def call(self, program: str, *arguments: str) -> None:
        assert PROGRAMS is not None
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] * (os.geteuid() == 0)
        place = ["-D", str(self.folder / "data")]
        command = [*as_user, str(PROGRAMS / program), *place, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self.call("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """As if the machine had lost its power."""
        file = self.folder / "data" / "postmaster.pid"
        os.kill(int(file.read_text().split()[0]), signal.SIGKILL)
        time.sleep(1)  # until its children have noticed
        file.unlink()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tuckerlab@127.0.0.1:{self.port}/postgres"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp())  # not pytest's own: another user has to enter it
    made = Server(folder)
    made.start()
    yield made
    made.call("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.mark.skipif(PROGRAMS is None, reason="there is no PostgreSQL on this machine")
def test_no_network_is_lost_or_finished_twice_when_the_server_is_killed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, points = list[str](), grid(["tucker"], [tau / 100 for tau in range(1, 41)], [], 1)
    enough = threading.Event()

    def train(trial: optuna.Trial, *_rest: Any) -> float:
        started.append(trial.user_attrs["place"])
        if len(started) == len(points) // 2:
            enough.set()
        time.sleep(0.05)
        return 1.0

    monkeypatch.setattr(worker, "train", train)
    monkeypatch.setattr(worker, "GRACE", 3)
    experiment = set_up(**SETTINGS)
    config = SweepConfig(tmp_path, server.url, SETTINGS)
    study = open_study(config, experiment.plan)
    queue(study, config, points)
    workers = [threading.Thread(target=work, args=(config,), kwargs={"experiment": experiment}) for _ in range(2)]
    for each in workers:
        each.start()
    assert enough.wait(60)
    server.kill()
    time.sleep(2)
    server.start()
    for each in workers:
        each.join(120)
        assert not each.is_alive()
    trials = by_point(worker.patiently(open_study, config, experiment.plan))
    assert set(trials) == set(points)
    finished = [[one.state for one in found].count(optuna.trial.TrialState.COMPLETE) for found in trials.values()]
    assert finished == [1] * len(points)
    assert len(started) <= len(points) + 2 * len(workers)  # what was in training began again
