"""Data sets: what is read is what was written, splits are the same everywhere, and broken data is named."""

import dataclasses
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn import datasets as bundled

from tuckerlab.datasets import ImageData, cifar10, data_roots, load_data
from tuckerlab.datasets.images import stratified
from tuckerlab.errors import DataError

FEW = 20  # pictures in each made-up CIFAR batch
ROOT = os.environ.get("TUCKERLAB_DATA")


def need(name: str) -> None:
    if ROOT is None or not (Path(ROOT) / name).is_dir():
        pytest.skip(f"needs {name}/ in the folder that TUCKERLAB_DATA names")


def message(call: Callable[[], object]) -> str:
    """What a mistake is answered with: one line."""
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def noise(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and no data anywhere."""
    monkeypatch.delenv("TUCKERLAB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# digits


def test_digits_are_those_of_scikit_learn() -> None:
    data = load_data("digits")
    source = bundled.load_digits()
    split = torch.cat([data.train_images, data.test_images]).double().mul(16 / 255).round()
    expected = {(row.tobytes(), int(y)) for row, y in zip(source.images, source.target, strict=True)}
    labels = torch.cat([data.train_labels, data.test_labels]).tolist()
    assert {(x.numpy().tobytes(), y) for x, y in zip(split[:, 0], labels, strict=True)} == expected
    assert (data.channels, data.image_size, data.num_classes) == (1, 8, 10)
    assert len(data.train_images) + len(data.test_images) == 1797
    shares = data.test_labels.bincount() / torch.cat([data.train_labels, data.test_labels]).bincount()
    assert (shares - 0.2).abs().max() < 0.01


def test_digits_are_the_same_on_every_machine() -> None:
    assert load_data("digits").fingerprint == "4736be4a1099198d"
    assert load_data("digits", image_size=32).fingerprint == "469ac01ffa1f475a"


# what all data sets share


def made_up(train: int = 40, test: int = 20, classes: int = 4, channels: int = 3) -> ImageData:
    return ImageData(
        "made up",
        torch.from_numpy(noise(0, train, channels, 8, 8)),
        torch.arange(train) % classes,
        torch.from_numpy(noise(1, test, channels, 8, 8)),
        torch.arange(test) % classes,
        tuple("abcdefgh"[:classes]),
    )


def test_normalization_comes_from_the_training_split() -> None:
    data = made_up()
    pixels = data.train_images.double() / 255
    torch.testing.assert_close(data.mean, pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(data.std, pixels.std((0, 2, 3), correction=0).float())
    normal = data.normalize(data.train_images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std((0, 2, 3), correction=0), torch.ones(3))
    changed = dataclasses.replace(data, test_images=torch.zeros_like(data.test_images))
    assert torch.equal(changed.mean, data.mean)
    assert data.normalize(data.test_images[0]).shape == (3, 8, 8)  # one picture


def test_normalization_of_one_flat_channel_stays_finite() -> None:
    data = made_up()
    flat = dataclasses.replace(data, train_images=data.train_images.clone().index_fill_(1, torch.tensor(1), 9))
    assert flat.normalize(flat.test_images).isfinite().all()


def test_normalization_refuses_other_pictures() -> None:
    data = made_up()
    assert "1 × height" not in message(lambda: data.normalize(torch.zeros(2, 3, 8, 8)))
    assert "uint8 pictures of 3 × height × width" in message(lambda: data.normalize(torch.zeros(2, 3, 8, 8)))
    grey = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)  # would broadcast without a word
    assert "(2, 1, 8, 8)" in message(lambda: data.normalize(grey))


def test_hold_out_leaves_the_test_split_alone() -> None:
    data = made_up()
    choice = data.hold_out(0.25, seed=3)
    assert (len(choice.train_images), len(choice.test_images)) == (30, 10)
    assert choice.test_labels.bincount().tolist() in ([3, 3, 2, 2], [2, 2, 3, 3], [3, 2, 3, 2], [2, 3, 2, 3])
    parts = torch.cat([choice.train_images, choice.test_images])
    assert {p.numpy().tobytes() for p in parts} == {p.numpy().tobytes() for p in data.train_images}
    assert "10 pictures held out" in choice.note
    assert choice.fingerprint == data.hold_out(0.25, seed=3).fingerprint != data.hold_out(0.25, 4).fingerprint
    assert not torch.equal(choice.mean, data.mean)  # nothing is learned from what is held out


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_hold_out_of_everything_or_nothing(fraction: float) -> None:
    assert "between 0 and 1" in message(lambda: made_up().hold_out(fraction, seed=0))


def test_hold_out_needs_two_of_each_class() -> None:
    assert "each needs 2 or more" in message(lambda: made_up(train=7).hold_out(0.5, seed=0))


def test_subset_keeps_the_shares() -> None:
    data = made_up(train=80, test=40)
    part = data.subset(train=20, test=8, seed=1)
    assert part.train_labels.bincount().tolist() == [5] * 4
    assert part.test_labels.bincount().tolist() == [2] * 4
    assert part.note == "20 of 80 training pictures (seed 1); 8 of 40 test pictures (seed 1)"
    whole = data.subset(train=80)
    assert torch.equal(whole.train_images, data.train_images)
    assert torch.equal(whole.test_images, data.test_images)


def test_subset_out_of_range() -> None:
    data = made_up()
    for size in (3, 41, -1, 10.0):
        told = message(lambda size=size: data.subset(train=size))  # type: ignore[misc]
        assert f"{size!r} of 40" in told
        assert "from 4 to 40" in told
    assert "seed -1" in message(lambda: data.subset(train=10, seed=-1))


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any),
    part=st.floats(0, 1),
    leave=st.integers(0, 1),
    seed=st.integers(0, 2**40),
)
def test_stratified_shares_differ_by_less_than_two(counts: list[int], part: float, leave: int, seed: int) -> None:
    present = [count for count in counts if count]
    if leave and min(present) < 2:
        return
    labels = torch.from_numpy(np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)))
    least, most = len(present), sum(present) - leave * len(present)
    size = round(least + part * (most - least))
    drawn, rest = stratified(labels, size, seed, leave=leave)
    assert len(drawn) == size
    assert torch.equal(torch.cat([drawn, rest]).sort().values, torch.arange(len(labels)))
    assert torch.equal(drawn, drawn.sort().values)
    assert torch.equal(rest, rest.sort().values)
    taken = labels[drawn].bincount(minlength=len(counts)).tolist()
    assert all(t >= 1 and c - t >= leave for t, c in zip(taken, counts, strict=True) if c)
    if all(1 <= size * c / len(labels) <= c - leave for c in present):  # no bound in the way
        assert all(abs(t - size * c / len(labels)) < 2 for t, c in zip(taken, counts, strict=True))


def test_the_fingerprint_sees_every_change() -> None:
    data = made_up()
    assert data.fingerprint == made_up().fingerprint
    assert dataclasses.replace(data, name="x", note="y").fingerprint == data.fingerprint
    pixel, label = data.test_images.clone(), data.train_labels.clone()
    pixel[3, 1, 2, 0] ^= 1
    label[[0, 1]] = label[[1, 0]]
    changed = [
        dataclasses.replace(data, test_images=pixel),
        dataclasses.replace(data, train_labels=label),
        dataclasses.replace(data, classes=("a", "b", "c", "D")),
        data.subset(train=39),
    ]
    assert len({other.fingerprint for other in [data, *changed]}) == 5


def test_moving_to_a_device() -> None:
    data = made_up()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved = data.to(device)
    assert moved.train_images.device.type == moved.test_labels.device.type == device
    assert moved.fingerprint == data.fingerprint
    assert torch.equal(moved.mean.cpu(), data.mean)
    assert moved.subset(train=8).train_labels.device.type == device
    torch.testing.assert_close(data.normalize(moved.test_images).cpu(), data.normalize(data.test_images))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": torch.zeros(40, 3, 8, 8)}, ["training pictures", "float32", "uint8"]),
        ({"test_labels": torch.zeros(3, dtype=torch.int64)}, ["test labels", "20 pictures"]),
        ({"test_labels": torch.zeros(20)}, ["test labels", "float32", "int64"]),
        ({"classes": ("a", "b")}, ["labels run from 0 to 3", "0 to 1"]),
        ({"train_labels": torch.zeros(40, dtype=torch.int64)}, ["test split has classes", "b, c, d"]),
        ({"test_images": torch.zeros(20, 1, 8, 8, dtype=torch.uint8)}, ["(3, 8, 8)", "(1, 8, 8)"]),
        (
            {
                "test_images": torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
                "test_labels": torch.zeros(0, dtype=torch.int64),
            },
            ["test split has no pictures"],
        ),
        (
            {
                "train_labels": torch.zeros(40, dtype=torch.int64),
                "test_labels": torch.zeros(20, dtype=torch.int64),
            },
            ["one class only", "two or more"],
        ),
    ],
)
def test_parts_that_do_not_fit(change: dict[str, Any], words: list[str]) -> None:
    told = message(lambda: dataclasses.replace(made_up(), **change))
    assert all(word in told for word in words), told


def test_unknown_names_and_sizes() -> None:
    told = message(lambda: load_data("mnist"))
    assert all(word in told for word in ("'mnist'", "digits", "cifar10", "folder:PATH"))
    for size in (3, 0, -8, 2000, 8.0, "8", True):
        told = message(lambda size=size: load_data("digits", image_size=size))  # type: ignore[misc]
        assert f"image_size {size!r}" in told
        assert "between 4 and 1024" in told


def test_data_roots(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_roots() == (Path("data"),)
    monkeypatch.setenv("TUCKERLAB_DATA", "~/sets")
    assert data_roots() == (Path.home() / "sets", Path("data"))


# CIFAR-10, in its published forms


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


def write_pickle(folder: Path, dump: Callable[[object], bytes] = python2) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(cifar10.BATCHES):
        pixels, labels = batch(number)
        names = [b"picture_%d.png" % i for i in range(FEW)]
        content = {b"batch_label": b"a batch", b"labels": labels, b"data": pixels, b"filenames": names}
        (folder / name).write_bytes(dump(content))


def write_parquet(folder: Path, *, flat: bool = False, form: str = "PNG") -> None:
    folder.mkdir(parents=True)
    for split, numbers in (("train", range(5)), ("test", range(5, 6))):
        encoded, labels = [], []
        for number in numbers:
            pixels, batch_labels = batch(number)
            for row in pixels:
                file = io.BytesIO()
                Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).save(file, form)
                encoded.append(file.getvalue())
            labels += batch_labels
        column = pa.array([{"bytes": content, "path": None} for content in encoded])
        table = pa.table({"img": column, "label": pa.array(labels, pa.int64())})
        pq.write_table(table.flatten() if flat else table, folder / f"{split}-00000-of-00001.parquet")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "cifar10/cifar-10-batches-bin": write_binary,
    "cifar-10-batches-bin": write_binary,
    "cifar10/cifar-10-batches-py": write_pickle,
    "cifar-10-batches-py": lambda folder: write_pickle(folder, lambda value: pickle.dumps(value, protocol=2)),
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


def test_jpeg_is_said_beside_figures(nowhere: Path) -> None:
    write_parquet(nowhere / "cifar10", form="JPEG")
    assert "JPEG" in load_data("cifar10", root=nowhere).note


def test_cifar10_is_read_once(nowhere: Path) -> None:
    write_parquet(nowhere / "cifar10")
    first = load_data("cifar10", root=nowhere)
    assert load_data("cifar10", root=nowhere).train_images is first.train_images
    os.utime(nowhere / "cifar10" / "train-00000-of-00001.parquet", ns=(1, 1))
    assert load_data("cifar10", root=nowhere).train_images is not first.train_images
    assert sorted(p.name for p in (nowhere / "cifar10").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]


def test_cifar10_not_here(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_DATA", str(nowhere / "sets"))
    told = message(lambda: load_data("cifar10"))
    assert str(nowhere / "sets" / "cifar10") in told
    assert str(Path("data", "cifar10")) in told
    assert "TUCKERLAB_DATA" in told


def cut(path: Path, keep: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("cifar-10-batches-bin", "data_batch_3.bin"),
        ("cifar-10-batches-bin", "test_batch.bin"),
        ("cifar10/cifar-10-batches-py", "data_batch_2"),
        ("cifar-10-batches-py", "test_batch"),
        ("cifar10", "train-00000-of-00001.parquet"),
        ("cifar10", "test-00000-of-00001.parquet"),
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_a_file_cut_off_or_missing_is_named(nowhere: Path, layout: str, file: str) -> None:
    LAYOUTS[layout](nowhere / "data" / layout)
    path = nowhere / "data" / layout / file
    for keep in (0.99, 0.5, 0):
        cut(path, keep)
        told = message(lambda: load_data("cifar10"))
        assert str(Path("data", layout, file)) in told
        assert "cut off" in told
    path.unlink()
    told = message(lambda: load_data("cifar10"))
    assert "not complete" in told
    assert file.split("-")[0] in told


class Evil:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("taken over",)


@pytest.mark.usefixtures("small_batches")
def test_nothing_in_a_pickle_is_executed(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar-10-batches-py"
    write_pickle(folder)
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil(), b"labels": [0] * FEW}))
    told = message(lambda: load_data("cifar10"))
    assert "data_batch_1" in told
    assert "mkdir" in told
    assert not (nowhere / "taken over").exists()


@pytest.mark.parametrize(
    "content",
    [
        [1, 2, 3],
        {b"data": noise(0, FEW, 3072)},
        {b"data": noise(0, FEW, 3072), b"labels": [11] * FEW},
        {b"data": noise(0, FEW, 3072), b"labels": [0] * (FEW - 1)},
        {b"data": noise(0, FEW, 3072).astype(np.float32), b"labels": [0] * FEW},
        {b"data": noise(0, FEW, 1024), b"labels": [0] * FEW},
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_a_pickle_of_something_else_is_named(nowhere: Path, content: object) -> None:
    folder = nowhere / "data" / "cifar-10-batches-py"
    write_pickle(folder)
    (folder / "data_batch_4").write_bytes(python2(content))
    assert "data_batch_4 is cut off or not CIFAR-10" in message(lambda: load_data("cifar10"))


def test_parquet_of_something_else_is_named(nowhere: Path) -> None:
    folder = nowhere / "data" / "cifar10"
    write_parquet(folder)
    good = pq.read_table(folder / "train-00000-of-00001.parquet")
    row = good.slice(0, 1)

    def told(table: pa.Table) -> str:
        pq.write_table(table, folder / "train-00000-of-00001.parquet")
        answer = message(lambda: load_data("cifar10"))
        assert str(Path("data", "cifar10", "train-00000-of-00001.parquet")) in answer
        return answer

    assert "has the columns x; give Parquet with img" in told(pa.table({"x": [1]}))
    broken = pa.array([{"bytes": b"\xff\xd8 no picture", "path": None}], row.schema.field("img").type)
    assert "1 of 1 pictures cannot be read: row 0 of" in told(row.set_column(0, "img", broken))
    assert "without a picture" in told(row.set_column(0, "img", pa.array([None], broken.type)))
    assert "labels from 10 to 10" in told(row.set_column(1, "label", pa.array([10])))
    assert "whole number" in told(row.set_column(1, "label", pa.array(["cat"])))
    assert "no rows" in told(good.slice(0, 0))


@pytest.mark.data
@pytest.mark.slow
def test_the_real_cifar10() -> None:
    need("cifar10")
    data = load_data("cifar10", root=ROOT)
    assert (data.train_images.shape, data.test_images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert data.train_labels.bincount().tolist() == [5000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    # The well-known figures of the original pixels; a copy that is JPEG re-encoded is close to them.
    torch.testing.assert_close(data.mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-3, rtol=0)
    torch.testing.assert_close(data.std, torch.tensor([0.2470, 0.2435, 0.2616]), atol=4e-3, rtol=0)


# folders of pictures


def write_pictures(
    folder: Path,
    counts: dict[str, int],
    *,
    shape: tuple[int, ...] = (10, 10),
    suffix: str = ".png",
) -> None:
    for group, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(noise(100 * group + i, *shape)).save(folder / name / f"{i:02}{suffix}")


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


@pytest.mark.parametrize("second", ["val", "validation", "valid", "Test"])
def test_other_names_for_the_second_split(nowhere: Path, second: str) -> None:
    write_pictures(nowhere / "Train", {"a": 2, "b": 2})
    write_pictures(nowhere / second, {"a": 1, "b": 1})
    note = load_data(f"folder:{nowhere}").note
    assert note == ("" if second == "Test" else f"{second} is the test split")


def test_a_split_that_is_not_used_is_said(nowhere: Path) -> None:
    for split in ("train", "val", "test"):
        write_pictures(nowhere / split, {"a": 2, "b": 2})
    assert load_data(f"folder:{nowhere}").note == "val is not used"


def test_a_folder_without_splits_is_split_the_same_way_each_time(nowhere: Path) -> None:
    write_pictures(nowhere / "data" / "set", {"b": 10, "a": 20})
    data = load_data("folder:set")  # found under data/
    assert data.train_labels.bincount().tolist() == [16, 8]
    assert data.test_labels.bincount().tolist() == [4, 2]
    assert "a fifth of each class" in data.note
    assert data.fingerprint == load_data(f"folder:{nowhere / 'data' / 'set'}").fingerprint
    assert data.fingerprint == "958170273056945e"  # the same on every machine


def test_root_comes_first_for_relative_folders(nowhere: Path) -> None:
    write_pictures(nowhere / "elsewhere" / "set", {"a": 5, "b": 5})
    assert load_data("folder:set", root=nowhere / "elsewhere").num_classes == 2


def test_classes_may_be_called_like_splits(nowhere: Path) -> None:
    write_pictures(nowhere / "vehicles", {"train": 5, "bus": 5})
    assert load_data("folder:vehicles").classes == ("bus", "train")


def test_what_is_not_a_picture_is_left_out_and_counted(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 5, "b": 5, ".hidden": 5})
    for name in ("a/notes.txt", "b/Thumbs.db", "a/.DS_Store", "b/._01.png", "readme.md"):
        (nowhere / "set" / name).write_text("no picture")
    data = load_data("folder:set")
    assert data.classes == ("a", "b")
    assert len(data.train_images) + len(data.test_images) == 10
    assert "2 entries left out: not pictures" in data.note


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif", ".TIFF", ".gif", ".jpg", ".JPEG"])
def test_file_formats(nowhere: Path, suffix: str) -> None:
    write_pictures(nowhere / "set", {"a": 5, "b": 5}, suffix=suffix)
    data = load_data("folder:set", grey=True)
    pixels = torch.cat([data.train_images, data.test_images])
    lossless = suffix not in (".webp", ".jpg", ".JPEG")
    expected = torch.stack([torch.from_numpy(noise(100 * g + i, 10, 10)) for g in (0, 1) for i in range(5)])
    difference = (pixels.sort(0).values[:, 0].int() - expected.sort(0).values.int()).abs().max()
    assert difference == 0 if lossless else difference < 80


@pytest.mark.parametrize(
    ("shapes", "image_size", "side"),
    [
        ([(10, 10)], None, 10),  # a common size is kept
        ([(64, 64)], None, 64),
        ([(65, 65)], None, 64),  # too large
        ([(10, 12)], None, 64),  # not square
        ([(10, 10), (12, 12)], None, 64),  # not common
        ([(2, 2)], None, 64),  # too small
        ([(10, 12), (200, 40)], 24, 24),
    ],
)
def test_image_size(nowhere: Path, shapes: list[tuple[int, int]], image_size: int | None, side: int) -> None:
    for name, shape in zip("abc", [*shapes, shapes[0]], strict=False):
        write_pictures(nowhere / "set", {name: 5}, shape=shape)
    assert load_data("folder:set", image_size=image_size).image_size == side


def test_grey_unless_there_is_colour(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 5})
    for i in range(5):  # grey values stored as colours
        (nowhere / "set" / "b").mkdir(exist_ok=True)
        Image.fromarray(noise(i, 10, 10)).convert("RGB").save(nowhere / "set" / "b" / f"{i}.png")
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
            picture.save(path / name / f"{i}{options.get('suffix', '.png')}", **options.get("save", {}))
    return load_data("folder:set").test_images


def test_sixteen_bits_are_reduced_not_cut(nowhere: Path) -> None:
    values = (noise(0, 8, 8).astype(np.uint16) << 8) | 17
    for suffix in (".png", ".tif"):
        [picture] = folder_of(nowhere, [Image.fromarray(values)], suffix=suffix)[-1:]
        assert np.array_equal(picture[0].numpy(), values >> 8)


def test_transparent_pixels_become_white(nowhere: Path) -> None:
    pixels = noise(0, 8, 8, 4)
    pixels[..., 3] = 255
    pixels[0, :, 3] = 0
    [picture] = folder_of(nowhere, [Image.fromarray(pixels)])
    assert (picture[:, 0] == 255).all()
    assert np.array_equal(picture[:, 1:].numpy(), pixels[1:, :, :3].transpose(2, 0, 1))


def test_pictures_stand_upright_as_the_camera_meant(nowhere: Path) -> None:
    pixels = noise(0, 8, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90° clockwise
    [picture] = folder_of(nowhere, [Image.fromarray(pixels)], save={"exif": exif})
    assert np.array_equal(picture[0].numpy(), np.rot90(pixels, -1))


def test_palettes_and_bilevel(nowhere: Path) -> None:
    dark = Image.fromarray(noise(0, 8, 8) // 128 * 255)
    pictures = folder_of(nowhere, [dark.convert("1"), dark.convert("P")])
    assert all(np.array_equal(picture[0].numpy(), np.asarray(dark)) for picture in pictures)


def test_large_photographs_are_decoded_small_but_alike(nowhere: Path) -> None:
    ramp = np.add.outer(np.arange(1600), np.arange(1600)) / 3200 * 255
    photograph = Image.fromarray(ramp.astype(np.uint8))
    [picture] = folder_of(nowhere, [photograph], suffix=".jpg")
    expected = np.asarray(photograph.resize((64, 64), Image.Resampling.BILINEAR), dtype=int)
    assert np.abs(picture[0].numpy().astype(int) - expected).max() <= 3


def test_corrupt_pictures_are_counted_and_three_are_named(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 6, "b": 6}, shape=(20, 20))
    cut(nowhere / "set" / "a" / "02.png")
    told = message(lambda: load_data("folder:set"))
    assert "1 of 12 pictures cannot be read: a/02.png (" in told
    for i in range(4):
        (nowhere / "set" / "b" / f"{i:02}.png").write_text("no picture")
    told = message(lambda: load_data("folder:set"))
    assert "5 of 12 pictures cannot be read" in told
    assert "b/00.png (not a picture); b/01.png (not a picture); and 2 more; replace or remove them" in told
    (nowhere / "set" / "a" / "02.png").write_bytes(b"")
    assert "a/02.png (not a picture)" in message(lambda: load_data("folder:set"))


def test_fractions_have_no_agreed_range(nowhere: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).random((8, 8), dtype=np.float32))
    assert "fractions" in message(lambda: folder_of(nowhere, [picture], suffix=".tif"))


def test_a_changed_folder_is_read_again(nowhere: Path) -> None:
    write_pictures(nowhere / "set", {"a": 5, "b": 5})
    first = load_data("folder:set")
    assert load_data("folder:set").fingerprint == first.fingerprint
    Image.fromarray(noise(77, 10, 10)).save(nowhere / "set" / "a" / "99.png")
    assert len(load_data("folder:set").train_images) == len(first.train_images) + 1


def test_folders_that_will_not_do(nowhere: Path) -> None:
    told = message(lambda: load_data("folder:lost"))
    assert all(word in told for word in ("lost is not there", str(Path("data", "lost")), "TUCKERLAB_DATA"))
    assert "names no folder" in message(lambda: load_data("folder:"))
    Path("file.zip").write_bytes(b"")
    assert "file.zip is not a folder" in message(lambda: load_data("folder:file.zip"))

    Path("empty").mkdir()
    told = message(lambda: load_data("folder:empty"))
    assert "no pictures in empty" in told
    assert "train/CLASS/picture" in told
    Path("empty/a").mkdir()
    Path("empty/b").mkdir()
    assert "no pictures in empty" in message(lambda: load_data("folder:empty"))

    write_pictures(Path("one"), {"only": 5})
    assert "one has one class only, only" in message(lambda: load_data("folder:one"))
    write_pictures(Path("few"), {"a": 5, "b": 1, "c": 0})
    told = message(lambda: load_data("folder:few"))
    assert "b (1), c (0)" in told
    assert "2 or more" in told


def test_splits_that_will_not_do(nowhere: Path) -> None:
    write_pictures(Path("set/train"), {"a": 2, "b": 2})
    told = message(lambda: load_data("folder:set"))
    assert "no test split in set" in told
    assert "test, val, valid, validation" in told
    Path("set/test").mkdir()
    assert f"no pictures in the test split {Path('set/test')}" in message(lambda: load_data("folder:set"))
    write_pictures(Path("set/test"), {"c": 1, "a": 1})
    told = message(lambda: load_data("folder:set"))
    assert f"{Path('set/test')} has classes that {Path('set/train')} has not: c" in told
    (Path("set/test/c/00.png")).unlink()
    assert load_data("folder:set").note == "no test pictures of b"

    write_pictures(Path("late/test"), {"a": 2, "b": 2})
    assert "late has test but no train" in message(lambda: load_data("folder:late"))
    write_pictures(Path("holes/train"), {"a": 2, "b": 0})
    write_pictures(Path("holes/test"), {"a": 2})
    assert "b (0)" in message(lambda: load_data("folder:holes"))


@pytest.mark.data
def test_the_real_steel_surfaces() -> None:
    need("neu_steel")
    data = load_data("folder:neu_steel", root=ROOT)
    assert data.train_images.shape == (1440, 1, 64, 64)
    assert data.test_labels.bincount().tolist() == [60] * 6
    assert data.classes[-1] == "scratches"
