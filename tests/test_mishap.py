"""A training that goes wrong on purpose: nothing that the valve says is lost, and each alarm stands where it was."""

import math

import pytest

from tuckerlab import Guard, load_data
from tuckerlab.demos.divergence import Attempt, Mishap, mishap
from tuckerlab.errors import DivergedError
from tuckerlab.training.guard import Alarm, Rule, Watch
from tuckerlab.training.guarded_trainer import GuardedTrainer


def test_alarms_at_the_end_of_an_epoch_stand_at_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes alone, in two epochs of nine steps: after each epoch, after step 10, and that nothing was learned."""
    losses = iter(range(1, 100))
    monkeypatch.setattr(Watch, "after_epoch", lambda *given, **more: Alarm("accuracy", 0.1, 0.5))
    monkeypatch.setattr(Watch, "after_step", lambda *given: Alarm("loss", 9.0, 1.0) if next(losses) == 10 else None)
    monkeypatch.setattr(Watch, "after_run", lambda watch: Alarm("learning", 2.3, 2.0))
    guard = Guard(accuracy=Rule("note", 0.05), loss=Rule("note", 2))
    data = load_data("digits", image_size=16).subset(train=640, test=32)
    found = mishap(data, lr=1e-6, epochs=2, guard=guard).guarded
    assert len(found.losses) == 18
    assert [step for step, _ in found.alarms] == [9, 10, 18, 18]
    assert all(f"{step}" in said for step, said in found.alarms)


def test_what_is_said_when_the_training_breaks_off_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(trainer: GuardedTrainer) -> bool:
        trainer.run.events.append({"step": 1, "said": "at once"})
        raise DivergedError("nothing was learned")

    monkeypatch.setattr(GuardedTrainer, "step", fails)
    data = load_data("digits", image_size=16).subset(train=128, test=32)
    found = mishap(data, lr=0.05, epochs=1)
    assert (found.said, found.guarded.losses) == (["1. at once"], ())
    assert found.guarded.end == "breaks off"
    assert "v" in [line.get_marker() for line in found.picture.axes[0].lines]  # an alarm before the first step


def test_an_alarm_at_a_loss_that_is_no_number_is_drawn_where_the_curve_ends() -> None:
    guarded = Attempt((2.0, 5.0, math.nan, 1.5), ((3, "it went back"),), 0.9)
    axes = Mishap(1.0, Attempt((2.0, math.inf), (), math.nan), guarded).picture.axes[0]
    (marks,) = (line for line in axes.lines if line.get_marker() == "v")
    assert [*zip(*marks.get_data(), strict=True)] == [(3, 5.0)]
