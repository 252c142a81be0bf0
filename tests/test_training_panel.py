"""Training in a panel: its buttons, mistakes in mid-run, other ranks while it goes, and what is kept and shown."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import traitlets
from jobs import (
    LONG,
    PER_EPOCH,
    SETTINGS,
    Gate,
    fails,
    few_images as few_images,
    gate as gate,
    no_thread_is_left as no_thread_is_left,
    paused,
    reading as reading,
    said,
    same,
    steps,
    train,
    trained,
    until,
    weights,
)

from tuckerlab import Budget, Tolerance
from tuckerlab.errors import DivergedError, TuckerlabError
from tuckerlab.experiments import proof
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.records import Records
from tuckerlab.panels import TrainingPanel, training_runs
from tuckerlab.panels.training_job import Job
from tuckerlab.panels.training_picture import TrainingPicture
from tuckerlab.panels.training_runs import Look, Plan, Trace
from tuckerlab.training import checkpoint
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run


def names(panel: TrainingPanel) -> list[str]:
    return [run.name for run in panel.kept]


class TestJob:
    PLAN = Plan((Tucker(Budget(0.9)),), width=0.125, epochs=2, device="cpu")

    def test_result_is_a_record_and_its_network(self) -> None:
        job = Job(self.PLAN)
        assert (job.phase, job.is_alive(), job.progress) == ("waiting", False, 0.0)
        job.start()
        job.join()
        assert (job.phase, job.is_alive(), job.progress, job.error) == ("done", False, 1.0, None)
        [run] = job.results
        records, row = run.records, run.facts
        assert (row["label"], row["state"], row["epochs"], len(records.epochs)) == ("Tucker 90 %", "finished", 2, 2)
        assert evaluate(run.model, proof.load_data("digits")).accuracy == row["test_accuracy"]
        assert row["conv_compression"] >= 0.9
        assert [accuracy for _, accuracy in job.traces[0].accuracies] == records.epochs["test_accuracy"].tolist()

    def test_what_was_trained_before_a_failure_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fails(monkeypatch, DivergedError("diverged"), after=1)
        job = Job(dataclasses.replace(self.PLAN, contenders=(Tucker(Budget(0.9)), Dense())))
        job.start()
        job.join()
        assert isinstance(job.error, DivergedError)
        assert [run.facts["label"] for run in job.results] == ["Tucker 90 %"]


class TestButtons:
    def test_train_and_what_is_offered_meanwhile(self, gate: Gate) -> None:
        panel, states = TrainingPanel(**SETTINGS), list[str]()
        buttons = (panel.train, panel.pause, panel.stop)
        panel.observe(lambda change: states.append(change.new), "state")
        panel.pause.click()
        panel.stop.click()
        assert [button.disabled for button in buttons] == [False, True, True]
        gate.at(3)
        panel.train.click()
        first = panel.job
        gate.wait()
        panel.train.click()  # harmless
        assert [button.disabled for button in buttons] == [True, False, False]
        assert all(widget.disabled for widget in panel.settings)
        assert not panel.compression.disabled
        until(lambda: panel._picture is not None)
        gate.open()
        panel.wait()
        assert panel.job is first
        assert (states, panel.bar.value, panel.problem) == (["running", "idle"], 1.0, "")
        assert names(panel) == ["Tucker 90 %"]
        assert [button.disabled for button in buttons] == [False, True, True]
        assert panel.picture.value == TrainingPicture(panel.traces).png()

    def test_pause_holds_after_the_step_at_hand_and_changes_nothing(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        gate.at(3)
        panel.train.click()
        paused(panel, gate)
        assert (steps(panel), panel.state) == (4, "paused")
        assert said(panel.said) == "Tucker 90 %: paused in pass 1 of 1"
        panel.train.click()  # does nothing
        panel.pause.click()
        assert panel.state == "running"
        panel.wait()
        assert steps(panel) == PER_EPOCH
        assert same(weights(panel), weights(trained()))

    def test_pause_then_stop(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 3})
        gate.at(PER_EPOCH + 2)
        panel.train.click()
        paused(panel, gate)
        panel.stop.click()
        panel.pause.click()  # too late
        assert panel.state == "stopping"
        panel.wait()
        assert (panel.state, steps(panel)) == ("idle", PER_EPOCH + 3)
        assert said(panel.said) == "Stopped. What was learned so far is kept."
        assert panel.kept[0].facts["state"] == "stopped"
        assert len(panel.kept[0].records.epochs) == 1

    def test_stop_before_the_first_epoch_ends_and_train_again(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS | {"dense": True})
        gate.at(2)
        panel.train.click()
        gate.wait()
        panel.stop.click()
        gate.open()
        panel.wait()
        assert (panel.state, panel.kept, panel.traces) == ("idle", [], {})
        assert said(panel.said).startswith("Stopped before the first pass was over")
        assert panel.job is not None
        assert len(panel.job.traces) == 1  # the full network is not begun
        assert names(train(panel)) == ["Tucker 90 %", "dense"]
        assert same(weights(panel), weights(trained()))

    def test_stop_while_reading(self, reading: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        panel.train.click()
        reading.reached.wait(LONG)
        until(lambda: said(panel.said) == "Reading images …")
        panel.stop.click()
        reading.open()
        panel.wait()
        assert (panel.state, panel.kept, panel.problem) == ("idle", [], "")


class TestFailures:
    def test_in_the_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            fails(patch, RuntimeError("a\nlong story"))
            panel = train(TrainingPanel(**SETTINGS))
        assert "RuntimeError: a long story" in panel.problem
        assert "in failing" in panel.alert.value  # where it came from
        assert (panel.state, panel.kept, panel.bar.value) == ("idle", [], 0.0)
        assert (train(panel).problem, panel.alert.value, len(panel.kept)) == ("", "", 1)

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"dataset": "<b>nonsense"}, "unknown data set '<b>nonsense'"),
            ({"network": "lenet5"}, "lenet5 cannot take images of 8 × 8"),
            ({"compression": 0.98}, "cannot be met"),
            ({"device": "abacus"}, "abacus"),
        ],
    )
    def test_what_cannot_be_asked_for(self, settings: dict[str, Any], line: str) -> None:
        panel = train(TrainingPanel(**SETTINGS | settings))
        assert line in panel.problem
        assert "\n" not in panel.problem
        assert "<b>" not in panel.static()
        assert (panel.state, panel.kept) == ("idle", [])
        with pytest.raises(TuckerlabError, match="could not train: "):
            TrainingPanel(attended=False, **SETTINGS | settings)

    @pytest.mark.parametrize("settings", [{"epochs": 0}, {"seed": -1}, {"network": "nonsense"}])
    def test_what_no_control_can_say(self, settings: dict[str, Any]) -> None:
        with pytest.raises(traitlets.TraitError):
            TrainingPanel(**SETTINGS | settings)

    def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def png(self: TrainingPicture) -> bytes:
            raise ZeroDivisionError("no ink")

        with monkeypatch.context() as patch:
            patch.setattr(TrainingPicture, "png", png)
            panel = train(TrainingPanel(**SETTINGS | {"dense": True}))
        assert (panel.state, names(panel)) == ("idle", ["Tucker 90 %", "dense"])
        assert "no ink" in panel.problem
        assert (train(panel).problem, len(panel.kept)) == ("", 4)


class TestGuard:
    def test_what_it_does_is_said_marked_and_recorded(self, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert run.trace.events == [(event["step"], event["said"])]
        assert f"Tucker 90 %: {event['said']}" in said(panel.events)
        assert panel._picture is not None
        assert panel._picture.marks["Tucker 90 %"].get_xdata() == [event["step"] / PER_EPOCH]
        assert [step for step, _ in run.trace.losses] == sorted({step for step, _ in run.trace.losses})
        assert [step for step, _ in run.trace.accuracies] == [PER_EPOCH, 2 * PER_EPOCH]
        panel.guard.value = False
        assert "training diverged at step" in train(panel).problem

    def test_it_changes_nothing_until_something_breaks(self) -> None:
        with_it, without = trained(), trained(guard=False)
        assert with_it.kept[0].records.events.empty
        assert same(weights(with_it), weights(without))


class TestSteering:
    @pytest.mark.parametrize(
        ("start", "change", "label", "policy"),
        [
            ({"compression": 0.6}, {"compression": 0.9}, "Tucker 60 % → 90 %", Budget(0.9)),
            ({"compression": 0.8}, {"by": "tolerance"}, "Tucker 80 % → τ 0.2", Tolerance(0.2)),
        ],
    )
    def test_a_change_counts_from_the_next_adaptation(
        self, gate: Gate, start: dict[str, Any], change: dict[str, Any], label: str, policy: Any
    ) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 3} | start)
        gate.at(4)
        panel.train.click()
        gate.wait()
        for name, value in change.items():
            getattr(panel, name).value = value
        assert said(panel.hint).startswith("The new value counts from the next rank adaptation on.")
        assert (panel.compression.layout.display == "") == (panel.by.value == "compression")
        gate.open()
        panel.wait()
        assert (panel.problem, said(panel.hint), names(panel)) == ("", "", [label])
        assert panel.kept[0].facts["note"].endswith(f"; ranks changed in mid-run (step 5: {policy!r})")
        if policy == Budget(0.9):
            assert 0.9 <= panel.kept[0].facts["conv_compression"] < 0.95

    def test_a_budget_that_cannot_be_met_does_not_end_the_run(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        gate.at(4)
        panel.train.click()
        gate.wait()
        panel.compression.value = 0.98
        assert "budget 0.98 cannot be met" in panel.problem
        gate.open()
        panel.wait()
        assert names(panel) == ["Tucker 90 %"]
        assert same(weights(panel), weights(trained()))

    def test_a_change_while_reading_counts(self, reading: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        panel.train.click()
        reading.reached.wait(LONG)
        panel.compression.value = 0.7
        reading.open()
        panel.wait()
        assert names(panel) == ["Tucker 90 % → 70 %"]


class TestTwoPanels:
    def test_take_turns_and_do_not_influence_each_other(self, gate: Gate) -> None:
        one, two, third = TrainingPanel(**SETTINGS), TrainingPanel(**SETTINGS | {"seed": 1}), TrainingPanel(**SETTINGS)
        gate.at(4)
        one.train.click()
        gate.wait()
        two.train.click()
        until(lambda: said(two.said) == "Waiting for another training to end …")
        third.train.click()
        third.stop.click()
        third.wait()
        assert (third.state, third.kept, one.state) == ("idle", [], "running")
        gate.open()
        one.wait()
        two.wait()
        for panel, alone in ((one, trained()), (two, trained(seed=1))):
            assert same(weights(panel), weights(alone))
            assert panel.kept[0].facts["test_accuracy"] == alone.kept[0].facts["test_accuracy"]
        assert not same(weights(one), weights(two))


class TestKept:
    @pytest.fixture
    def panel(self, tmp_path: Path) -> TrainingPanel:
        """After three runs, two of them of one name."""
        panel = trained(dense=True, out=str(tmp_path / "runs"))
        panel.dense.value, panel.seed.value = False, 1
        return train(panel)

    def test_boxes_choose_what_is_shown_and_saved(self, panel: TrainingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
        assert names(panel) == list(panel.traces) == ["Tucker 90 %", "dense", "Tucker 90 % (2)"]
        assert panel.result().runs["label"].tolist() == names(panel)
        assert panel.result().runs["run"].is_unique
        assert set(panel.result().epochs["run"]) == set(panel.result().runs["run"])
        assert said(panel.verdict) == ""  # two seeds
        before = panel.picture.value
        panel.boxes[2].value = False
        small, full = (run.facts for run in panel.shown)
        fewer = f"{full['conv_parameters'] / small['conv_parameters']:.0f}× fewer conv parameters"
        assert said(panel.verdict).startswith(f"Tucker 90 %: {fewer}, ")
        assert "(2)" not in said(panel.tiles)
        panel.save.click()
        [folder] = Path(panel.out).iterdir()
        assert said(panel.saved) == f"Saved in {folder}"
        pd.testing.assert_frame_equal(Records.load(folder).runs, panel.result().runs)
        for run, name in zip(panel.shown, ("tucker-90", "dense"), strict=True):
            loaded = checkpoint.load(folder / f"{name}.safetensors").model
            assert same(dict(loaded.state_dict()), dict(run.model.state_dict()))

        def full_disk(records: Records, folder: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(training_runs, "save_figures", full_disk)
        panel.save.click()
        assert "No space left on device" in panel.problem
        assert list(Path(panel.out).iterdir()) == [folder]  # half a folder is none
        for box in panel.boxes:
            box.value = False
        panel.save.click()
        assert panel.problem.startswith("There is no run to save")
        assert (panel.picture.layout.display, panel.tiles.value) == ("none", "")
        for box in panel.boxes:
            box.value = True
        assert panel.picture.value == before

    def test_result_layers_and_numbers(self, panel: TrainingPanel) -> None:
        assert len(panel.result()) == 3
        assert panel.layers() is not None
        assert panel.numbers["removed"] == panel.kept[2].facts["conv_compression"]
        assert "no run yet" in TrainingPanel().result().data
        assert "no run yet" in TrainingPanel().layers().data

    def test_the_exercise(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 2})
        for compression, missing in ((0.9, 90), (0.95, 95)):
            assert f"no run has come to {missing} % removed" in panel.exercise(0.9, 0.95).data
            panel.compression.value = compression
            train(panel)
        before, after = (100 * run.facts["test_accuracy"] for run in panel.kept)
        assert f"from {before:.1f} to {after:.1f} %" in panel.exercise(0.9, 0.95).data

    def test_unattended_it_has_trained(self) -> None:
        panel = TrainingPanel(attended=False, **SETTINGS)
        assert (panel.state, names(panel)) == ("idle", ["Tucker 90 %"])
        assert panel.picture.value[:4] == b"\x89PNG"

    def test_another_data_set_brings_its_epochs(self) -> None:
        panel = TrainingPanel()
        panel.dataset.value = "cifar10"
        assert panel.epochs.value == TrainingPanel(dataset="cifar10").epochs.value == 12
        assert TrainingPanel(dataset="cifar10", epochs=5).epochs.value == 5


def test_the_picture_draws_what_the_traces_say() -> None:
    traces = {}
    for label, stored, kept in (("a", 0.1, {"features.0": 0.5, "features.3": 0.25}), ("dense", 1.0, {})):
        method = "tucker" if kept else "dense"
        traces[label] = trace = Trace(label, method, total_steps=40, steps_per_epoch=10)
        trace.looks += [Look(step, stored, kept) for step in range(41)]
        trace.losses += [(step, 2.0 / step) for step in range(1, 41)]
        trace.accuracies += [(step, 0.9) for step in (10, 20, 30, 40)]
    traces["a"].losses[0], traces["a"].losses[-1] = (1, 300.0), (40, 1e-5)  # beyond the axis as it begins
    picture = TrainingPicture(traces)
    picture.png()
    loss, accuracy, size = picture.lines["a"]
    # errors, on an axis that says 90
    assert accuracy.get_xydata() == pytest.approx(np.array([[1, 10], [2, 10], [3, 10], [4, 10]]))
    low, high = picture.loss.get_ylim()
    assert low <= min(loss.get_ydata()) <= max(loss.get_ydata()) <= high
    assert set(size.get_ydata()) == {10}
    assert set(picture.lines["dense"][2].get_ydata()) == {100}
    ranks = np.asarray(picture.image.get_array())
    assert ranks == pytest.approx(np.array([[50.0] * 80, [25.0] * 80]))
