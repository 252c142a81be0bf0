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
from tuckerlab.data.decode import Depth, decode, has_colour, in_threads, reason, too_dark
from tuckerlab.data.findings import Finding
from tuckerlab.data.image_folder import DEFAULT_SIZE, SECOND_SPLITS, Layout, find_folder

FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SMALL = 8  # pixels at the shorter side: the digits of scikit-learn, which can just be told apart
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
    layout = Layout.of(find_folder(text, data_roots() if roots is None else roots))
    files, wanted = layout.files, _chosen(layout)
    looks: list[_Look] = []
    while len(looks) < len(files) and not (stop is not None and stop.is_set()):
        chunk = files[len(looks) : len(looks) + _CHUNK]
        looks += in_threads(lambda entry: _Look.at(*entry, sample=entry[0] in wanted), chunk)
        if on_progress is not None:
            on_progress(len(looks), len(files))
    if dark := too_dark({index: look.depth for index, look in enumerate(looks) if look.depth is not None}):
        looks[dark[0]] = looks[dark[0]]._replace(problem=dark[1])
    good, broken = ([look for look in looks if bool(look.problem) == bad] for bad in (False, True))
    names = layout.relative([look.file for look in broken])
    unreadable = tuple((name, look.problem) for name, look in zip(names, broken, strict=True))

    train, test = ([files[index] for index in part.tolist()] for part in layout.parts())
    trained, tested = (Counter(label for _file, label in part) for part in (train, test))
    counts = {label: Count(trained[label], tested[label]) for label in (*layout.train, *layout.test)}
    problems = [*layout.problems]
    if unreadable:
        said = tuple(f"{name} ({why})" for name, why in unreadable)
        problems.append(Finding("unreadable", {"count": len(said), "total": len(files), "names": said}))
    warnings = [
        *_about_copies(layout, good, {file for file, _label in train}),
        *_about_classes(layout, counts),
        *_about_shapes(good),
        *_about_entries(layout),
    ]
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
    colour: bool = False
    depth: Depth | None = None
    pixels: NDArray[np.uint8] | None = None

    @classmethod
    def at(cls, file: Path, label: str, *, sample: bool) -> "_Look":
        """Reads and decodes a picture, as `stack` does."""
        try:
            content = file.read_bytes()
            pixels, shape, depth = decode(content, DEFAULT_SIZE)
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder meets in a broken file
            return cls(file, label, reason(error))
        if depth is not None and pixels.dtype != np.uint8:
            pixels = (pixels >> (depth.bits - 8)).astype(np.uint8)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        return cls(file, label, "", digest, shape, has_colour(pixels), depth, pixels if sample else None)


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
    copies = [look.file for look in good if look.file not in train and look.digest in trained]
    twice = [look.file for look in good if len(labels[look.digest]) > 1]
    yield from _named(layout, leak=copies, contradiction=twice)


def _about_classes(layout: Layout, counts: Mapping[str, Count]) -> Iterator[Finding]:
    """Splits, and how the pictures are spread over the classes."""
    known = {label: counts[label] for label in layout.classes if sum(counts[label])}
    if layout.is_drawn and not layout.problems:
        yield Finding("drawn", {"count": sum(count.test for count in known.values())})
    untested = tuple(label for label, count in known.items() if not count.test)
    if untested and any(count.test for count in known.values()):
        yield Finding("untested", {"names": untested})
    if tiny := tuple(f"{label} ({count.train})" for label, count in known.items() if 0 < count.train < FEW):
        yield Finding("tiny", {"names": tiny, "least": FEW})
    if len(known) > 1:
        low, high = (choose(known, key=lambda label: known[label].train) for choose in (min, max))
        least, most = known[low].train, known[high].train
        if least and most / least >= SKEW:
            yield Finding(
                "imbalance", {"name": low, "least": least, "name_most": high, "most": most, "times": most / least}
            )


def _about_shapes(good: Sequence[_Look]) -> Iterator[Finding]:
    """Sizes and colours."""
    shapes = Counter(look.shape for look in good)
    if len(shapes) > 1:
        (width, height), (width_to, height_to) = (choose(shapes, key=math.prod) for choose in (min, max))
        ends = {"width": width, "height": height, "width_to": width_to, "height_to": height_to}
        yield Finding("mixed_sizes", {"sizes": len(shapes), **ends})
    coloured = sum(look.colour for look in good)
    if 0 < coloured < len(good):
        yield Finding("mixed_colour", {"colour": coloured, "grey": len(good) - coloured})
    if small := sum(number for shape, number in shapes.items() if min(shape) < SMALL):
        yield Finding("small", {"count": small, "pixels": SMALL})


def _about_entries(layout: Layout) -> Iterator[Finding]:
    """What lies beside the pictures."""
    unused = [folder for folder in layout.unused if layout.train_folder or folder.name.lower() not in SECOND_SPLITS]
    yield from _named(layout, left_out=layout.left_out, loose=layout.loose, unused=unused)


def _named(layout: Layout, **files: Sequence[Path]) -> Iterator[Finding]:
    """Warnings about files, where there are any."""
    for key, paths in files.items():
        if paths:
            yield Finding(key, {"count": len(paths), "names": layout.relative(paths)})
