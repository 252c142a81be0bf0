"""Training jobs that stop where a test wants them to, for the tests of the training panel."""

import html
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import pytest
import torch

from tuckerlab.experiments import context
from tuckerlab.panels.training import job as job_file, model as model_file
from tuckerlab.panels.training.job import Job
from tuckerlab.panels.training.model import TrainingModel
from tuckerlab.training.run import Run

SETTINGS: dict[str, Any] = {"width": 0.125, "epochs": 1, "device": "cpu"}
PER_EPOCH = 10
LONG = 120.0  # seconds after which a test has failed


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps an epoch, nothing measured, and a driver that looks often."""
    load = job_file.load_data
    monkeypatch.setattr(job_file, "load_data", lambda *a, **k: load(*a, **k).subset(train=64 * PER_EPOCH, test=128))
    monkeypatch.setattr(job_file, "measurements", lambda runs, arena: {contender: {} for contender in runs})
    monkeypatch.setattr(model_file, "REFRESH", 0.02)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("tuckerlab"):
            thread.join(LONG)
            assert not thread.is_alive(), thread.name
    assert not job_file._TURN.locked()


class Gate:
    """Holds a job after a step, in its own thread, until it is opened."""

    def __init__(self) -> None:
        self.step: int | None = None
        self.reached, self.opened = threading.Event(), threading.Event()

    def at(self, step: int) -> "Gate":
        self.step = step
        self.reached.clear()
        self.opened.clear()
        return self

    def wait(self) -> None:
        assert self.reached.wait(LONG)

    def open(self) -> None:
        self.opened.set()

    def go_on_to(self, step: int) -> None:
        """Opens, and holds again after that step."""
        self.reached.clear()
        self.step, before, self.opened = step, self.opened, threading.Event()
        before.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, on_step = Gate(), Job.on_step

    def held(self: Job, run: Run) -> None:
        on_step(self, run)
        if gate.step == run.step:
            gate.step = None
            gate.reached.set()
            assert gate.opened.wait(LONG)

    monkeypatch.setattr(Job, "on_step", held)
    yield gate
    gate.open()


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Holds a job while it reads its images."""
    gate, load = Gate(), job_file.load_data

    def held(*args: Any, **options: Any) -> Any:
        gate.reached.set()
        assert gate.opened.wait(LONG)
        return load(*args, **options)

    monkeypatch.setattr(job_file, "load_data", held)
    yield gate
    gate.open()


def until(true: Callable[[], object]) -> None:
    """Until a condition holds that another thread brings about."""
    look = threading.Event()
    for _ in range(int(LONG / 0.01)):
        if true():
            return
        look.wait(0.01)
    pytest.fail("it never came to that")


def trained(**settings: Any) -> TrainingModel:
    model = TrainingModel(**SETTINGS | settings)
    model.train()
    model.wait()
    assert (model.state, model.problem) == ("idle", "")
    return model


def weights(model: TrainingModel, run: int = 0) -> dict[str, torch.Tensor]:
    return dict(model.kept[run].result.model.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def said(widget: ipywidgets.HTML) -> str:
    return " ".join(html.unescape(re.sub("<.*?>", " ", widget.value)).split())


def steps(model: TrainingModel) -> int:
    assert model.job is not None
    return len(model.job.traces[0].losses)


def hold(model: TrainingModel) -> threading.Event:
    """An event that is set when the job comes to a halt."""
    assert model.job is not None
    held, go = threading.Event(), model.job._go
    wait = go.wait

    def waits(timeout: float | None = None) -> bool:
        held.set()
        return wait(timeout)

    go.wait = waits  # type: ignore[method-assign]
    return held


def paused(model: TrainingModel, gate: Gate) -> threading.Event:
    """Pauses a job that is held by the gate, and lets it come to the end of its step."""
    gate.wait()
    held = hold(model)
    model.pause()
    assert model.state == "paused"
    gate.open()
    return held


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int = 0) -> None:
    """From then on `fit` raises; `after` runs that end well."""
    fit, calls = context.fit, iter(range(1000))

    def failing(*args: Any, **options: Any) -> Run:
        if next(calls) >= after:
            raise error
        return fit(*args, **options)

    monkeypatch.setattr(context, "fit", failing)
