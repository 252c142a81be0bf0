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
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # and no format that would start another program
DARK = 3  # bits that most pictures may lack of the scale that all share

Source = Path | bytes | NDArray[np.uint8]  # a file, its contents, or pixels H × W × C
T = TypeVar("T")
U = TypeVar("U")


class Stack(NamedTuple):
    """Pictures as uint8 N × C × size × size, and the bits that pixels of more than eight bits turned out to hold."""

    images: Tensor
    bits: int | None = None


class Depth(NamedTuple):
    """Of a file of 16 bits: the bits that its largest value needs, and whether pillow has kept the upper eight only."""

    bits: int
    reduced: bool


class Decoded(NamedTuple):
    """One picture: uint8 size × size (× 3), or int32 if it is grey of 16 bits; and its own width and height."""

    pixels: NDArray[Any]
    shape: tuple[int, int]
    depth: Depth | None = None


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


def stack(sources: Sequence[Source], name: Callable[[int], str], *, size: int, grey: bool | None) -> Stack:
    """All pictures as uint8 N × C × size × size; C is 1 if `grey`, or if it is None and there is no colour.

    Pictures that are not square are stretched: nothing at their margins is lost. Files of 16 bits often hold fewer
    (cameras give 10 to 14): all are scaled alike, by the bits that the largest value needs. `name` names the i-th in
    messages. Raises `DataError` with the number of pictures that cannot be read and the names of the first
    three.
    """
    pixels = np.empty((len(sources), size, size, 1 if grey else 3), dtype=np.uint8)
    problems: dict[int, str] = {}
    depths: dict[int, Depth] = {}
    wide: dict[int, NDArray[np.int32]] = {}  # pixels of more than eight bits, until all are known

    def read(index: int) -> bool:
        """Reads a picture; whether it has colour."""
        try:
            picture = decode(sources[index], size, grey=bool(grey))
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder meets in a broken file
            problems[index] = reason(error)
            return False
        if picture.depth is not None:
            depths[index] = picture.depth
        if picture.pixels.dtype == np.uint8:
            pixels[index] = np.atleast_3d(picture.pixels)
        else:
            wide[index] = picture.pixels
        return has_colour(picture.pixels)

    # Files wait for the disk; pictures in memory are small and would only wait for each other
    each = in_threads if isinstance(sources[0], Path) else map
    colour = any(list(each(read, range(len(sources)))))
    if problems:
        raise DataError(_complaint(problems, len(sources), name))
    if dark := too_dark(depths):
        raise DataError(f"{name(dark[0])}: {dark[1]}")
    bits = max((depth.bits for depth in depths.values()), default=8)
    for index, values in wide.items():
        pixels[index] = (values >> (bits - 8)).astype(np.uint8)[..., None]
    if grey is None and not colour:
        pixels = pixels[..., :1]
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return Stack(images, bits if wide else None)


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
    depth = None
    if isinstance(source, np.ndarray):
        picture = Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
        shape = picture.size
    else:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as file:
            shape = file.size
            file.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            reduced = file.mode[0] != "I" and any(";16" in str(tile[3]) for tile in file.tile)
            file.load()
            ImageOps.exif_transpose(file, in_place=True)
            if reduced:  # without transparency
                high = max(high for _, high in np.reshape(file.getextrema(), (-1, 2))[:3].tolist())
                depth = Depth(8 + int(high).bit_length(), True)
            picture = _plain(file)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if grey and picture.mode == "RGB":
        picture = picture.convert("L")
    pixels = np.asarray(picture)
    if picture.mode == "I":
        depth = Depth(max(8, int(pixels.max()).bit_length()), False)
    return Decoded(pixels, shape, depth)


def has_colour(pixels: NDArray[Any]) -> bool:
    """Whether a decoded picture has a pixel that is not grey."""
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def _plain(picture: Image.Image) -> Image.Image:
    """In mode L, RGB or, if it is grey of up to 16 bits, I."""
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits")
        return Image.fromarray(values.astype(np.int32))
    if picture.mode == "F":
        raise ValueError("its pixels are fractions without an agreed range; save it with 8 or 16 bits")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def too_dark(depths: Mapping[int, Depth]) -> tuple[int, str] | None:
    """Which of the files of 16 bits forbids that all share one scale, and why: others would be nearly black."""
    if not depths:
        return None
    bits = max(depth.bits for depth in depths.values())
    for index, depth in sorted(depths.items()):
        if depth.reduced and bits < 16:
            return index, (
                "its colours of 16 bits would be read as nearly black: save it with 8 bits, or with values up to 65535"
            )
    if np.quantile([depth.bits for depth in depths.values()], 0.25) > bits - DARK:
        return None
    return max(depths, key=lambda index: depths[index].bits), (
        f"its pixels need {bits} bits, many others at most {bits - DARK}: on one scale they would be nearly black; "
        "save all alike, with 8 bits or with values up to 65535"
    )


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return " ".join(str(error).split()) or type(error).__name__


def _complaint(problems: dict[int, str], total: int, name: Callable[[int], str]) -> str:
    first = "; ".join(f"{name(index)} ({problems[index]})" for index in sorted(problems)[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"{len(problems)} of {total} pictures cannot be read: {first}{more}; replace or remove them"
