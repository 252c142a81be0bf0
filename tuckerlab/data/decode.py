"""From picture files to tensors, by pillow: upright, square, eight bits, grey or colour.

>>> import numpy as np
>>> stack([np.full((20, 10, 3), 7, dtype=np.uint8)], "picture {}".format, size=4, grey=None).images.shape
torch.Size([1, 1, 4, 4])

All files are read before complaints are made, so one error names what is wrong with a folder as a whole.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tuckerlab.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # and no format that would start another program
HIGH_BYTE = "high byte"  # in the info of a picture of 16-bit colours: the largest of those that pillow reads
DARK = 3  # bits that a picture may lack of the scale that all share
BRIGHT = 128  # the least that it must be: colours of 12 bits in 16 would be read as nearly black
TOO_DARK = "its colours of 16 bits would be read as nearly black: save it with 8 bits, or with values up to 65535"
_STRIP = 2**18  # pixels

Source = Path | bytes | NDArray[np.uint8]  # a file, its contents, or pixels H × W × C


class Stack(NamedTuple):
    """Pictures as uint8 N × C × size × size, and the bits that pixels of more than eight bits turned out to hold."""

    images: Tensor
    bits: int | None = None


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
    Image.init()  # not safe in threads
    pixels = np.empty((len(sources), size, size, 1 if grey else 3), dtype=np.uint8)
    problems: dict[int, str] = {}
    wide: dict[int, NDArray[np.int32]] = {}  # pixels of more than eight bits, until all are known
    high_bytes: dict[int, int] = {}  # of colours of 16 bits
    length = max(1, _STRIP // size**2)

    def read(start: int) -> bool:
        """Read one strip of pictures; whether it has colour."""
        part = sources[start : start + length]
        # One tall picture: pillow converts what is pasted, and its step to numpy is dear for small pictures.
        strip = Image.new("L" if grey else "RGB", (size, size * len(part)))
        for index, source in enumerate(part):
            try:
                picture = opened(source, size)
                if HIGH_BYTE in picture.info:
                    high_bytes[start + index] = picture.info[HIGH_BYTE]
                if picture.size != (size, size):
                    picture = picture.resize((size, size), Image.Resampling.BILINEAR)
                if picture.mode == "I":
                    wide[start + index] = np.asarray(picture)
                else:
                    strip.paste(picture, (0, size * index))
            except MemoryError:
                raise
            except Exception as error:  # whatever a decoder meets in a broken file
                problems[start + index] = reason(error)
        rows = np.asarray(strip).reshape(len(part), size, size, -1)
        pixels[start : start + len(part)] = rows
        return not grey and bool((rows != rows[..., :1]).any())

    starts = range(0, len(sources), length)
    # Files: reading waits for the disk and decoding does not hold Python's lock. Pictures that are in memory
    # already are small and spend their time in Python, where threads would only wait for each other.
    workers = min(8, os.cpu_count() or 1) if isinstance(sources[0], Path) else 1
    with ThreadPoolExecutor(workers) as pool:
        colour = any(list(pool.map(read, starts)))
    if problems:
        raise DataError(_complaint(problems, len(sources), name))
    high = np.array([*high_bytes.values()])
    if len(high) and (high.max() < BRIGHT or np.quantile(high, 0.25) < BRIGHT / 2**DARK):
        raise DataError(f"{name(min(high_bytes))}: {TOO_DARK}")
    depths = {index: bits_of(values) for index, values in wide.items()}
    bits = max(depths.values(), default=None)
    if bits is not None and np.quantile([*depths.values()], 0.25) <= bits - DARK:
        deepest = max(depths, key=depths.__getitem__)
        raise DataError(
            f"{name(deepest)}: its pixels need {bits} bits, many others at most {bits - DARK}: on one scale they "
            "would be nearly black; save all alike, with 8 bits or with values up to 65535"
        )
    for index, values in wide.items():
        pixels[index] = eight_bits(values, bits or 8)[..., None]
    if grey is None and not colour:
        pixels = pixels[..., :1]
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    return Stack(images, bits)


def common_side(paths: Sequence[Path]) -> int | None:
    """The side of the pictures if all are squares of one size; only their first bytes are read."""
    Image.init()

    def measure(path: Path) -> tuple[int, int] | None:
        try:
            with Image.open(path, formats=FORMATS) as picture:
                return picture.size
        except Exception:  # `stack` will name it
            return None

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        sizes = set(pool.map(measure, paths)) - {None}
    width, height = sizes.pop() or (0, 0) if len(sizes) == 1 else (0, 0)
    return width if width == height > 0 else None


def opened(source: Source, size: int) -> Image.Image:
    """A picture in mode L, RGB or, if it has up to 16 bits, I: its first frame, upright, transparent pixels white."""
    if isinstance(source, np.ndarray):
        return Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as picture:
        picture.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
        deep = picture.mode[0] != "I" and any(";16" in str(tile[3]) for tile in picture.tile)
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        found = _plain(picture)
        if deep:
            found.info[HIGH_BYTE] = max(high for _, high in np.reshape(picture.getextrema(), (-1, 2))[:3].tolist())
        return found


def _plain(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode.startswith("I"):
        return _sixteen_bits(picture)
    if picture.mode == "F":
        raise ValueError("its pixels are fractions without an agreed range; save it with 8 or 16 bits")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _sixteen_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError("its pixels have more than 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(values.astype(np.int32))


def bits_of(values: NDArray[np.int32]) -> int:
    """The bits that pixels need, from 8.

    >>> bits_of(np.array([0, 4095])), bits_of(np.array([17]))
    (12, 8)
    """
    return max(8, int(values.max()).bit_length())


def eight_bits(values: NDArray[np.int32], bits: int) -> NDArray[np.uint8]:
    """The upper eight of so many bits.

    >>> eight_bits(np.array([0, 4095]), 12)
    array([  0, 255], dtype=uint8)
    """
    return (values >> (bits - 8)).astype(np.uint8)


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return " ".join(str(error).split()) or type(error).__name__


def _complaint(problems: dict[int, str], total: int, name: Callable[[int], str]) -> str:
    first = "; ".join(f"{name(index)} ({problems[index]})" for index in sorted(problems)[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"{len(problems)} of {total} pictures cannot be read: {first}{more}; replace or remove them"
