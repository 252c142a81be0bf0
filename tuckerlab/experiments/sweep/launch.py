"""Who trains a sweep: this process, several on this machine, or the workers of a dask scheduler.

Each is a context manager that yields a function, for its driver to call again and again with the number of networks
that wait: it sees to it that they are trained, and comes back after a while.
"""

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.setup import Arena
from tuckerlab.experiments.sweep.storage import SweepConfig
from tuckerlab.experiments.sweep.worker import work

Advance = Callable[[int], None]

PATIENCE = 60.0
"""Seconds that a worker gets to end."""

ANSWER = 10.0
"""Seconds that a scheduler gets to answer, to have a worker, and to come back."""

DEATHS = 3
"""So often may each worker end without a word until there is no hope for it."""

WORKER = "import sys; from tuckerlab.experiments.sweep.worker import main; sys.exit(main())"


@contextlib.contextmanager
def in_this_process(config: SweepConfig, arena: Arena, progress: bool) -> Iterator[Advance]:
    """Trains one network each time."""

    def advance(waiting: int) -> None:
        if waiting:
            work(config, once=True, arena=arena, progress=progress)
        else:  # others are at the rest
            time.sleep(config.heartbeat)

    yield advance


@contextlib.contextmanager
def in_processes(config: SweepConfig, count: int) -> Iterator[Advance]:
    """So many processes, which share the threads of this one and end with it; who dies is replaced.

    Raises TuckerlabError for what a worker says that cannot go on, and where workers do nothing but die.
    """
    threads = max(1, torch.get_num_threads() // count)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    children: dict[Path, subprocess.Popen[str]] = {}
    deaths = 0

    def start() -> None:  # not by multiprocessing, which would run the user's own main module once more
        handle, log = tempfile.mkstemp(".log", "worker-", config.folder)
        with os.fdopen(handle, "w") as file:
            child = subprocess.Popen(
                [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=file, stderr=file, text=True,
                env=environment,
            )  # fmt: skip
        children[Path(log)] = child
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it may have died at once
            child.stdin.write(json.dumps(asdict(replace(config, threads=threads))) + "\n")
            child.stdin.flush()  # and it stays open: when it ends the worker ends

    def end_input(child: "subprocess.Popen[str]") -> None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()  # type: ignore[union-attr]

    def advance(waiting: int) -> None:
        nonlocal deaths
        for log, child in [*children.items()]:
            if child.poll() is None:
                continue
            end_input(children.pop(log))
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["without a word"]
            if child.returncode == 2:
                raise TuckerlabError(said[-1])
            deaths += child.returncode != 0
            if deaths > DEATHS * count:
                raise TuckerlabError(f"{deaths} workers have died, the last of them with: {said[-1]} ({log})")
        for _ in range(min(count - len(children), waiting)):
            start()
        time.sleep(config.heartbeat)

    try:
        yield advance
    finally:
        for child in children.values():
            end_input(child)
        for child in children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE)
            child.kill()
            child.wait()


@contextlib.contextmanager
def on_cluster(config: SweepConfig, address: str) -> Iterator[Advance]:
    """A network at a time for each worker of a dask scheduler, those that come later too, with the threads it has.

    Raises TuckerlabError for a scheduler that does not answer, and for what a worker raises: the next network would
    fare no better.
    """
    if not re.fullmatch(r"\w+://\S+|[^\s/:]+:\d+", address):  # distributed would leave a traceback behind
        raise TuckerlabError(f"scheduler {address!r}: give its address, such as tcp://host:8786")
    import distributed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    make_client: Any = distributed.Client  # published without types
    try:
        client = make_client(address, timeout=ANSWER, set_as_default=False, name="tuckerlab-sweep")
    except (OSError, ValueError, TimeoutError):
        raise TuckerlabError(
            f"scheduler {address} does not answer; start it with `dask scheduler`, and `dask worker {address}` on "
            "each machine, and give its address, such as tcp://host:8786"
        ) from None
    futures: dict[str, Any] = {}
    answered = time.monotonic()

    def advance(waiting: int) -> None:
        nonlocal answered
        time.sleep(config.heartbeat)
        if client.status != "running":
            if time.monotonic() - answered > ANSWER:
                said = "finished parts are kept: start it and give the command again"
                raise TuckerlabError(f"scheduler {address} is gone; {said}")
            return
        answered = time.monotonic()
        present = client.scheduler_info(n_workers=-1)["workers"]
        for name in futures.keys() - present.keys():
            futures.pop(name).cancel()
        for name, about in present.items():
            future = futures.get(name)
            if future is not None and future.status == "pending":  # at work
                continue
            if future is not None and future.status == "error":
                error = future.exception()
                raise error if isinstance(error, TuckerlabError) else TuckerlabError(f"worker {name}: {error!r}")
            if waiting > 0:
                waiting -= 1
                settings = replace(config, threads=about["nthreads"])
                futures[name] = client.submit(work, settings, once=True, workers=[name], pure=False, retries=0)

    try:
        try:
            client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            said = f"start some with `dask worker {address}`"
            raise TuckerlabError(f"scheduler {address} has no workers: {said}") from None
        yield advance
    finally:
        with contextlib.suppress(TimeoutError, OSError):
            client.close(timeout=5)
