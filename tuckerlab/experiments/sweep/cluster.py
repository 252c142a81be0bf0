"""Workers on a cluster that a dask scheduler leads: one loop on each of its workers.

>>> Cluster(Plan("", "", ""), "tcp://127.0.0.1:1", timeout=0.1)
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: scheduler tcp://127.0.0.1:1 does not answer; start it with `dask scheduler`, and ...
"""

import contextlib
import logging
import re
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.sweep.crew import Crew
from tuckerlab.experiments.sweep.plan import Plan
from tuckerlab.experiments.sweep.worker import work

ANSWER = 10.0
"""Seconds that a scheduler gets to answer, and to have a worker."""

ERRORS = 3
"""So often may a worker raise something else than a mistake of the user until there is no hope for it."""


class Cluster(Crew):
    """The workers of a scheduler, those that come later too; each trains with as many threads as it was given."""

    def __init__(self, plan: Plan, address: str, timeout: float | None = None) -> None:
        super().__init__(plan)
        timeout = ANSWER if timeout is None else timeout
        if not re.fullmatch(r"\w+://\S+|[^\s/:]+:\d+", address):  # distributed would leave a traceback behind
            raise TuckerlabError(f"scheduler {address!r}: give its address, such as tcp://host:8786")
        import distributed

        connect: Any = distributed.Client  # published without types
        logging.getLogger("distributed").setLevel(logging.ERROR)
        self.address, self.lost_since = address, 0.0
        self.futures: dict[str, Any] = {}
        self.errors: Counter[str] = Counter()
        try:
            self.client = connect(address, timeout=timeout, set_as_default=False, name="tuckerlab-sweep")
        except (OSError, ValueError, TimeoutError):
            raise TuckerlabError(
                f"scheduler {address} does not answer; start it with `dask scheduler`, and `dask worker {address}` on "
                "each machine, and give its address, such as tcp://host:8786"
            ) from None
        try:
            self.client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            self.client.close()
            raise TuckerlabError(
                f"scheduler {address} has no workers: start some with `dask worker {address}`"
            ) from None

    def start(self) -> None:
        self.tend()

    def tend(self) -> list[str]:
        if self.client.status != "running":
            self.lost_since = self.lost_since or time.monotonic()
            if time.monotonic() - self.lost_since > self.plan.grace / 3:
                raise TuckerlabError(
                    f"scheduler {self.address} is gone; finished parts are kept: start it and give the command again"
                )
            return []
        self.lost_since = 0.0
        present = self.client.scheduler_info(n_workers=-1)["workers"]
        gone = [address for address in self.futures if address not in present]
        for address in gone:
            self.futures.pop(address).cancel()
        for address, facts in present.items():
            future = self.futures.get(address)
            if future is not None and future.status == "error":
                error = future.exception()
                if isinstance(error, TuckerlabError):
                    raise error
                self.errors[address] += 1
                if self.errors[address] == ERRORS:
                    raise TuckerlabError(f"worker {address}: {error!r}")
            if future is None or future.status in ("error", "finished", "cancelled", "lost"):
                plan = replace(self.plan, threads=facts["nthreads"])
                self.futures[address] = self.client.submit(
                    work, plan, name=address, workers=[address], pure=False, retries=0
                )
        return gone

    def stop(self) -> None:
        if self.client.status == "running":
            with contextlib.suppress(TimeoutError, OSError, ValueError):
                self.client.gather(list(self.futures.values()), errors="skip")
        with contextlib.suppress(TimeoutError, OSError):
            self.client.close(timeout=5)
