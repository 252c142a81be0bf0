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

from tuckerlab.data.decode import Stack, Stamp, common_side, stack
from tuckerlab.data.folder_layout import SECOND_SPLITS, Layout, find_folder
from tuckerlab.data.image_data import ImageData
from tuckerlab.errors import DataError

DEFAULT_SIZE = 64  # pixels a side, where the pictures have no common size up to it


def load_folder(
    text: str, roots: Sequence[Path], *, image_size: int | None = None, grey: bool | None = None
) -> ImageData:
    """The folder `text`; a relative one is looked for here and in `roots`. Classes are in order of name.

    Raises `DataError` for a folder that is not there or has no pictures, a split or class that is missing,
    and pictures that cannot be read; `inspection.inspect_folder` lists all that is wrong with a folder.
    """
    layout = Layout.of(find_folder(text, roots))
    for mistake in layout.mistakes():
        raise DataError(mistake.said)
    images, bits = _read(tuple(Stamp.of(file) for file, _ in layout.files), layout.path, image_size, grey)
    labels = torch.tensor([layout.classes.index(label) for _, label in layout.files])
    train_part, test_part = layout.parts()
    return ImageData(
        name=f"folder:{text}",
        train_images=images[train_part],
        train_labels=labels[train_part],
        test_images=images[test_part],
        test_labels=labels[test_part],
        classes=layout.classes,
        note="; ".join(_notes(layout, bits)),
    )


def _notes(layout: Layout, bits: int | None) -> list[str]:
    """What must be said beside figures."""
    notes = []
    if layout.test_folder is not None:
        if layout.test_folder.name.lower() != "test":
            notes.append(f"{layout.test_folder.name} is the test split")
        splits = [folder for folder in layout.unused if folder.name.lower() in SECOND_SPLITS]
        notes += [f"{folder.name} is not used" for folder in splits]
        untested = [label for label in layout.classes if not layout.test.get(label)]
        if untested:
            notes.append(f"no test pictures of {', '.join(untested)}")
    if count := len(layout.left_out):
        notes.append(f"{count} {'entry' if count == 1 else 'entries'} left out: not pictures")
    if layout.is_drawn:
        notes.append("a fifth of each class, drawn by us, is the test split")
    if bits is not None:
        notes.append(f"files of 16 bits, whose pixels hold {bits}, are scaled to 8 bits")
    return notes


@lru_cache(maxsize=2)
def _read(stamps: tuple[Stamp, ...], path: Path, image_size: int | None, grey: bool | None) -> Stack:
    files = [stamp.path for stamp in stamps]
    size = image_size
    if size is None:
        side = common_side(files)
        size = side if side is not None and 4 <= side <= DEFAULT_SIZE else DEFAULT_SIZE
    return stack(files, lambda index: files[index].relative_to(path).as_posix(), size=size, grey=grey)
