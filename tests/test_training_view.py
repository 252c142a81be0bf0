"""What the training panel shows: the runs that are kept, its widgets, and its picture."""

import html
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from jobs import (
    SETTINGS,
    Gate,
    fails,
    few_images as few_images,
    gate as gate,
    no_thread_is_left as no_thread_is_left,
    reading as reading,
    said,
    same,
    trained,
    until,
    weights,
)
from PIL import Image
from test_instant_panel import every_widget

from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.i18n import text
from tuckerlab.panels import TrainingPanel
from tuckerlab.panels.training import job as job_file, runs as runs_file
from tuckerlab.panels.training.model import TrainingModel
from tuckerlab.panels.training.picture import TrainingPicture
from tuckerlab.panels.training.trace import Look, Trace
from tuckerlab.training import checkpoint

# --- the runs that are kept -------------------------------------------------------------------------------------------


NAMES = ("Tucker 90 %", "dense", "Tucker 90 % (2)")


@cache
def trained_panel() -> TrainingPanel:
    """A panel after three runs, two of them of one name; it is only looked at."""
    panel = TrainingPanel(**SETTINGS)
    for dense, seed in ((True, 0), (False, 1)):
        panel.dense.value, panel.seed.value = dense, seed
        panel.train.click()
        panel.model.wait()
    return panel


@pytest.fixture
def three(tmp_path: Path) -> TrainingPanel:
    """A panel with the same runs, to be played with."""
    panel = TrainingPanel(**SETTINGS | {"out": str(tmp_path / "runs")})
    panel.model.kept = trained_panel().model.kept
    panel.model.shown = NAMES
    return panel


class TestKept:
    def test_names_are_unique(self) -> None:
        panel = trained_panel()
        assert tuple(run.name for run in panel.model.kept) == panel.model.shown == NAMES
        assert tuple(panel.model.records.runs["label"]) == NAMES
        assert panel.model.records.runs["run"].is_unique
        assert set(panel.model.records.epochs["run"]) == set(panel.model.records.runs["run"])

    def test_runs_that_are_given_look_like_those_of_the_panel(self, three: TrainingPanel) -> None:
        panel = trained_panel()
        assert np.array_equal(pixels(three.picture.value), pixels(panel.picture.value))
        assert (three.numbers.value, three.finding.value) == (panel.numbers.value, panel.finding.value)
        assert [box.description for box in three.boxes] == [box.description for box in panel.boxes]

    def test_the_same_run_twice(self) -> None:
        model = trained()
        model.train()
        model.wait()
        assert tuple(model.records.runs["label"]) == ("Tucker 90 %", "Tucker 90 % (2)")
        assert same(weights(model, 0), weights(model, 1))

    def test_each_has_a_box(self, three: TrainingPanel) -> None:
        assert [box.value for box in three.boxes] == [True] * 3
        for box, run in zip(three.boxes, three.model.kept, strict=True):
            assert box.description.startswith(f"{run.name}: {100 * run.facts['test_accuracy']:.1f} %")
        assert [child for child in three.runs.children if child in three.boxes] == three.boxes

    def test_boxes_choose_what_is_shown(self, three: TrainingPanel) -> None:
        picture = three.picture.value
        three.boxes[0].value = False
        assert three.model.shown == NAMES[1:]
        assert list(three.model.traces) == list(NAMES[1:])
        assert three.picture.value != picture
        assert "Tucker 90 % (2)" in said(three.numbers)
        three.boxes[1].value = three.boxes[2].value = False
        assert (three.model.shown, three.picture.layout.display, three.numbers.value) == ((), "none", "")
        for i in (2, 0, 1):
            three.boxes[i].value = True
        assert three.model.shown == NAMES  # in the order of the runs
        assert three.picture.value == picture

    def test_boxes_follow_the_model(self, three: TrainingPanel) -> None:
        three.model.shown = ("dense",)
        assert [box.value for box in three.boxes] == [False, True, False]
        three.model.shown = ()
        assert [box.value for box in three.boxes] == [False] * 3
        three.model.shown = NAMES
        assert [box.value for box in three.boxes] == [True] * 3
        assert three.model.shown == NAMES

    def test_save(self, three: TrainingPanel) -> None:
        three.boxes[2].value = False
        three.save.click()
        [folder] = Path(three.model.out).iterdir()
        assert said(three.saved) == text("training.saved", folder=folder)
        pd.testing.assert_frame_equal(Records.load(folder).table(), three.model.records.table())
        for run, name in zip(three.model.kept, ("tucker-90", "dense"), strict=False):
            loaded = checkpoint.load(folder / f"{name}.safetensors").model
            assert same(dict(loaded.state_dict()), dict(run.result.model.state_dict()))
        assert len(list(folder.glob("*.safetensors"))) == 2
        assert len(list(folder.glob("*.png"))) >= 2
        three.save.click()  # again is another folder
        assert len(list(Path(three.model.out).iterdir())) == 2

    def test_save_where_nothing_can_be_written(self, three: TrainingPanel, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("I am in the way")
        three.model.out = str(tmp_path / "file")
        three.save.click()
        assert "file" in three.model.problem
        assert "\n" not in three.model.problem
        assert not three.model.details
        assert said(three.saved) == ""
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_save_that_is_cut_off_leaves_nothing(self, three: TrainingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(records: Records, folder: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(runs_file, "save_figures", full)
        three.save.click()
        assert "No space left on device" in three.model.problem
        assert not list(Path(three.model.out).iterdir())

    def test_save_of_nothing(self, three: TrainingPanel) -> None:
        three.model.shown = ()
        three.save.click()
        assert three.model.problem == text("training.nothing_to_save")
        assert not Path(three.model.out).exists()
        with pytest.raises(DataError):
            TrainingModel(**SETTINGS).save()

    def test_result_and_layers(self, three: TrainingPanel) -> None:
        assert len(three.result()) == 3
        assert "Tucker" in repr(three.layers()) or three.layers() is not None
        assert text("training.no_run") in TrainingPanel().result().data
        assert text("training.no_run") in TrainingPanel().layers().data

    def test_the_exercise(self) -> None:
        panel = TrainingPanel(**SETTINGS | {"epochs": 2})
        assert panel.exercise(0.9, 0.95).data == text("training.exercise.not_yet", removed=90)
        for compression, missing in ((0.9, 95), (0.95, None)):
            panel.compression.value = compression
            panel.train.click()
            panel.model.wait()
            if missing:
                assert panel.exercise(0.9, 0.95).data == text("training.exercise.not_yet", removed=missing)
        before, after = (100 * run.facts["test_accuracy"] for run in panel.model.kept)
        assert f"from {before:.1f} to {after:.1f} %" in panel.exercise(0.9, 0.95).data


# --- the view ---------------------------------------------------------------------------------------------------------


class TestView:
    def test_widgets_and_model_follow_each_other(self) -> None:
        panel = TrainingPanel()
        changes = {"dataset": "cifar10", "network": "resnet18", "by": "tolerance", "compression": 0.7}
        changes |= {"tolerance": 0.3, "epochs": 7, "seed": 3, "device": "cpu", "dense": True}
        for name, value in changes.items():
            getattr(panel, name).value = value
            assert getattr(panel.model, name) == value
        other = TrainingPanel()
        for name, value in changes.items():
            setattr(other.model, name, value)
            assert getattr(other, name).value == value

    @pytest.mark.parametrize(("by", "other"), [("compression", "tolerance"), ("tolerance", "compression")])
    def test_one_slider_is_shown(self, by: str, other: str) -> None:
        panel = TrainingPanel(by=by)
        panel.by.value = other
        panel.by.value = by
        assert (getattr(panel, by).layout.display, getattr(panel, other).layout.display) == ("", "none")

    @pytest.mark.parametrize("compression", [0.3, 0.99])
    def test_a_slider_shows_what_is_asked_for(self, compression: float) -> None:
        panel = TrainingPanel(compression=compression)
        assert panel.compression.value == panel.model.compression == compression

    def test_another_data_set_brings_its_epochs(self) -> None:
        assert TrainingPanel(dataset="cifar10").epochs.value == 12
        panel = TrainingPanel()
        panel.dataset.value = "cifar10"
        assert (panel.model.epochs, panel.epochs.value) == (12, 12)
        assert TrainingPanel(dataset="cifar10", epochs=5).model.epochs == 5

    def test_buttons_offer_what_can_be_done(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        buttons = (panel.train, panel.pause, panel.stop)
        assert [button.disabled for button in buttons] == [False, True, True]
        assert panel.save.layout.display == "none"
        gate.at(3)
        panel.train.click()
        gate.wait()
        assert [button.disabled for button in buttons] == [True, False, False]
        assert all(widget.disabled for widget in panel.settings)
        assert not panel.compression.disabled
        panel.pause.click()
        assert panel.pause.description == text("training.go_on")
        panel.pause.click()
        assert panel.pause.description == text("training.pause")
        panel.stop.click()
        assert [button.disabled for button in buttons] == [True, True, True]
        gate.open()
        panel.model.wait()
        assert [button.disabled for button in buttons] == [False, True, True]
        assert not any(widget.disabled for widget in panel.settings)

    def test_draws_while_it_runs_and_exactly_at_the_end(self, gate: Gate) -> None:
        panel = TrainingPanel(**SETTINGS)
        assert panel.picture.layout.display == "none"
        pictures: list[bytes] = []
        panel.picture.observe(lambda change: pictures.append(bytes(change.new)), "value")
        gate.at(3)
        panel.train.click()
        for step in (3, 7):
            gate.wait()
            until(lambda step=step: f"Tucker 90 % {step} 0" in panel._drawn)
            seen = panel.model.seen
            until(lambda seen=seen: panel.model.seen > seen)
            if step == 3:
                gate.go_on_to(7)
        gate.open()
        panel.model.wait()
        assert len(set(pictures)) >= 3
        assert len(colours_of(pictures[0])) <= 256
        wanted = TrainingPicture(panel.model.traces).png(exact=True)
        assert np.array_equal(pixels(panel.picture.value), pixels(wanted))
        assert panel.picture.layout.display == ""
        assert panel.bar.value == 1.0

    def test_one_picture_that_is_described(self, three: TrainingPanel) -> None:
        assert [w for w in every_widget(three) if isinstance(w, ipywidgets.Image)] == [three.picture]
        assert three.picture.tooltip == text("training.alt")
        assert not any(isinstance(widget, ipywidgets.Output) for widget in every_widget(three))

    def test_static_html(self, three: TrainingPanel) -> None:
        bundle = three._repr_mimebundle_()
        shown = (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]
        assert re.findall('alt="([^"]+)"', shown) == [html.escape(text("training.alt"))]
        assert "<script" not in shown
        assert "Tucker 90 % (2)" in shown

    def test_unattended(self) -> None:
        panel = TrainingPanel(attended=False, **SETTINGS)
        assert (panel.model.state, len(panel.model.kept)) == ("idle", 1)
        assert panel.picture.value[:4] == b"\x89PNG"

    @pytest.mark.parametrize("settings", [{"dataset": "nonsense"}, {"compression": 0.98}])
    def test_unattended_and_failed(self, settings: dict[str, Any]) -> None:
        with pytest.raises(TuckerlabError, match=r"could not train: (unknown data set|budget 0.98 cannot)"):
            TrainingPanel(attended=False, **SETTINGS | settings)

    def test_unattended_and_defect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fails(monkeypatch, RuntimeError("boom"))
        with pytest.raises(TuckerlabError, match="boom"):
            TrainingPanel(attended=False, **SETTINGS)

    def test_measured_for_real(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from tuckerlab.experiments.contest import measurements

        monkeypatch.setattr(job_file, "measurements", measurements)
        facts = trained().kept[0].facts
        assert facts["latency_1_ms"] > 0
        assert facts["memory_weights_bytes"] > 0


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colours_of(png: bytes) -> Any:
    return np.unique(pixels(png).reshape(-1, 3), axis=0)


class TestPicture:
    def trace(self, label: str, method: str, steps: int = 40) -> Trace:
        trace = Trace(label, method, total_steps=steps, steps_per_epoch=10)
        kept = {"features.0": 0.5, "features.3": 0.25} if method == "tucker" else {}
        for step in range(steps + 1):
            trace.looks.append(Look(step, 0.1 if method == "tucker" else 1.0, kept))
            if step:
                trace.losses.append((step, 2.0 / step))
                if step % 10 == 0:
                    trace.accuracies.append((step, 0.9))
        return trace

    def test_draws_what_the_traces_say(self) -> None:
        picture = TrainingPicture({"a": self.trace("a", "tucker"), "dense": self.trace("dense", "dense")})
        picture.png()
        loss, accuracy, size = picture.lines["a"]
        # errors, on an axis that says 90
        assert accuracy.get_xydata() == pytest.approx(np.array([[1, 10], [2, 10], [3, 10], [4, 10]]))
        assert loss.get_xdata()[-1] == 4
        assert set(size.get_ydata()) == {10}
        assert set(picture.lines["dense"][2].get_ydata()) == {100}
        ranks = np.asarray(picture.image.get_array())
        assert ranks[0] == pytest.approx(np.full(80, 50.0))
        assert ranks[1] == pytest.approx(np.full(80, 25.0))

    def test_every_curve_is_within_its_axes(self) -> None:
        """Of the accuracies, the last one: where a run begins may be far below, and what counts is where it ends."""
        trace = self.trace("a", "tucker")
        trace.losses[-1] = (40, 1e-5)
        trace.losses[0] = (1, 300.0)
        trace.accuracies[0] = (10, 0.03)
        picture = TrainingPicture({"a": trace})
        picture.png()
        loss, accuracy, size = (line.get_ydata() for line in picture.lines["a"])
        for axes, shown in ((picture.loss, loss), (picture.accuracy, accuracy[-1:]), (picture.size, size)):
            low, high = sorted(axes.get_ylim())
            assert low <= min(shown)
            assert max(shown) <= high

    def test_of_a_run_that_has_only_begun(self) -> None:
        trace = Trace("a", "tucker", total_steps=40, steps_per_epoch=10)
        trace.looks.append(Look(0, 0.7, {"features.0": 0.7}))
        assert TrainingPicture({"a": trace}).png()[:4] == b"\x89PNG"
        assert (trace.progress, trace.epoch, trace.epochs) == (0.0, 1, 4)

    @pytest.mark.parametrize("count", [1, 6, 9])
    def test_nothing_is_cut_off(self, count: int) -> None:
        names = ["dense", *(f"Tucker {90 + i} % → τ 0.25 ({i})" for i in range(count - 1))]
        picture = TrainingPicture({n: self.trace(n, "dense" if n == "dense" else "tucker") for n in names})
        image = pixels(picture.png(exact=True))
        edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert edges.min() > 230
