"""How a folder of pictures is laid out: its splits and classes, and everything about that which prevents loading.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> (folder / "only").mkdir()
>>> (folder / "only" / "1.png").touch()
>>> [mistake.key for mistake in Layout.of(folder).mistakes()]
['one_class', 'few']

The pictures themselves are not opened here. `folder.py` refuses the first mistake, `inspection.py` shows them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tuckerlab.data.decode import SUFFIXES
from tuckerlab.data.image_data import stratified
from tuckerlab.errors import DataError

SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split
_EXPECTED = "train/CLASS/picture and test/CLASS/picture, or CLASS/picture"

Split = dict[str, list[Path]]  # the picture files of each class
Value = str | int | float | tuple[str, ...]


class Mistake(NamedTuple):
    """What prevents loading: a key and values for those who put it in words of their own, and the error's message."""

    key: str
    values: Mapping[str, Value]
    said: str


@dataclass(frozen=True)
class Layout:
    """The parts of a folder. Without a test folder a fifth is drawn, if the classes lie directly in `path`."""

    path: Path
    train_folder: Path | None
    test_folder: Path | None
    train: Split
    test: Split
    unused: tuple[Path, ...]  # folders beside the splits
    loose: tuple[Path, ...]  # pictures outside the class folders
    left_out: tuple[Path, ...]  # what lies in the class folders and is no picture

    @classmethod
    def of(cls, path: Path) -> "Layout":
        """Looks at the names in a folder; hidden ones do not count. DataError for a folder that cannot be opened."""
        folders = _folders(path)
        splits = {f.name.lower(): f for f in folders if f.name.lower() in ("train", *SECOND_SPLITS)}
        if any(_folders(folder) for folder in splits.values()):
            train_folder = splits.get("train")
            test_folder = next((splits[name] for name in SECOND_SPLITS if name in splits), None)
        else:
            train_folder, test_folder = path, None
        train, left_out = _files(train_folder) if train_folder else ({}, [])
        test, more = _files(test_folder) if test_folder else ({}, [])
        taken = [folder for folder in (train_folder, test_folder) if folder is not None]
        unused = () if path in taken else tuple(folder for folder in folders if folder not in taken)
        loose = tuple(
            file for folder in dict.fromkeys([path, *taken]) for file in _entries(folder) if _is_picture(file)
        )
        return cls(path, train_folder, test_folder, train, test, unused, loose, (*left_out, *more))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are trained, in order of name."""
        return tuple(self.train)

    @property
    def is_drawn(self) -> bool:
        """Whether the test split is drawn from the only one that there is."""
        return self.train_folder == self.path

    @property
    def files(self) -> list[tuple[Path, str]]:
        """Each picture with its class, the training split first."""
        return [(file, label) for split in (self.train, self.test) for label, files in split.items() for file in files]

    def parts(self) -> tuple[Tensor, Tensor]:
        """Indices into `files` of the training and of the test split, for a folder without mistakes."""
        if not self.is_drawn:
            both = torch.arange(len(self.files)).tensor_split([sum(map(len, self.train.values()))])
            return both[0], both[1]
        labels = torch.tensor([self.classes.index(label) for _, label in self.files])
        test, train = stratified(labels, max(len(self.classes), len(labels) // 5), seed=0, leave=1)
        return train, test

    def relative(self, files: Sequence[Path]) -> tuple[str, ...]:
        """Paths as they are written in messages."""
        return tuple(file.relative_to(self.path).as_posix() for file in files)

    def mistakes(self) -> list[Mistake]:
        """All that prevents loading, the gravest first."""
        path, train, test = self.path, self.train_folder, self.test_folder
        if train is None:
            there = tuple(sorted(f.name.lower() for f in (test, *self.unused) if f and f.name.lower() in SECOND_SPLITS))
            said = f"{path} has {', '.join(there)} but no train; expected {_EXPECTED}"
            return [Mistake("no_train", {"names": there}, said)]
        found = []
        if test is None and not self.is_drawn:
            said = (
                f"no test split in {path}: it has train but none of {', '.join(SECOND_SPLITS)}; add one, or put "
                "the class folders directly there to have a fifth of the pictures drawn for it"
            )
            found.append(Mistake("no_test_split", {}, said))
        found += self._train_mistakes(train)
        return found if test is None else found + self._test_mistakes(train, test)

    def _train_mistakes(self, train: Path) -> list[Mistake]:
        if not any(self.train.values()):
            kinds = tuple(sorted(suffix[1:] for suffix in SUFFIXES))
            said = f"no pictures in {train}: expected {_EXPECTED} in {self.path}, as {', '.join(kinds)}"
            return [Mistake("no_pictures", {"folder": str(train), "names": kinds}, said)]
        found = []
        if len(self.train) == 1:
            [only] = self.train
            said = f"{train} has one class only, {only}: it takes two or more folders of pictures"
            found.append(Mistake("one_class", {"name": only}, said))
        least = 2 if self.is_drawn else 1
        few = tuple(f"{label} ({len(files)})" for label, files in self.train.items() if len(files) < least)
        if few:
            why = ", one to train and one to test" if self.is_drawn else ""
            said = f"too few pictures in the class folders {', '.join(few)} of {train}: each needs {least} or more{why}"
            found.append(Mistake("few", {"names": few, "least": least}, said))
        return found

    def _test_mistakes(self, train: Path, test: Path) -> list[Mistake]:
        if not any(self.test.values()):
            said = f"no pictures in the test split {test}: put them in {test / 'CLASS'}"
            return [Mistake("no_test_pictures", {"folder": str(test)}, said)]
        unknown = tuple(label for label, files in self.test.items() if files and label not in self.train)
        if unknown:
            said = f"{test} has classes that {train} has not: {', '.join(unknown)}; add them there"
            return [Mistake("untrained", {"names": unknown}, said)]
        return []


def find_folder(text: str, roots: Sequence[Path]) -> Path:
    """The folder that `text` names, here or in one of the roots; DataError where there is none."""
    if not text.strip():
        raise DataError("folder: names no folder; give folder:PATH, for example folder:data/pictures")
    try:
        given = Path(text).expanduser()
        places = [given, *(root / given for root in roots if not given.is_absolute())]
        for place in places:
            if place.is_dir():
                return place
        files = [place for place in places if place.exists()]
    except (OSError, RuntimeError) as error:  # a name that is too long, a user or a folder that is closed to us
        raise DataError(f"the folder {text} cannot be looked for ({error}); correct the path") from None
    if files:
        raise DataError(f"{files[0]} is not a folder; give the folder that has the pictures as {_EXPECTED}")
    looked = ", ".join(str(place) for place in places)
    raise DataError(
        f"the folder {text} is not there: looked for {looked}; correct the path, or set TUCKERLAB_DATA to "
        "the folder that it lies in"
    )


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir()]


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    try:
        visible = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"the folder {path} cannot be opened ({error.strerror}); see to its permissions") from None
    return sorted(visible, key=lambda entry: entry.name)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _files(split: Path) -> tuple[Split, list[Path]]:
    """The pictures of each class, and the other entries."""
    classes: Split = {}
    left_out: list[Path] = []
    for folder in _folders(split):
        entries = _entries(folder)
        classes[folder.name] = [file for file in entries if _is_picture(file)]
        left_out += [entry for entry in entries if not _is_picture(entry)]
    return classes, left_out
