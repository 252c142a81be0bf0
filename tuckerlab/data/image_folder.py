"""Your own pictures: a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone."""

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tuckerlab.data.decode import SUFFIXES, Stamp, common_side, stack
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError
from tuckerlab.i18n import _

DEFAULT_SIZE = 64  # pixels a side, where the pictures are not smaller squares of one size
SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split
NAMED = 4  # of a long list


class Finding(NamedTuple):
    """One thing to know about a folder: what there is, and what to do about it."""

    key: str
    message: str
    advice: str


def load_folder(
    text: str, roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None
) -> ImageData:
    """The folder `text`; a relative one is looked for here and in `roots`. Classes are in order of name.

    Raises `DataError` for a folder that is not there or has no pictures, a split or class that is missing,
    and pictures that cannot be read; `folder_check.inspect_folder` lists all that is wrong with a folder.
    """
    layout = Layout(find_folder(text, roots))
    if layout.problems:
        raise DataError(f"{layout.path}: {layout.problems[0].message} {layout.problems[0].advice}")
    images, bits = _read(tuple(Stamp.of(file) for file, _label in layout.files), layout.path, image_size, grey)
    labels = layout.labels
    train, test = layout.parts()
    notes = layout.notes()
    if bits > 8:
        notes.append(f"files of 16 bits, whose pixels hold {bits}, are scaled to 8 bits")
    name, note = f"folder:{text}", "; ".join(notes)
    return ImageData(name, images[train], labels[train], images[test], labels[test], layout.classes, note)


@lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...], path: Path, image_size: int | None, grey: bool | None) -> tuple[Tensor, int]:
    files = [stamp.path for stamp in stamps]
    side = None if image_size else common_side(files)
    size = image_size or (side if side and 4 <= side <= DEFAULT_SIZE else DEFAULT_SIZE)
    return stack(files, lambda index: files[index].relative_to(path).as_posix(), size=size, grey=grey)


class Layout:
    """How a folder is laid out; the pictures themselves are not opened, and hidden entries do not count.

    `train` and `test` are the picture files of each class, `unused` what lies beside them. Without a test folder a
    fifth is drawn, if the classes lie directly in `path`. DataError for a folder that cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.train_folder: Path | None = path
        self.test_folder: Path | None = None
        splits = {folder.name.lower(): folder for folder in _folders(path)}
        splits = {name: folder for name, folder in splits.items() if name in ("train", *SECOND_SPLITS)}
        if any(_folders(folder) for folder in splits.values()):
            self.train_folder = splits.get("train")
            self.test_folder = next((splits[name] for name in SECOND_SPLITS if name in splits), None)
        self.second_splits = [splits[name] for name in SECOND_SPLITS if name in splits]
        self.unused: list[Path] = []
        self.train, self.test = self._files(self.train_folder), self._files(self.test_folder)
        if not self.is_drawn:
            ours = self.train_folder, self.test_folder
            self.unused += [e for e in _entries(path) if e not in ours and (e.is_dir() or _is_picture(e))]

    def _files(self, split: Path | None) -> dict[str, list[Path]]:
        classes: dict[str, list[Path]] = {}
        for entry in _entries(split) if split else []:
            if entry.is_dir():
                entries = _entries(entry)
                classes[entry.name] = [file for file in entries if _is_picture(file)]
                self.unused += [file for file in entries if not _is_picture(file)]
            elif _is_picture(entry):
                self.unused.append(entry)
        return classes

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

    @property
    def labels(self) -> Tensor:
        """The number of the class of each picture."""
        return torch.tensor([self.classes.index(label) for _file, label in self.files])

    def parts(self) -> tuple[Tensor, Tensor]:
        """Indices into `files` of the training and of the test split; none is drawn where something prevents it."""
        if not self.is_drawn or self.problems:
            both = torch.arange(len(self.files)).tensor_split([sum(map(len, self.train.values()))])
            return both[0], both[1]
        test, train = stratified(self.labels, max(len(self.classes), len(self.files) // 5), seed=0, leave=1)
        return train, test

    @cached_property
    def problems(self) -> tuple[Finding, ...]:
        """All that prevents loading, the gravest first."""
        return tuple(self._find_problems())

    def _find_problems(self) -> Iterator[Finding]:
        if self.train_folder is None:
            there = listed(sorted(folder.name.lower() for folder in self.second_splits))
            yield Finding(
                "no_train",
                _("The folder has {names}, but no “train” folder.", names=there),
                _("Name the folder with the training images “train”."),
            )
            return
        if not self.is_drawn and not any(self.test.values()):
            yield Finding(
                "no_test_split",
                _("There is a “train” folder, but none with images to test on."),
                _(
                    "Add a folder “test” beside it, with the same class folders. Or give the “train” folder itself: "
                    "then a fifth of it is set aside for the test."
                ),
            )
        least = 2 if self.is_drawn else 1  # one to train and one to test
        few = [f"{label} ({len(files)})" for label, files in self.train.items() if len(files) < least]
        if not any(self.train.values()):
            yield Finding(
                "no_pictures",
                _("No images were found in class folders of {folder}.", folder=self.train_folder),
                _(
                    "Give the folder that holds one folder of images for each class, as {names} files. Perhaps it is "
                    "one level higher or lower.",
                    names=listed(sorted(suffix[1:] for suffix in SUFFIXES)),
                ),
            )
        elif len(self.train) == 1:
            yield Finding(
                "one_class",
                _("There is one class only: {name}.", name=self.classes[0]),
                _("Sort the images into two or more folders, one for each answer that the network shall learn."),
            )
        elif few:
            yield Finding(
                "few",
                _("Class folders with too few images: {names}.", names=listed(few)),
                _(
                    "Put at least {least:.0f} in each, or remove the folder. Some twenty or more are needed to learn "
                    "anything.",
                    least=least,
                ),
            )
        unknown = [label for label, files in self.test.items() if files and label not in self.train]
        if unknown:
            yield Finding(
                "untrained",
                _("Classes that are tested but never trained: {names}.", names=listed(unknown)),
                _("Add training images of them, correct the spelling of the folder, or remove it from the test."),
            )

    def notes(self) -> list[str]:
        """What must be said beside figures."""
        notes = []
        if self.test_folder is not None:
            if self.test_folder.name.lower() != "test":
                notes.append(f"{self.test_folder.name} is the test split")
            if untested := [label for label in self.classes if not self.test.get(label)]:
                notes.append(f"no test pictures of {', '.join(untested)}")
        if self.unused:
            notes.append(f"not used: {self.listed(self.unused)}")
        if self.is_drawn:
            notes.append("a fifth of each class, drawn by us, is the test split")
        return notes

    def listed(self, files: Sequence[Path]) -> str:
        """Paths as they are written in messages."""
        return listed([file.relative_to(self.path).as_posix() for file in files])


def listed(names: Sequence[str]) -> str:
    """The first of the names; one more fits in the place of "and 1 more"."""
    if len(names) <= NAMED + 1:
        return ", ".join(names)
    return _("{names} and {more:,.0f} more", names=", ".join(names[:NAMED]), more=len(names) - NAMED)


def find_folder(text: str, roots: Sequence[Path]) -> Path:
    """The folder that `text` names, here or in one of the roots; DataError where there is none."""
    try:
        given = Path(text).expanduser()
        places = [given, *(root / given for root in roots if not given.is_absolute())]
        found = next((place for place in places if text.strip() and place.is_dir()), None)
    except (OSError, RuntimeError) as error:  # a name that is too long, a user who is not known
        raise DataError(f"the folder {text} cannot be looked for ({error}); correct the path") from None
    if found is None:
        raise DataError(
            f"the folder {text} is not there, or not a folder: looked for {', '.join(map(str, places))}; give one that "
            "has the pictures as train/CLASS/picture and test/CLASS/picture, or CLASS/picture, or set TUCKERLAB_DATA "
            "to the folder that it lies in"
        )
    return found


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    try:
        return sorted((entry for entry in path.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"the folder {path} cannot be opened ({error.strerror}); see to its permissions") from None


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir()]


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
