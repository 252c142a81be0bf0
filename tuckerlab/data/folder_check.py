"""A look at a folder of pictures before anything is trained: all that prevents training, and all that spoils it.

What is called a problem here is refused by `load_data`, and what is not can be loaded.
"""

import hashlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuckerlab.data import data_roots
from tuckerlab.data.decode import attempt, bits, in_eight_bits, in_threads, listed, too_dark
from tuckerlab.data.image_folder import DEFAULT_SIZE, Layout, find_folder
from tuckerlab.i18n import N_, _

FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SAMPLES = 8  # pictures of each class
CHUNK = 128  # pictures between two reports of progress
WARNINGS = {
    "leak": N_("Test images that are copies of training images: {count:,.0f} ({names}). Remove the copies: the network "
               "has seen the answers, and the accuracy will look better than it is."),
    "contradiction": N_("Images that lie in more than one class: {count:,.0f} ({names}). Decide on one class for each: "
                        "nobody can learn two answers to one image."),
    "drawn": N_("There is no test folder: {count:,.0f} images, a fifth of each class, are set aside for the test. If "
                "several images show the same part, make folders “train” and “test” that keep them together."),
    "untested": N_("Classes without a test image: {names}. Add some: until then the accuracy says nothing about them."),
    "tiny": N_("Classes with fewer than {few:.0f} training images: {names}. Collect more, or join classes: what is "
               "learned from so few is a matter of luck."),
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


class _Look(NamedTuple):
    """What is kept of a picture."""

    file: Path
    label: str
    problem: str = ""
    digest: bytes = b""  # of the pixels
    bits: int = 0  # of a file of 16 bits, those that its pixels need
    sample: NDArray[np.uint8] | None = None


def inspect_folder(
    text: str,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> FolderReport:
    """Looks at all that is in a folder of pictures, here or in `data_roots()`, and decodes each of them.

    on_progress: is told how many pictures have been looked at, and of how many, every now and then. stop: an event that
    another thread sets; the report is then about the pictures seen so far, and not `ready`.
    """
    layout = Layout(find_folder(text, data_roots()))
    files, looks = layout.files, list[_Look]()
    samples = {own[len(own) * i // SAMPLES] for own in layout.train.values() if own for i in range(SAMPLES)}
    while len(looks) < len(files) and not (stop is not None and stop.is_set()):
        chunk = files[len(looks) : len(looks) + CHUNK]
        looks += in_threads(lambda entry: _look(*entry, is_sample=entry[0] in samples), chunk)
        if on_progress is not None:
            on_progress(len(looks), len(files))
    good = [look for look in looks if not look.problem]
    problems = layout.problems
    if unreadable := [f"{layout.listed([look.file])} ({look.problem})" for look in looks if look.problem]:
        problems["unreadable"] = _(
            "{count:,.0f} of {total:,.0f} files cannot be read: {names}. Replace or remove them.",
            count=len(unreadable), total=len(files), names=listed(unreadable),
        )  # fmt: skip
    if dark := too_dark({look.file: look.bits for look in good if look.bits}):
        problems["dark"] = f"{layout.listed([dark[0]])}: {dark[1]}."

    train, test = ([files[index] for index in part.tolist()] for part in layout.parts())
    trained, tested = (Counter(label for _file, label in part) for part in (train, test))
    counts = {label: Count(trained[label], tested[label]) for label in (*layout.train, *layout.test)}
    found = _copies(layout, good, {file for file, _label in train}) | _classes(layout, counts)
    found["unused"] = len(layout.unused), layout.listed(layout.unused)
    warnings = {key: _(WARNINGS[key], count=n, names=names, few=FEW) for key, (n, names) in found.items() if n}
    shown = {label: [k.sample for k in good if k.label == label and k.sample is not None] for label in counts}
    return FolderReport(layout.path, counts, problems, warnings, shown, len(looks), len(files))


def _look(file: Path, label: str, *, is_sample: bool) -> _Look:
    """Decodes a picture, as `stack` does."""
    pixels = attempt(file, DEFAULT_SIZE)
    if isinstance(pixels, str):
        return _Look(file, label, pixels)
    digest, needed = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), bits(pixels)
    sample = in_eight_bits(pixels, needed) if is_sample else None
    return _Look(file, label, "", digest, 0 if pixels.dtype == np.uint8 else needed, sample)


def _copies(layout: Layout, good: Sequence[_Look], train: set[Path]) -> dict[str, tuple[int, str]]:
    """Pictures in both splits, and pictures in two classes: how many, and their names."""
    trained, labels = {look.digest for look in good if look.file in train}, defaultdict(set)
    for look in good:
        labels[look.digest].add(look.label)
    copies = [look.file for look in good if look.file not in train and look.digest in trained]
    twice = [look.file for look in good if len(labels[look.digest]) > 1]
    return {key: (len(found), layout.listed(found)) for key, found in (("leak", copies), ("contradiction", twice))}


def _classes(layout: Layout, counts: Mapping[str, Count]) -> dict[str, tuple[int, str]]:
    """Splits, and how the pictures are spread over the classes: how many are concerned, and which."""
    known = {label: counts[label] for label in layout.classes if sum(counts[label])}
    tested = sum(count.test for count in known.values())
    untested = [label for label, count in known.items() if tested and not count.test]
    tiny = [f"{label} ({count.train})" for label, count in known.items() if 0 < count.train < FEW]
    sizes = sorted((count.train, label) for label, count in known.items())
    ends = [*sizes[-1:], *sizes[:1]]
    is_skewed = len(sizes) > 1 and ends[0][0] >= SKEW * ends[1][0] > 0
    return {
        "drawn": (tested if layout.is_drawn and not layout.problems else 0, ""),
        "untested": (len(untested), listed(untested)),
        "tiny": (len(tiny), listed(tiny)),
        "imbalance": (int(is_skewed), ", ".join(f"{label} {count:,}" for count, label in ends)),
    }
