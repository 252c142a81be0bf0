"""From picture files to tensors, by pillow: upright, square, eight bits, grey or colour."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tuckerlab.errors import DataError
from tuckerlab.i18n import N_, _

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # and no format that would start another program
NAMED = 4  # of a long list

Source = Path | bytes | NDArray[np.uint8]  # a file, its contents, or pixels H × W × C
Pixels = NDArray[Any]  # uint8 size × size (× 3), or int32 size × size of a grey picture with 16 bits


def stack(sources: Sequence[Source], name: Callable[[int], str], *, size: int, grey: bool | None) -> Tensor:
    """All pictures as uint8 N × C × size × size, stretched, grey if no colour is met; `name` names the i-th."""
    found = decoded(sources, size, grey=bool(grey))
    if broken := [f"{name(index)} ({why})" for index, why in enumerate(found) if isinstance(why, str)]:
        said = N_("{count} of {total} pictures cannot be read: {listed}; replace or remove them")
        raise DataError(_(said, count=len(broken), total=len(sources), listed=listed(broken)))
    pictures = [picture for picture in found if not isinstance(picture, str)]
    held = max(map(bits, pictures))  # files of 16 bits often hold fewer (cameras give 10 to 14): all are scaled alike
    has_colour = any(p.ndim == 3 and bool((p != p[..., :1]).any()) for p in pictures)
    images = np.empty((len(pictures), size, size, 3 if has_colour or grey is False else 1), dtype=np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = np.atleast_3d(in_eight_bits(picture, held))[..., : image.shape[-1]]
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def bits(pixels: Pixels) -> int:
    """The bits that the largest value needs, 8 or more."""
    return max(8, int(pixels.max()).bit_length())


def in_eight_bits(pixels: Pixels, held: int) -> NDArray[np.uint8]:
    """The pixels, where those of 16 bits hold so many."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> (held - 8)).astype(np.uint8)


def decoded(sources: Sequence[Source], size: int, *, grey: bool = False) -> list[Pixels | str]:
    """The first frame of each picture, or why it cannot be read, in one line."""

    def attempt(source: Source) -> Pixels | str:
        try:
            return _decode(source, size, grey)
        except Exception as error:  # whatever a decoder meets in a broken file
            return reason(error)

    if not isinstance(sources[0], Path):  # small and in memory, they would only wait for each other
        return [*map(attempt, sources)]
    Image.init()  # not safe in threads
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return [*pool.map(attempt, sources)]


def _decode(source: Source, size: int, grey: bool) -> Pixels:
    """Upright, transparent pixels white, stretched to size × size; grey if it is, or `grey`."""
    if isinstance(source, np.ndarray):
        picture = Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
    else:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as file:
            file.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            file.load()
            ImageOps.exif_transpose(file, in_place=True)
            picture = _plain(file)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if grey and picture.mode == "RGB":
        picture = picture.convert("L")
    return np.asarray(picture)


def _plain(picture: Image.Image) -> Image.Image:
    """In mode L, RGB or, if it is grey of up to 16 bits, I."""
    if picture.mode[0] in "IF":
        values = np.asarray(picture)
        if picture.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels are fractions, or have more than 16 bits; save it with 8 or 16 bits")
        return Image.fromarray(values.astype(np.int32))
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def changed(files: Sequence[Path]) -> tuple[int, ...]:
    """When each file was changed last: what has been read from them is good as long as that stays the same."""
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    return " ".join(str(error).split()) or type(error).__name__


def listed(names: Sequence[str]) -> str:
    """The first of the names; one more fits in the place of "and 1 more"."""
    if len(names) <= NAMED + 1:
        return ", ".join(names)
    return _("{names} and {more:,.0f} more", names=", ".join(names[:NAMED]), more=len(names) - NAMED)
