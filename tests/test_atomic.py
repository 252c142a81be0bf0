"""A file is there whole or not at all; sizes as people read them."""

import os
from pathlib import Path

import pytest

from tuckerlab.files import atomic_path, file_size


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, error: type[BaseException] | None) -> None:
    target, other = tmp_path / "new" / "folder" / "weights.bin", tmp_path / "plain"
    other.write_bytes(b"")
    for content in (b"first", b"second"):
        before = target.read_bytes() if target.exists() else None
        try:
            with atomic_path(target) as path:
                path.write_bytes(content)
                assert (target.read_bytes() if target.exists() else None) == before
                if error and before:
                    raise error
        except (ValueError, KeyboardInterrupt):
            assert error
    assert target.read_bytes() == (b"first" if error else b"second")
    assert list(target.parent.iterdir()) == [target]
    if os.name == "posix":  # others may read what they could read without it
        assert target.stat().st_mode == other.stat().st_mode


def test_sizes_have_three_digits_that_count() -> None:
    sizes = (58_937_000, 1_157_000, 130_400, 938)
    assert [file_size(size) for size in sizes] == ["58.9 MB", "1.16 MB", "130 kB", "0.938 kB"]
