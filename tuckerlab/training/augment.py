"""Batches of pictures, and their random shifts and flips, on the device where they lie.

A data set that fits in memory is one tensor: a batch is an index into it, and no worker process is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tuckerlab.data import ImageData
from tuckerlab.errors import DataError, is_whole


@dataclass(frozen=True)
class Augmentation:
    """A random crop of each picture after reflect padding by so many pixels, and a left-right flip of half of them.

    >>> Augmentation(crop_padding=4, flip=True)(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([2, 3, 32, 32])
    """

    crop_padding: int = 0
    flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Of pictures N × C × H × W of any dtype, on any device.

        Random numbers come from the global generator of that device: seeded the same, they come out the same. Raises
        DataError unless `crop_padding` is less than the side.
        """
        count, channels, height, width = images.shape
        if not 0 <= self.crop_padding < min(height, width):
            raise DataError(
                f"crop_padding {self.crop_padding}: for pictures of {height} × {width} pixels it lies between 0 and "
                f"{min(height, width) - 1}"
            )
        if self.crop_padding == 0 and not self.flip:
            return images
        rows = torch.arange(height, device=images.device).expand(count, height)
        columns = torch.arange(width, device=images.device).expand(count, width)
        if self.crop_padding:
            most = self.crop_padding
            shift = torch.randint(-most, most + 1, (2, count, 1), device=images.device)
            rows, columns = _reflect(rows + shift[0], height), _reflect(columns + shift[1], width)
        if self.flip:
            flipped = torch.rand(count, 1, device=images.device) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        # Cropping and flipping only choose pixels: one gather, with the same choice for all channels.
        chosen = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
        return images.flatten(2).gather(2, chosen[:, None].expand(-1, channels, -1)).view(images.shape)


def default_augmentation(data: ImageData) -> Augmentation:
    """Shifts of up to an eighth of the side, at most 4 pixels; and left-right flips, except for digits.

    For CIFAR-10 this is the usual 4 pixels and flip. Photographs mostly keep their class in a mirror; where
    yours do not (letters, left and right parts), give your own. Up-down flips would suit textures, but not
    scenes.
    """
    return Augmentation(crop_padding=min(4, data.image_size // 8), flip=data.name not in ("mnist", "digits"))


def _reflect(index: Tensor, size: int) -> Tensor:
    """Positions outside 0..size−1 mirrored at the first and last one."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


def batches(
    images: Tensor, labels: Tensor, batch_size: int, *, order: Tensor | None = None, drop_last: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels, `batch_size` at a time, in the given order; `drop_last` leaves out a shorter last.

    >>> images, labels = torch.zeros(5, 1, 4, 4), torch.arange(5)
    >>> [y.tolist() for _, y in batches(images, labels, 2, order=torch.tensor([4, 3, 2, 1, 0]))]
    [[4, 3], [2, 1], [0]]

    Raises `DataError` at once where not even one batch would come.
    """
    count = len(images) if order is None else len(order)
    if len(images) != len(labels):
        raise DataError(f"{len(images)} pictures but {len(labels)} labels; each picture needs one")
    if not is_whole(batch_size) or batch_size < 1:
        raise DataError(f"batch_size {batch_size!r}: it must be a whole number, 1 or more")
    if count == 0:
        raise DataError("no pictures to make batches of; give at least one")
    if drop_last and count < batch_size:
        raise DataError(
            f"batch_size {batch_size} with {count} pictures and drop_last leaves no batch; take {count} or less"
        )
    return _batches(images, labels, batch_size, order, count - count % batch_size if drop_last else count)


def _batches(
    images: Tensor, labels: Tensor, batch_size: int, order: Tensor | None, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    order = None if order is None else order.to(images.device)
    for start in range(0, count, batch_size):
        chosen: slice | Tensor = slice(start, min(start + batch_size, count))
        chosen = chosen if order is None else order[chosen]
        yield images[chosen], labels[chosen]


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n pictures in one epoch.

    It depends on (n, seed, epoch) alone, so a run that is resumed meets it again.
    """
    for what, value in (("n", n), ("seed", seed), ("epoch", epoch)):
        if not is_whole(value) or value < 0:
            raise DataError(f"{what} {value!r}: it must be a whole number, 0 or more")
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(n))
