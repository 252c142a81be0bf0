"""Your own pictures: a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone.

>>> import tempfile
>>> from PIL import Image
>>> folder = Path(tempfile.mkdtemp())
>>> for number in range(10):
...     (folder / f"shade{number % 2}").mkdir(exist_ok=True)
...     Image.new("L", (8, 8), 20 * number).save(folder / f"shade{number % 2}" / f"{number}.png")
>>> load_folder(str(folder), roots=[]).note
'a fifth of each class, drawn by us, is the test split'
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tuckerlab.datasets.images import ImageData, stratified
from tuckerlab.datasets.pictures import SUFFIXES, Stamp, common_side, stack
from tuckerlab.errors import DataError

SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split
DEFAULT_SIZE = 64  # pixels a side, where the pictures have no common size up to it
_LAYOUT = "train/CLASS/picture and test/CLASS/picture, or CLASS/picture"

_Split = dict[str, list[Path]]  # the picture files of each class


def load_folder(
    text: str, roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None
) -> ImageData:
    """The folder `text`; a relative one is looked for here and in `roots`. Classes are in order of name.

    Raises `DataError` for a folder that is not there or has no pictures, a split or class that is missing,
    and pictures that cannot be read.
    """
    path = _find(text, roots)
    train_folder, test_folder, notes = _splits(path)
    train, left_out = _files(train_folder)
    _check_train(path, train_folder, train, least=1 if test_folder else 2)
    test: _Split = {}
    if test_folder is not None:
        test, more = _files(test_folder)
        left_out += more
        _check_test(train_folder, train, test_folder, test)
        untested = [label for label in train if not test.get(label)]
        if untested:
            notes.append(f"no test pictures of {', '.join(untested)}")
    if left_out:
        notes.append(f"{left_out} {'entry' if left_out == 1 else 'entries'} left out: not pictures")

    classes = tuple(train)
    files = [(file, label) for split in (train, test) for label, pictures in split.items() for file in pictures]
    images = _read(tuple(Stamp.of(file) for file, _ in files), path, image_size, grey)
    labels = torch.tensor([classes.index(label) for _, label in files])
    train_part, test_part = torch.arange(len(files)).tensor_split([sum(map(len, train.values()))])
    if test_folder is None:
        test_part, train_part = stratified(labels, max(len(classes), len(files) // 5), seed=0, leave=1)
        notes.append("a fifth of each class, drawn by us, is the test split")
    return ImageData(
        name=f"folder:{text}",
        train_images=images[train_part],
        train_labels=labels[train_part],
        test_images=images[test_part],
        test_labels=labels[test_part],
        classes=classes,
        note="; ".join(notes),
    )


def _find(text: str, roots: Sequence[Path]) -> Path:
    if not text.strip():
        raise DataError("folder: names no folder; give folder:PATH, for example folder:data/pictures")
    given = Path(text).expanduser()
    places = [given, *(root / given for root in roots if not given.is_absolute())]
    for place in places:
        if place.is_dir():
            return place
    files = [place for place in places if place.exists()]
    if files:
        raise DataError(f"{files[0]} is not a folder; give the folder that has the pictures as {_LAYOUT}")
    looked = ", ".join(str(place) for place in places)
    raise DataError(
        f"the folder {text} is not there: looked for {looked}; correct the path, or set TUCKERLAB_DATA to "
        "the folder that it lies in"
    )


def _splits(path: Path) -> tuple[Path, Path | None, list[str]]:
    """The folders of the two splits, None for the second where `path` has the classes itself; and notes."""
    splits = {f.name.lower(): f for f in _folders(path) if f.name.lower() in ("train", *SECOND_SPLITS)}
    if not any(_folders(folder) for folder in splits.values()):
        return path, None, []
    if "train" not in splits:
        raise DataError(f"{path} has {', '.join(sorted(splits))} but no train; expected {_LAYOUT}")
    seconds = [splits[name] for name in SECOND_SPLITS if name in splits]
    if not seconds:
        raise DataError(
            f"no test split in {path}: it has train but none of {', '.join(SECOND_SPLITS)}; add one, or put "
            "the class folders directly there to have a fifth of the pictures drawn for it"
        )
    notes = [f"{seconds[0].name} is the test split"] if seconds[0].name.lower() != "test" else []
    notes += [f"{folder.name} is not used" for folder in seconds[1:]]
    return splits["train"], seconds[0], notes


def _folders(path: Path) -> list[Path]:
    return [entry for entry in _entries(path) if entry.is_dir()]


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    visible = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    return sorted(visible, key=lambda entry: entry.name)


def _files(split: Path) -> tuple[_Split, int]:
    """The pictures of each class, and how many other entries there are; hidden ones do not count."""
    classes: _Split = {}
    left_out = 0
    for folder in _folders(split):
        entries = _entries(folder)
        pictures = [file for file in entries if file.suffix.lower() in SUFFIXES and file.is_file()]
        classes[folder.name] = pictures
        left_out += len(entries) - len(pictures)
    return classes, left_out


def _check_train(path: Path, train_folder: Path, train: _Split, *, least: int) -> None:
    if not any(train.values()):
        kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise DataError(f"no pictures in {train_folder}: expected {_LAYOUT} in {path}, as {kinds}")
    if len(train) == 1:
        only = next(iter(train))
        raise DataError(f"{train_folder} has one class only, {only}: it takes two or more folders of pictures")
    few = [f"{label} ({len(pictures)})" for label, pictures in train.items() if len(pictures) < least]
    if few:
        why = "" if least == 1 else ", one to train and one to test"
        raise DataError(
            f"too few pictures in the class folders {', '.join(few)} of {train_folder}: each needs {least} or more{why}"
        )


def _check_test(train_folder: Path, train: _Split, test_folder: Path, test: _Split) -> None:
    unknown = [label for label, pictures in test.items() if pictures and label not in train]
    if unknown:
        names = ", ".join(unknown)
        raise DataError(f"{test_folder} has classes that {train_folder} has not: {names}; add them there")
    if not any(test.values()):
        raise DataError(f"no pictures in the test split {test_folder}: put them in {test_folder / 'CLASS'}")


@lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...], path: Path, image_size: int | None, grey: bool | None) -> Tensor:
    files = [stamp.path for stamp in stamps]
    size = image_size
    if size is None:
        side = common_side(files)
        size = side if side is not None and 4 <= side <= DEFAULT_SIZE else DEFAULT_SIZE
    return stack(files, lambda index: files[index].relative_to(path).as_posix(), size=size, grey=grey)
