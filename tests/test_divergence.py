"""A training that goes wrong on purpose: it is caught, nothing that is said is lost, each alarm stands where it was."""

import math

import pytest

from tuckerlab import load_data
from tuckerlab.demos.divergence import Attempt, Divergence, diverge
from tuckerlab.training.guard import Alarm, Watch


def test_alone_it_breaks_off_and_with_a_guard_it_comes_through() -> None:
    found = diverge(load_data("digits", image_size=16).subset(train=640, test=64), lr=10.0, epochs=2)
    assert (found.alone.end, found.guarded.end.partition(" ")[0]) == ("breaks off", "reaches")
    assert len(found.said) > 0


def test_alarms_stand_at_the_step_after_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of nine steps: an alarm after step 9, back to the beginning; after 3 more, back; after the last, back."""
    ends, steps = iter([True, False, True, False]), iter(range(1, 100))
    monkeypatch.setattr(Watch, "after_epoch", lambda *given, **_: Alarm("accuracy", 0.1, 0.5) if next(ends) else None)
    monkeypatch.setattr(Watch, "after_step", lambda *given: Alarm("loss", 9.0, 1.0) if next(steps) == 12 else None)
    data = load_data("digits", image_size=16).subset(train=640, test=32)
    found = diverge(data, lr=1e-6, epochs=1).guarded
    assert [step for step, _ in found.alarms] == [9, 12]
    assert len(found.losses) == 21


def test_an_alarm_at_a_loss_that_is_no_number_is_drawn_where_the_curve_ends() -> None:
    guarded = Attempt((2.0, 5.0, math.nan, 1.5), ((3, "it went back"),), 0.9)
    axes = Divergence(1.0, Attempt((2.0, math.inf), (), math.nan), guarded).picture.axes[0]
    (marks,) = (line for line in axes.lines if line.get_marker() == "v")
    assert [*zip(*marks.get_data(), strict=True)] == [(3, 5.0)]
