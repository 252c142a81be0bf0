"""CIFAR-10 in each of its published forms, made up here: all read the same, and what is broken is named."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from pictures import ROOT, cut, message, need, noise, nowhere as nowhere
from PIL import Image

from tuckerlab.data import ImageData, cifar10, load_data

FEW = 20  # pictures in each made-up batch
PIXELS, LABELS = noise(0, 6 * FEW, 3072), [i // 3 % 10 for i in range(6 * FEW)]
TRAIN, TEST = slice(0, 5 * FEW), slice(5 * FEW, None)


def write_pickle(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate((*cifar10.TRAIN, *cifar10.TEST)):
        own = slice(number * FEW, (number + 1) * FEW)
        batch = {b"batch_label": b"a batch", b"labels": LABELS[own], b"data": PIXELS[own]}
        (folder / name).write_bytes(pickle.dumps(batch))


def picture(row: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0))


def write_parquet(folder: Path, *, flat: bool = False) -> None:
    folder.mkdir(parents=True)
    for split, own in (("train", TRAIN), ("test", TEST)):
        images = [{"bytes": picture(row)._repr_png_(), "path": None} for row in PIXELS[own]]
        table = pa.table({"img": images, "label": LABELS[own]})
        pq.write_table(table.flatten() if flat else table, folder / f"{split}-00000-of-00001.parquet")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "cifar-10-batches-py": write_pickle,
    "cifar10": write_parquet,
    "cifar10/plain_text": lambda folder: write_parquet(folder, flat=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cifar10_reads_the_same_from_every_form(nowhere: Path, layout: str) -> None:
    LAYOUTS[layout](nowhere / "data" / layout)
    data = load_data("cifar10")
    for split, own in (("train", TRAIN), ("test", TEST)):
        assert np.array_equal(getattr(data, f"{split}_images").flatten(1).numpy(), PIXELS[own])
        assert getattr(data, f"{split}_labels").tolist() == LABELS[own]
    assert data.note == ""
    assert data.classes[0] == "airplane"
    small = load_data("cifar10", image_size=16, grey=True).train_images
    shrunk = picture(PIXELS[0]).resize((16, 16), Image.Resampling.BILINEAR).convert("L")
    assert np.array_equal(small[0, 0].numpy(), np.asarray(shrunk))


@pytest.mark.parametrize(
    ("layout", "file"), [("cifar-10-batches-py", "test_batch"), ("cifar10", "train-00000-of-00001.parquet")]
)
def test_a_file_cut_off_is_named(nowhere: Path, layout: str, file: str) -> None:
    LAYOUTS[layout](nowhere / "data" / layout)
    cut(nowhere / "data" / layout / file, 0.99)
    assert f"{Path('data', layout, file)} is missing, cut off" in message(lambda: load_data("cifar10"))
    (nowhere / "data").rename(nowhere / "lost")
    assert "cifar10 is not here: looked in" in message(lambda: load_data("cifar10"))


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("taken over",)


def test_nothing_in_a_pickle_is_executed(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar-10-batches-py"
    write_pickle(folder)
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil(), b"labels": [0] * FEW}))
    assert "mkdir" in message(lambda: load_data("cifar10"))
    assert not (nowhere / "taken over").exists()
    official = cifar10._ArraysOnly(io.BytesIO()).find_class("numpy.core.multiarray", "_reconstruct")
    assert callable(official)  # as the batches of 2009 name it


def test_parquet_of_something_else_is_named(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar10"
    write_parquet(folder)
    good = pq.read_table(folder / "train-00000-of-00001.parquet")
    row = good.slice(0, 1)
    broken = pa.array([{"bytes": b"\xff\xd8 no picture", "path": None}], row.schema.field("img").type)
    for table in (pa.table({"x": [1]}), row.set_column(0, "img", broken), row.set_column(1, "label", pa.array([10]))):
        pq.write_table(table, folder / "train-00000-of-00001.parquet")
        assert str(Path("data", "cifar10", "train-00000-of-00001.parquet")) in message(lambda: load_data("cifar10"))


@pytest.mark.data
@pytest.mark.slow
def test_the_real_cifar10() -> None:
    need("cifar10")
    files = cifar10._find([Path(str(ROOT))])
    assert [len(split) for split in files] in ([5, 1], [1, 1])
    images, labels, note = cifar10._read(files[1], (0,), 32, None)  # a fifth of the training images, read alike
    data = ImageData("cifar10", images, labels, images, labels, cifar10.CLASSES, note)
    assert images.shape == (10_000, 3, 32, 32)
    assert labels.bincount().tolist() == [1000] * 10
    # The well-known figures of the original pixels; a copy that is JPEG re-encoded is close to them.
    mean, std = data.moments
    torch.testing.assert_close(mean, torch.tensor([0.4942, 0.4851, 0.4504]), atol=1e-3, rtol=0)
    torch.testing.assert_close(std, torch.tensor([0.2467, 0.2429, 0.2616]), atol=4e-3, rtol=0)
