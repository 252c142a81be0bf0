"""A look at a folder of pictures: the problems, for which `load_data` refuses it, and what else spoils a training."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuckerlab.data import data_roots
from tuckerlab.data.decode import bits, decoded, in_eight_bits, listed
from tuckerlab.data.image_folder import DEFAULT_SIZE, Layout, find_folder
from tuckerlab.i18n import N_, _

FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SAMPLES = 8  # pictures of each class
CHUNK = 128  # pictures between two reports of progress
WARNINGS = {
    "leak": N_("Test images that are copies of training images: {count:,.0f} ({names}). Remove the copies: the network "
               "has seen the answers, and the accuracy will look better than it is."),
    "drawn": N_("There is no test folder: {count:,.0f} images, a fifth of each class, are set aside for the test. If "
                "several images show the same part, make folders “train” and “test” that keep them together."),
    "tiny": N_("Classes with fewer than {few:.0f} images to train, or none to test: {names}. Collect more, or join "
               "classes: from so few nothing reliable is learned or measured."),
    "imbalance": N_("The classes are of very different size, in training images: {names}. Look at the accuracy of each "
                    "class, and collect more of the rare ones."),
    "unused": N_("Entries that are not used: {count:,.0f} ({names}). Save images among them as PNG or JPEG, in the "
                 "folder of their class."),
}  # fmt: skip


class Count(NamedTuple):
    """Pictures of a class in both splits."""

    train: int
    test: int


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What was found. `samples` are a few training pictures of each class, uint8 and square."""

    path: Path
    classes: Mapping[str, Count]
    problems: Mapping[str, str]  # what prevents training, and what to do about it
    warnings: Mapping[str, str]  # what does not, but should be known
    samples: Mapping[str, Sequence[NDArray[np.uint8]]]
    checked: int
    total: int

    @property
    def ready(self) -> bool:
        """Whether all pictures have been looked at, and nothing prevents training."""
        return self.checked == self.total and not self.problems

    @property
    def always_the_same(self) -> float:
        """How often the answer is right that always names the class with the most training pictures: 0 to 1."""
        tested = sum(count.test for count in self.classes.values())
        most = max(self.classes.values(), key=lambda count: count.train, default=Count(0, 0))
        return most.test / tested if tested else 0.0


def inspect_folder(
    text: str, *, on_progress: Callable[[int, int], None] | None = None, stop: threading.Event | None = None
) -> FolderReport:
    """Decodes all pictures of a folder; `on_progress` is told how many of how many, `stop` ends it early."""
    layout = Layout(find_folder(text, data_roots()))
    counts = {
        label: Count(len(layout.train.get(label, ())), len(layout.test.get(label, ())))
        for label in layout.train | layout.test
    }
    label_of, problems, checked = layout.files, layout.problems, 0
    files = [*label_of]
    chosen = {own[len(own) * i // SAMPLES] for own in layout.train.values() if own for i in range(SAMPLES)}
    samples: dict[str, list[NDArray[np.uint8]]] = {label: [] for label in counts}
    digests, broken = dict[Path, bytes](), list[str]()
    while checked < len(files) and not (stop is not None and stop.is_set()):
        chunk = files[checked : checked + CHUNK]
        for file, pixels in zip(chunk, decoded(chunk, DEFAULT_SIZE), strict=True):
            if isinstance(pixels, str):
                broken.append(f"{layout.name(file)} ({pixels})")
                continue
            digests[file] = hashlib.sha256(pixels.tobytes()).digest()
            if file in chosen:
                samples[label_of[file]].append(in_eight_bits(pixels, bits(pixels)))
        checked += len(chunk)
        if on_progress is not None:
            on_progress(checked, len(files))
    if broken:
        problems["unreadable"] = _(
            "{count:,.0f} of {total:,.0f} files cannot be read: {names}. Replace or remove them.",
            count=len(broken), total=len(files), names=listed(broken),
        )  # fmt: skip
    return FolderReport(layout.path, counts, problems, _warnings(layout, counts, digests), samples, checked, len(files))


def _warnings(layout: Layout, counts: Mapping[str, Count], digests: Mapping[Path, bytes]) -> dict[str, str]:
    """What there is of the `WARNINGS`; a picture is known by a digest of its pixels."""
    known = {label: count for label, count in counts.items() if label in layout.train and any(count)}
    trained = {digests.get(file) for own in layout.train.values() for file in own} - {None}
    tested = [file for own in layout.test.values() for file in own]
    sizes = sorted((count.train, label) for label, count in known.items())
    is_skewed = len(sizes) > 1 and sizes[-1][0] >= SKEW * sizes[0][0] > 0
    named = {
        "leak": [layout.name(file) for file in tested if digests.get(file) in trained],
        "drawn": [layout.name(file) for file in tested if layout.is_drawn],
        "tiny": [
            f"{label} ({count.train} + {count.test})"
            for label, count in known.items()
            if tested and (count.train < FEW or not count.test)
        ],
        "imbalance": [f"{label} {count:,}" for count, label in (sizes[-1], sizes[0])] if is_skewed else [],
        "unused": [layout.name(file) for file in layout.unused],
    }
    said = {key: _(WARNINGS[key], count=len(names), names=listed(names), few=FEW) for key, names in named.items()}
    return {key: text for key, text in said.items() if named[key]}
