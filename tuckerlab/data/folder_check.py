"""A look at a folder of pictures before anything is trained: all that prevents training, and all that spoils it.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> for number in range(10):
...     (folder / f"shade{number % 2}").mkdir(exist_ok=True)
...     Image.new("L", (8, 8), 20 * number).save(folder / f"shade{number % 2}" / f"{number}.png")
>>> report = inspect_folder(str(folder))
>>> report.ready, [finding.key for finding in report.findings]
(True, ['drawn', 'tiny'])

What is called a problem here is refused by `load_data`, and what is not can be loaded. The words for each finding are
in the catalogue, as `inspection.KEY` (what there is) and `inspection.KEY.do` (what to do).
"""

import hashlib
import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.data import data_roots
from tuckerlab.data.decode import BRIGHT, FORMATS, HIGH_BYTE, TOO_DARK, bits_of, eight_bits, opened, reason
from tuckerlab.data.folder_layout import SECOND_SPLITS, Layout, Value, find_folder
from tuckerlab.data.image_folder import DEFAULT_SIZE

FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SMALL = 8  # pixels at the shorter side: the digits of scikit-learn, which can just be told apart
SAMPLES = 8  # pictures of each class
_CHUNK = 128  # pictures between two reports of progress

PROBLEMS = ("no_train", "no_test_split", "no_pictures", "one_class", "few", "no_test_pictures", "untrained",
            "unreadable")  # fmt: skip
WARNINGS = ("leak", "contradiction", "drawn", "untested", "tiny", "imbalance", "mixed_sizes", "mixed_colour", "small",
            "left_out", "loose", "unused")  # fmt: skip


class Finding(NamedTuple):
    """One thing to know: a problem prevents training, a warning does not. `values` belong to the message `key`."""

    kind: Literal["problem", "warning"]
    key: str
    values: Mapping[str, Value]


class Count(NamedTuple):
    """Pictures of a class in both splits."""

    train: int
    test: int


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What was found: problems first. `samples` are a few pictures of each class, uint8 and square."""

    path: Path
    classes: Mapping[str, Count]
    findings: tuple[Finding, ...]
    unreadable: tuple[tuple[str, str], ...]  # file, reason
    samples: Mapping[str, tuple[NDArray[np.uint8], ...]]
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

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What prevents training."""
        return tuple(finding for finding in self.findings if finding.kind == "problem")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What does not, but should be known."""
        return tuple(finding for finding in self.findings if finding.kind == "warning")


def inspect_folder(
    text: str,
    roots: Sequence[Path] | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> FolderReport:
    """Looks at all that is in a folder of pictures, and decodes each of them.

    >>> inspect_folder("no such folder", roots=[])
    Traceback (most recent call last):
        ...
    tuckerlab.errors.DataError: the folder no such folder is not there: looked for no such folder; correct ...

    A relative folder is looked for here and in `roots` (default: `data_roots()`). on_progress: is told how many
    pictures have been looked at, and of how many, every now and then. stop: an event that another thread sets; the
    report is then about the pictures seen so far, and not `ready`.
    """
    layout = Layout.of(find_folder(text, data_roots() if roots is None else roots))
    files = layout.files
    train, test = _splits(layout)
    wanted = _chosen(files)
    looks: list[_Look] = []

    def look(index: int) -> _Look:
        return _Look.at(files[index][0], index in wanted)

    Image.init()  # not safe in threads
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        while len(looks) < len(files) and not (stop is not None and stop.is_set()):
            looks += pool.map(look, range(len(looks), min(len(looks) + _CHUNK, len(files))))
            if on_progress is not None:
                on_progress(len(looks), len(files))

    if max((look.high_byte for look in looks if look.high_byte is not None), default=BRIGHT) < BRIGHT:
        looks = [look if look.high_byte is None else look._replace(problem=TOO_DARK, pixels=None) for look in looks]
    counts = {label: Count(0, 0) for label in (*layout.train, *layout.test)}
    for place, part in enumerate((train, test)):
        for label, number in Counter(files[index][1] for index in part).items():
            counts[label] = counts[label]._replace(**{Count._fields[place]: number})
    unreadable = tuple(
        (name, found.problem)
        for name, found in zip(layout.relative([file for file, _ in files]), looks, strict=False)
        if found.problem
    )
    samples: dict[str, list[NDArray[np.uint8]]] = {label: [] for label in counts}
    for (_, label), found in zip(files, looks, strict=False):
        if found.pixels is not None:
            samples[label].append(found.pixels)
    findings = [
        *(Finding("problem", mistake.key, mistake.values) for mistake in layout.mistakes()),
        *_unreadable(unreadable, len(files)),
        *_about_pictures(layout, looks, set(train)),
        *_about_classes(layout, counts),
        *_about_entries(layout),
    ]
    findings.sort(key=lambda finding: (finding.kind, (PROBLEMS + WARNINGS).index(finding.key)))
    shown = {label: tuple(pictures) for label, pictures in samples.items()}
    return FolderReport(layout.path, counts, tuple(findings), unreadable, shown, len(looks), len(files))


class _Look(NamedTuple):
    """What is kept of a picture."""

    problem: str = ""
    digest: bytes = b""
    size: tuple[int, int] = (0, 0)
    colour: bool = False
    pixels: NDArray[np.uint8] | None = None
    high_byte: int | None = None  # the largest, of colours of 16 bits

    @classmethod
    def at(cls, file: Path, sample: bool) -> "_Look":
        """Reads and decodes a picture, as `stack` does."""
        try:
            content = file.read_bytes()
            with Image.open(io.BytesIO(content), formats=FORMATS) as header:
                size = header.size
            picture = opened(content, DEFAULT_SIZE)
            high = picture.info.get(HIGH_BYTE)
            if picture.size != (DEFAULT_SIZE, DEFAULT_SIZE):
                picture = picture.resize((DEFAULT_SIZE, DEFAULT_SIZE), Image.Resampling.BILINEAR)
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder meets in a broken file
            return cls(reason(error))
        pixels = np.asarray(picture)
        if picture.mode == "I":
            pixels = eight_bits(pixels, bits_of(pixels))
        colour = pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())
        digest = hashlib.blake2b(content, digest_size=16).digest()
        return cls("", digest, size, colour, pixels if sample else None, high)


def _splits(layout: Layout) -> tuple[list[int], list[int]]:
    """Indices of the training and the test pictures, as far as they can be told."""
    if layout.is_drawn and not layout.mistakes():
        train, test = layout.parts()
        return train.tolist(), test.tolist()
    ends = sum(map(len, layout.train.values()))
    return list(range(ends)), list(range(ends, len(layout.files)))


def _chosen(files: Sequence[tuple[Path, str]]) -> set[int]:
    """A few of each class, evenly spaced: neighbours in a folder are often taken in a row."""
    members: dict[str, list[int]] = {}
    for index, (_, label) in enumerate(files):
        members.setdefault(label, []).append(index)
    return {own[len(own) * i // SAMPLES] for own in members.values() for i in range(SAMPLES)}


def _unreadable(unreadable: Sequence[tuple[str, str]], total: int) -> list[Finding]:
    if not unreadable:
        return []
    names = tuple(f"{name} ({why})" for name, why in unreadable)
    return [Finding("problem", "unreadable", {"count": len(names), "total": total, "names": names})]


def _about_pictures(layout: Layout, looks: Sequence[_Look], train: set[int]) -> list[Finding]:
    """Copies, sizes and colours."""
    good = [(index, look) for index, look in enumerate(looks) if not look.problem]
    files = layout.files
    trained = {look.digest for index, look in good if index in train}
    copies = [files[index][0] for index, look in good if index not in train and look.digest in trained]
    labels: dict[bytes, set[str]] = {}
    for index, look in good:
        labels.setdefault(look.digest, set()).add(files[index][1])
    twice = [files[index][0] for index, look in good if len(labels[look.digest]) > 1]
    found = [
        Finding("warning", key, {"count": len(paths), "names": layout.relative(paths)})
        for key, paths in (("leak", copies), ("contradiction", twice))
        if paths
    ]
    sizes = Counter(look.size for _, look in good)
    if len(sizes) > 1:
        low, high = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
        values: dict[str, Value] = {"width": low[0], "height": low[1], "width_to": high[0], "height_to": high[1]}
        found.append(Finding("warning", "mixed_sizes", {"sizes": len(sizes), **values}))
    small = sum(number for size, number in sizes.items() if min(size) < SMALL)
    if small:
        found.append(Finding("warning", "small", {"count": small, "pixels": SMALL}))
    coloured = sum(look.colour for _, look in good)
    if 0 < coloured < len(good):
        found.append(Finding("warning", "mixed_colour", {"colour": coloured, "grey": len(good) - coloured}))
    return found


def _about_classes(layout: Layout, counts: Mapping[str, Count]) -> list[Finding]:
    """Splits, and how the pictures are spread over the classes."""
    found: list[Finding] = []
    known = {label: counts[label] for label in layout.classes if sum(counts[label])}
    if layout.is_drawn and not layout.mistakes():
        found.append(Finding("warning", "drawn", {"count": sum(count.test for count in known.values())}))
    untested = tuple(label for label, count in known.items() if not count.test)
    if untested and any(count.test for count in known.values()):
        found.append(Finding("warning", "untested", {"names": untested}))
    tiny = tuple(f"{label} ({count.train})" for label, count in known.items() if 0 < count.train < FEW)
    if tiny:
        found.append(Finding("warning", "tiny", {"names": tiny, "least": FEW}))
    if len(known) > 1:
        low, high = (choose(known, key=lambda label: known[label].train) for choose in (min, max))
        least, most = known[low].train, known[high].train
        if least and most / least >= SKEW:
            values: dict[str, Value] = {"name": low, "least": least, "name_most": high, "most": most}
            found.append(Finding("warning", "imbalance", {**values, "times": most / least}))
    return found


def _about_entries(layout: Layout) -> list[Finding]:
    """What lies beside the pictures."""
    unused = [folder for folder in layout.unused if layout.train_folder or folder.name.lower() not in SECOND_SPLITS]
    return [
        Finding("warning", key, {"count": len(paths), "names": layout.relative(paths)})
        for key, paths in (("left_out", layout.left_out), ("loose", layout.loose), ("unused", unused))
        if paths
    ]
