"""The workers of a sweep, as its driver has them: a thread, processes on this machine, or a cluster.

>>> Processes(Plan("runs", "sqlite:///study.db", "sweep"), 2).plan.threads == max(1, torch.get_num_threads() // 2)
True

They only train; what is to be done, and has been, is in the study. `Cluster` is in a file of its own.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import torch

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.setup import Arena
from tuckerlab.experiments.sweep.plan import Plan
from tuckerlab.experiments.sweep.worker import here, work
from tuckerlab.training.openmp import release_workers

PATIENCE = 60.0
"""Seconds that a worker gets to write its checkpoint and end."""


class Crew:
    """Workers that are started, tended every now and then, and stopped: the driver has told them in the study."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def start(self) -> None:
        """Sets them to work."""
        raise NotImplementedError

    def tend(self) -> list[str]:
        """Replaces those that are gone, and says their names; raises what a worker has raised."""
        raise NotImplementedError

    def stop(self) -> None:
        """Waits until they have ended."""
        raise NotImplementedError


class Thread(Crew):
    """One worker in this process."""

    def __init__(self, plan: Plan, arena: Arena) -> None:
        super().__init__(plan)
        self.arena, self.error = arena, None
        self._renew()

    error: BaseException | None

    def _renew(self) -> None:
        self.event = threading.Event()
        self.thread = threading.Thread(target=self._work, args=(self.event,), name="tuckerlab-sweep", daemon=True)

    def _work(self, event: threading.Event) -> None:
        try:
            work(self.plan, event, arena=self.arena)
        except BaseException as error:  # the driver raises it
            self.error = error

    def start(self) -> None:
        release_workers()
        self.thread.start()

    def tend(self) -> list[str]:
        if self.error is not None:
            raise self.error
        if not self.thread.is_alive():  # this process stood still for long, and it took the driver for gone
            self._renew()
            self.thread.start()
        return []

    def stop(self) -> None:
        self.event.set()
        if self.thread.is_alive():
            self.thread.join(PATIENCE)


class Processes(Crew):
    """Some workers in processes of their own, which share the threads of this one."""

    def __init__(self, plan: Plan, count: int) -> None:
        threads = max(1, torch.get_num_threads() // count)
        super().__init__(replace(plan, threads=threads))
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self.children: list[subprocess.Popen[str] | None] = [None] * count
        self.deaths, self.allowed = 0, 3 * count

    def start(self) -> None:
        for i in range(len(self.children)):
            self._start(i)

    def _log(self, i: int) -> Path:
        return Path(self.plan.folder) / f"worker{i}-{self.plan.driver}.log"  # other drivers have theirs

    def _start(self, i: int) -> None:
        # not multiprocessing, which would run the user's own main module once more
        command = [
            sys.executable,
            "-c",
            "import sys; from tuckerlab.experiments.sweep.worker import main; sys.exit(main())",
        ]
        with self._log(i).open("w", encoding="utf-8") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, env=self.environment
            )
        self.children[i] = child
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError), child.stdin as pipe:  # it may have died at once; `tend` sees it
            pipe.write(json.dumps(asdict(self.plan)) + "\n")

    def tend(self) -> list[str]:
        gone = []
        for i, child in enumerate(self.children):
            code = None if child is None else child.poll()
            if child is None or code is None:
                continue
            gone.append(name(child))
            self.deaths += 1
            said = self._log(i).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if code == 2 and said:  # it could say why
                raise TuckerlabError(said[-1])
            if self.deaths > self.allowed:
                raise TuckerlabError(
                    f"{self.deaths} workers have ended with exit code {code} or another: "
                    f"{said[-1] if said else 'without a word'} ({self._log(i)})"
                )
            self._start(i)
        return gone

    def stop(self) -> None:
        for child in self.children:
            if child is not None:
                try:
                    child.wait(PATIENCE)
                except subprocess.TimeoutExpired:  # its checkpoint is a minute old at most
                    child.kill()
                    child.wait()


def name(child: "subprocess.Popen[str]") -> str:
    """What a child calls itself in the study."""
    return f"{here().rpartition(':')[0]}:{child.pid}"
