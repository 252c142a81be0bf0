"""A file is there whole or not at all; sizes as people read them."""

from pathlib import Path

import pytest

from tuckerlab.files import atomic_path, file_size


def test_writes_and_makes_the_folder_as_others_would(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    target = tmp_path / "new" / "folder" / "weights.bin"
    with atomic_path(target) as path:
        path.write_bytes(b"123")
        assert not target.exists()
    assert target.read_bytes() == b"123"
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


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


def test_sizes_have_three_digits_that_count() -> None:
    sizes = (58_937_000, 1_157_000, 130_400, 938)
    assert [file_size(size) for size in sizes] == ["58.9 MB", "1.16 MB", "130 kB", "0.938 kB"]
