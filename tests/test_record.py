"""Records: round trips, what the schema refuses, broken files, and the tables people read."""

import re
from pathlib import Path

import pandas as pd
import pytest
from made_up import dense, facts, tucker

from tuckerlab.errors import DataError
from tuckerlab.experiments.records import SCHEMA, Records


def assert_same(one: Records, other: Records) -> None:
    for name in SCHEMA:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_a_round_trip_and_a_failing_write_that_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = dense() + tucker()
    records.save(tmp_path)
    assert_same(Records.load(tmp_path), records)

    def full_disk(frame: pd.DataFrame, path: Path, **options: object) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full_disk)
    with pytest.raises(OSError, match="no space"):
        dense().save(tmp_path)
    assert_same(Records.load(tmp_path), records)


class TestSchema:
    def test_measurements_may_be_missing(self) -> None:
        runs = Records.single(facts()).runs
        assert runs["latency_1_ms"].isna().all()
        assert runs["note"].tolist() == [""]
        assert list(runs.columns) == list(SCHEMA["runs"])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"acuracy": 1.0}, "runs: unknown column acuracy; the columns are run, label"),
            ({"test_accuracy": 97.2}, "accuracy 97.2 is not a fraction between 0 and 1"),
            ({"seed": None}, "lacks a value"),
            ({"multiply_adds": "many"}, "many"),
        ],
    )
    def test_refused(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(DataError, match=re.escape(message)):
            Records.single(facts(**changes))

    def test_rows_of_other_runs(self) -> None:
        with pytest.raises(DataError, match="epochs: rows of run 'b'"):
            Records.single(facts(), [{"run": "b", "epoch": 1, "step": 1}])
        with pytest.raises(DataError, match="run 'a' is there twice"):
            Records(pd.DataFrame([facts(), facts()]))


class TestBroken:
    def test_cut_in_half(self, tmp_path: Path) -> None:
        tucker().save(tmp_path)
        path = tmp_path / "epochs.parquet"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=re.escape(str(path))) as caught:
            Records.load(tmp_path)
        assert "\n" not in str(caught.value)
