"""CIFAR-10 in each of its published forms, made up here: all read the same, and what is broken is named."""

import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from pictures import ROOT, cut, message, need, noise, nowhere as nowhere
from PIL import Image

from tuckerlab.data import cifar10, load_data

FEW = 20  # pictures in each made-up batch


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes strings as Python 2 did, which wrote the official batches."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, value: bytes | str) -> None:
        value = value if isinstance(value, bytes) else value.encode("latin-1")
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def python2(value: object) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(number: int) -> tuple[NDArray[np.uint8], list[int]]:
    """A made-up batch, N × 3 072, in which every class comes twice."""
    return noise(number, FEW, 3072), [(number + i) % 10 for i in range(FEW)]


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(cifar10.BATCHES):
        pixels, labels = batch(number)
        records = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def write_pickle(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(cifar10.BATCHES):
        pixels, labels = batch(number)
        names = [b"picture_%d.png" % i for i in range(FEW)]
        content = {b"batch_label": b"a batch", b"labels": labels, b"data": pixels, b"filenames": names}
        (folder / name).write_bytes(python2(content))


def write_parquet(folder: Path, *, flat: bool = False) -> None:
    folder.mkdir(parents=True)
    for split, numbers in (("train", range(5)), ("test", range(5, 6))):
        encoded, labels = [], []
        for number in numbers:
            pixels, batch_labels = batch(number)
            for row in pixels:
                file = io.BytesIO()
                Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).save(file, "PNG")
                encoded.append(file.getvalue())
            labels += batch_labels
        column = pa.array([{"bytes": content, "path": None} for content in encoded])
        table = pa.table({"img": column, "label": pa.array(labels, pa.int64())})
        pq.write_table(table.flatten() if flat else table, folder / f"{split}-00000-of-00001.parquet")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "cifar10/cifar-10-batches-bin": write_binary,
    "cifar-10-batches-py": write_pickle,
    "cifar10": write_parquet,
    "cifar10/plain_text": lambda folder: write_parquet(folder, flat=True),
}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "PER_BATCH", FEW)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("small_batches")
def test_cifar10_reads_the_same_from_every_form(nowhere: Path, layout: str) -> None:
    LAYOUTS[layout](nowhere / "data" / layout)
    data = load_data("cifar10")
    for number, images, labels in (
        *((n, data.train_images[n * FEW :], data.train_labels[n * FEW :]) for n in range(5)),
        (5, data.test_images, data.test_labels),
    ):
        pixels, expected = batch(number)
        assert torch.equal(images[:FEW], torch.from_numpy(pixels).view(FEW, 3, 32, 32))
        assert labels[:FEW].tolist() == expected
    assert data.note == ""
    assert data.classes[0] == "airplane"
    assert len(data.train_labels) == 5 * FEW


@pytest.mark.usefixtures("small_batches")
def test_cifar10_resized_grey_and_at_a_root(nowhere: Path) -> None:
    write_binary(nowhere / "elsewhere" / "cifar10")
    data = load_data("cifar10", root=nowhere / "elsewhere", image_size=16, grey=True)
    assert data.train_images.shape == (5 * FEW, 1, 16, 16)
    pixels = batch(0)[0][0].reshape(3, 32, 32).transpose(1, 2, 0)
    expected = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR).convert("L")
    assert np.array_equal(data.train_images[0, 0].numpy(), np.asarray(expected))


def test_cifar10_is_read_once(nowhere: Path) -> None:
    write_parquet(nowhere / "cifar10")
    first = load_data("cifar10", root=nowhere)
    assert load_data("cifar10", root=nowhere).train_images is first.train_images
    os.utime(nowhere / "cifar10" / "train-00000-of-00001.parquet", ns=(1, 1))
    assert load_data("cifar10", root=nowhere).train_images is not first.train_images


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("cifar10/cifar-10-batches-bin", "data_batch_3.bin"),
        ("cifar-10-batches-py", "test_batch"),
        ("cifar10", "train-00000-of-00001.parquet"),
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_a_file_cut_off_or_missing_is_named(nowhere: Path, layout: str, file: str) -> None:
    LAYOUTS[layout](nowhere / "data" / layout)
    path = nowhere / "data" / layout / file
    cut(path, 0.99)
    assert f"{Path('data', layout, file)} is cut off" in message(lambda: load_data("cifar10"))
    path.unlink()
    assert file.split("-")[0] in message(lambda: load_data("cifar10"))


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("taken over",)


@pytest.mark.usefixtures("small_batches")
def test_nothing_in_a_pickle_is_executed(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar-10-batches-py"
    write_pickle(folder)
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil(), b"labels": [0] * FEW}))
    assert "mkdir" in message(lambda: load_data("cifar10"))
    assert not (nowhere / "taken over").exists()


def test_parquet_of_something_else_is_named(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar10"
    write_parquet(folder)
    good = pq.read_table(folder / "train-00000-of-00001.parquet")
    row = good.slice(0, 1)
    broken = pa.array([{"bytes": b"\xff\xd8 no picture", "path": None}], row.schema.field("img").type)
    for table in (
        pa.table({"x": [1]}),
        row.set_column(0, "img", broken),
        row.set_column(0, "img", pa.array([None], broken.type)),
        row.set_column(1, "label", pa.array([10])),
        row.set_column(1, "label", pa.array(["cat"])),
        good.slice(0, 0),
    ):
        pq.write_table(table, folder / "train-00000-of-00001.parquet")
        assert str(Path("data", "cifar10", "train-00000-of-00001.parquet")) in message(lambda: load_data("cifar10"))


@pytest.mark.data
@pytest.mark.slow
def test_the_real_cifar10() -> None:
    need("cifar10")
    data = load_data("cifar10", root=ROOT)
    assert (data.train_images.shape, data.test_images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert data.train_labels.bincount().tolist() == [5000] * 10
    # The well-known figures of the original pixels; a copy that is JPEG re-encoded is close to them.
    torch.testing.assert_close(data.mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-3, rtol=0)
    torch.testing.assert_close(data.std, torch.tensor([0.2470, 0.2435, 0.2616]), atol=4e-3, rtol=0)
