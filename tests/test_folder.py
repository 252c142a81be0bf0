"""Folders of pictures: layouts, splits and file formats."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import ROOT, cut, message, need, noise, nowhere as nowhere, write_pictures
from PIL import Image

from tuckerlab.data import load_data


def test_a_folder_with_splits(nowhere: Path) -> None:
    write_pictures(nowhere / "set" / "train", {"bad": 3, "good": 4})
    write_pictures(nowhere / "set" / "test", {"good": 2, "bad": 1})
    data = load_data("folder:set")
    assert data.name == "folder:set"
    assert data.classes == ("bad", "good")
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.test_labels.tolist() == [0, 1, 1]
    assert data.train_images.shape == (7, 1, 10, 10)
    assert np.array_equal(data.train_images[4, 0].numpy(), noise(101, 10, 10))
    assert data.note == ""


def test_a_folder_without_splits_is_split_the_same_way_each_time(nowhere: Path) -> None:
    write_pictures(nowhere / "data" / "set", {"b": 10, "a": 20, ".hidden": 5})
    for name in ("a/notes.txt", "b/Thumbs.db", "a/.DS_Store", "b/._01.png"):
        (nowhere / "data" / "set" / name).write_text("no picture")
    data = load_data("folder:set")  # found under data/
    assert data.train_labels.bincount().tolist() == [16, 8]
    assert data.test_labels.bincount().tolist() == [4, 2]
    assert "a fifth of each class" in data.note
    assert data.fingerprint == load_data(f"folder:{nowhere / 'data' / 'set'}").fingerprint
    assert data.fingerprint == "958170273056945e"  # the same on every machine


@pytest.mark.parametrize(
    ("shapes", "image_size", "side"),
    [
        ([(10, 10)], None, 10),  # a common size is kept
        ([(10, 10), (12, 12)], None, 64),  # not common
        ([(10, 12), (200, 40)], 24, 24),
    ],
)
def test_image_size(nowhere: Path, shapes: list[tuple[int, int]], image_size: int | None, side: int) -> None:
    for name, shape in zip("abc", [*shapes, shapes[0]], strict=False):
        write_pictures(nowhere / "set", {name: 5}, shape=shape)
    assert load_data("folder:set", image_size=image_size).image_size == side


def test_grey_unless_there_is_colour(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 5})
    for file in write_pictures(nowhere / "set", {"b": 5}):
        Image.open(file).convert("RGB").save(file)  # grey values stored as colours
    assert load_data("folder:set").channels == 1
    assert load_data("folder:set", grey=False).channels == 3
    write_pictures(nowhere / "set", {"c": 2}, shape=(10, 10, 3))
    assert load_data("folder:set").channels == 3
    assert load_data("folder:set", grey=True).channels == 1


def folder_of(path: Path, pictures: list[Image.Image], **options: Any) -> torch.Tensor:
    """What becomes of pictures that are saved and loaded, in order."""
    for i, picture in enumerate(pictures):
        for name in ("set/train/a", "set/train/b", "set/test/a"):
            (path / name).mkdir(parents=True, exist_ok=True)
            picture.save(path / name / f"{i}.png", **options)
    return load_data("folder:set").test_images


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_files_of_sixteen_bits_are_scaled_by_what_they_hold(bits: int, nowhere: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (8, 8)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    [bright, dark] = folder_of(nowhere, [Image.fromarray(values), Image.fromarray(values // 2)])
    assert np.array_equal(bright[0].numpy(), values >> (bits - 8))
    assert np.array_equal(dark[0].numpy(), values // 2 >> (bits - 8))  # all alike, not each by its own brightest


def test_pictures_stand_upright_as_the_camera_meant(nowhere: Path) -> None:
    pixels = noise(0, 8, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90° clockwise
    [picture] = folder_of(nowhere, [Image.fromarray(pixels)], exif=exif)
    assert np.array_equal(picture[0].numpy(), np.rot90(pixels, -1))


def test_corrupt_pictures_are_counted_and_named(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 6, "b": 6}, shape=(20, 20))
    cut(nowhere / "set" / "a" / "02.png")
    told = message(lambda: load_data("folder:set"))
    assert "1 of 12 pictures cannot be read: a/02.png (" in told
    for i in range(4):
        (nowhere / "set" / "b" / f"{i:02}.png").write_text("no picture")
    told = message(lambda: load_data("folder:set"))
    assert told.endswith("b/02.png (not a picture), b/03.png (not a picture); replace or remove them")


def test_a_changed_folder_is_read_again(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 5, "b": 5})
    first = load_data("folder:set")
    assert load_data("folder:set").fingerprint == first.fingerprint
    Image.fromarray(noise(77, 10, 10)).save(nowhere / "set" / "a" / "99.png")
    assert len(load_data("folder:set").train_images) == len(first.train_images) + 1


def test_folders_that_are_not_there(nowhere: Path) -> None:
    Path("file.zip").write_bytes(b"")
    for text in ("lost", "", "file.zip", "x" * 300, "~nobody/x"):
        assert message(lambda text=text: load_data(f"folder:{text}"))  # type: ignore[misc]


@pytest.mark.data
def test_the_real_steel_surfaces() -> None:
    need("neu_steel")
    data = load_data("folder:neu_steel", root=ROOT)
    assert data.train_images.shape == (1440, 1, 64, 64)
    assert data.test_labels.bincount().tolist() == [60] * 6
    assert data.classes[-1] == "scratches"
