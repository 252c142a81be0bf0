"""From picture files to tensors, by pillow: upright, square, eight bits, grey or colour.

All files are read before complaints are made, so one error names what is wrong with a folder as a whole.
"""

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
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
DARK = 3  # bits that most files of 16 bits may lack of the scale that all share
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # and no format that would start another program

Source = Path | bytes | NDArray[np.uint8]  # a file, its contents, or pixels H × W × C
T = TypeVar("T")
U = TypeVar("U")
K = TypeVar("K")


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
    deep = {i: picture.bits for i, picture in enumerate(pictures) if picture.pixels.dtype != np.uint8}
    if dark := too_dark(deep):
        raise DataError(f"{name(dark[0])}: {dark[1]}")
    bits = max(deep.values(), default=8)
    colour = grey is False or any(picture.has_colour for picture in pictures)
    images = np.empty((len(pictures), size, size, 3 if colour else 1), dtype=np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = np.atleast_3d(picture.in_eight_bits(bits))[..., : image.shape[-1]]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), bits


def too_dark(bits: Mapping[K, int]) -> tuple[K, str] | None:
    """Which file of 16 bits forbids that all share one scale, and why, by the bits that each needs; None: all may."""
    most = max(bits.values(), default=0)
    if not bits or np.quantile([*bits.values()], 0.25) > most - DARK:
        return None
    return max(bits, key=bits.__getitem__), (
        f"its pixels need {most} bits, many others at most {most - DARK}: on one scale they would be nearly black; "
        "save all alike, with 8 bits or with values up to 65535"
    )


def in_threads(function: Callable[[T], U], items: Iterable[T]) -> list[U]:
    """`function` of each item, in order: reading waits for the disk, and decoding does not hold Python's lock."""
    Image.init()  # not safe in threads
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def common_side(paths: Sequence[Path]) -> int | None:
    """The side of the pictures if all are squares of one size; only their first bytes are read."""

    def shape(path: Path) -> tuple[int, int] | None:
        try:
            with Image.open(path, formats=FORMATS) as picture:
                return picture.size
        except Exception:  # `stack` will name it
            return None

    shapes = set(in_threads(shape, paths)) - {None}
    width, height = shapes.pop() or (0, 0) if len(shapes) == 1 else (0, 0)
    return width if width == height > 0 else None


def decode(source: Source, size: int, *, grey: bool = False) -> Decoded:
    """A picture's first frame, upright, transparent pixels white, stretched to size × size; grey if it is, or `grey`.

    Raises whatever pillow raises, and `ValueError` for pixels that cannot become eight bits.
    """
    if isinstance(source, np.ndarray):
        picture = Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
        shape = picture.size
    else:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as file:
            shape, tiles = file.size, list(file.tile)
            file.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            file.load()
            if file.mode[0] != "I" and any(";16" in str(tile[3]) for tile in tiles):
                _check_upper_bits(file)
            ImageOps.exif_transpose(file, in_place=True)
            picture = _plain(file)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if grey and picture.mode == "RGB":
        picture = picture.convert("L")
    return Decoded(np.asarray(picture), shape)


def _check_upper_bits(picture: Image.Image) -> None:
    """Of colours of 16 bits pillow keeps the upper eight: ValueError where the values are in the lower ones."""
    if max(high for _low, high in np.reshape(picture.getextrema(), (-1, 2))[:3].tolist()) < 128:
        raise ValueError(
            "its colours of 16 bits would be read as nearly black: save it with 8 bits, or with values up to 65535"
        )


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
