"""Training: killed, stopped and resumed runs end as others do; what can go wrong is said in one sentence."""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tuckerlab as tl
from tuckerlab.data import ImageData
from tuckerlab.training.checkpoint import Snapshot
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.optimizer import TuckerOptimizer

SHORT = Recipe(epochs=1, batch_size=16)
GROWING = replace(SHORT, epochs=4, ranks=tl.Tolerance(0.3, growth=0.5), adapt_every=3)
KILLED = 10  # of 16 steps: where that run is killed, in the middle of an epoch
STOPPED = {
    "dense": replace(SHORT, epochs=2, lr=0.05),
    "budget": replace(SHORT, epochs=2, optimizer="adamw", ranks=tl.Budget(0.8), adapt_every=2, label_smoothing=0.1),
    "nested": replace(SHORT, epochs=2, optimizer="muon", ranks=tl.Nested(0.7, smallest=0.9), adapt_every=3),
}


def images(train: int = 64) -> ImageData:
    return tl.load_data("digits").subset(train=train, test=32)


def network(*, tucker: bool = True, seed: int = 0) -> nn.Sequential:
    """A convolutional network with dropout, whose masks must come back after a resume."""
    torch.manual_seed(seed)
    model = tl.build("vgg_small", in_channels=1, image_size=8, width=0.25)
    with_dropout = nn.Sequential(model.features, nn.Dropout2d(0.2), model.classifier)
    return tl.tuckerize(with_dropout, ranks=0.6) if tucker else with_dropout  # type: ignore[return-value]


def train(
    model: nn.Module | None = None, data: ImageData | None = None, recipe: Recipe = SHORT, **settings: Any
) -> Run:
    return tl.fit(model or network(), data or images(), recipe, progress=False, **{"device": "cpu", **settings})


def assert_same_run(one: Run, other: Run) -> None:
    """The same to the last bit, times apart."""
    assert (one.state, one.step, one.ranks) == (other.state, other.step, other.ranks)
    ours, theirs = ([{**row, "seconds": 0, "step_ms": 0} for row in run.epochs] for run in (one, other))
    assert ours == theirs
    assert_same_weights(one.model, other.model, one.optimizer, other.optimizer)


def assert_same_weights(one: nn.Module, other: nn.Module, *optimizers: TuckerOptimizer) -> None:
    """Of the networks, and in the state of their optimizers, where these are given."""
    ours, theirs = map(Snapshot.of, (one, other), optimizers or (None, None))
    assert json.dumps(ours.optimizer) == json.dumps(theirs.optimizer)
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(value, theirs.tensors[name]) for name, value in ours.tensors.items())


class During(Callback):
    """Does something after each step from one on, so many times."""

    def __init__(self, first: int, times: float, do: Callable[[Run], object]) -> None:
        self.first, self.left, self.do = first, times, do

    def on_step(self, run: Run) -> None:
        if run.step >= self.first and self.left > 0:
            self.left -= 1
            self.do(run)


def noted(steps: list[int]) -> During:
    return During(0, math.inf, lambda run: steps.append(run.step))


def saved_step(path: Path) -> int:
    """The step of a checkpoint, which can be read at any moment; -1: none is there."""
    return int(tl.load(path, network()).facts["run"]["step"]) if path.exists() else -1


def train_until_killed(path: Path) -> None:
    """Hangs in the middle of an epoch, before it writes the checkpoint of that step."""
    torch.set_num_threads(1)  # as many as here: sums are taken in another order with more
    hang = During(KILLED + 1, 1, lambda run: time.sleep(100))
    train(recipe=GROWING, checkpoint=path, checkpoint_seconds=0.0, callbacks=[hang])


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_a_run_killed_in_mid_epoch_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    path, steps = tmp_path / "run.safetensors", list[int]()
    process = get_context("spawn").Process(target=train_until_killed, args=(path,), daemon=True)
    process.start()
    whole = train(recipe=GROWING)
    while process.is_alive() and saved_step(path) < KILLED:
        time.sleep(0.05)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumed = train(network(seed=7), recipe=GROWING, checkpoint=path, callbacks=[noted(steps)])
    assert steps == list(range(KILLED + 1, whole.step + 1))
    assert_same_run(resumed, whole)
    assert len({str(row["rank"]) for row in whole.ranks}) > 1


@pytest.mark.parametrize("recipe", STOPPED.values(), ids=STOPPED)
def test_a_stopped_run_is_resumed_to_the_same_end(recipe: Recipe, tmp_path: Path) -> None:
    stop, path, tucker = threading.Event(), tmp_path / "run.safetensors", recipe.ranks is not None
    halt = During(5, 1, lambda run: stop.set())
    first = train(network(tucker=tucker), recipe=recipe, checkpoint=path, stop=stop, callbacks=[halt])
    assert (first.state, first.step) == ("stopped", 5)
    resumed = train(network(tucker=tucker, seed=7), recipe=recipe, checkpoint=path)
    assert_same_run(resumed, train(network(tucker=tucker), recipe=recipe))


def test_a_run_that_is_over_is_not_trained_again(tmp_path: Path) -> None:
    path, steps = tmp_path / "run.safetensors", list[int]()
    done = train(epochs=2, checkpoint=path)
    again = train(network(seed=3), epochs=2, checkpoint=path, callbacks=[noted(steps)])
    assert_same_run(again, done)
    assert steps == []
    train(epochs=2, checkpoint=path, callbacks=[noted(steps)], resume=False)
    assert steps == list(range(1, 9))


def test_a_run_of_other_settings_is_not_resumed(tmp_path: Path) -> None:
    path, model, same = tmp_path / "run.safetensors", network(seed=3), network(seed=3)
    train(checkpoint=path)
    other = tl.load_data("digits").subset(train=64, test=32, seed=1)
    changed = {"lr": {"lr": 0.2}, "ranks": {"ranks": tl.Tolerance(0.2)}, "data": {"data": other}}
    for name, settings in changed.items():
        with pytest.raises(tl.CheckpointError, match=rf"{path}.* {name} .* there, .* here"):
            train(model, **{"checkpoint": path, **settings})
    assert_same_weights(model, same)
    tl.save(path, model)
    with pytest.raises(tl.CheckpointError, match="not a checkpoint of a training run"):
        train(model, checkpoint=path)


def test_the_seed_decides_and_the_caller_keeps_his_random_numbers() -> None:
    models = [network() for _ in range(3)]
    numbers = torch.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(model, seed=seed)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert_same_weights(models[0], models[1])
    with pytest.raises(AssertionError):
        assert_same_weights(models[0], models[2])


def test_the_network_learns_and_the_rows_say_so() -> None:
    run = train(data=images(256), epochs=4, ranks=tl.Budget(0.8), augmentation=False)
    first, last = run.epochs[0], run.epochs[-1]
    assert last["train_loss"] < 0.7 * first["train_loss"]
    assert last["conv_compression"] >= 0.8
    assert {row["epoch"] for row in run.ranks} == {0, 1, 2, 3, 4}
    ends = [row["rank"] for row in run.ranks if row["epoch"] == 4]
    assert ends == [r for layer in run.model.modules() if isinstance(layer, tl.TuckerLayer) for r in layer.ranks]
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
    with pytest.raises(tl.DivergedError, match=rf"diverged at step .*kept in {path}.*learning rate of 3.3e\+05"):
        train(checkpoint=path, checkpoint_seconds=0.0, epochs=20, lr=1e6, schedule="constant")
    loaded = tl.load(path, network(seed=3)).model
    assert all(value.isfinite().all() for value in loaded.state_dict().values())


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_one_bad_number_stops_the_run_before_a_weight_moves(what: str, tmp_path: Path) -> None:
    path, model = tmp_path / "run.safetensors", network()
    before: dict[str, torch.Tensor] = {}

    def poison(run: Run) -> None:
        before.update({name: p.detach().clone() for name, p in model.named_parameters()})
        if what == "loss":
            model.register_forward_hook(lambda module, inputs, output: output * math.nan)
        else:
            model[2][2].weight.register_hook(lambda gradient: gradient * math.inf)

    with pytest.raises(tl.DivergedError, match="at step 7 of 12") as caught:
        train(model, epochs=3, checkpoint=path, callbacks=[During(6, 1, poison)])
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
    with pytest.raises(tl.TuckerlabError, match=name):
        train(model, **{"ranks": tl.Budget(settings["budget"])} if name == "budget" else settings)
    assert_same_weights(model, same)


@pytest.mark.parametrize(
    "model", [tl.build("vgg_small", num_classes=7, in_channels=1, image_size=8), nn.Conv2d(1, 10, 3)]
)
def test_a_network_that_does_not_suit_the_data_is_one_line(model: nn.Module) -> None:
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(tl.TuckerlabError, match=r"returns \(16, .*\) for 16 images, expected is .* 10 classes"):
        train(model)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_where_no_bar_can_move_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    run = tl.fit(network(), images(), SHORT, progress="small", epochs=2)
    lines = capsys.readouterr().err.splitlines()
    expected = [(f"small epoch {row['epoch']} of 2", f"{100 * row['test_accuracy']:.1f} %") for row in run.epochs]
    assert all(text in line for line, texts in zip(lines, expected, strict=True) for text in texts)
