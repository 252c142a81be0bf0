"""Training in a panel: every button in every order, mistakes in mid-run, and two panels beside each other."""

import dataclasses
import html
import re
from typing import Any

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
    hold,
    no_thread_is_left as no_thread_is_left,
    paused,
    reading as reading,
    said,
    same,
    steps,
    trained,
    until,
    weights,
)

from tuckerlab import Budget, Tolerance
from tuckerlab.errors import DivergedError, TuckerlabError
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.i18n import text
from tuckerlab.panels import TrainingPanel
from tuckerlab.panels.training import job as job_file
from tuckerlab.panels.training.job import Job, Plan
from tuckerlab.panels.training.model import TrainingModel
from tuckerlab.panels.training.picture import TrainingPicture
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run

# --- the job ----------------------------------------------------------------------------------------------------------


class TestJob:
    def plan(self, **changes: Any) -> Plan:
        return Plan((Tucker(Budget(0.9)),), **{"width": 0.125, "epochs": 1, "device": "cpu"} | changes)

    def test_goes_through_its_phases(self, gate: Gate, reading: Gate) -> None:
        job = Job(self.plan())
        assert (job.phase, job.alive, job.progress, job.seconds_left) == ("waiting", False, 0.0, None)
        gate.at(5)
        job.start()
        reading.reached.wait(LONG)
        assert (job.phase, job.alive) == ("reading", True)
        reading.open()
        gate.wait()
        assert (job.phase, job.progress) == ("training", 0.5)
        assert job.seconds_left is not None
        assert job.seconds_left > 0
        gate.open()
        job.wait()
        assert (job.phase, job.alive, job.progress, job.error) == ("done", False, 1.0, None)

    def test_result_is_a_record_and_its_network(self) -> None:
        job = Job(self.plan(epochs=2))
        job.start()
        job.wait()
        [(records, model)] = job.results
        row = records.runs.iloc[0]
        assert (row["label"], row["state"], row["epochs"], len(records.epochs)) == ("Tucker 90 %", "finished", 2, 2)
        assert evaluate(model, job_file.load_data("digits")).accuracy == row["test_accuracy"]
        assert row["conv_compression"] >= 0.9
        assert [accuracy for _, accuracy in job.traces[0].accuracies] == records.epochs["test_accuracy"].tolist()

    def test_what_was_trained_before_a_failure_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fails(monkeypatch, DivergedError("diverged"), after=1)
        job = Job(dataclasses.replace(self.plan(), contenders=(Tucker(Budget(0.9)), Dense())))
        job.start()
        job.wait()
        assert isinstance(job.error, DivergedError)
        assert [result.records.runs["label"].item() for result in job.results] == ["Tucker 90 %"]

    def test_the_network_that_is_asked_for(self) -> None:
        job = Job(self.plan(network="vit_small", width=0.25))
        job.start()
        job.wait()
        assert job.error is None
        assert job.results[0].records.runs["model"].item() == "vit_small"


# --- the buttons ------------------------------------------------------------------------------------------------------


class TestButtons:
    def test_train(self) -> None:
        model = TrainingModel(**SETTINGS)
        states: list[str] = []
        model.observe(lambda change: states.append(change.new), "state")
        model.train()
        model.wait()
        assert states == ["running", "idle"]
        assert (model.progress, model.problem) == (1.0, "")
        assert [run.name for run in model.kept] == list(model.shown) == ["Tucker 90 %"]
        assert re.fullmatch(text("training.state.done", seconds=0).replace("0", r"\d+"), model.said)

    def test_a_second_click_is_harmless(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        gate.at(3)
        model.train()
        first = model.job
        model.train()
        gate.wait()
        model.train()
        gate.open()
        model.wait()
        assert model.job is first
        assert len(model.kept) == 1

    def test_buttons_without_a_job(self) -> None:
        model = TrainingModel(**SETTINGS)
        for button in (model.pause, model.stop, model.wait):
            button()
            assert (model.state, model.kept, model.problem) == ("idle", (), "")
        model = trained()
        model.pause()
        model.stop()
        assert (model.state, len(model.kept)) == ("idle", 1)

    def test_pause_holds_after_the_step_at_hand_and_changes_nothing(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        gate.at(3)
        model.train()
        held = paused(model, gate)
        held.wait(LONG)
        assert (steps(model), model.state) == (4, "paused")
        assert model.said == text("training.state.paused", label="Tucker 90 %", epoch=1, epochs=1)
        model.train()  # does nothing
        assert model.state == "paused"
        model.pause()
        assert model.state == "running"
        model.wait()
        assert steps(model) == PER_EPOCH
        assert same(weights(model), weights(trained()))

    def test_pause_twice(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        gate.at(3)
        model.train()
        for step in (3, 7):
            held = paused(model, gate)
            held.wait(LONG)
            assert steps(model) == step + 1
            gate.at(7)
            model.pause()
        gate.open()
        model.wait()
        assert steps(model) == PER_EPOCH

    def test_pause_then_stop(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS | {"epochs": 3})
        gate.at(PER_EPOCH + 2)
        model.train()
        paused(model, gate).wait(LONG)
        model.stop()
        assert model.state == "stopping"
        model.pause()  # too late
        model.stop()
        model.wait()
        assert (model.state, steps(model)) == ("idle", PER_EPOCH + 3)
        assert model.said == text("training.state.stopped")
        assert model.kept[0].facts["state"] == "stopped"
        assert len(model.kept[0].result.records.epochs) == 1

    def test_stop_then_pause(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS | {"epochs": 2})
        gate.at(PER_EPOCH + 1)
        model.train()
        gate.wait()
        model.stop()
        model.pause()
        assert (model.state, model.said) == ("stopping", text("training.state.stopping"))
        gate.open()
        model.wait()
        assert (model.state, steps(model), len(model.kept)) == ("idle", PER_EPOCH + 1, 1)

    def test_stop_before_the_first_epoch_ends(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS | {"dense": True})
        gate.at(2)
        model.train()
        gate.wait()
        model.stop()
        gate.open()
        model.wait()
        assert (model.state, model.kept, model.shown, model.traces) == ("idle", (), (), {})
        assert model.said == text("training.state.stopped_early")
        assert len(model.job.traces) == 1 if model.job else False  # the full network is not begun

    def test_stop_while_reading(self, reading: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        model.train()
        reading.reached.wait(LONG)
        until(lambda: model.said == text("training.state.reading"))
        model.stop()
        reading.open()
        model.wait()
        assert (model.state, model.kept, model.problem) == ("idle", (), "")
        assert model.said == text("training.state.stopped_early")

    def test_pause_while_reading(self, reading: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        model.train()
        reading.reached.wait(LONG)
        held = hold(model)
        model.pause()
        reading.open()
        assert held.wait(LONG)
        assert steps(model) == 1
        model.pause()
        model.wait()
        assert len(model.kept) == 1

    def test_stop_in_the_second_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = TrainingModel(**SETTINGS | {"dense": True})
        on_step = Job.on_step

        def stop(self: Job, run: Run) -> None:
            on_step(self, run)
            if len(self.traces) == 2:
                model.stop()

        monkeypatch.setattr(Job, "on_step", stop)
        model.train()
        model.wait()
        assert [run.name for run in model.kept] == ["Tucker 90 %"]
        assert model.said == text("training.state.stopped")
        assert same(weights(model), weights(trained()))

    def test_train_again_after_stop(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        gate.at(2)
        model.train()
        gate.wait()
        model.stop()
        gate.open()
        model.wait()
        model.train()
        model.wait()
        assert [run.name for run in model.kept] == ["Tucker 90 %"]
        assert same(weights(model), weights(trained()))

    def test_a_button_pressed_by_who_watches(self) -> None:
        model = TrainingModel(**SETTINGS)

        def stop(change: Any) -> None:
            if model.state in ("running", "paused") and model.job and model.job.traces:
                model.pause()
                model.stop()

        model.observe(stop, "seen")
        model.train()
        model.wait()
        assert model.state == "idle"


# --- what goes wrong --------------------------------------------------------------------------------------------------


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "line", "is_defect"),
        [
            (RuntimeError("a\nlong story"), "RuntimeError: a long story", True),
            (KeyError("x"), "KeyError: 'x'", True),
            (TuckerlabError("give another number"), "give another number", False),
            (DivergedError("training diverged at step 3"), "training diverged at step 3", False),
            (PermissionError(13, "Permission denied", "/here"), "/here: cannot be read or written (Perm", False),
            (OSError("no space"), "no space", False),
        ],
    )
    def test_in_the_worker(self, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str, is_defect: bool) -> None:
        with monkeypatch.context() as patch:
            fails(patch, error)
            panel = TrainingPanel(**SETTINGS)
            model = panel.model
            model.train()
            model.wait()
        assert line in model.problem
        assert "\n" not in model.problem
        assert bool(model.details) == is_defect
        assert ("failing" in model.details) == is_defect  # where it came from
        assert (model.state, model.kept, model.progress) == ("idle", (), 0.0)
        assert model.said == text("training.state.idle")
        assert html.escape(line) in panel.static()
        assert not panel.train.disabled
        panel.train.click()
        model.wait()
        assert (model.problem, model.details, len(model.kept)) == ("", "", 1)

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"dataset": "nonsense"}, "unknown data set 'nonsense'"),
            ({"dataset": "folder:/no/such"}, "/no/such"),
            ({"dataset": ""}, "unknown data set ''"),
            ({"image_size": 1}, "image_size 1"),
            ({"network": "lenet5"}, "lenet5 cannot take images of 8 × 8"),
            ({"compression": 0.98}, "cannot be met"),
            ({"compression": 7.0}, "budget 7"),
            ({"compression": -1.0}, "budget -1"),
            ({"by": "tolerance", "tolerance": 1.5}, "tolerance 1.5"),
            ({"width": -1.0}, "width"),
            ({"device": "abacus"}, "abacus"),
        ],
    )
    def test_what_cannot_be_asked_for(self, settings: dict[str, Any], line: str) -> None:
        panel = TrainingPanel(**SETTINGS | settings)
        panel.train.click()
        panel.model.wait()
        assert line in panel.model.problem
        assert "\n" not in panel.model.problem
        assert not panel.model.details
        assert (panel.model.state, panel.model.kept) == ("idle", ())

    @pytest.mark.parametrize(
        "settings",
        [{"epochs": 0}, {"epochs": 1.5}, {"epochs": 10**6}, {"seed": -1}, {"network": "nonsense"}, {"by": "luck"}],
    )
    def test_what_no_control_can_say(self, settings: dict[str, Any]) -> None:
        with pytest.raises(traitlets.TraitError):
            TrainingModel(**SETTINGS | settings)

    def test_nonsense_typed_is_shown_as_typed(self) -> None:
        panel = TrainingPanel(**SETTINGS)
        panel.dataset.value = "<script>alert(1)</script>"
        panel.train.click()
        panel.model.wait()
        assert "<script" not in panel.static()
        assert "&lt;script&gt;" in panel.static()

    @pytest.mark.parametrize("dense", [False, True])
    def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(
        self, monkeypatch: pytest.MonkeyPatch, dense: bool
    ) -> None:
        with monkeypatch.context() as patch:

            def png(self: TrainingPicture, *, exact: bool = False) -> bytes:
                raise ZeroDivisionError("no ink")

            patch.setattr(TrainingPicture, "png", png)
            panel = TrainingPanel(**SETTINGS | {"dense": dense})
            panel.model.train()
            panel.model.wait()
        model = panel.model
        assert (model.state, len(model.kept)) == ("idle", 1 + dense)
        assert "no ink" in model.problem
        model.train()
        model.wait()
        assert (model.state, model.problem, len(model.kept)) == ("idle", "", 2 + 2 * dense)

    def test_of_two_networks_the_first_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fails(monkeypatch, DivergedError("diverged"), after=1)
        model = TrainingModel(**SETTINGS | {"dense": True})
        model.train()
        model.wait()
        assert (model.problem, model.state) == ("diverged", "idle")
        assert [run.name for run in model.kept] == list(model.shown) == ["Tucker 90 %"]
        assert model.finding == ""


# --- the safety valve -------------------------------------------------------------------------------------------------


class TestValve:
    @pytest.fixture
    def breaks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the second epoch a weight is no number."""
        on_step = Job.on_step

        def spoil(self: Job, run: Run) -> None:
            on_step(self, run)
            if run.step == PER_EPOCH + 4 and not run.events:
                next(run.model.parameters()).data.fill_(float("inf"))

        monkeypatch.setattr(Job, "on_step", spoil)

    @pytest.mark.usefixtures("breaks")
    def test_what_it_does_is_said_marked_and_recorded(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 2})
        panel.train.click()
        panel.model.wait()
        assert panel.model.problem == ""
        [run] = panel.model.kept
        [event] = run.result.records.events.to_dict("records")
        assert (event["step"], event["rule"], event["action"]) == (PER_EPOCH + 5, "finite", "roll back")
        assert run.trace.events == [(event["step"], event["said"])]
        assert f"Tucker 90 %: {event['said']}" in said(panel.events)
        assert html.escape(event["said"]) in panel.static()
        assert panel._picture.marks["Tucker 90 %"].get_xdata() == [event["step"] / PER_EPOCH]
        assert panel._picture.loss.get_title("left") == text("training.axis.loss.marked")
        assert [step for step, _ in run.trace.losses] == sorted({step for step, _ in run.trace.losses})
        assert [step for step, _ in run.trace.accuracies] == [PER_EPOCH, 2 * PER_EPOCH]
        assert panel.model.records.events["run"].tolist() == panel.model.records.runs["run"].tolist()

    @pytest.mark.usefixtures("breaks")
    def test_without_it_the_training_ends(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 2})
        panel.guard.value = False
        panel.train.click()
        panel.model.wait()
        assert "training diverged at step" in panel.model.problem
        assert panel.events.value == ""

    def test_it_changes_nothing_until_something_breaks(self) -> None:
        with_it, without = trained(), trained(guard=False)
        assert (with_it.guard, with_it.kept[0].result.records.events.empty) == (True, True)
        assert same(weights(with_it), weights(without))


# --- steering ---------------------------------------------------------------------------------------------------------


class TestSteering:
    @pytest.mark.parametrize(
        ("start", "change", "label", "policy"),
        [
            ({"compression": 0.8}, {"compression": 0.92}, "Tucker 80 % → 92 %", Budget(0.92)),
            ({"by": "tolerance", "tolerance": 0.1}, {"tolerance": 0.6}, "Tucker τ 0.1 → τ 0.6", Tolerance(0.6)),
            ({"compression": 0.8}, {"by": "tolerance"}, "Tucker 80 % → τ 0.2", Tolerance(0.2)),
        ],
    )
    def test_a_change_counts_from_the_next_adaptation(
        self, gate: Gate, start: dict[str, Any], change: dict[str, Any], label: str, policy: Any
    ) -> None:
        settings = SETTINGS | {"epochs": 3} | start
        panel = TrainingPanel(**settings)
        model = panel.model
        gate.at(4)
        model.train()
        gate.wait()
        for name, value in change.items():
            getattr(panel, name).value = value
        assert said(panel.hint) == text("training.changed")
        gate.open()
        model.wait()
        assert (model.problem, said(panel.hint)) == ("", "")
        [run] = model.kept
        unchanged = trained(**settings)
        assert run.name == label
        assert run.facts["note"].endswith(f"; ranks changed in mid-run (step 5: {policy!r})")
        assert run.facts["conv_parameters"] != unchanged.kept[0].facts["conv_parameters"]
        assert model.records.runs["label"].item() == label
        assert "changed" not in unchanged.kept[0].facts["note"]

    def test_a_budget_reaches_its_new_end(self, gate: Gate) -> None:
        model = TrainingModel(**SETTINGS | {"epochs": 3, "compression": 0.6})
        gate.at(4)
        model.train()
        gate.wait()
        model.compression = 0.9
        gate.open()
        model.wait()
        assert 0.9 <= model.kept[0].facts["conv_compression"] < 0.95

    def test_a_budget_that_cannot_be_met_does_not_end_the_run(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        model = panel.model
        gate.at(4)
        model.train()
        gate.wait()
        panel.compression.value = 0.98
        assert "budget 0.98 cannot be met" in model.problem
        assert "\n" not in model.problem
        assert "cannot be met" in panel.static()
        assert said(panel.hint) == ""
        gate.open()
        model.wait()
        assert [run.name for run in model.kept] == ["Tucker 90 %"]
        assert same(weights(model), weights(trained()))

    def test_a_budget_that_cannot_be_met_while_reading(self, reading: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        model.train()
        reading.reached.wait(LONG)
        model.compression = 0.98
        reading.open()
        model.wait()
        assert "budget 0.98 cannot be met" in model.problem
        assert not model.details
        assert (model.state, model.kept) == ("idle", ())
        assert model.job is not None
        assert model.job.traces == []  # nothing was begun

    def test_a_change_while_reading_counts(self, reading: Gate) -> None:
        model = TrainingModel(**SETTINGS)
        model.train()
        reading.reached.wait(LONG)
        model.compression = 0.7
        reading.open()
        model.wait()
        assert [run.name for run in model.kept] == ["Tucker 90 % → 70 %"]
        assert model.kept[0].facts["conv_compression"] < 0.8

    def test_a_change_between_runs_counts_for_the_next(self) -> None:
        model = trained(compression=0.8)
        model.compression = 0.9
        assert model.problem == ""
        model.train()
        model.wait()
        assert [run.name for run in model.kept] == ["Tucker 80 %", "Tucker 90 %"]
        assert not any("changed" in run.facts["note"] for run in model.kept)


# --- dense beside -----------------------------------------------------------------------------------------------------


class TestDenseBeside:
    def test_both_in_order_and_compared(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"dense": True})
        panel.train.click()
        panel.model.wait()
        model = panel.model
        assert [run.name for run in model.kept] == list(model.traces) == ["Tucker 90 %", "dense"]
        assert model.records.runs["method"].tolist() == ["tucker", "dense"]
        small, full = (run.facts for run in model.kept)
        fewer = f"{full['conv_parameters'] / small['conv_parameters']:.0f}× fewer conv parameters"
        assert model.finding.startswith(f"Tucker 90 %: {fewer}, ")
        assert said(panel.finding) == model.finding
        assert model.numbers["removed"] == small["conv_compression"]
        assert model.numbers["dense_parameters"] == full["parameters"]
        panel.boxes[1].value = False
        assert (model.finding, said(panel.finding)) == ("", "")

    def test_the_tucker_network_is_the_same_without(self) -> None:
        assert same(weights(trained(dense=True)), weights(trained()))


class TestTwoPanels:
    def test_take_turns_and_do_not_influence_each_other(self, gate: Gate) -> None:
        one, two = TrainingModel(**SETTINGS | {"dense": True}), TrainingModel(**SETTINGS | {"seed": 1})
        gate.at(4)
        one.train()
        gate.wait()
        two.train()
        until(lambda: two.said == text("training.state.waiting"))
        assert two.job is not None
        assert two.job.phase == "waiting"
        two.compression = 0.8  # in mid-wait
        two.compression = 0.9
        gate.open()
        one.wait()
        two.wait()
        alone = [trained(dense=True), trained(seed=1)]
        for model, other in zip((one, two), alone, strict=True):
            assert same(weights(model), weights(other))
            assert [r.facts["test_accuracy"] for r in model.kept] == [r.facts["test_accuracy"] for r in other.kept]
            assert [r.facts["parameters"] for r in model.kept] == [r.facts["parameters"] for r in other.kept]
        assert not same(weights(one), weights(two))

    def test_one_that_waits_can_be_stopped(self, gate: Gate) -> None:
        one, two = TrainingModel(**SETTINGS), TrainingModel(**SETTINGS)
        gate.at(4)
        one.train()
        gate.wait()
        two.train()
        two.stop()
        two.wait()
        assert (two.state, two.kept, one.state) == ("idle", (), "running")
        assert two.said == text("training.state.stopped_early")
        gate.open()
        one.wait()
        assert len(one.kept) == 1
