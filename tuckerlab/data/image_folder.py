"""Your own pictures: a folder of train/CLASS/picture and test/CLASS/picture, or of CLASS/picture alone."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from tuckerlab.data.decode import FORMATS, SUFFIXES, changed, listed, stack
from tuckerlab.data.image_data import ImageData, stratified
from tuckerlab.errors import DataError
from tuckerlab.i18n import N_, _

DEFAULT_SIZE = 64  # pixels a side, where the pictures are not smaller squares of one size
SECOND_SPLITS = ("test", "val", "valid", "validation")  # the first of them that is there is the test split
PROBLEMS = {
    "no_test_split": N_("There is a “train” folder, but none with images to test on. Add a folder “test” beside it, or "
                        "give the “train” folder itself: then a fifth of it is set aside for the test."),
    "few": N_("Class folders and the images in them: {names}. There must be two or more, with {least:.0f} images or "
              "more in each. Perhaps the folder of all classes is one level higher or lower."),
    "untrained": N_("Classes that are tested but never trained: {names}. Add training images of them, correct the "
                    "spelling of the folder, or remove it from the test."),
}  # fmt: skip


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
        least, found = 2 if self.is_drawn else 1, dict[str, str]()  # one to train and one to test
        if not self.is_drawn and not any(self.test.values()):
            found["no_test_split"] = _(PROBLEMS["no_test_split"])
        sizes = sorted((len(files), label) for label, files in self.train.items())
        if len(sizes) < 2 or sizes[0][0] < least:
            names = listed([f"{label} ({size})" for size, label in sizes]) or _("none")
            found["few"] = _(PROBLEMS["few"], names=names, least=least)
        if unknown := [label for label, files in self.test.items() if files and label not in self.train]:
            found["untrained"] = _(PROBLEMS["untrained"], names=listed(unknown))
        return found

    @property
    def files(self) -> dict[Path, str]:
        """Each picture with its class, the training split first."""
        return {file: label for split in (self.train, self.test) for label, files in split.items() for file in files}

    def name(self, file: Path) -> str:
        """A path as it is written in messages."""
        return file.relative_to(self.path).as_posix()


def find_folder(text: str, roots: Sequence[Path]) -> Path:
    """The folder that `text` names, here or in one of the roots; DataError where there is none."""
    places = [Path(text), *(root / text for root in roots)]
    with suppress(OSError, RuntimeError):  # a name that is too long, a user who is not known
        for place in places:
            if text.strip() and place.expanduser().is_dir():
                return place.expanduser()
    raise DataError(
        f"the folder {text} is not there, or not a folder: looked for {', '.join(map(str, places))}; give one of "
        "train/CLASS/picture and test/CLASS/picture, or CLASS/picture, or set TUCKERLAB_DATA to the folder around it"
    )


def _entries(path: Path) -> list[Path]:
    """What is in a folder, without hidden entries, in the same order on every system."""
    try:
        return sorted((entry for entry in path.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"the folder {path} cannot be opened ({error.strerror}); see to its permissions") from None


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
