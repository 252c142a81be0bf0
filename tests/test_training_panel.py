"""Training in a panel: its buttons, mistakes in mid-run, what is gone on with, and what is kept and shown."""

import math
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from jobs import LONG, Gate, said
from torch import nn

from tuckerlab import Budget, cut
from tuckerlab.errors import DivergedError, TuckerlabError
from tuckerlab.experiments import setup
from tuckerlab.experiments.records import Records
from tuckerlab.panels import LiveComparison, TrainingPanel, training_job, training_panel
from tuckerlab.panels.training_job import Job, Unfinished, records_of
from tuckerlab.panels.training_picture import draw, rank_map
from tuckerlab.plotting.figure import Picture
from tuckerlab.training import checkpoint
from tuckerlab.training.guarded_trainer import FROZEN, GuardedTrainer
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run
from tuckerlab.training.trainer import Trainer
from tuckerlab.tucker.model_size import count_parameters

SETTINGS: dict[str, Any] = {"dataset": "digits", "width": 0.125, "epochs": 1, "device": "cpu"}
PER_EPOCH = 6


@pytest.fixture(autouse=True, scope="module")
def few_images() -> Iterator[None]:
    """Six steps an epoch, nothing measured, and no picture while training."""
    load = setup.load_data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "load_data", lambda *a, **k: load(*a, **k).subset(train=64 * PER_EPOCH, test=128))
        patch.setattr(training_job, "measurements", lambda runs, experiment: {})
        patch.setattr(training_panel, "draw", lambda runs: Picture(figsize=(1, 1)))
        yield


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Holds a job after a step; after step 0: before it reads its images."""
    gate, on_step, load = Gate(), Job.on_step, setup.load_data
    monkeypatch.setattr(Job, "on_step", lambda job, run: on_step(job, run) or gate.hold(run.step))
    monkeypatch.setattr(setup, "load_data", lambda *args, **options: gate.hold(0) or load(*args, **options))
    yield gate
    gate.opened.set()


@pytest.fixture(scope="module")
def compared(few_images: None, tmp_path_factory: pytest.TempPathFactory) -> TrainingPanel:
    """A panel that has trained, a network in Tucker format and the full one, for two epochs."""
    out = tmp_path_factory.mktemp("compared") / "runs"
    return TrainingPanel(attended=False, dense=True, out=str(out), **SETTINGS | {"epochs": 2})


def train(panel: TrainingPanel) -> TrainingPanel:
    panel.train.click()
    panel.wait()
    return panel


def held(gate: Gate, step: int, **settings: Any) -> TrainingPanel:
    """A panel whose job has come to this step, and does not go on."""
    panel = TrainingPanel(**SETTINGS | settings)
    gate.step = step
    panel.train.click()
    gate.wait()
    return panel


def names(panel: TrainingPanel) -> list[str]:
    return [run.name for run in panel.kept]


def networks(panel: TrainingPanel) -> list[nn.Module]:
    return [run.run.model for run in panel.kept]


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_one_training_at_a_time(gate: Gate) -> None:
    states, drawn = list[bool](), threading.Event()
    panel, other = TrainingPanel(**SETTINGS), TrainingPanel(**SETTINGS | {"seed": 1})
    panel.observe(lambda change: states.append(change.new), "busy")
    panel.picture.observe(lambda change: drawn.set(), "value")
    panel.stop.click()
    assert (panel.train.disabled, panel.stop.disabled) == (False, True)
    gate.step = 3
    panel.train.click()
    gate.wait()
    first = panel.job
    panel.train.click()  # harmless
    other.train.click()
    assert (other.busy, other.problem.startswith("Another training is at work here")) == (False, True)
    assert (panel.train.disabled, panel.stop.disabled) == (True, False)
    assert all(control.disabled for control in panel.controls.values())
    assert drawn.wait(LONG)
    assert "pass 1 of 1" in said(panel.said)
    gate.opened.set()
    panel.wait()
    assert panel.job is first
    assert (states, panel.bar.value, panel.problem) == ([True, False], 1.0, "")
    assert (panel.train.disabled, panel.stop.disabled) == (False, True)
    [run] = panel.kept  # is the record of the network
    row = run.facts
    assert (row["label"], row["state"], len(run.losses)) == ("Tucker 90 %", "finished", PER_EPOCH)
    assert evaluate(run.run.model, setup.load_data("digits")).accuracy == row["test_accuracy"]
    assert row["conv_compression"] >= 0.9
    assert not same(*networks(train(other)), *networks(panel))


@pytest.mark.parametrize("step", [0, 2, PER_EPOCH + 2])
def test_stop_after_the_step_at_hand_and_train_again(gate: Gate, compared: TrainingPanel, step: int) -> None:
    panel, kept = held(gate, step, dense=True, epochs=2), int(step > PER_EPOCH)
    assert panel.job is not None
    assert panel.job.said.startswith(f"Tucker 90 %: pass {kept + 1} of 2" if step else "Reading images …")
    panel.stop.click()
    gate.opened.set()
    panel.wait()
    runs = [(run.run.step, run.run.state) for run in panel.job.runs]  # the full network is not begun
    assert runs == [(step, "stopped")] * (step > 0)
    assert (panel.busy, len(panel.kept), panel.problem) == (False, kept, "")
    assert said(panel.said).startswith(("Stopped before the first pass was over", "Stopped. What was learned")[kept])
    panel.dense.value = False
    assert names(train(panel))[kept:] == ["Tucker 90 % (2)"]
    assert same(networks(panel)[kept], networks(compared)[0])


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


def test_one_training_for_any_size_ends_in_a_slider_over_its_sizes() -> None:
    panel = TrainingPanel(**SETTINGS | {"epochs": 8})
    assert panel.before.layout.display == ""  # a recorded result, until there is one of this panel
    panel.by.value = "nested"
    [slider] = train(panel).sizes.children
    full, largest, *_others, smallest = slider.sizes.series("nested")
    assert (panel.problem, panel.before.layout.display) == ("", "none")
    assert (names(panel), full.test_accuracy) == (["Tucker 50 to 95 %", "dense"], panel.numbers["dense_accuracy"])
    assert (largest.conv_compression, smallest.conv_compression) == pytest.approx((0.5, 0.95), abs=0.02)
    data = setup.load_data("digits")
    network = cut(networks(panel)[0], Budget(smallest.setting), data.sample())
    assert (smallest.test_accuracy, smallest.trained) == (evaluate(network, data).accuracy, False)
    panel.by.value, panel.dense.value, panel.epochs.value = "compression", False, 1
    assert train(panel).sizes.children == (slider,)  # as its networks are kept


def test_no_slider_comes_of_a_training_whose_cutting_the_guard_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_cutting(trainer: GuardedTrainer) -> bool:
        trainer.run.optimizer.ranks = trainer.policy = FROZEN
        return Trainer.end_epoch(trainer)

    monkeypatch.setattr(GuardedTrainer, "end_epoch", stop_cutting)
    panel = TrainingPanel(**SETTINGS | {"epochs": 2})
    panel.by.value = "nested"
    assert (train(panel).sizes.children, panel.problem, len(panel.kept)) == ((), "", 2)


def test_a_panel_that_comes_back_goes_on_to_the_same_network(gate: Gate, tmp_path: Path) -> None:
    """Its page was loaded again in the second pass."""
    asked = {"epochs": 2, "dense": True, "compression": 0.8}
    first = held(gate, PER_EPOCH + 4, out=str(tmp_path / "first"), **asked)
    second = TrainingPanel(**SETTINGS | {"out": str(tmp_path / "first")})
    assert (second.busy, second.compression.value) == (True, 0.8)  # in the same kernel the new panel shows it
    shutil.copytree(first.unfinished.folder, tmp_path / "second" / "unfinished")  # what a kernel leaves that was killed
    gate.opened.set()
    first.wait()
    second.wait()
    back = TrainingPanel(**SETTINGS | {"out": str(tmp_path / "second")})
    assert (back.busy, back.epochs.value, back.dense.value, back.compression.value) == (False, 2, True, 0.8)
    back.epochs.text.value = "2.5"  # whatever is typed since
    back.go_on.click()
    back.wait()
    assert (back.problem, names(back)) == ("", ["Tucker 80 %", "dense"])
    assert all(map(same, networks(back), networks(first)))
    assert [len(run.losses) for run in back.kept] == [2 * PER_EPOCH] * 2
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


def test_a_number_that_was_refused_is_mended_first() -> None:
    panel = TrainingPanel(**SETTINGS)
    panel.epochs.text.value = "2.5"
    panel.train.click()
    assert (panel.busy, panel.epochs.value, panel.problem) == (False, 1, "Mend the field that is marked first.")
    for typed, epochs in (("mnisst", 1), ("mnist", 4)):  # a data set that there is not has no number of its own
        panel.dataset.value = typed
        assert panel.epochs.value == epochs


def test_what_was_trained_before_a_failure_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = setup.fit

    def failing(model: Any, *args: Any, **options: Any) -> Run:
        if count_parameters(model).conv_compression == 0:  # the dense one, which comes second
            raise DivergedError("off")
        return fit(model, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(setup, "fit", failing)
        panel = train(TrainingPanel(**SETTINGS | {"dense": True}))
    assert (panel.problem, panel.busy, names(panel), panel.bar.value) == ("off", False, ["Tucker 90 %"], 0.0)
    assert (train(panel).problem, panel.alert.value, len(panel.kept)) == ("", "", 3)


@pytest.mark.parametrize(
    ("asked", "line"), [({"dataset": "<b>x"}, "unknown data set '<b>x'"), ({"network": "lenet5"}, "of 8 × 8")]
)
def test_what_cannot_be_asked_for(asked: dict[str, str], line: str) -> None:
    panel = train(TrainingPanel(**SETTINGS | asked))
    assert line in panel.problem
    assert "<b>" not in panel.static()
    assert (panel.busy, panel.kept) == (False, [])
    with pytest.raises(TuckerlabError, match="could not train: "):
        TrainingPanel(attended=False, **SETTINGS | asked)


def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_panel, "draw", lambda runs: 1 / 0)
    panel = train(TrainingPanel(**SETTINGS))
    assert (panel.busy, names(panel)) == (False, ["Tucker 90 %"])
    assert "division by zero" in panel.problem


def test_what_the_safety_valve_does_is_said_marked_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the second epoch a weight is no number."""
    on_step = Job.on_step

    def spoil(self: Job, run: Run) -> None:
        on_step(self, run)
        if run.step == PER_EPOCH + 4 and not run.events:
            next(run.model.parameters()).data.fill_(float("inf"))

    monkeypatch.setattr(Job, "on_step", spoil)
    panel = train(TrainingPanel(**SETTINGS | {"epochs": 2}))
    [run] = panel.kept
    [event] = run.records.events.to_dict("records")
    assert (event["step"], event["rule"]) == (PER_EPOCH + 5, "finite")
    assert f"Tucker 90 %: {event['said']}" in said(panel.events)
    assert draw([run]).axes[0].lines[1].get_xdata() == [event["step"] / PER_EPOCH]
    assert len(run.losses) == 2 * PER_EPOCH
    assert all(map(math.isfinite, run.losses))


def test_runs_are_shown_and_saved(compared: TrainingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = TrainingPanel(**SETTINGS)
    assert "no run yet" in panel.result()
    assert "no run yet" in panel.layers()
    assert panel.save.layout.display == "none"
    panel = compared
    assert said(panel.verdict) == panel.finding != ""
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
        assert same(checkpoint.load(folder / f"{name}.safetensors").model, run.run.model)
    full_disk = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(training_job, "save_figures", full_disk)
    panel.save.click()
    assert "No space left on device" in panel.problem
    assert list(Path(panel.out).iterdir()) == [folder]  # half a folder is none


def test_the_picture_draws_what_the_runs_say(compared: TrainingPanel) -> None:
    losses, accuracies, sizes, ranks = draw(compared.kept[:2]).axes
    small = compared.kept[0]
    assert list(losses.lines[0].get_ydata()) == small.losses
    errors = 100 - 100 * small.records.epochs["test_accuracy"]  # on an axis that says what is right
    assert accuracies.lines[0].get_xydata() == pytest.approx(np.array([[1, 2], errors.clip(0.3)]).T)
    stored = list(100 - 100 * small.records.epochs["conv_compression"])
    assert list(sizes.lines[0].get_ydata())[1:] == pytest.approx(stored)
    assert set(sizes.lines[1].get_ydata()) == {100}
    kept = rank_map(small.run.ranks)
    assert kept.shape == (small.records.ranks["layer"].nunique(), 3)
    rows = [row for row in small.run.ranks if row["layer"] == kept.index[0] and row["epoch"] == 2]
    assert kept.iloc[0, 2] == pytest.approx(100 * sum(r["rank"] for r in rows) / sum(r["size"] for r in rows))
    np.testing.assert_allclose(np.asarray(ranks.images[0].get_array()), kept)
