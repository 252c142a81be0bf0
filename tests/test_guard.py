"""The safety valve: faults end near the last good network, ordinary runs are left alone, resumed ones agree."""

import math
import threading
from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_train import During, assert_same_run, assert_same_weights
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tuckerlab import Budget, DivergedError, Tolerance, TuckerlabError, fit, load_data
from tuckerlab.data import ImageData
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.training import trainer
from tuckerlab.training.config import Recipe
from tuckerlab.training.guard import Guard, Rule, Watch
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.run import GUARDED, Run
from tuckerlab.tucker.rank_policy import RankPolicy

SPEC = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.25}
STEPS = 12  # an epoch
RECIPE = Recipe(epochs=5, batch_size=30, lr=0.1, precision="fp32")


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data("digits").subset(train=400)


def network(policy: RankPolicy | None = None, seed: int = 0) -> nn.Module:
    return (Dense() if policy is None else Tucker(policy)).network(SPEC, seed)


def train(data: ImageData, model: nn.Module | None = None, **settings: Any) -> Run:
    settings = {"progress": False, "device": "cpu", "guard": Guard(), **settings}
    return fit(network(settings.get("ranks")) if model is None else model, data, RECIPE, **settings)


def assert_ends_well(run: Run, data: ImageData, good: float) -> None:
    """The final network is what the last row says, and no worse than the last good one by a point."""
    held = data.hold_out(0.1, RECIPE.seed)  # it sees images as it was trained, by the mean of those that it was given
    trained = replace(data, train_images=held.train_images, train_labels=held.train_labels)
    accuracy = evaluate(run.model, trained).accuracy
    assert accuracy == run.test_accuracy
    assert accuracy >= good - 0.01
    assert all(bool(value.isfinite().all()) for value in run.model.state_dict().values())
    assert [row["step"] for row in run.epochs] == [STEPS * (i + 1) for i in range(len(run.epochs))]
    assert run.step == run.epochs[-1]["step"]


def spoiled(run: Run) -> None:
    next(run.model.parameters()).data.fill_(math.inf)


def did(run: Run) -> list[tuple[str, str]]:
    return [(event["rule"], event["action"]) for event in run.events]


def test_a_learning_rate_100_times_too_high_from_the_start(data: ImageData) -> None:
    run = train(data, lr=10.0)
    assert run.state == "finished"
    assert did(run)[0] == ("loss", "roll back")
    assert "went back to step 0 and lowered the learning rate to 20% of what it was" in run.events[0]["said"]
    assert max(row["lr"] for row in run.epochs) <= 2.0
    assert_ends_well(run, data, max(row["test_accuracy"] for row in run.epochs))
    assert run.test_accuracy > 0.5  # without a guard it stays at what chance gives


def test_a_tolerance_raised_to_nine_tenths_in_mid_run(data: ImageData) -> None:
    def raise_it(run: Run) -> None:
        run.optimizer.ranks = Tolerance(0.9, steps=0)

    settings: dict[str, Any] = {"ranks": Tolerance(0.1), "epochs": 3, "adapt_every": 6}
    run = train(data, **settings, callbacks=[During(2 * STEPS + 2, 1, raise_it)])
    undisturbed = train(data, **settings)
    assert undisturbed.steps_per_epoch == len(data.hold_out(0.1, seed=0).train_images) // RECIPE.batch_size
    assert did(run) == [("cut", "roll back")]
    event = run.events[0]
    assert event["measured"] > event["allowed"] == 0.6
    assert event["said"].endswith(f"went back to step {2 * STEPS} and returned to the setting before.")
    assert (undisturbed.events, run.evaluations) == ([], undisturbed.evaluations + event["step"] - 2 * STEPS)
    assert_same_weights(run.model, undisturbed.model)  # as if it had never been
    assert run.epochs[-1]["test_accuracy"] == undisturbed.test_accuracy


@pytest.mark.parametrize("times", [STEPS, math.inf])
def test_labels_shuffled_for_an_epoch_and_for_ever(
    data: ImageData, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = {"left": 0.0}

    def loss(logits: Tensor, labels: Tensor, *weights: Any, **options: Any) -> Tensor:
        if shuffled["left"] > 0:
            shuffled["left"] -= 1
            labels = (labels + 1 + torch.randint(9, labels.shape)) % 10
        return cross_entropy(logits, labels, *weights, **options)

    monkeypatch.setattr(trainer, "F", SimpleNamespace(cross_entropy=loss))
    begin = During(4 * STEPS, 1, lambda run: shuffled.update(left=times))
    run = train(data, epochs=6, ranks=None, callbacks=[begin])
    rules = {rule for rule, _ in did(run)}
    assert rules
    assert rules <= {"loss", "accuracy"}
    assert_ends_well(run, data, run.epochs[3]["test_accuracy"])
    assert (run.state == GUARDED) == (times == math.inf)
    if times == math.inf:
        *others, last = [action for _, action in did(run)]
        assert (set(others), last) == ({"roll back"}, "stop")
        assert len(others) <= 6  # three for each of the two rules
        assert len(run.epochs) == 4


@pytest.mark.parametrize("times", [1, math.inf])
def test_gradients_that_are_no_numbers(data: ImageData, times: float) -> None:
    model, at = network(), 3 * STEPS + 4
    poison = {"left": 0.0}

    def poisoned(gradient: Tensor) -> Tensor:
        poison["left"] -= 1
        return gradient * math.nan if poison["left"] >= 0 else gradient

    next(iter(model.parameters())).register_hook(poisoned)
    run = train(data, model, callbacks=[During(at, 1, lambda run: poison.update(left=times))])
    assert [event["step"] for event in run.events] == [at + 1, *[3 * STEPS + 1] * (len(run.events) - 1)]
    assert math.isnan(run.events[0]["measured"])
    assert_ends_well(run, data, run.epochs[2]["test_accuracy"])
    if times == 1:
        assert (run.state, did(run)) == ("finished", [("finite", "roll back")])
        assert run.evaluations == run.total_steps + at + 1 - 3 * STEPS
    else:
        assert (run.state, did(run)) == (GUARDED, [("finite", "roll back")] * 3 + [("finite", "stop")])
        assert run.events[-1]["said"].endswith(f"ended with the network of step {3 * STEPS}.")


def test_weights_that_are_no_numbers_are_left_behind(data: ImageData) -> None:
    at = 2 * STEPS
    run = train(data, callbacks=[During(at, 1, spoiled)], epochs=3)
    assert did(run) == [("finite", "roll back")]
    assert_ends_well(run, data, run.epochs[0]["test_accuracy"])
    with pytest.raises(DivergedError):
        train(data, guard=Guard(finite=None), callbacks=[During(at, 1, spoiled)])


def test_where_nothing_was_learned_there_is_nothing_to_keep(data: ImageData) -> None:
    model = network()
    before = deepcopy(model)
    model.register_forward_hook(lambda module, inputs, output: output * math.nan)
    with pytest.raises(DivergedError, match=r"Step 1: .* ended with the network of step 0\. Nothing was learned"):
        train(data, model)
    assert_same_weights(model, before)


def test_an_ordinary_run_is_left_alone_and_is_the_same_without_a_guard(data: ImageData) -> None:
    settings: dict[str, Any] = {"epochs": 2, "ranks": Budget(0.8), "seed": 2}  # in two cycles: each cuts much
    watched = train(data, **settings, guard=Guard(accuracy=None))
    assert watched.events == []
    assert_same_run(watched, train(data, **settings, guard=None))


def spoil_settings(run: Run) -> None:
    """A learning rate that is too high and a tolerance that is too large, each at a step, whoever trains."""
    if run.step == 15 and not run.events:
        run.optimizer.ranks = Tolerance(0.9, steps=0)
    if run.step >= 20 and len(run.events) < 3:
        for group in run.optimizer.param_groups:
            group["lr"] *= 100


def test_a_guarded_run_is_resumed_to_the_same_end(data: ImageData, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"ranks": Tolerance(0.2), "epochs": 3, "adapt_every": 3}
    spoiler, steps = During(0, math.inf, spoil_settings), count(1)  # as they come: a run goes back over its steps
    whole = train(data, **settings, callbacks=[spoiler])
    assert {rule for rule, _ in did(whole)} >= {"cut", "loss"}
    halt, path = threading.Event(), tmp_path / "run.safetensors"
    stop = During(0, math.inf, lambda run: halt.set() if next(steps) == 48 else None)
    first = train(data, **settings, callbacks=[spoiler, stop], checkpoint=path, stop=halt)
    assert first.state == "stopped"
    resumed = train(data, network(Tolerance(0.2), seed=7), **settings, callbacks=[spoiler], checkpoint=path)
    assert_same_run(resumed, whole)
    assert str(resumed.events) == str(whole.events)


def losses(watch: Watch, values: list[float]) -> list[int]:
    return [i for i, value in enumerate(values) if watch.after_step(value) is not None]


def test_a_loss_that_rises_is_told_from_noise() -> None:
    fall = [2.3 * 0.98**i * (1.3 if i % 3 else 0.6) for i in range(200)]
    assert losses(Watch(Guard()), fall) == []
    assert losses(Watch(Guard()), [*fall, 9.0, 9.0, 9.0]) == []  # a few bad batches
    assert losses(Watch(Guard()), fall + [9.0] * 8) == [203, 204, 205, 206, 207]  # half of the last eight
    assert losses(Watch(Guard(loss=None)), fall + [9.0] * 8) == []
    tuned = Watch(Guard(), untrained=2.3)  # one that begins with a trained network
    assert losses(tuned, [0.01] * 20 + [0.9] * 20) == []
    assert losses(Watch(Guard()), [0.01] * 20 + [0.9] * 20) != []


def test_accuracy_is_compared_with_its_best() -> None:
    def alarms(*accuracies: float, start: float = 0.8) -> list[bool]:
        watch = Watch(Guard())
        ends = [start + (1 - start) * (i + 1) / len(accuracies) for i in range(len(accuracies))]
        return [watch.after_epoch(a, 1000, end) is not None for a, end in zip(accuracies, ends, strict=True)]

    assert alarms(0.9, 0.2, 0.9, 0.9) == [False] * 4  # once is noise
    assert alarms(0.9, 0.2, 0.2, 0.9) == [False, False, True, False]
    assert alarms(0.9, 0.9, 0.2) == [False, False, True]  # but not at the end
    assert alarms(0.9, 0.85) == [False, False]
    assert alarms(0.9, 0.5, 0.5, 0.9, start=0.0) == [False] * 4  # early in a run much is noise
    assert alarms(0.95, 0.93, 0.88) == [False, False, False]
    few = Watch(Guard())
    few.after_epoch(0.9, 20, 0.9)
    assert few.after_epoch(0.75, 20, 1.0) is None  # three of twenty images


def test_a_cut_that_no_setting_explains_is_taken_back_and_ranks_stay(data: ImageData) -> None:
    guard = Guard(cut=Rule("roll back", 0.05))  # less than the policy takes, though its schedule is a slow one
    run = train(data, guard=guard, ranks=Tolerance(0.5, steps=2 * STEPS), adapt_every=1, epochs=2)
    [event] = run.events
    assert (event["rule"], event["action"]) == ("cut", "roll back")
    assert event["said"].endswith("lowered the learning rate to 20% of what it was, and stopped cutting.")
    back = {(row["layer"], row["mode"]): row["rank"] for row in run.ranks if row["step"] < event["step"]}
    assert {(row["layer"], row["mode"]): row["rank"] for row in run.ranks if row["epoch"] == 2} == back


@pytest.mark.parametrize(
    "settings",
    [{"loss": Rule("explode", 2.0)}, {"loss": Rule("stop", 0.5)}, {"cut": 0.5}, {"cut": Rule("stop", 0.5, times=-1)},
     {"slower": 1.0}],
)  # fmt: skip
def test_a_guard_that_makes_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(TuckerlabError, match=next(iter(settings))):
        Guard(**settings)
