"""Training in a panel: its buttons, mistakes in mid-run, other ranks while it goes, and what is kept and shown."""

import math
import shutil
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
    reading as reading,
    said,
    same,
    train,
    trained,
    until,
    weights,
)

from tuckerlab import Budget, Tolerance
from tuckerlab.errors import DivergedError, TuckerlabError
from tuckerlab.experiments import setup
from tuckerlab.experiments.records import Records
from tuckerlab.panels import TrainingPanel, training_job, training_panel
from tuckerlab.panels.training_job import Job, records_of
from tuckerlab.panels.training_picture import draw
from tuckerlab.panels.unfinished import Unfinished
from tuckerlab.training import checkpoint
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import Run


def names(panel: TrainingPanel) -> list[str]:
    return [run.name for run in panel.kept]


def held(gate: Gate, step: int = 4, **settings: Any) -> TrainingPanel:
    """A panel whose job has come to this step, and does not go on."""
    panel = TrainingPanel(**SETTINGS | settings)
    gate.at(step)
    panel.train.click()
    gate.wait()
    return panel


class TestButtons:
    def test_train(self, gate: Gate) -> None:
        states = list[str]()
        panel = TrainingPanel(**SETTINGS)
        panel.observe(lambda change: states.append(change.new), "state")
        panel.stop.click()
        assert (panel.train.disabled, panel.stop.disabled) == (False, True)
        gate.at(3)
        panel.train.click()
        gate.wait()
        first = panel.job
        panel.train.click()  # harmless
        assert (panel.train.disabled, panel.stop.disabled, panel.compression.disabled) == (True, False, False)
        assert all(widget.disabled for widget in panel.settings)
        until(lambda: panel.picture.value[:4] == b"\x89PNG" and "pass 1 of 1" in said(panel.said))
        gate.open()
        panel.wait()
        assert panel.job is first
        assert (states, panel.bar.value, panel.problem) == (["running", "idle"], 1.0, "")
        assert names(panel) == ["Tucker 90 %"]
        assert (panel.train.disabled, panel.stop.disabled) == (False, True)

    def test_what_is_kept_is_the_record_of_the_network(self) -> None:
        [run] = trained(epochs=2).kept
        records, row = run.records, run.facts
        assert (row["label"], row["state"], row["epochs"], len(records.epochs)) == ("Tucker 90 %", "finished", 2, 2)
        assert evaluate(run.run.model, setup.load_data("digits")).accuracy == row["test_accuracy"]
        assert row["conv_compression"] >= 0.9
        assert len(run.losses) == 2 * PER_EPOCH

    @pytest.mark.parametrize(("step", "kept"), [(2, 0), (PER_EPOCH + 2, 1)])
    def test_stop_after_the_step_at_hand_and_train_again(self, gate: Gate, step: int, kept: int) -> None:
        panel = held(gate, step, dense=True, epochs=2)
        panel.stop.click()
        gate.open()
        panel.wait()
        assert panel.job is not None
        [run] = panel.job.runs  # the full network is not begun
        assert (panel.state, len(panel.kept), run.run.step, run.run.state) == ("idle", kept, step, "stopped")
        assert said(panel.said).startswith(
            ("Stopped before the first pass was over", "Stopped. What was learned")[kept]
        )
        assert names(train(panel))[kept:] == [("Tucker 90 %", "Tucker 90 % (2)")[kept], "dense"]
        assert same(weights(panel, kept), weights(trained(epochs=2)))

    def test_stop_while_reading(self, reading: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        panel.train.click()
        reading.reached.wait(LONG)
        until(lambda: said(panel.said) == "Reading images …")
        panel.stop.click()
        reading.open()
        panel.wait()
        assert (panel.state, panel.kept, panel.problem) == ("idle", [], "")

    def test_panels_take_turns_and_do_not_influence_each_other(self, gate: Gate) -> None:
        two, third = TrainingPanel(**SETTINGS | {"seed": 1}), TrainingPanel(**SETTINGS)
        one = held(gate)
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


class TestCutOff:
    def test_a_panel_that_comes_back_goes_on_to_the_same_network(self, gate: Gate, tmp_path: Path) -> None:
        """Its page was loaded again in the second pass, after the slider was moved."""
        asked = {"epochs": 3, "dense": True, "compression": 0.8, "out": str(tmp_path)}
        first = held(gate, PER_EPOCH + 4, **asked)
        first.compression.value = 0.85
        assert TrainingPanel(**SETTINGS | asked).state == "running"  # in the same kernel the new panel shows it
        assert first.job is not None
        assert first.job.place is not None
        left = first.job.place.folder
        shutil.copytree(left, left.with_name("20000101"))  # what a kernel leaves that was killed
        gate.open()
        first.wait()
        until(lambda: Job.at_work is None)
        back = TrainingPanel(**SETTINGS | {"out": str(tmp_path)})
        assert (back.state, back.epochs.value, back.dense.value, back.compression.value) == ("idle", 3, True, 0.85)
        back.go_on.click()
        back.wait()
        assert (back.problem, names(back)) == ("", ["Tucker 80 % → 85 %", "dense"])
        assert same(weights(back, 1), weights(first, 1))
        assert [len(run.losses) for run in back.kept] == [3 * PER_EPOCH] * 2
        assert not math.isnan(back.kept[0].losses[0])
        assert list(tmp_path.iterdir()) == []  # nothing is left to go on with
        assert TrainingPanel(**SETTINGS | asked).go_on.layout.display == "none"

    def test_what_another_window_is_at_is_not_offered(self, tmp_path: Path) -> None:
        panels = [TrainingPanel(**SETTINGS | {"out": str(tmp_path)})]
        place = Unfinished.begin(str(tmp_path), panels[0].asked)
        panels.append(TrainingPanel(**SETTINGS | {"out": str(tmp_path)}))
        place._lock.release()
        panels.append(TrainingPanel(**SETTINGS | {"out": str(tmp_path)}))
        assert [panel.go_on.layout.display for panel in panels] == ["none", "none", ""]
        place.hold()
        panels[2].go_on.click()
        assert (panels[2].state, said(panels[2].said)) == ("idle", "Another window has gone on with it.")
        place.end()

    def test_goes_on_whatever_was_typed_since(self, tmp_path: Path) -> None:
        Unfinished.begin(str(tmp_path), TrainingPanel(**SETTINGS).asked)._lock.release()
        panel = TrainingPanel(**SETTINGS | {"out": str(tmp_path)})
        panel.epochs.text.value = "2.5"
        panel.go_on.click()
        panel.wait()
        assert (panel.problem, len(panel.kept), panel.epochs.text.value) == ("", 1, "1")

    def test_one_that_cannot_be_read_does_not_keep_the_panel_shut(self, tmp_path: Path) -> None:
        place = Unfinished.begin(str(tmp_path), TrainingPanel(**SETTINGS).asked)
        place._lock.release()
        (place.folder / "asked.json").write_text("{")
        assert TrainingPanel(**SETTINGS | {"out": str(tmp_path)}).go_on.layout.display == "none"

    def test_a_number_that_was_refused_is_mended_first(self) -> None:
        panel = TrainingPanel(**SETTINGS)
        for typed in ("2.5", "1e9", "0,5"):
            panel.epochs.text.value = typed
            panel.train.click()
            assert (panel.state, panel.epochs.value, panel.problem != "") == ("idle", 1, True)


class TestFailures:
    def test_in_the_worker_and_what_was_trained_before_it_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for error, line in (
            (RuntimeError("a\nlong story"), "RuntimeError: a long story"),
            (DivergedError("off"), "off"),
        ):
            with monkeypatch.context() as patch:
                fails(patch, error, after=1)
                panel = train(TrainingPanel(**SETTINGS | {"dense": True}))
            assert line in panel.problem
            assert ("in failing" in panel.alert.value) == isinstance(error, RuntimeError)  # where it came from
            assert (panel.state, names(panel), panel.bar.value) == ("idle", ["Tucker 90 %"], 0.0)
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
        with pytest.raises((traitlets.TraitError, TuckerlabError)):
            TrainingPanel(**SETTINGS | settings)

    def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(training_panel, "draw", lambda runs: 1 / 0)
            panel = train(TrainingPanel(**SETTINGS | {"dense": True}))
        assert (panel.state, names(panel)) == ("idle", ["Tucker 90 %", "dense"])
        assert "division by zero" in panel.problem
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
        assert f"Tucker 90 %: {event['said']}" in said(panel.events)
        assert draw({"one": run}).axes[0].lines[1].get_xdata() == [event["step"] / PER_EPOCH]
        assert len(run.losses) == 2 * PER_EPOCH
        assert all(map(math.isfinite, run.losses))
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
        panel = held(gate, epochs=3, **start)
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
        panel = held(gate)
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


class TestKept:
    @pytest.fixture
    def panel(self, tmp_path: Path) -> TrainingPanel:
        """After three runs, two of them of one name."""
        panel = trained(dense=True, out=str(tmp_path / "runs"))
        panel.dense.value, panel.seed.value = False, 1
        return train(panel)

    def test_boxes_choose_what_is_shown_and_saved(self, panel: TrainingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
        assert names(panel) == ["Tucker 90 %", "dense", "Tucker 90 % (2)"]
        assert panel.numbers["removed"] == panel.kept[2].facts["conv_compression"]
        assert list(panel.result()) == names(panel)
        records = records_of(panel.shown)
        assert records.runs["run"].is_unique
        assert set(records.epochs["run"]) == set(records.runs["run"])
        assert panel.layers() is not None
        assert "fewer" not in said(panel.verdict)  # two seeds
        before = panel.picture.value
        panel.boxes[2].value = False
        small, full = (run.facts for run in panel.shown)
        assert small["conv_parameters"] < full["conv_parameters"]
        assert "has learned nothing" in said(panel.verdict)  # after one pass over few images
        assert "(2)" not in said(panel.tiles)
        panel.save.click()
        [folder] = Path(panel.out).iterdir()
        assert said(panel.saved) == f"Saved in {folder}"
        pd.testing.assert_frame_equal(Records.load(folder).runs, records_of(panel.shown).runs)
        for run, name in zip(panel.shown, ("tucker-90", "dense"), strict=True):
            loaded = checkpoint.load(folder / f"{name}.safetensors").model
            assert same(dict(loaded.state_dict()), dict(run.run.model.state_dict()))

        def full_disk(records: Records, folder: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(training_job, "save_figures", full_disk)
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

    def test_the_exercise(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 2})
        assert "no run yet" in panel.result().data
        assert "no run yet" in panel.layers().data
        for compression, missing in ((0.9, 90), (0.95, 95)):
            assert f"no run has come to {missing} % removed" in panel.exercise(0.9, 0.95).data
            panel.compression.value = compression
            train(panel)
        before, after = (100 * run.facts["test_accuracy"] for run in panel.kept)
        assert f"from {before:.1f} to {after:.1f} %" in panel.exercise(0.9, 0.95).data

    def test_another_data_set_brings_its_epochs(self) -> None:
        panel = TrainingPanel()
        panel.dataset.value = "cifar10"
        assert panel.epochs.value == TrainingPanel(dataset="cifar10").epochs.value == 12
        assert TrainingPanel(dataset="cifar10", epochs=5).epochs.value == 5


def test_the_picture_draws_what_the_runs_say() -> None:
    panel = TrainingPanel(attended=False, dense=True, **SETTINGS | {"epochs": 3})
    small, full = panel.kept
    small.losses[0], small.losses[-1] = 300.0, 1e-5  # beyond the axis as it begins
    losses, accuracies, sizes, ranks, _bar = draw({"small": small, "full": full}).axes
    assert list(losses.lines[0].get_ydata()) == small.losses
    low, high = losses.get_ylim()
    assert low <= 1e-5 < 300 <= high
    errors = 100 - 100 * small.records.epochs["test_accuracy"]  # on an axis that says what is right
    assert accuracies.lines[0].get_xydata() == pytest.approx(np.array([[1, 2, 3], errors.clip(0.3)]).T)
    assert list(sizes.lines[0].get_ydata())[1:] == pytest.approx(
        list(100 - 100 * small.records.epochs["conv_compression"])
    )
    assert set(sizes.lines[1].get_ydata()) == {100}
    [image] = ranks.images
    table = small.records.ranks.groupby(["layer", "epoch"], sort=False)[["rank", "size"]].sum()
    kept = np.asarray(image.get_array())
    assert kept.shape == (table.index.get_level_values("layer").nunique(), 4)
    assert kept[0] == pytest.approx((100 * table["rank"] / table["size"]).to_numpy()[:: len(kept)][:4])
