"""Training jobs that stop where a test wants them to, for the tests of the training panel."""

import html
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import pytest
import torch

from tuckerlab.experiments import setup
from tuckerlab.panels import TrainingPanel, training_job, training_panel
from tuckerlab.panels.training_job import Job
from tuckerlab.training.run import Run

SETTINGS: dict[str, Any] = {"dataset": "digits", "width": 0.125, "epochs": 1, "device": "cpu"}
PER_EPOCH = 10
LONG = 120.0  # seconds after which a test has failed


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps an epoch, nothing measured, and a driver that looks often."""
    load = setup.load_data
    monkeypatch.setattr(setup, "load_data", lambda *a, **k: load(*a, **k).subset(train=64 * PER_EPOCH, test=128))
    monkeypatch.setattr(training_job, "measurements", lambda runs, experiment: {method: {} for method in runs})
    monkeypatch.setattr(training_panel, "REFRESH", 0.02)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("tuckerlab"):
            thread.join(LONG)
            assert not thread.is_alive(), thread.name
    assert Job.at_work is None


class Gate:
    """Holds a job after a step, in its own thread, until it is opened; after step 0: before it reads its images."""

    def __init__(self) -> None:
        self.step: int | None = None
        self.reached, self.opened = threading.Event(), threading.Event()

    def hold(self, step: int) -> None:
        if step == self.step:
            self.step = None
            self.reached.set()
            assert self.opened.wait(LONG)

    def wait(self) -> None:
        assert self.reached.wait(LONG)

    def open(self) -> None:
        self.opened.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, on_step, load = Gate(), Job.on_step, setup.load_data

    def held(self: Job, run: Run) -> None:
        on_step(self, run)
        gate.hold(run.step)

    monkeypatch.setattr(Job, "on_step", held)
    monkeypatch.setattr(setup, "load_data", lambda *args, **options: gate.hold(0) or load(*args, **options))
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


def train(panel: TrainingPanel) -> TrainingPanel:
    panel.train.click()
    panel.wait()
    return panel


def trained(**settings: Any) -> TrainingPanel:
    panel = train(TrainingPanel(**SETTINGS | settings))
    assert (panel.busy, panel.problem) == (False, "")
    return panel


def weights(panel: TrainingPanel, run: int = 0) -> dict[str, torch.Tensor]:
    return dict(panel.kept[run].run.model.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def said(widget: ipywidgets.HTML) -> str:
    return " ".join(html.unescape(re.sub("<.*?>", " ", widget.value)).split())
