"""Training: killed, stopped and resumed runs end as others do; what can go wrong is said in one sentence."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tuckerlab import (
    Budget,
    CheckpointError,
    DivergedError,
    Tolerance,
    TuckerlabError,
    TuckerLayer,
    build,
    fit,
    load,
    load_data,
    save,
    tuckerize,
)
from tuckerlab.data import ImageData
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Callback, Run

EPOCHS, STEPS = 3, 6  # of the runs that are killed; steps an epoch
RECIPES = {
    "dense": Recipe(epochs=EPOCHS, batch_size=16, lr=0.05),
    "tolerance": Recipe(epochs=EPOCHS, batch_size=16, ranks=Tolerance(0.3, growth=0.5), adapt_every=3),
    "budget": Recipe(epochs=EPOCHS, batch_size=16, ranks=Budget(0.8), adapt_every=2, label_smoothing=0.1),
    "adamw": Recipe(epochs=EPOCHS, batch_size=16, optimizer="adamw", lr=3e-3, ranks=Tolerance(0.3), adapt_every=3),
    "muon": Recipe(epochs=EPOCHS, batch_size=16, optimizer="muon", ranks=Budget(0.7), adapt_every=4),
}


def images(train: int = 16 * STEPS) -> ImageData:
    return load_data("digits").subset(train=train, test=32)


def network(*, tucker: bool = True, seed: int = 0) -> nn.Sequential:
    """A convolutional network with dropout, whose masks must come back after a resume."""
    torch.manual_seed(seed)
    model = build("vgg_small", in_channels=1, image_size=8, width=0.25)
    with_dropout = nn.Sequential(model.features, nn.Dropout2d(0.2), model.classifier)
    return tuckerize(with_dropout, ranks=0.6) if tucker else with_dropout  # type: ignore[return-value]


def train(model: nn.Module | None = None, data: ImageData | None = None, **settings: Any) -> Run:
    """A short run on few digits."""
    settings = {"epochs": 1, "batch_size": 16, "progress": False, "device": "cpu", **settings}
    return fit(model or network(), data or images(64), **settings)


def assert_same_run(one: Run, other: Run) -> None:
    """The same to the last bit, times apart."""
    assert (one.state, one.step, one.ranks) == (other.state, other.step, other.ranks)
    assert [{**row, "seconds": 0, "step_ms": 0} for row in one.epochs] == [
        {**row, "seconds": 0, "step_ms": 0} for row in other.epochs
    ]
    assert_same_weights(one.model, other.model)
    ours, theirs = one.optimizer.state_dict(), other.optimizer.state_dict()
    assert json.dumps(ours["param_groups"]) == json.dumps(theirs["param_groups"])
    assert ours["adaptation"] == theirs["adaptation"]
    assert ours["state"].keys() == theirs["state"].keys()
    for index, state in ours["state"].items():
        assert state.keys() == theirs["state"][index].keys()
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs["state"][index][name])), (index, name)


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


class Steps(Callback):
    """Notes the steps that it sees."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step(self, run: Run) -> None:
        self.steps.append(run.step)


class At(Callback):
    """Does something at one step."""

    def __init__(self, step: int, do: Callable[[], object]) -> None:
        self.step, self.do = step, do

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            self.do()


def saved_step(path: Path) -> int:
    """The step of a checkpoint; it is replaced atomically, so it can be read at any moment. -1: none is there."""
    if not path.exists():
        return -1
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return int(json.loads(header["__metadata__"]["tuckerlab"])["facts"]["run"]["step"])


def killed(path: Path) -> None:
    """Has another process train, and kills it as soon as its checkpoint is one of mid-epoch."""
    program = f"""
        import sys, time, torch
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_train import RECIPES, Callback, fit, images, network
        class Slow(Callback):
            def on_step(self, run):
                time.sleep(0.02 if run.step < {2 * STEPS + 4} else 100)  # never over before it is killed
        torch.set_num_threads(1)
        fit(network(), images(), RECIPES["tolerance"], progress=False, device="cpu",
            checkpoint={str(path)!r}, checkpoint_seconds=0.0, callbacks=[Slow()])
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and ((step := saved_step(path)) <= STEPS or step % STEPS == 0):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_a_run_killed_in_mid_epoch_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as the other process has: sums are taken in another order with more
    try:
        killed(tmp_path / "run.safetensors")
        step = saved_step(tmp_path / "run.safetensors")
        assert STEPS < step < EPOCHS * STEPS
        assert step % STEPS
        watch, options = Steps(), {"progress": False, "device": "cpu"}
        again = {"checkpoint": tmp_path / "run.safetensors", "callbacks": [watch]}
        resumed = fit(network(seed=7), images(), RECIPES["tolerance"], **options, **again)
        whole = fit(network(), images(), RECIPES["tolerance"], **options)
    finally:
        torch.set_num_threads(threads)
    assert watch.steps == list(range(step + 1, EPOCHS * STEPS + 1))
    assert_same_run(resumed, whole)
    assert len({str(row["rank"]) for row in whole.ranks}) > 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_stopped_run_is_resumed_to_the_same_end(name: str, tmp_path: Path) -> None:
    recipe, stop, path = replace(RECIPES[name], epochs=2), threading.Event(), tmp_path / "run.safetensors"
    data = images(128)
    options: dict[str, Any] = {"progress": False, "device": "cpu"}
    tucker = recipe.ranks is not None
    stopped = {"checkpoint": path, "stop": stop, "callbacks": [At(5, stop.set)]}
    first = fit(network(tucker=tucker), data, recipe, **stopped, **options)
    assert (first.state, first.step) == ("stopped", 5)
    resumed = fit(network(tucker=tucker, seed=7), data, recipe, checkpoint=path, **options)
    assert_same_run(resumed, fit(network(tucker=tucker), data, recipe, **options))


def test_a_run_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    path, watch = tmp_path / "run.safetensors", Steps()
    done = train(epochs=2, checkpoint=path)
    again = train(network(seed=3), epochs=2, checkpoint=path, callbacks=[watch])
    assert_same_run(again, done)
    assert watch.steps == []
    train(epochs=2, checkpoint=path, callbacks=[watch], resume=False)
    assert len(watch.steps) == 8


def test_a_run_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    path, model, same = tmp_path / "run.safetensors", network(seed=3), network(seed=3)
    train(checkpoint=path)
    other = load_data("digits").subset(train=64, test=32, seed=1)
    changed = {"lr": {"lr": 0.2}, "ranks": {"ranks": Tolerance(0.2)}, "data": {"data": other}}
    for name, settings in changed.items():
        with pytest.raises(CheckpointError, match=rf"{path}.* {name} .* there, .* here"):
            train(model, **{"checkpoint": path, **settings})
    assert_same_weights(model, same)
    save(path, model)
    with pytest.raises(CheckpointError, match="not a checkpoint of a training run"):
        train(model, checkpoint=path)


def test_the_seed_decides_and_the_caller_keeps_his_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    models = [network(), network(), network()]
    torch.manual_seed(5)
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(model, seed=seed)
    assert torch.equal(torch.rand(3), expected)
    assert_same_weights(models[0], models[1])
    with pytest.raises(AssertionError):
        assert_same_weights(models[0], models[2])


def test_the_network_learns_and_the_rows_say_so() -> None:
    run = train(data=images(256), epochs=4, ranks=Budget(0.8), augmentation=False)
    first, last = run.epochs[0], run.epochs[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"]
    assert last["conv_compression"] >= 0.8
    assert {row["epoch"] for row in run.ranks} == {0, 1, 2, 3, 4}
    ends = [row["rank"] for row in run.ranks if row["epoch"] == 4]
    assert ends == [r for layer in run.model.modules() if isinstance(layer, TuckerLayer) for r in layer.ranks]
    assert all(0 < rank <= row["size"] for rank, row in zip(ends, run.ranks, strict=False))


@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
@pytest.mark.parametrize("steps", [1, 4, 40])
def test_schedules_of_any_length(schedule: str, steps: int) -> None:
    recipe = Recipe(lr=0.1, schedule=schedule)
    optimizer = recipe.make_optimizer(nn.Linear(2, 2), steps)
    scheduler, rates = recipe.make_schedule(optimizer, steps), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)
    if schedule == "constant":
        assert rates == [0.1] * steps
    elif steps == 40:
        assert max(rates) == pytest.approx(0.1)
        assert rates[-1] < 0.001
        assert rates.index(max(rates)) == 9


def test_a_run_that_diverges_says_where_and_keeps_a_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    settings: dict[str, Any] = {"data": images(64), "epochs": 20, "lr": 1e6, "schedule": "constant", "batch_size": 16}
    with pytest.raises(DivergedError, match=rf"diverged at step .*kept in {path}.*learning rate of 3.3e\+05"):
        train(checkpoint=path, checkpoint_seconds=0.0, **settings)
    loaded = load(path, network(seed=3)).model
    assert all(value.isfinite().all() for value in loaded.state_dict().values())


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_one_bad_number_stops_the_run_before_a_weight_moves(what: str, tmp_path: Path) -> None:
    path, model = tmp_path / "run.safetensors", network()
    before: dict[str, torch.Tensor] = {}

    def poison() -> None:
        before.update({name: p.detach().clone() for name, p in model.named_parameters()})
        if what == "loss":
            model.register_forward_hook(lambda module, inputs, output: output * math.nan)
        else:
            model[2][2].weight.register_hook(lambda gradient: gradient * math.inf)

    with pytest.raises(DivergedError, match="at step 7 of 12") as caught:
        train(model, epochs=3, checkpoint=path, callbacks=[At(6, poison)])
    assert what in str(caught.value)
    assert str(path) in str(caught.value)
    assert saved_step(path) == 4
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    assert train(epochs=3, checkpoint=path).state == "finished"


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 1.5}, {"seed": -1}, {"lr": 0}, {"momentum": 1.0}, {"optimizer": "adam"}, {"ranks": 0.1},
     {"device": "cuda:99"}, {"learning_rate": 0.1}, {"budget": 0.999}],
)  # fmt: skip
def test_a_wrong_setting_is_refused_before_anything_moves(settings: dict[str, Any]) -> None:
    model, same, [name] = network(), network(), settings
    with pytest.raises(TuckerlabError, match=name):
        train(model, **{"ranks": Budget(settings["budget"])} if name == "budget" else settings)
    assert_same_weights(model, same)


@pytest.mark.parametrize("model", [build("vgg_small", num_classes=7, in_channels=1, image_size=8), nn.Conv2d(1, 10, 3)])
def test_a_network_that_does_not_suit_the_data_is_one_line(model: nn.Module) -> None:
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(TuckerlabError, match=r"returns \(16, .*\) for 16 images, expected is .* 10 classes"):
        train(model)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_where_no_bar_can_move_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    run = train(progress="small", epochs=2)
    lines = capsys.readouterr().err.splitlines()
    expected = [(f"small epoch {row['epoch']} of 2", f"{100 * row['test_accuracy']:.1f} %") for row in run.epochs]
    assert all(text in line for line, texts in zip(lines, expected, strict=True) for text in texts)
