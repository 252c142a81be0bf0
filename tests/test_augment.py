"""Augmentation and the order of images, against a slow version that takes one picture at a time."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tuckerlab.data import ImageData
from tuckerlab.errors import DataError
from tuckerlab.training.augment import Augmentation, default_augmentation, epoch_order


def every_result(picture: Tensor, padding: int, flip: bool) -> set[bytes]:
    """All that a crop after reflect padding, and a flip, can make of one picture (C × H × W)."""
    _, height, width = picture.shape
    padded = F.pad(picture[None].double(), (padding,) * 4, mode="reflect")[0].to(picture.dtype)
    crops = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return {crop.contiguous().numpy().tobytes() for crop in crops + [crop.flip(2) for crop in crops if flip]}


@pytest.mark.parametrize(
    ("shape", "padding", "flip"), [((1, 8, 8), 1, False), ((3, 6, 9), 2, True), ((1, 8, 8), 0, False)]
)
def test_every_crop_and_flip_comes_and_nothing_else(shape: tuple[int, int, int], padding: int, flip: bool) -> None:
    picture = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = picture.clone()
    torch.manual_seed(1)
    results = Augmentation(padding, flip)(picture.expand(3000, *shape))
    assert results.dtype == torch.uint8
    assert {result.numpy().tobytes() for result in results} == every_result(picture, padding, flip)
    assert torch.equal(picture, before)  # the data set itself is never changed
    with pytest.raises(DataError, match="crop_padding 8"):
        Augmentation(8)(picture[None])


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("digits", 8, Augmentation(1)),
        ("cifar10", 32, Augmentation(4, flip=True)),
        ("folder:x", 4, Augmentation(0, True)),
    ],
)
def test_defaults_by_data_set(name: str, size: int, expected: Augmentation) -> None:
    images, labels = torch.zeros(2, 1, size, size, dtype=torch.uint8), torch.tensor([0, 1])
    assert default_augmentation(ImageData(name, images, labels, images, labels, ("a", "b"))) == expected


def test_epoch_orders() -> None:
    order = epoch_order(1000, seed=0, epoch=0)
    assert torch.equal(order.sort().values, torch.arange(1000))
    others = {(seed, epoch): epoch_order(1000, seed, epoch) for seed in range(4) for epoch in range(4)}
    assert len({o.numpy().tobytes() for o in others.values()}) == 16
    torch.manual_seed(123)  # no influence
    assert epoch_order(6, seed=0, epoch=1).tolist() == [1, 4, 3, 0, 2, 5]  # the same on every machine
