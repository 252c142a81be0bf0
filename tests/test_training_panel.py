"""Training in a panel: its buttons, mistakes in mid-run, what is gone on with, and what is kept and shown."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jobs import (
    PER_EPOCH,
    SETTINGS,
    Gate,
    few_images as few_images,
    gate as gate,
    no_thread_is_left as no_thread_is_left,
    said,
    same,
    train,
    trained,
    until,
    weights,
)

from tuckerlab.errors import DivergedError, TuckerlabError
from tuckerlab.experiments import setup
from tuckerlab.experiments.records import Records
from tuckerlab.panels import LiveComparison, TrainingPanel, training_job, training_panel
from tuckerlab.panels.training_job import Job, Unfinished, records_of
from tuckerlab.panels.training_picture import draw, rank_map
from tuckerlab.training import checkpoint
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters


def names(panel: TrainingPanel) -> list[str]:
    return [run.name for run in panel.kept]


def held(gate: Gate, step: int = 4, **settings: Any) -> TrainingPanel:
    """A panel whose job has come to this step, and does not go on."""
    panel = TrainingPanel(**SETTINGS | settings)
    gate.step = step
    panel.train.click()
    gate.wait()
    return panel


# --- buttons ---------------------------------------------------------------------------------------------------------


def test_train(gate: Gate) -> None:
    states = list[bool]()
    panel = TrainingPanel(**SETTINGS)
    panel.observe(lambda change: states.append(change.new), "busy")
    panel.stop.click()
    assert (panel.train.disabled, panel.stop.disabled) == (False, True)
    gate.step = 3
    panel.train.click()
    gate.wait()
    first = panel.job
    panel.train.click()  # harmless
    assert (panel.train.disabled, panel.stop.disabled) == (True, False)
    assert all(control.disabled for control in panel.controls.values())
    until(lambda: panel.picture.value[:4] == b"\x89PNG" and "pass 1 of 1" in said(panel.said))
    gate.open()
    panel.wait()
    assert panel.job is first
    assert (states, panel.bar.value, panel.problem) == ([True, False], 1.0, "")
    assert (panel.train.disabled, panel.stop.disabled) == (False, True)
    [run] = panel.kept  # is the record of the network
    row = run.facts
    assert (row["label"], row["state"], len(run.losses)) == ("Tucker 90 %", "finished", PER_EPOCH)
    assert evaluate(run.run.model, setup.load_data("digits")).accuracy == row["test_accuracy"]
    assert row["conv_compression"] >= 0.9


@pytest.mark.parametrize(("step", "kept"), [(2, 0), (PER_EPOCH + 2, 1)])
def test_stop_after_the_step_at_hand_and_train_again(gate: Gate, step: int, kept: int) -> None:
    panel = held(gate, step, dense=True, epochs=2)
    panel.stop.click()
    gate.open()
    panel.wait()
    assert panel.job is not None
    [run] = panel.job.runs  # the full network is not begun
    assert (panel.busy, len(panel.kept), run.run.step, run.run.state) == (False, kept, step, "stopped")
    assert said(panel.said).startswith(("Stopped before the first pass was over", "Stopped. What was learned")[kept])
    assert names(train(panel))[kept:] == ["Tucker 90 % (2)", "dense (2)"]
    assert same(weights(panel, kept), weights(trained(epochs=2)))


def test_stop_while_reading(gate: Gate) -> None:
    panel = held(gate, 0)
    until(lambda: said(panel.said) == "Reading images …")
    panel.stop.click()
    gate.open()
    panel.wait()
    assert (panel.busy, panel.kept, panel.problem) == (False, [], "")


def test_one_training_at_a_time(gate: Gate) -> None:
    other = TrainingPanel(**SETTINGS | {"seed": 1})
    panel = held(gate)
    other.train.click()
    assert (other.busy, other.problem.startswith("Another training is at work here")) == (False, True)
    gate.open()
    panel.wait()
    assert not same(weights(train(other)), weights(panel))
    assert same(weights(panel), weights(trained()))


def test_three_networks_are_trained_alike_when_the_button_of_the_comparison_is_pressed() -> None:
    panel = LiveComparison(**SETTINGS)
    assert (panel.job, panel.kept, panel.busy) == (None, [], False)
    recorded = (38.671 + 36.589 + 31.152) / 30  # seconds an epoch
    told = LiveComparison(**SETTINGS | {"epochs": 100}).train.description
    assert told == f"Train three networks now: about {100 * recorded / 60:.0f} minutes"
    train(panel)
    assert panel.problem == ""
    rows = [run.facts for run in panel.kept]
    assert [row["method"] for row in rows] == ["tucker", "dense", "pruning"]
    assert len({row["gradient_evaluations"] for row in rows}) == 1
    np.testing.assert_allclose([row["conv_compression"] for row in rows], [0.9, 0, 0.9], atol=0.01)


# --- what is cut off --------------------------------------------------------------------------------------------------


def test_a_panel_that_comes_back_goes_on_to_the_same_network(gate: Gate, tmp_path: Path) -> None:
    """Its page was loaded again in the second pass."""
    asked = {"epochs": 3, "dense": True, "compression": 0.8}
    first = held(gate, PER_EPOCH + 4, out=str(tmp_path / "first"), **asked)
    second = TrainingPanel(**SETTINGS | {"out": str(tmp_path / "first")})
    assert (second.busy, second.compression.value) == (True, 0.8)  # in the same kernel the new panel shows it
    shutil.copytree(first.unfinished.folder, tmp_path / "second" / "unfinished")  # what a kernel leaves that was killed
    gate.open()
    first.wait()
    second.wait()
    back = TrainingPanel(**SETTINGS | {"out": str(tmp_path / "second")})
    assert (back.busy, back.epochs.value, back.dense.value, back.compression.value) == (False, 3, True, 0.8)
    back.epochs.text.value = "2.5"  # whatever is typed since
    back.go_on.click()
    back.wait()
    assert (back.problem, names(back)) == ("", ["Tucker 80 %", "dense"])
    assert all(same(weights(back, run), weights(first, run)) for run in (0, 1))
    assert [len(run.losses) for run in back.kept] == [3 * PER_EPOCH] * 2
    assert [*tmp_path.glob("*/*")] == []  # nothing is left to go on with
    assert TrainingPanel(**SETTINGS | {"out": str(tmp_path / "second")}).go_on.layout.display == "none"


def test_what_another_window_is_at_is_not_offered(tmp_path: Path) -> None:
    settings = SETTINGS | {"out": str(tmp_path)}
    panels, place = [TrainingPanel(**settings)], Unfinished(str(tmp_path))
    place.hold(panels[0]._asked())
    panels.append(TrainingPanel(**settings))
    place._lock.release()
    panels.append(TrainingPanel(**settings))
    assert [panel.go_on.layout.display for panel in panels] == ["none", "none", ""]
    place.hold()
    panels[2].go_on.click()
    assert (panels[2].busy, said(panels[2].said)) == (False, "Another window has gone on with it.")
    assert train(panels[2]).problem == ""  # and is trained, though not kept
    place._lock.release()
    (place.folder / "asked.json").write_text("{")
    assert TrainingPanel(**settings).go_on.layout.display == "none"


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_number_that_was_refused_is_mended_first() -> None:
    panel = TrainingPanel(**SETTINGS)
    for typed in ("2.5", "1e9", "0,5"):
        panel.epochs.text.value = typed
        panel.train.click()
        assert (panel.busy, panel.epochs.value, panel.problem != "") == (False, 1, True)


def test_what_was_trained_before_a_failure_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = setup.fit
    for error, line in ((RuntimeError("a\nlong story"), "RuntimeError: a long story"), (DivergedError("off"), "off")):

        def failing(model: Any, *args: Any, error: Exception = error, **options: Any) -> Run:
            if count_parameters(model).conv_compression == 0:  # the dense one, which comes second
                raise error
            return fit(model, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(setup, "fit", failing)
            panel = train(TrainingPanel(**SETTINGS | {"dense": True}))
        assert line in panel.problem
        assert (panel.busy, names(panel), panel.bar.value) == (False, ["Tucker 90 %"], 0.0)
    assert (train(panel).problem, panel.alert.value, len(panel.kept)) == ("", "", 3)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dataset": "<b>nonsense"}, "unknown data set '<b>nonsense'"),
        ({"network": "lenet5"}, "lenet5 cannot take images of 8 × 8"),
        ({"compression": 0.98}, "cannot be met"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_what_cannot_be_asked_for(settings: dict[str, Any], line: str) -> None:
    panel = train(TrainingPanel(**SETTINGS | settings))
    assert line in panel.problem
    assert "<b>" not in panel.static()
    assert (panel.busy, panel.kept) == (False, [])
    with pytest.raises(TuckerlabError, match="could not train: "):
        TrainingPanel(attended=False, **SETTINGS | settings)


def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training_panel, "draw", lambda runs: 1 / 0)
        panel = train(TrainingPanel(**SETTINGS))
    assert (panel.busy, names(panel)) == (False, ["Tucker 90 %"])
    assert "division by zero" in panel.problem
    assert (train(panel).problem, len(panel.kept)) == ("", 2)


def test_what_the_safety_valve_does_is_said_marked_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the second epoch a weight is no number."""
    on_step = Job.on_step

    def spoil(self: Job, run: Run) -> None:
        on_step(self, run)
        if run.step == PER_EPOCH + 4 and not run.events:
            next(run.model.parameters()).data.fill_(float("inf"))

    monkeypatch.setattr(Job, "on_step", spoil)
    panel = trained(epochs=2)
    [run] = panel.kept
    [event] = run.records.events.to_dict("records")
    assert (event["step"], event["rule"]) == (PER_EPOCH + 5, "finite")
    assert f"Tucker 90 %: {event['said']}" in said(panel.events)
    assert draw([run]).axes[0].lines[1].get_xdata() == [event["step"] / PER_EPOCH]
    assert len(run.losses) == 2 * PER_EPOCH
    assert all(map(math.isfinite, run.losses))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_runs_are_shown_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = TrainingPanel(**SETTINGS | {"dense": True, "out": str(tmp_path / "runs")})
    assert "no run yet" in panel.result()
    assert "no run yet" in panel.layers()
    assert panel.save.layout.display == "none"
    train(panel)
    assert "has learned nothing" in said(panel.verdict)  # after one pass over few images
    panel.compression.value, panel.dense.value = 0.95, False
    train(panel)
    assert names(panel) == list(panel.result()) == ["Tucker 90 %", "dense", "Tucker 95 % (2)"]
    assert panel.numbers["removed"] == panel.kept[2].facts["conv_compression"]
    assert panel.layers() is not None
    panel.save.click()
    [folder] = Path(panel.out).iterdir()
    assert said(panel.saved) == f"Saved in {folder}"
    pd.testing.assert_frame_equal(Records.load(folder).runs, records_of(panel.kept).runs)
    for run, name in zip(panel.kept, ("tucker-90", "dense", "tucker-95-(2)"), strict=True):
        loaded = checkpoint.load(folder / f"{name}.safetensors").model
        assert same(dict(loaded.state_dict()), dict(run.run.model.state_dict()))

    def full_disk(records: Records, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_job, "save_figures", full_disk)
    panel.save.click()
    assert "No space left on device" in panel.problem
    assert list(Path(panel.out).iterdir()) == [folder]  # half a folder is none


def test_the_picture_draws_what_the_runs_say() -> None:
    panel = TrainingPanel(attended=False, dense=True, **SETTINGS | {"epochs": 3})
    losses, accuracies, sizes, ranks = draw(panel.kept).axes
    small = panel.kept[0]
    assert list(losses.lines[0].get_ydata()) == small.losses
    errors = 100 - 100 * small.records.epochs["test_accuracy"]  # on an axis that says what is right
    assert accuracies.lines[0].get_xydata() == pytest.approx(np.array([[1, 2, 3], errors.clip(0.3)]).T)
    stored = list(100 - 100 * small.records.epochs["conv_compression"])
    assert list(sizes.lines[0].get_ydata())[1:] == pytest.approx(stored)
    assert set(sizes.lines[1].get_ydata()) == {100}
    kept = rank_map(small.run.ranks)
    assert kept.shape == (small.records.ranks["layer"].nunique(), 4)
    rows = [row for row in small.run.ranks if row["layer"] == kept.index[0] and row["epoch"] == 3]
    assert kept.iloc[0, 3] == pytest.approx(100 * sum(r["rank"] for r in rows) / sum(r["size"] for r in rows))
    np.testing.assert_allclose(np.asarray(ranks.images[0].get_array()), kept)
