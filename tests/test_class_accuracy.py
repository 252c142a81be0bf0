"""Classes of different size: their weights in the loss, what is right in each, and who has learned nothing."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import dense, tucker
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.utils.class_weight import compute_class_weight

from tuckerlab import build, fit, load_data
from tuckerlab.data import ImageData
from tuckerlab.experiments.class_accuracy import class_accuracies, learned_nothing
from tuckerlab.experiments.standings import standings
from tuckerlab.experiments.summary import finding
from tuckerlab.training.metrics import answers_by_class


def few(counts: tuple[int, ...]) -> ImageData:
    """So many training digits of each class, the first counts for the first classes; all test digits of these."""
    data = load_data("digits")
    kept = torch.cat([torch.nonzero(data.train_labels == k).flatten()[:n] for k, n in enumerate(counts)])
    test = data.test_labels < len(counts)
    parts: dict[str, Any] = {"train_images": data.train_images[kept], "train_labels": data.train_labels[kept]}
    parts |= {"test_images": data.test_images[test], "test_labels": data.test_labels[test]}
    return replace(data, **parts, classes=data.classes[: len(counts)])


def answered(**classes: list[int]) -> str:
    return json.dumps(classes)


def test_weights_are_those_of_scikit_learn() -> None:
    data = few((90, 30, 6))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=data.train_labels.numpy())
    assert data.class_weights is not None
    np.testing.assert_allclose(data.class_weights, expected, rtol=1e-6)


def test_classes_of_one_size_are_trained_as_without_weights() -> None:
    runs = {}
    for counts in ((32, 32), (48, 16)):
        for weighted in (False, True):
            torch.manual_seed(0)
            network = build("vgg_small", num_classes=2, in_channels=1, image_size=8, width=0.125)
            options = {"epochs": 1, "batch_size": 16, "progress": False, "device": "cpu", "class_weights": weighted}
            runs[counts, weighted] = fit(network, few(counts), **options).loss
    assert runs[(32, 32), True] == runs[(32, 32), False]
    assert runs[(48, 16), True] != runs[(48, 16), False]


def test_what_is_right_in_each_class_is_what_scikit_learn_counts() -> None:
    data = few((40, 20, 20))
    torch.manual_seed(0)
    network = build("vgg_small", num_classes=3, in_channels=1, image_size=8, width=0.125).eval()
    with torch.no_grad():
        named = network(data.normalize(data.test_images)).argmax(1)
    found = answers_by_class(network, data)
    runs = dense(by_class=json.dumps(found)).runs
    recall = recall_score(data.test_labels, named, average=None, zero_division=0)
    np.testing.assert_allclose(class_accuracies(runs), 100 * recall)
    assert class_accuracies(runs).mean() == pytest.approx(100 * balanced_accuracy_score(data.test_labels, named))
    assert [counts[0] for counts in found.values()] == [40, 20, 20]
    assert [counts[3] for counts in found.values()] == named.bincount(minlength=3).tolist()


@pytest.mark.parametrize(
    ("good", "broken", "nothing"),
    [
        ([900, 95, 95, 100], [40, 5, 0, 0], True),  # always the same
        ([900, 95, 94, 98], [40, 5, 1, 2], False),  # one of five is found
        ([900, 95, 95, 95], [40, 5, 5, 5], False),
        ([50, 50, 25, 50], [50, 50, 25, 50], True),  # by the toss of a coin
    ],
)
def test_who_guesses_has_no_result(good: list[int], broken: list[int], nothing: bool) -> None:
    told = answered(good=good, broken=broken)
    right = (good[2] + broken[2]) / (good[1] + broken[1])
    records = dense(by_class=told, test_accuracy=right) + tucker(by_class=told, test_accuracy=right)
    assert ("dense" in learned_nothing(records)) == nothing
    assert ("fewer conv parameters" in finding(records)) != nothing
    assert ("has learned nothing" in finding(records)) == nothing
    assert ("has learned nothing" in finding(tucker(by_class=told))) == nothing  # without a comparison too


def test_balanced_accuracy_stands_beside_accuracy_where_classes_differ() -> None:
    alike, apart = answered(a=[50, 10, 9, 9], b=[60, 10, 10, 11]), answered(a=[500, 10, 9, 9], b=[60, 10, 10, 11])
    assert "balanced accuracy, %" not in standings(dense(by_class=alike)).index
    table = standings(dense(by_class=apart) + tucker(by_class=apart))
    assert list(table.loc["balanced accuracy, %"]) == ["", "95.00", "95.00"]
    many = [dense(by_class=apart), *(tucker(f"t{i}", label=f"Tucker {i}", by_class=apart) for i in range(4))]
    assert "balanced accuracy, %" in standings(sum(many[1:], start=many[0]))
