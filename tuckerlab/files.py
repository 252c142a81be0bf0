"""Files that are there whole or not at all, whatever stops the program; and their sizes, as people read them."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place when the block ends well; the folder is made.

    The bytes are on the disk before the name changes, so a power cut leaves the old file or the new one. The temporary
    name ends in `.tmp`: say the format to a writer that guesses it from the name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        yield temporary
        _to_disk(temporary)
        temporary.replace(path)
        if os.name == "posix":  # the new name must outlive a power cut too; Windows cannot open a folder
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def file_size(count: float) -> str:
    """Bytes with three digits that count: in MB from a million on, else in kB."""
    return f"{digits(count / 1e6)} MB" if count >= 1e6 else f"{digits(count / 1e3)} kB"


def digits(value: float) -> str:
    """Three digits that count, as people write them: 0.0457, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
