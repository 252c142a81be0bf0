"""The audit: counts against hand counts, intervals against exact coverage, maps against a closed form, bad input."""

import copy
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from tuckerlab import Budget, load_data, recorded, run_audit
from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.audit import Audit, Thresholds
from tuckerlab.experiments.audit.answers import change_interval, corrupted
from tuckerlab.experiments.retruncation import cut

QUIET = {"noise": (), "blur": ()}


def numbered(labels: list[int]) -> ImageData:
    """Test picture i has the value i all over, so that a network can know which it is."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 4, 4)
    return ImageData("numbered", images[:3], torch.arange(3), images, torch.tensor(labels), ("a", "b", "c"))


class Told(nn.Module):
    """Answers picture i of `numbered` data with the given probabilities."""

    def __init__(self, data: ImageData, probabilities: list[list[float]]) -> None:
        super().__init__()
        self.data = data
        self.register_buffer("logits", torch.tensor(probabilities, dtype=torch.float64).log())

    def forward(self, inputs: Tensor) -> Tensor:
        mean, std = self.data.moments
        pixels = inputs[:, 0, 0, 0] * 255 * std[0] + 255 * mean[0]
        logits = self.logits
        assert isinstance(logits, Tensor)
        return logits[pixels.round().long()]


def sure(answer: int, confidence: float) -> list[float]:
    return [confidence if i == answer else (1 - confidence) / 2 for i in range(3)]


LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
DENSE = [(0, 0.9), (0, 0.8), (0, 0.6), (1, 0.5), (1, 0.9), (1, 0.9), (1, 0.8), (0, 0.7), (2, 0.9), (0, 0.6)]
COMPRESSED = [(1, 0.7), (2, 0.95), (0, 0.6), (0, 0.5), (1, 0.7), (2, 0.4), (1, 0.8), (2, 0.7), (2, 0.9), (0, 0.8)]
# lost: 0, 1, 5; gained: 3; both wrong: 7 (differently) and 9 (alike)


@pytest.fixture(scope="module")
def told() -> Audit:
    data = numbered(LABELS)
    dense, compressed = (Told(data, [sure(*one) for one in answers]) for answers in (DENSE, COMPRESSED))
    return run_audit(dense, compressed, data, **QUIET)


def test_answers_are_counted_with_the_worst_class_and_the_surest_flips_first(told: Audit) -> None:
    overall = {"count": 10, "lost": 3, "gained": 1, "dense": 70, "compressed": 50, "change": -20, "agreement": 50}
    assert told.overall.iloc[0][list(overall)].to_dict() == pytest.approx(overall)
    classes = told.per_class[["count", "lost", "gained", "change"]]
    assert list(classes.index) == ["a", "b", "c"]
    np.testing.assert_allclose(classes, [[4, 2, 1, -25], [4, 1, 0, -25], [2, 0, 0, 0]], atol=1e-9)
    flips = told.flips.set_index("index")
    assert list(flips.index) == [1, 0, 5]  # 0.8 · 0.95 > 0.9 · 0.7 > 0.9 · 0.4
    answers = flips[["label", "dense_answer", "compressed_answer"]]
    assert answers.to_numpy().tolist() == [["a", "a", "c"], ["a", "a", "b"], ["b", "b", "c"]]
    np.testing.assert_allclose(flips[["dense_confidence", "compressed_confidence"]], [[80, 95], [90, 70], [90, 40]])
    assert told.attribution == {}  # no gradients pass


def test_calibration_is_that_of_the_definition(told: Audit) -> None:
    for name, answers in (("dense", DENSE), ("compressed", COMPRESSED)):
        bins: dict[int, list[tuple[float, bool]]] = {}
        for (answer, confidence), label in zip(answers, LABELS, strict=True):
            bins.setdefault(math.ceil(round(15 * confidence, 9)), []).append((confidence, answer == label))
        error = sum(abs(sum(c - right for c, right in one)) for one in bins.values()) / len(LABELS)
        row = told.calibration.loc[name]
        # some confidences lie on the edge of a bin, so single precision may put them on either side
        assert row["calibration_error"] == pytest.approx(100 * error, abs=0.01)
        assert row["confidence"] == pytest.approx(100 * np.mean([c for _, c in answers]))
        assert row["accuracy"] == pytest.approx(told.overall[name].iloc[0])


@pytest.mark.parametrize(("down", "up"), [(0.02, 0.02), (0.05, 0.1), (0.3, 0.1)])
@pytest.mark.parametrize("count", [20, 36])
def test_the_interval_covers_the_truth_in_95_of_100(count: int, down: float, up: float) -> None:
    covered = 0.0
    for lost in range(count + 1):
        for gained in range(count + 1 - lost):
            low, high = change_interval(lost, gained, count)
            if low <= 100 * (up - down) <= high:
                ways = math.comb(count, lost) * math.comb(count - lost, gained)
                covered += ways * down**lost * up**gained * (1 - down - up) ** (count - lost - gained)
    assert covered > 0.94


def test_the_verdict_names_what_failed_and_what_held(told: Audit) -> None:
    assert not told.passed
    assert told.criteria["name"].tolist() == ["agreement", "accuracy_loss", "class_loss", "calibration_gap"]
    assert not told.criteria["held"].any()
    lenient = replace(told, thresholds=Thresholds(50, 20, 24.9, 50))
    assert lenient.criteria.loc[~lenient.criteria["held"], "name"].tolist() == ["class_loss"]
    failed, held = lenient.verdict.split("Held: ")
    assert failed.startswith("Not passed: 1 of 4 criteria failed on 10 test images.")
    assert "worst class, a, changes by −25.0 points" in failed
    assert "same answer on 50.0 % of the images (at least 50 % asked)" in held
    assert "accuracy changes by −20.0 points" in held
    assert replace(told, thresholds=Thresholds(50, 20, 25, 50)).passed


def test_noise_has_the_strength_that_was_asked_for() -> None:
    images = torch.full((50, 1, 16, 16), 128, dtype=torch.uint8)
    for strength in (4.0, 16.0):
        change = corrupted(images, "noise", strength, 1).double() - 128
        assert change.std().item() == pytest.approx(strength, rel=0.03)
        assert abs(change.mean().item()) < 0.05 * strength
    assert images.unique().tolist() == [128]
    ends = [(corrupted(images, "noise", 300.0, 1) == end).double().mean().item() for end in (0, 255)]
    assert min(ends) > 0.3  # clipped, not wrapped around
    one, same, other = (corrupted(images, "noise", 4.0, seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_blur_is_a_gaussian_of_that_width() -> None:
    dot = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    dot[0, 0, 10, 10] = 255
    sigma, rows = 1.0, torch.arange(21.0) - 10
    bell = torch.exp(-(rows**2) / (2 * sigma**2))
    expected = 255 * torch.outer(bell, bell) / bell.sum() ** 2
    assert (corrupted(dot, "blur", sigma, 0)[0, 0] - expected).abs().max() <= 0.51
    channels = torch.stack([dot[0, 0], torch.zeros(21, 21, dtype=torch.uint8)])[None]
    assert corrupted(channels, "blur", sigma, 0)[0, 1].max() == 0  # colours do not run into each other


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return recorded("poc-digits").network("dense")


def test_a_trained_network_has_a_row_for_each_strength_and_maps_of_flips_and_of_what_both_get_right(
    digits: ImageData, trained: nn.Module
) -> None:
    found = run_audit(trained, cut(trained, Budget(0.85)), digits)
    table = found.robustness
    assert list(table["kind"]) == ["noise"] * 4 + ["blur"] * 4
    assert list(table["strength"]) == [0, 8, 16, 32, 0, 0.4, 0.7, 1]
    for column in ("dense", "compressed", "lost"):
        assert (table.loc[table["strength"] == 0, column] == found.overall[column].iloc[0]).all()
    assert table["dense"].min() < found.overall["dense"].iloc[0] - 10
    worst = found.criteria.set_index("name").loc["robustness_loss"]
    assert worst["measured"] == pytest.approx(-table.loc[table["strength"] > 0, "change"].min())
    flips = list(found.flips["index"][:3])
    assert found.explained[: len(flips)] == flips
    right = found.answers.right("dense") & found.answers.right("compressed")
    assert right[found.explained[len(flips) :]].all()
    assert [len(maps) for maps in found.attribution.values()] == 2 * [len(set(found.explained))] == 2 * [len(flips) + 3]
    assert set(found.figures) == {"classes", "robustness", "flips", "attribution"}


def test_maps_of_a_linear_network_are_weight_times_input(digits: ImageData) -> None:
    """From the mean picture, which is 0 once normalized, the integrated gradient of a linear map is w · x."""
    first, second = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    found = run_audit(first, second, digits, **QUIET)
    inputs = digits.normalize(digits.test_images[found.explained])
    for network, maps in zip((first, second), found.attribution.values(), strict=True):
        chosen = network[1].weight[network(inputs).argmax(1)].view(-1, 8, 8)
        expected = (chosen * inputs[:, 0]).abs().detach().double().numpy()
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_a_network_is_like_itself(digits: ImageData, trained: nn.Module) -> None:
    found = run_audit(trained, copy.deepcopy(trained), digits, thresholds=Thresholds(100, 0, 0, 0, 0))
    assert found.passed
    assert found.flips.empty
    assert found.overall["agreement"].iloc[0] == 100
    np.testing.assert_array_equal(*found.attribution.values())
    assert set(found.figures) == {"classes", "robustness", "attribution"}


def test_no_picture_that_both_get_right() -> None:
    data = numbered([0] * 8)
    dense, compressed = (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) for _ in range(2))
    for network, answer in ((dense, 1), (compressed, 2)):
        nn.init.normal_(network[1].weight, std=0.01)
        network[1].bias.data = 9 * torch.eye(3)[answer]
    found = run_audit(dense, compressed, data, **QUIET)
    assert set(found.figures) == {"classes"}
    shown = replace(found, data=replace(data, note="drawn <by> hand"))._repr_html_()
    assert "nan" not in shown
    assert "drawn &lt;by&gt; hand" in shown


def test_networks_and_random_numbers_are_as_they_were(digits: ImageData, trained: nn.Module) -> None:
    dense, compressed = copy.deepcopy(trained).train(), cut(trained, Budget(0.5))
    next(m for m in dense.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    for parameter in compressed.parameters():
        parameter.grad = torch.ones_like(parameter)

    def everything() -> list[Any]:
        random_numbers = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
        modules, weights = [*dense.modules(), *compressed.modules()], [*dense.parameters(), *compressed.parameters()]
        states = [dict(network.state_dict()) for network in (dense, compressed)]
        told = [[m.training for m in modules], [(p.requires_grad, p.grad) for p in weights], digits.test_images]
        return [random_numbers, states, *told]

    before = copy.deepcopy(everything())
    found = run_audit(dense, compressed, digits.subset(test=40))
    assert found.figures
    torch.testing.assert_close(everything(), before, rtol=0, atol=0)
    pd.testing.assert_frame_equal(found.robustness, run_audit(trained, compressed, digits.subset(test=40)).robustness)


def linear(outputs: int, inputs: int = 64) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


@pytest.mark.parametrize(
    ("dense", "compressed", "said"),
    [
        (linear(9), linear(9), r"returns \(359, 9\) .* 10 classes"),
        (linear(10), linear(10, inputs=60), r"compressed network cannot answer pictures of 1 × 8 × 8: mat1"),
        (nn.Sequential(linear(10), nn.Threshold(math.inf, math.nan)), linear(10), r"answers some pictures with NaN"),
    ],
)
def test_networks_that_do_not_fit(digits: ImageData, dense: nn.Module, compressed: nn.Module, said: str) -> None:
    with pytest.raises(TuckerlabError, match=said) as caught:
        run_audit(dense, compressed, digits)
    assert "\n" not in str(caught.value)


def test_strengths_and_thresholds_out_of_range(digits: ImageData) -> None:
    for strengths, said in (({"noise": [8, -1.0]}, "noise -1.0"), ({"blur": ["1"]}, "blur '1'")):
        with pytest.raises(TuckerlabError, match=said):
            run_audit(linear(10), linear(10), digits, **strengths)  # type: ignore[arg-type]
    with pytest.raises(TuckerlabError, match="class_loss"):
        Thresholds(class_loss=100.1)
