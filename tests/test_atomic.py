"""A file is there whole or not at all."""

import os
from pathlib import Path

import pytest

from tuckerlab.files import atomic_path


def test_writes_and_makes_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "weights.bin"
    with atomic_path(target) as path:
        assert path.parent == target.parent
        path.write_bytes(b"123")
        assert not target.exists()
    assert target.read_bytes() == b"123"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def break_off(path: Path) -> None:
        path.write_bytes(b"half of the n")
        raise error

    with pytest.raises(error), atomic_path(target) as path:
        break_off(path)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_what_they_could_read_without_it(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with atomic_path(tmp_path / "atomic") as path:
        path.write_bytes(b"")
    assert (tmp_path / "plain").stat().st_mode == (tmp_path / "atomic").stat().st_mode
