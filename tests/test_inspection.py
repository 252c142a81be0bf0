"""The look at a folder: it names every fault, and it agrees with `load_data` about what can be trained on."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pictures import cut, message, noise, nowhere as nowhere, write_pictures
from PIL import Image

from tuckerlab.data import load_data
from tuckerlab.data.digits import write_example
from tuckerlab.data.image_folder import FEW, SAMPLES, Count, FolderReport, inspect_folder


def keys(report: FolderReport) -> list[str]:
    return [*report.problems, *report.warnings]


def good(folder: str = "set") -> Path:
    write_pictures(Path(folder, "train"), {"a": FEW, "b": FEW})
    write_pictures(Path(folder, "test"), {"a": 5, "b": 5}, seed=7000)
    return Path(folder)


def test_a_good_folder_has_no_findings(nowhere: Path) -> None:
    good()
    report = inspect_folder("set")
    assert report.ready
    assert keys(report) == []
    assert report.classes == {"a": Count(FEW, 5), "b": Count(FEW, 5)}
    assert (report.checked, report.total) == (2 * FEW + 10, 2 * FEW + 10)
    assert report.always_the_same == 0.5
    assert {len(pictures) for pictures in report.samples.values()} == {SAMPLES}
    assert all(p.dtype == np.uint8 and p.shape == (64, 64) for s in report.samples.values() for p in s)


def broken() -> None:
    cut(Path("set/test/a/01.png"))
    Path("set/train/b/03.png").write_text("<b>no picture</b>")


SPOILERS: list[tuple[Callable[[], object], str]] = [
    (lambda: shutil.rmtree("set/train"), "few"),
    (lambda: shutil.rmtree("set/test"), "no_test_split"),
    (lambda: [shutil.rmtree("set/train/b"), shutil.rmtree("set/test/b")], "few"),
    (lambda: Path("set/train/c").mkdir(), "few"),
    (lambda: shutil.copytree("set/test/b", "set/test/c"), "untrained"),
    (broken, "unreadable"),
]


@pytest.mark.parametrize(("spoil", "key"), SPOILERS)
def test_what_prevents_training(nowhere: Path, spoil: Callable[[], None], key: str) -> None:
    good()
    spoil()
    report = inspect_folder("set")
    assert [*report.problems] == [key]
    assert not report.ready
    told = message(lambda: load_data("folder:set"))
    assert key == "unreadable" or report.problems[key] in told


def test_what_spoils_a_folder_is_counted(nowhere: Path) -> None:
    write_pictures(Path("set/train"), {"c": 19, "b": 20, "a": 200})
    for name in ("a/00.png", "a/01.png", "a/02.png", "b/00.png"):
        Path("set/test", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"set/train/{name}", f"set/test/{name}")
    Path("set/train/a/notes.txt").touch()
    Path("set/val").mkdir()
    report = inspect_folder("set")
    assert keys(report) == ["leak", "tiny", "imbalance", "unused"]
    words = [": 4 (", "c (19 + 0)", "a 200, c 19", ": 2 ("]
    assert all(word in said for word, said in zip(words, report.warnings.values(), strict=True))
    assert report.always_the_same == 0.75


def test_progress_is_told_and_a_look_can_be_stopped(nowhere: Path) -> None:
    write_pictures(Path("set"), {"a": 150, "b": 150}, shape=(4, 4))
    told: list[tuple[int, int]] = []
    inspect_folder("set", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (300, 300)
    assert len(told) > 1
    assert sorted(told) == told
    stop = threading.Event()
    report = inspect_folder("set", on_progress=lambda done, total: stop.set(), stop=stop)
    assert report.checked == told[0][0] < report.total
    assert not report.problems
    assert not report.ready  # of what has not been looked at, nothing is promised


def test_the_example_is_the_digits(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "digits")
    report, data, digits = inspect_folder(str(folder)), load_data(f"folder:{folder}"), load_data("digits")
    assert report.ready
    assert keys(report) == []
    assert data.train_images.sum() == digits.train_images.sum()
    assert data.test_labels.bincount().tolist() == digits.test_labels.bincount().tolist()
    changed = folder / "train" / "0" / "mine.png"
    shutil.copy(next((folder / "train" / "1").iterdir()), changed)
    write_example(folder)
    assert changed.exists()


CLASS_FOLDERS = st.dictionaries(st.sampled_from(["a", "b", "c", "train", ".hidden"]), st.integers(0, 6), max_size=4)
SPLITS = st.dictionaries(st.sampled_from(["train", "Train", "test", "val", "validation"]), CLASS_FOLDERS, max_size=3)
FAULTS = st.lists(st.sampled_from(["cut", "float", "nested", "loose"]), max_size=2)


def spoil(folder: Path, files: list[Path], fault: str) -> None:
    if fault == "loose" or not files:
        Image.fromarray(noise(0, 6, 6)).save(folder / "loose.png")
        return
    file = files[len(files) // 2]
    if fault == "cut":
        cut(file)
    elif fault == "float":
        Image.fromarray(np.zeros((6, 6), dtype=np.float32)).save(file.with_suffix(".tif"))
    elif fault == "nested":
        (file.parent / "deeper.png").mkdir(exist_ok=True)


@settings(max_examples=60)
@given(st.one_of(CLASS_FOLDERS.map(lambda classes: {".": classes}), SPLITS), FAULTS)
def test_it_agrees_with_load_data(splits: dict[str, dict[str, int]], faults: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), list[Path]()
        for number, (split, classes) in enumerate(splits.items()):
            files += write_pictures(folder / split, classes, shape=(6, 6), seed=1000 * number)
        for fault in faults:
            spoil(folder, files, fault)
        report = inspect_folder(name)
        if not report.ready:
            assert report.problems
            message(lambda: load_data(f"folder:{name}"))
            return
        data = load_data(f"folder:{name}")
        counts = [report.classes[label] for label in data.classes]
        assert [count.train for count in counts] == data.train_labels.bincount(minlength=len(counts)).tolist()
        assert [count.test for count in counts] == data.test_labels.bincount(minlength=len(counts)).tolist()
