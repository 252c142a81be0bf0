"""From picture files to tensors, by pillow: upright, square, eight bits, grey or colour.

All files are read before complaints are made, so one error names what is wrong with a folder as a whole.
"""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tuckerlab.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # and no format that would start another program

Source = Path | bytes | NDArray[np.uint8]  # a file, its contents, or pixels H × W × C
T = TypeVar("T")
U = TypeVar("U")


class Decoded(NamedTuple):
    """One picture: uint8 size × size (× 3), or int32 if it is grey of 16 bits; and its own width and height."""

    pixels: NDArray[Any]
    shape: tuple[int, int]

    @property
    def bits(self) -> int:
        """The bits that the largest value needs, 8 or more."""
        return 8 if self.pixels.dtype == np.uint8 else max(8, int(self.pixels.max()).bit_length())

    @property
    def has_colour(self) -> bool:
        """Whether a pixel is not grey."""
        return self.pixels.ndim == 3 and bool((self.pixels != self.pixels[..., :1]).any())

    def in_eight_bits(self, bits: int) -> NDArray[np.uint8]:
        """The pixels, where those of 16 bits hold so many."""
        if self.pixels.dtype == np.uint8:
            return self.pixels
        scaled: NDArray[np.uint8] = (self.pixels >> (bits - 8)).astype(np.uint8)
        return scaled


class Stamp(NamedTuple):
    """A file as it is now: what has been read from it is good as long as the stamp stays the same."""

    path: Path
    changed: int
    size: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of a file."""
        status = path.stat()
        return cls(path, status.st_mtime_ns, status.st_size)


def stack(sources: Sequence[Source], name: Callable[[int], str], *, size: int, grey: bool | None) -> tuple[Tensor, int]:
    """All pictures as uint8 N × C × size × size, and the bits that their pixels held; `name` names the i-th.

    C is 1 if `grey`, or if it is None and there is no colour. Pictures that are not square are stretched: nothing at
    their margins is lost. Files of 16 bits often hold fewer (cameras give 10 to 14): all are scaled alike, by the bits
    that the largest value needs. Raises `DataError` with the number of pictures that cannot be read and the names of
    the first three.
    """
    problems: dict[int, str] = {}

    def read(index: int) -> Decoded | None:
        try:
            return decode(sources[index], size, grey=bool(grey))
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder meets in a broken file
            problems[index] = reason(error)
            return None

    # Files wait for the disk; pictures in memory are small and would only wait for each other
    each = in_threads if isinstance(sources[0], Path) else map
    pictures = [picture for picture in each(read, range(len(sources))) if picture is not None]
    if problems:
        first = "; ".join(f"{name(index)} ({problems[index]})" for index in sorted(problems)[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"{len(problems)} of {len(sources)} pictures cannot be read: {first}{more}; replace or remove them"
        )
    bits = max(picture.bits for picture in pictures)
    colour = grey is False or any(picture.has_colour for picture in pictures)
    images = np.empty((len(pictures), size, size, 3 if colour else 1), dtype=np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = np.atleast_3d(picture.in_eight_bits(bits))[..., : image.shape[-1]]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), bits


def in_threads(function: Callable[[T], U], items: Iterable[T]) -> list[U]:
    """`function` of each item, in order: reading waits for the disk, and decoding does not hold Python's lock."""
    Image.init()  # not safe in threads
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def first_side(path: Path) -> int:
    """The side of a square picture, of which only the first bytes are read; 0 for any other."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
    except Exception:  # `stack` will name it
        return 0
    return width if width == height else 0


def decode(source: Source, size: int, *, grey: bool = False) -> Decoded:
    """A picture's first frame, upright, transparent pixels white, stretched to size × size; grey if it is, or `grey`.

    Raises whatever pillow raises, and `ValueError` for pixels that cannot become eight bits.
    """
    if isinstance(source, np.ndarray):
        picture = Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
        shape = picture.size
    else:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as file:
            shape = file.size
            file.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            file.load()
            ImageOps.exif_transpose(file, in_place=True)
            picture = _plain(file)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if grey and picture.mode == "RGB":
        picture = picture.convert("L")
    return Decoded(np.asarray(picture), shape)


def _plain(picture: Image.Image) -> Image.Image:
    """In mode L, RGB or, if it is grey of up to 16 bits, I."""
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode[0] in "IF":
        values = np.asarray(picture)
        if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels are fractions, or have more than 16 bits; save it with 8 or 16 bits")
        return Image.fromarray(values.astype(np.int32))
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return " ".join(str(error).split()) or type(error).__name__
