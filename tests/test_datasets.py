"""What all data sets share: splits that are the same everywhere, normalization, fingerprints; and those of digits."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pictures import message, noise, nowhere as nowhere
from sklearn import datasets as bundled

from tuckerlab.data import ImageData, load_data
from tuckerlab.data.image_data import stratified


def test_digits_are_those_of_scikit_learn() -> None:
    data = load_data("digits")
    source = bundled.load_digits()
    split = torch.cat([data.train_images, data.test_images]).double().mul(16 / 255).round()
    expected = {(row.tobytes(), int(y)) for row, y in zip(source.images, source.target, strict=True)}
    labels = torch.cat([data.train_labels, data.test_labels]).tolist()
    assert {(x.numpy().tobytes(), y) for x, y in zip(split[:, 0], labels, strict=True)} == expected
    assert len(labels) == 1797


@pytest.mark.parametrize(
    ("name", "size", "fingerprint"),
    [("digits", None, "4736be4a1099198d"), ("digits", 32, "469ac01ffa1f475a"), ("mnist", None, "4e1e34a04186a6fa")],
)
def test_digits_are_the_same_on_every_machine(name: str, size: int | None, fingerprint: str) -> None:
    data = load_data(name, image_size=size)
    assert data.fingerprint == fingerprint
    if name == "mnist":
        assert data.train_labels.bincount().tolist() == 10 * [400]
        assert data.test_labels.bincount().tolist() == 10 * [100]


def made_up(train: int = 40, test: int = 20, classes: int = 4) -> ImageData:
    return ImageData(
        "made up",
        torch.from_numpy(noise(0, train, 3, 8, 8)),
        torch.arange(train) % classes,
        torch.from_numpy(noise(1, test, 3, 8, 8)),
        torch.arange(test) % classes,
        tuple("abcdefgh"[:classes]),
    )


def changed(**parts: Any) -> ImageData:
    return dataclasses.replace(made_up(), **parts)


def test_normalization_comes_from_the_training_split() -> None:
    data = made_up()
    pixels = data.train_images.double() / 255
    torch.testing.assert_close(data.moments[0], pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(data.moments[1], pixels.std((0, 2, 3), correction=0).float())
    normal = data.normalize(data.train_images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std((0, 2, 3), correction=0), torch.ones(3))
    assert torch.equal(changed(test_images=torch.zeros_like(data.test_images)).moments[0], data.moments[0])
    assert data.normalize(data.test_images[0]).shape == (3, 8, 8)  # one picture
    assert [len(part) for part in data.sample(count=31, batch=10)] == [8, 8, 8, 7]  # none of a single picture


def test_hold_out_leaves_the_test_split_alone() -> None:
    data = made_up()
    choice = data.hold_out(0.25, seed=3)
    assert (len(choice.train_images), len(choice.test_images)) == (30, 10)
    assert choice.test_labels.bincount().tolist() in ([3, 3, 2, 2], [2, 2, 3, 3], [3, 2, 3, 2], [2, 3, 2, 3])
    parts = torch.cat([choice.train_images, choice.test_images])
    assert {p.numpy().tobytes() for p in parts} == {p.numpy().tobytes() for p in data.train_images}
    assert "10 pictures held out" in choice.note
    assert choice.fingerprint == data.hold_out(0.25, seed=3).fingerprint != data.hold_out(0.25, 4).fingerprint
    assert not torch.equal(choice.moments[0], data.moments[0])  # nothing is learned from what is held out


def test_subset_keeps_the_shares() -> None:
    data = made_up(train=80, test=40)
    part = data.subset(train=20, test=8, seed=1)
    assert [len(part.train_labels), len(part.test_labels)] == [20, 8]
    assert part.note == "20 of 80 train pictures (seed 1); 8 of 40 test pictures (seed 1)"
    whole = data.subset(train=80)
    assert torch.equal(whole.train_images, data.train_images)
    assert torch.equal(whole.test_images, data.test_images)


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any),
    part=st.floats(0, 1),
    leave=st.integers(0, 1),
    seed=st.integers(0, 2**40),
)
def test_stratified_shares_differ_by_less_than_two(counts: list[int], part: float, leave: int, seed: int) -> None:
    present = [count for count in counts if count]
    if leave and min(present) < 2:
        return
    labels = torch.from_numpy(np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)))
    least, most = len(present), sum(present) - leave * len(present)
    size = round(least + part * (most - least))
    drawn, rest = stratified(labels, size, seed, leave=leave)
    assert len(drawn) == size
    assert torch.equal(torch.cat([drawn, rest]).sort().values, torch.arange(len(labels)))
    assert torch.equal(drawn, drawn.sort().values)
    assert torch.equal(rest, rest.sort().values)
    taken = labels[drawn].bincount(minlength=len(counts)).tolist()
    assert all(t >= 1 and c - t >= leave for t, c in zip(taken, counts, strict=True) if c)
    if all(1 <= size * c / len(labels) <= c - leave for c in present):  # no bound in the way
        assert all(abs(t - size * c / len(labels)) < 2 for t, c in zip(taken, counts, strict=True))


def test_the_fingerprint_sees_every_change() -> None:
    data = made_up()
    assert data.fingerprint == made_up().fingerprint
    assert dataclasses.replace(data, name="x", note="y").fingerprint == data.fingerprint
    pixel, label = data.test_images.clone(), data.train_labels.clone()
    pixel[3, 1, 2, 0] ^= 1
    label[[0, 1]] = label[[1, 0]]
    others = [changed(test_images=pixel), changed(train_labels=label), changed(classes=("a", "b", "c", "D"))]
    assert len({other.fingerprint for other in [data, *others, data.subset(train=39)]}) == 5


REFUSED: list[Callable[[], object]] = [
    lambda: load_data("letters"),
    lambda: made_up().hold_out(1, seed=0),
    lambda: made_up(train=7).hold_out(0.5, seed=0),
    lambda: made_up().subset(train=41),
    lambda: made_up().normalize(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)),  # would broadcast without a word
    lambda: changed(train_images=torch.zeros(40, 3, 8, 8)),
    lambda: changed(test_images=torch.zeros(20, 1, 8, 8, dtype=torch.uint8)),
    lambda: changed(classes=("a", "b")),
    lambda: made_up(classes=1),
    lambda: made_up(test=0),
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_refused(call: Callable[[], object]) -> None:
    assert message(call)
