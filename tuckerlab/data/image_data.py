"""Pictures in memory: a training and a test split as uint8 tensors, with what is computed from them."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuckerlab.errors import DataError, check_number, is_whole

Counts = NDArray[np.int64]  # pictures of each class


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """Images are uint8 N × C × H × W, labels int64 N, on one device; `note` must be said beside figures."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        shape = (self.channels, self.image_size, self.image_size)
        for split in ("train", "test"):
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            fits = images.dtype == torch.uint8 and images.shape[1:] == shape and labels.dtype == torch.int64
            fits = fits and labels.shape == images.shape[:1] and len(labels) > 0
            if not fits or labels.min() < 0 or labels.max() >= self.num_classes:
                raise DataError(
                    f"{self.name}: the {split} split has pictures {images.dtype} {tuple(images.shape)} and labels "
                    f"{labels.dtype} {tuple(labels.shape)}; it must be uint8 N × {' × '.join(map(str, shape))} "
                    f"and int64 N from 0 to {self.num_classes - 1}, N 1 or more"
                )
        trained, tested = (set(labels.tolist()) for labels in (self.train_labels, self.test_labels))
        if tested - trained or len(trained) < 2:
            raise DataError(
                f"{self.name}: there must be two classes or more, and training pictures of each that is tested; there "
                f"are some of {', '.join(self.classes[label] for label in sorted(trained))}"
            )

    def __repr__(self) -> str:
        shape = " × ".join(str(size) for size in self.train_images.shape[1:])
        counts = f"{len(self.train_images)} + {len(self.test_images)}"
        return f"ImageData({self.name}: {counts} pictures of {shape}, {self.num_classes} classes)"

    @property
    def channels(self) -> int:
        return self.train_images.shape[1]

    @property
    def image_size(self) -> int:
        return self.train_images.shape[-1]

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def class_weights(self) -> Tensor | None:
        """For each class how much an image of it counts, if all classes are to count alike; None where they do."""
        counts = self.train_labels.bincount(minlength=self.num_classes)
        trained = counts > 0
        if (counts[trained] == counts.max()).all():
            return None
        return torch.where(trained, len(self.train_labels) / (trained.sum() * counts.clamp_min(1)), 0.0)

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of each channel over the training split, between 0 and 1."""
        # From histograms: integers, so that the result is the same on every machine and device.
        channels = self.train_images.unbind(1)
        counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in channels]).double()
        values = torch.arange(256, dtype=torch.float64, device=counts.device) / 255
        total = counts.sum(1)
        mean = counts @ values / total
        variance = (counts * (values - mean[:, None]).square()).sum(1) / total
        std = variance.sqrt().clamp_min(1 / 255)  # a channel of one value all over must not divide by zero
        return mean.float(), std.float()

    def normalize(self, images: Tensor) -> Tensor:
        """(images / 255 − mean) / std as float32, on the device of `images`: uint8, … × C × H × W."""
        if images.dtype != torch.uint8 or images.ndim < 3 or images.shape[-3] != self.channels:
            raise DataError(
                f"{self.name}: cannot normalize {images.dtype} of shape {tuple(images.shape)}; "
                f"give uint8 pictures of {self.channels} × height × width"
            )
        mean, std = (255 * moment.to(images.device)[:, None, None] for moment in self.moments)
        return images.float().sub_(mean).mul_(1 / std)

    def sample(self, count: int = 1024, batch: int = 128) -> list[Tensor]:
        """Training images drawn by chance, in batches that a network takes: for the statistics of its batch norms.

        Batches are of one size, to one image: each counts alike in the statistics, and a single image has none.
        """
        drawn = torch.randperm(len(self.train_images), generator=torch.Generator().manual_seed(0))[:count]
        batches = drawn.to(self.train_images.device).tensor_split(-(-len(drawn) // batch))
        return [self.normalize(self.train_images[part]) for part in batches]

    def to(self, device: torch.device | str) -> "ImageData":
        """The same data on another device; uint8, so CIFAR-10 takes 184 MB there."""
        tensors = ("train_images", "train_labels", "test_images", "test_labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})

    def hold_out(self, fraction: float, seed: int) -> "ImageData":
        """Data to make choices with, without a look at the test set: part of the training split replaces it."""
        check_number("fraction", fraction, above=0, below=1, error=DataError)
        held, kept = stratified(self.train_labels, round(fraction * len(self.train_labels)), seed, leave=1)
        note = f"the test split is {len(held)} pictures held out of the training split (seed {seed})"
        note = "; ".join(filter(None, [self.note, note]))
        images, labels = self.train_images, self.train_labels
        return ImageData(self.name, images[kept], labels[kept], images[held], labels[held], self.classes, note)

    def subset(self, *, train: int | None = None, test: int | None = None, seed: int = 0) -> "ImageData":
        """So many pictures of each split, drawn with the classes' shares kept; None leaves a split whole."""
        changes, notes = dict[str, Any](), [self.note]
        for split, size in (("train", train), ("test", test)):
            if size is not None:
                images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
                chosen, _ = stratified(labels, size, seed)
                changes |= {f"{split}_images": images[chosen], f"{split}_labels": labels[chosen]}
                notes.append(f"{size} of {len(labels)} {split} pictures (seed {seed})")
        return replace(self, **changes, note="; ".join(filter(None, notes)))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; others if a pixel, a label, the order, a split or a class name changes."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(repr(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


def stratified(labels: Tensor, size: int, seed: int, *, leave: int = 0) -> tuple[Tensor, Tensor]:
    """Indices of `size` images, at least one of each class, and of the rest, at least `leave`; shares are kept."""
    classes = labels.cpu().numpy()
    counts = np.bincount(classes)
    least, most = np.minimum(counts, 1), np.where(counts > 0, counts - leave, 0)
    if (least > most).any() or not is_whole(size) or not least.sum() <= size <= most.sum():
        raise DataError(
            f"cannot draw {size!r} of {len(classes)} pictures: with the share of each class kept, from {least.sum()} "
            f"to {most.sum()} can be drawn, and each class needs {1 + leave} or more"
        )
    take = _shares(counts, size, least, most)
    # Sorted by class, and by chance within each; uniform numbers of PCG64 are the same on every machine.
    order = np.lexsort((np.random.default_rng(seed).random(len(classes)), classes))
    starts = np.cumsum(counts) - counts
    drawn = np.zeros(len(classes), dtype=bool)
    drawn[order] = np.arange(len(classes)) - starts[classes[order]] < take[classes[order]]
    index = torch.from_numpy(np.flatnonzero(drawn)), torch.from_numpy(np.flatnonzero(~drawn))
    return index[0].to(labels.device), index[1].to(labels.device)


def _shares(counts: Counts, size: int, least: Counts, most: Counts) -> Counts:
    """`size` divided in proportion to `counts`, in whole numbers between `least` and `most`."""
    exact = counts * size / counts.sum()
    take: Counts = np.clip(np.floor(exact).astype(np.int64), least, most)
    while missing := size - int(take.sum()):
        step = 1 if missing > 0 else -1
        gap = np.where((take + step <= most) & (take + step >= least), step * (exact - take), -np.inf)
        take[np.argmax(gap)] += step
    return take
