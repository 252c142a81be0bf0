"""Batches and augmentation, against a slow version that takes one picture at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tuckerlab.data import ImageData, load_data
from tuckerlab.errors import DataError
from tuckerlab.training.augment import Augmentation, batches, default_augmentation, epoch_order


def every_result(picture: Tensor, padding: int, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    """All that a crop after reflect padding, and a flip, can make of one picture (C × H × W)."""
    _, height, width = picture.shape
    padded = F.pad(picture[None].double(), (padding,) * 4, mode="reflect")[0].to(picture.dtype)
    results = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            results[crop.contiguous().numpy().tobytes()] = (top, left, False)
            if flip:
                results[crop.flip(2).contiguous().numpy().tobytes()] = (top, left, True)
    return results


@pytest.mark.parametrize(("shape", "padding", "flip"), [((1, 8, 8), 1, False), ((3, 6, 9), 2, True)])
def test_every_crop_and_flip_comes_and_nothing_else(shape: tuple[int, int, int], padding: int, flip: bool) -> None:
    picture = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    possible = every_result(picture, padding, flip)
    torch.manual_seed(1)
    results = Augmentation(padding, flip)(picture.expand(3000, *shape))
    assert results.dtype == torch.uint8
    met = [possible[result.numpy().tobytes()] for result in results]  # a KeyError: what cannot be
    assert len(set(met)) == len(possible)


def test_nothing_asked_nothing_done() -> None:
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    before = images.clone()
    assert torch.equal(Augmentation()(images), before)
    Augmentation(2, flip=True)(images)
    assert torch.equal(images, before)  # the data set itself is never changed


def test_defaults_by_data_set() -> None:
    def named(name: str, size: int) -> ImageData:
        images, labels = torch.zeros(2, 1, size, size, dtype=torch.uint8), torch.tensor([0, 1])
        return ImageData(name, images, labels, images, labels, ("a", "b"))

    assert default_augmentation(load_data("digits")) == Augmentation(1, flip=False)
    assert default_augmentation(named("mnist", 28)) == Augmentation(3, flip=False)
    assert default_augmentation(named("cifar10", 32)) == Augmentation(4, flip=True)
    assert default_augmentation(named("folder:x", 64)) == Augmentation(4, flip=True)
    assert default_augmentation(named("folder:x", 4)) == Augmentation(0, flip=True)


@pytest.mark.parametrize(("batch_size", "drop_last"), [(1, True), (3, False), (4, True), (10, False)])
def test_batches_are_the_order_in_pieces(batch_size: int, drop_last: bool) -> None:
    images, labels = torch.arange(10 * 4).reshape(10, 1, 2, 2), torch.arange(10)
    order = epoch_order(10, seed=5, epoch=2)
    pieces = list(batches(images, labels, batch_size, order=order, drop_last=drop_last))
    kept = 10 - 10 % batch_size if drop_last else 10
    assert torch.equal(torch.cat([y for _, y in pieces]), order[:kept])
    assert all(torch.equal(x, images[y]) for x, y in pieces)
    assert {len(y) for _, y in pieces[:-1]} <= {batch_size}
    in_order = torch.cat([y for _, y in batches(images, labels, batch_size)])
    assert torch.equal(in_order, labels)


def test_epoch_orders() -> None:
    order = epoch_order(1000, seed=0, epoch=0)
    assert torch.equal(order.sort().values, torch.arange(1000))
    torch.manual_seed(123)  # no influence
    assert torch.equal(epoch_order(1000, seed=0, epoch=0), order)
    others = {(seed, epoch): epoch_order(1000, seed, epoch) for seed in range(4) for epoch in range(4)}
    assert len({o.numpy().tobytes() for o in others.values()}) == 16
    assert epoch_order(6, seed=0, epoch=1).tolist() == [1, 4, 3, 0, 2, 5]  # the same on every machine


IMAGES = torch.zeros(4, 1, 4, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: batches(IMAGES, torch.zeros(4), 2.0),
        lambda: batches(IMAGES[:0], torch.zeros(0), 2),
        lambda: batches(IMAGES, torch.zeros(4), 5, drop_last=True),
        lambda: batches(IMAGES, torch.zeros(3), 2),
        lambda: Augmentation(4)(IMAGES),
        lambda: epoch_order(4, seed=-1, epoch=0),
    ],
)
def test_what_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(DataError):
        call()
