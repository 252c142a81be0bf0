"""Your own pictures: a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone.

`load_folder` reads one for training, `inspect_folder` says what prevents that, and what else spoils a training.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tuckerlab.data.decode import FORMATS, SUFFIXES, bits, changed, decoded, in_eight_bits, listed, stack
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError
from tuckerlab.i18n import N_, _

DEFAULT_SIZE = 64  # pixels a side, where the pictures are not smaller squares of one size
SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split
FEW = 20  # training pictures of a class, below which its accuracy is a matter of luck
SKEW = 10  # times as many pictures of the largest class as of the smallest
SAMPLES = 8  # pictures of each class
CHUNK = 128  # pictures between two reports of progress
FINDINGS = {
    "no_test_split": N_("There is a “train” folder, but none with images to test on. Add a folder “test” beside it, or "
                        "give the “train” folder itself: then a fifth of it is set aside for the test."),
    "few": N_("Class folders and the images in them: {names}. There must be two or more, with {least:.0f} images or "
              "more in each. Perhaps the folder of all classes is one level higher or lower."),
    "untrained": N_("Classes that are tested but never trained: {names}. Add training images of them, correct the "
                    "spelling of the folder, or remove it from the test."),
    "unreadable": N_("{count:,.0f} of {total:,.0f} files cannot be read: {names}. Replace or remove them."),
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


class Layout:
    """The picture files of each class in order of name, what lies unused beside them, and what prevents training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        folders = {entry.name.lower(): entry for entry in _entries(path) if entry.is_dir()}
        splits = [folders[name] for name in ("train", *SECOND_SPLITS) if name in folders][:2]
        self.is_drawn = "train" not in folders or not any(e.is_dir() for split in splits for e in _entries(split))
        self.unused: list[Path] = []
        if self.is_drawn:
            splits, self.note = [path], "a fifth of each class, drawn by us, is the test split"
        else:
            others = [split.name for split in splits[1:] if split.name.lower() != "test"]
            self.note = "".join(f"{name} is the test split" for name in others)
            self.unused += [e for e in _entries(path) if e not in splits and (e.is_dir() or _is_picture(e))]
        self.train, self.test = self._classes(splits[:1]), self._classes(splits[1:])
        self.problems = self._problems()
        if self.is_drawn and not self.problems:
            self._draw()

    def _classes(self, splits: Sequence[Path]) -> dict[str, list[Path]]:
        classes: dict[str, list[Path]] = {}
        for entry in (entry for split in splits for entry in _entries(split)):
            if entry.is_dir():
                entries = _entries(entry)
                classes[entry.name] = [file for file in entries if _is_picture(file)]
                self.unused += [file for file in entries if not _is_picture(file)]
            elif _is_picture(entry):
                self.unused.append(entry)
        return classes

    def _draw(self) -> None:
        labels = torch.tensor([number for number, files in enumerate(self.train.values()) for _file in files])
        chosen, _rest = stratified(labels, max(len(self.train), len(labels) // 5), seed=0, leave=1)
        files = [*self.files]
        drawn = {files[index] for index in chosen.tolist()}
        for label, own in self.train.items():
            self.test[label] = [file for file in own if file in drawn]
            self.train[label] = [file for file in own if file not in drawn]

    def _problems(self) -> dict[str, str]:
        least = 2 if self.is_drawn else 1  # one to train and one to test
        sizes = sorted((len(files), label) for label, files in self.train.items())
        are_few = len(sizes) < 2 or sizes[0][0] < least
        named = {
            "no_test_split": [] if self.is_drawn or any(self.test.values()) else [self.path.name],
            "few": [f"{label} ({size})" for size, label in sizes if are_few] or [_("none")] * are_few,
            "untrained": [label for label, files in self.test.items() if files and label not in self.train],
        }
        return _said(named, least=least)

    @property
    def files(self) -> dict[Path, str]:
        """Each picture with its class, the training split first."""
        return {file: label for split in (self.train, self.test) for label, files in split.items() for file in files}

    @property
    def counts(self) -> dict[str, Count]:
        """The pictures of each class."""
        labels = self.train | self.test
        return {label: Count(len(self.train.get(label, ())), len(self.test.get(label, ()))) for label in labels}

    def warnings(self, digests: Mapping[Path, bytes]) -> dict[str, str]:
        """What does not prevent training, but should be known; a picture is known by a digest of its pixels."""
        known = {label: count for label, count in self.counts.items() if label in self.train and any(count)}
        trained = {digests.get(file) for own in self.train.values() for file in own} - {None}
        tested = [file for own in self.test.values() for file in own]
        sizes = sorted((count.train, label) for label, count in known.items())
        is_skewed = len(sizes) > 1 and sizes[-1][0] >= SKEW * sizes[0][0] > 0
        named = {
            "leak": [self.name(file) for file in tested if digests.get(file) in trained],
            "drawn": [self.name(file) for file in tested if self.is_drawn],
            "tiny": [
                f"{label} ({count.train} + {count.test})"
                for label, count in known.items()
                if tested and (count.train < FEW or not count.test)
            ],
            "imbalance": [f"{label} {count:,}" for count, label in (sizes[-1], sizes[0])] if is_skewed else [],
            "unused": [self.name(file) for file in self.unused],
        }
        return _said(named, few=FEW)

    def name(self, file: Path) -> str:
        """A path as it is written in messages."""
        return file.relative_to(self.path).as_posix()


def _said(named: Mapping[str, Sequence[str]], **numbers: float) -> dict[str, str]:
    """Those of the `FINDINGS` that name something, in words."""
    found = {key: names for key, names in named.items() if names}
    return {key: _(FINDINGS[key], count=len(names), names=listed(names), **numbers) for key, names in found.items()}


def load_folder(
    text: str, roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None
) -> ImageData:
    """The folder `text`, here or in `roots`, with classes in order of name; DataError for its first problem."""
    layout = Layout(find_folder(text, roots))
    for problem in layout.problems.values():
        raise DataError(f"{layout.path}: {problem}")
    files, classes = tuple(layout.files), tuple(layout.train)
    images = _read(layout.path, files, changed(files), image_size, grey)
    labels = torch.tensor([classes.index(label) for label in layout.files.values()])
    end = sum(map(len, layout.train.values()))
    return ImageData(f"folder:{text}", images[:end], labels[:end], images[end:], labels[end:], classes, layout.note)


@lru_cache(maxsize=2)
def _read(
    path: Path, files: tuple[Path, ...], when: tuple[int, ...], image_size: int | None, grey: bool | None
) -> Tensor:
    """All pictures; without a size at that of small squares of one size, and at `DEFAULT_SIZE` where they are not."""
    sizes = set()
    with suppress(OSError):  # `stack` will name what is broken
        for file in files if image_size is None else ():
            with Image.open(file, formats=FORMATS) as picture:
                sizes.add(picture.size)
    side = next((side for side in range(4, DEFAULT_SIZE) if sizes == {(side, side)}), DEFAULT_SIZE)
    return stack(files, lambda i: files[i].relative_to(path).as_posix(), size=image_size or side, grey=grey)


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
    label_of, problems, checked = layout.files, layout.problems, 0
    files, counts = [*label_of], layout.counts
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
    problems |= _said({"unreadable": broken}, total=len(files))
    return FolderReport(layout.path, counts, problems, layout.warnings(digests), samples, checked, len(files))


def data_roots() -> tuple[Path, ...]:
    """Where data sets are looked for: the folder that TUCKERLAB_DATA names, then `data` in this folder."""
    named = os.environ.get("TUCKERLAB_DATA")
    return (*([Path(named).expanduser()] if named else []), Path("data"))


def find_folder(text: str, roots: Sequence[Path]) -> Path:
    """The folder that `text` names, here or in one of the roots; DataError where there is none."""
    places = dict.fromkeys([Path(text), *(root / text for root in roots)])
    with suppress(OSError, RuntimeError):  # a name that is too long, a user who is not known
        for place in places:
            if text.strip() and place.expanduser().is_dir():
                return place.expanduser()
    raise DataError(_(
        "the folder {text} is not there, or not a folder: looked for {places}; give one of train/CLASS/picture and "
        "test/CLASS/picture, or CLASS/picture, or set TUCKERLAB_DATA to the folder around it",
        text=text, places=", ".join(map(str, places)),
    ))  # fmt: skip


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    try:
        return sorted((entry for entry in path.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        said = N_("the folder {path} cannot be opened ({reason}); see to its permissions")
        raise DataError(_(said, path=path, reason=error.strerror)) from None


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
