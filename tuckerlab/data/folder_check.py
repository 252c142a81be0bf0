"""A look at a folder of pictures before anything is trained: all that prevents training, and all that spoils it.

What is called a problem here is refused by `load_data`, and what is not can be loaded.
"""

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuckerlab.data import data_roots
from tuckerlab.data.decode import decode, in_threads, reason, too_dark
from tuckerlab.data.image_folder import DEFAULT_SIZE, Finding, Layout, find_folder, listed
from tuckerlab.i18n import _, ngettext

FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SAMPLES = 8  # pictures of each class
_CHUNK = 128  # pictures between two reports of progress


class Count(NamedTuple):
    """Pictures of a class in both splits."""

    train: int
    test: int


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What was found. `samples` are a few pictures of each class, uint8 and square."""

    path: Path
    classes: Mapping[str, Count]
    problems: tuple[Finding, ...]  # what prevents training
    warnings: tuple[Finding, ...]  # what does not, but should be known
    unreadable: tuple[tuple[str, str], ...]  # file, reason
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
    text: str,
    roots: Sequence[Path] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> FolderReport:
    """Looks at all that is in a folder of pictures, and decodes each of them.

    A relative folder is looked for here and in `roots` (default: `data_roots()`). on_progress: is told how many
    pictures have been looked at, and of how many, every now and then. stop: an event that another thread sets; the
    report is then about the pictures seen so far, and not `ready`.
    """
    layout = Layout(find_folder(text, data_roots() if roots is None else roots))
    files, wanted = layout.files, _chosen(layout)
    looks: list[_Look] = []
    while len(looks) < len(files) and not (stop is not None and stop.is_set()):
        chunk = files[len(looks) : len(looks) + _CHUNK]
        looks += in_threads(lambda entry: _Look.at(*entry, sample=entry[0] in wanted), chunk)
        if on_progress is not None:
            on_progress(len(looks), len(files))
    good = [look for look in looks if not look.problem]
    unreadable = tuple((layout.listed([look.file]), look.problem) for look in looks if look.problem)

    train, test = ([files[index] for index in part.tolist()] for part in layout.parts())
    trained, tested = (Counter(label for _file, label in part) for part in (train, test))
    counts = {label: Count(trained[label], tested[label]) for label in (*layout.train, *layout.test)}
    problems = [*layout.problems]
    if unreadable:
        names = listed([f"{name} ({why})" for name, why in unreadable])
        what = _("{count:,.0f} of {total:,.0f} files cannot be read: {names}.",
                 count=len(unreadable), total=len(files), names=names)  # fmt: skip
        mend = _("Replace or remove them: the files are broken, or not what their names say.")
        problems.append(Finding("unreadable", what, mend))
    if dark := too_dark({look.file: look.bits for look in good if look.bits}):
        what = _("{name}: {reason}.", name=layout.listed([dark[0]]), reason=dark[1])
        problems.append(
            Finding("dark", what, _("Files of one camera are alike; those of another may need converting."))
        )
    warnings = [
        *_about_copies(layout, good, {file for file, _label in train}),
        *_about_classes(layout, counts),
        *_about_sizes(Counter(look.shape for look in good)),
    ]
    if layout.unused:
        what = ngettext("{count:,.0f} entry is not used: {names}.", "{count:,.0f} entries are not used: {names}.",
                        count=len(layout.unused), names=layout.listed(layout.unused))  # fmt: skip
        mend = _(
            "Nothing to do, unless images are among them: save these as PNG or JPEG, in the folder of their class."
        )
        warnings.append(Finding("unused", what, mend))
    samples = {label: [k.pixels for k in good if k.label == label and k.pixels is not None] for label in counts}
    return FolderReport(
        layout.path, counts, tuple(problems), tuple(warnings), unreadable, samples, len(looks), len(files)
    )


class _Look(NamedTuple):
    """What is kept of a picture."""

    file: Path
    label: str
    problem: str = ""
    digest: bytes = b""
    shape: tuple[int, int] = (0, 0)
    bits: int = 0  # of a file of 16 bits, those that its pixels need
    pixels: NDArray[np.uint8] | None = None

    @classmethod
    def at(cls, file: Path, label: str, *, sample: bool) -> "_Look":
        """Reads and decodes a picture, as `stack` does."""
        try:
            content = file.read_bytes()
            picture = decode(content, DEFAULT_SIZE)
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder meets in a broken file
            return cls(file, label, reason(error))
        digest = hashlib.blake2b(content, digest_size=16).digest()
        pixels = picture.in_eight_bits(picture.bits) if sample else None
        bits = 0 if picture.pixels.dtype == np.uint8 else picture.bits
        return cls(file, label, "", digest, picture.shape, bits, pixels)


def _chosen(layout: Layout) -> set[Path]:
    """A few of each class, evenly spaced: neighbours in a folder are often taken in a row."""
    members: dict[str, list[Path]] = {}
    for file, label in layout.files:
        members.setdefault(label, []).append(file)
    return {own[len(own) * i // SAMPLES] for own in members.values() for i in range(SAMPLES)}


def _about_copies(layout: Layout, good: Sequence[_Look], train: set[Path]) -> Iterator[Finding]:
    """Pictures in both splits, and pictures in two classes."""
    trained = {look.digest for look in good if look.file in train}
    labels: dict[bytes, set[str]] = {}
    for look in good:
        labels.setdefault(look.digest, set()).add(look.label)
    if copies := [look.file for look in good if look.file not in train and look.digest in trained]:
        what = ngettext(
            "{count:,.0f} test image is a copy of a training image: {names}.",
            "{count:,.0f} test images are copies of training images: {names}.",
            count=len(copies), names=layout.listed(copies),
        )  # fmt: skip
        yield Finding("leak", what, _(
            "Remove the copies: the network has seen the answers, and the accuracy will look better than it is."
        ))  # fmt: skip
    if twice := [look.file for look in good if len(labels[look.digest]) > 1]:
        what = ngettext(
            "{count:,.0f} image lies in more than one class: {names}.",
            "{count:,.0f} images lie in more than one class: {names}.",
            count=len(twice), names=layout.listed(twice),
        )  # fmt: skip
        yield Finding(
            "contradiction", what, _("Decide on one class for each: nobody can learn two answers to one image.")
        )


def _about_classes(layout: Layout, counts: Mapping[str, Count]) -> Iterator[Finding]:
    """Splits, and how the pictures are spread over the classes."""
    known = {label: counts[label] for label in layout.classes if sum(counts[label])}
    if layout.is_drawn and not layout.problems:
        what = ngettext(
            "There is no test folder: a fifth of each class is set aside for the test ({count:,.0f} image).",
            "There is no test folder: a fifth of each class is set aside for the test ({count:,.0f} images).",
            count=sum(count.test for count in known.values()),
        )
        yield Finding("drawn", what, _(
            "Good for a first look. If several images show the same part or scene, make folders “train” and “test” of "
            "your own that keep them together."
        ))  # fmt: skip
    untested = [label for label, count in known.items() if not count.test]
    if untested and any(count.test for count in known.values()):
        what = _("Classes without a test image: {names}.", names=listed(untested))
        yield Finding("untested", what, _(
            "Add test images of them: until then the accuracy says nothing about these classes."
        ))  # fmt: skip
    if tiny := [f"{label} ({count.train})" for label, count in known.items() if 0 < count.train < FEW]:
        what = _("Classes with fewer than {least:.0f} training images: {names}.", least=FEW, names=listed(tiny))
        yield Finding("tiny", what, _(
            "Collect more, or join classes: what is learned from so few images is a matter of luck."
        ))  # fmt: skip
    if len(known) > 1:
        low, high = (choose(known, key=lambda label: known[label].train) for choose in (min, max))
        least, most = known[low].train, known[high].train
        if least and most / least >= SKEW:
            what = _(
                "The classes are of very different size: {most:,.0f} training images of {name_most}, {least:,.0f} of "
                "{name}.",
                most=most, name_most=high, least=least, name=low,
            )  # fmt: skip
            yield Finding("imbalance", what, _(
                "Always answering {name_most} would often be right too. Look at the accuracy of each class, and "
                "collect more of the rare ones.",
                name_most=high,
            ))  # fmt: skip


def _about_sizes(sizes: Mapping[tuple[int, int], int]) -> Iterator[Finding]:
    if len(sizes) > 1:
        (width, height), (width_to, height_to) = (choose(sizes, key=math.prod) for choose in (min, max))
        what = _(
            "The images have {sizes:,.0f} different sizes, from {width:.0f} × {height:.0f} to {width_to:.0f} × "
            "{height_to:.0f} pixels.",
            sizes=len(sizes), width=width, height=height, width_to=width_to, height_to=height_to,
        )  # fmt: skip
        yield Finding("mixed_sizes", what, _(
            "All are stretched to one square size. If shapes matter, cut them to one size yourself."
        ))  # fmt: skip
