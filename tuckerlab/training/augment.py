"""The order of images in an epoch, and their random shifts and flips, on the device where they lie."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tuckerlab.data import ImageData
from tuckerlab.errors import DataError, check_whole


@dataclass(frozen=True)
class Augmentation:
    """A random crop of each picture after reflect padding by so many pixels, and a left-right flip of half of them."""

    crop_padding: int = 0
    flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Of pictures N × C × H × W, by the random numbers of their device; DataError for a padding of their side."""
        count, channels, height, width = images.shape
        most = check_whole("crop_padding", self.crop_padding, 0, min(height, width) - 1, error=DataError)
        rows = torch.arange(height, device=images.device).expand(count, height)
        columns = torch.arange(width, device=images.device).expand(count, width)
        if most:
            shift = torch.randint(-most, most + 1, (2, count, 1), device=images.device)
            rows, columns = _reflect(rows + shift[0], height), _reflect(columns + shift[1], width)
        if self.flip:
            flipped = torch.rand(count, 1, device=images.device) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        # Cropping and flipping only choose pixels: one gather, with the same choice for all channels.
        chosen = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
        return images.flatten(2).gather(2, chosen[:, None].expand(-1, channels, -1)).view(images.shape)


def default_augmentation(data: ImageData) -> Augmentation:
    """Shifts of up to an eighth of the side, at most 4 pixels; and flips, where a mirror does not change the class."""
    return Augmentation(crop_padding=min(4, data.image_size // 8), flip=data.name not in ("mnist", "digits"))


def _reflect(index: Tensor, size: int) -> Tensor:
    """Positions outside 0..size−1 mirrored at the first and last one."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


@lru_cache(maxsize=1)  # it is asked for at every step
def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of n pictures in one epoch: it depends on these numbers alone, so a resumed run meets it again."""
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(n))
