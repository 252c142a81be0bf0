"""Your own pictures: a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tuckerlab.data.decode import SUFFIXES, Stack, Stamp, common_side, stack
from tuckerlab.data.findings import Finding
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError

DEFAULT_SIZE = 64  # pixels a side, where the pictures have no common size up to it
SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split

Split = dict[str, list[Path]]  # the picture files of each class


def load_folder(
    text: str, roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None
) -> ImageData:
    """The folder `text`; a relative one is looked for here and in `roots`. Classes are in order of name.

    Raises `DataError` for a folder that is not there or has no pictures, a split or class that is missing,
    and pictures that cannot be read; `folder_check.inspect_folder` lists all that is wrong with a folder.
    """
    layout = Layout.of(find_folder(text, roots))
    if layout.problems:
        raise DataError(f"{layout.path}: {layout.problems[0].message} {layout.problems[0].advice}")
    images, bits = _read(tuple(Stamp.of(file) for file, _label in layout.files), layout.path, image_size, grey)
    labels = torch.tensor([layout.classes.index(label) for _file, label in layout.files])
    train, test = layout.parts()
    notes = _notes(layout)
    if bits is not None:
        notes.append(f"files of 16 bits, whose pixels hold {bits}, are scaled to 8 bits")
    name, note = f"folder:{text}", "; ".join(notes)
    return ImageData(name, images[train], labels[train], images[test], labels[test], layout.classes, note)


@lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...], path: Path, image_size: int | None, grey: bool | None) -> Stack:
    files = [stamp.path for stamp in stamps]
    size = image_size
    if size is None:
        side = common_side(files)
        size = side if side is not None and 4 <= side <= DEFAULT_SIZE else DEFAULT_SIZE
    return stack(files, lambda index: files[index].relative_to(path).as_posix(), size=size, grey=grey)


@dataclass(frozen=True)
class Layout:
    """How a folder is laid out; the pictures themselves are not opened.

    Without a test folder a fifth is drawn, if the classes lie directly in `path`.
    """

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
        train_folder: Path | None = path
        test_folder = None
        if any(_folders(folder) for folder in splits.values()):
            train_folder = splits.get("train")
            test_folder = next((splits[name] for name in SECOND_SPLITS if name in splits), None)
        train, left_out = _files(train_folder)
        test, more = _files(test_folder)
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
        """Indices into `files` of the training and of the test split; none is drawn where something prevents it."""
        if not self.is_drawn or self.problems:
            both = torch.arange(len(self.files)).tensor_split([sum(map(len, self.train.values()))])
            return both[0], both[1]
        labels = torch.tensor([self.classes.index(label) for _file, label in self.files])
        test, train = stratified(labels, max(len(self.classes), len(labels) // 5), seed=0, leave=1)
        return train, test

    def relative(self, files: Sequence[Path]) -> tuple[str, ...]:
        """Paths as they are written in messages."""
        return tuple(file.relative_to(self.path).as_posix() for file in files)

    @cached_property
    def problems(self) -> tuple[Finding, ...]:
        """All that prevents loading, the gravest first."""
        return tuple(self._find_problems())

    def _find_problems(self) -> Iterator[Finding]:
        if self.train_folder is None:
            there = [f.name.lower() for f in (self.test_folder, *self.unused) if f]
            yield Finding("no_train", {"names": tuple(sorted(name for name in there if name in SECOND_SPLITS))})
            return
        if self.test_folder is None and not self.is_drawn:
            yield Finding("no_test_split", {})
        least = 2 if self.is_drawn else 1  # one to train and one to test
        few = tuple(f"{label} ({len(files)})" for label, files in self.train.items() if len(files) < least)
        if not any(self.train.values()):
            kinds = tuple(sorted(suffix[1:] for suffix in SUFFIXES))
            yield Finding("no_pictures", {"folder": str(self.train_folder), "names": kinds})
        else:
            if len(self.train) == 1:
                yield Finding("one_class", {"name": next(iter(self.train))})
            if few:
                yield Finding("few", {"names": few, "least": least})
        unknown = tuple(label for label, files in self.test.items() if files and label not in self.train)
        if self.test_folder is not None and not any(self.test.values()):
            yield Finding("no_test_pictures", {"folder": str(self.test_folder)})
        elif unknown:
            yield Finding("untrained", {"names": unknown})


def _notes(layout: Layout) -> list[str]:
    """What must be said beside figures."""
    notes = []
    if layout.test_folder is not None:
        if layout.test_folder.name.lower() != "test":
            notes.append(f"{layout.test_folder.name} is the test split")
        notes += [f"{folder.name} is not used" for folder in layout.unused if folder.name.lower() in SECOND_SPLITS]
        if untested := [label for label in layout.classes if not layout.test.get(label)]:
            notes.append(f"no test pictures of {', '.join(untested)}")
    if count := len(layout.left_out):
        notes.append(f"{count} {'entry' if count == 1 else 'entries'} left out: not pictures")
    if layout.is_drawn:
        notes.append("a fifth of each class, drawn by us, is the test split")
    return notes


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
        raise DataError(
            f"{files[0]} is not a folder; give the folder that has the pictures as train/CLASS/picture and "
            "test/CLASS/picture, or CLASS/picture"
        )
    looked = ", ".join(str(place) for place in places)
    raise DataError(
        f"the folder {text} is not there: looked for {looked}; correct the path, or set TUCKERLAB_DATA to "
        "the folder that it lies in"
    )


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    try:
        visible = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"the folder {path} cannot be opened ({error.strerror}); see to its permissions") from None
    return sorted(visible, key=lambda entry: entry.name)


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir()]


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _files(split: Path | None) -> tuple[Split, list[Path]]:
    """The pictures of each class, and the other entries."""
    classes: Split = {}
    left_out: list[Path] = []
    for folder in _folders(split) if split is not None else []:
        entries = _entries(folder)
        classes[folder.name] = [file for file in entries if _is_picture(file)]
        left_out += [entry for entry in entries if not _is_picture(entry)]
    return classes, left_out
