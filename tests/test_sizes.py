"""The table behind the slider: what is found in it, and what is said of one that is not one."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.experiments.size_table import FILE, Size, Sizes, recorded_sizes, yearly_cost

FULL = Size("compression", 0.0, "dense", True, 1200, 1000, 0.0, 0.0, 500, 4000, 0.98, 0.98, 0.98, 3, 1.0, 32.0)


def row(by: str, setting: float, kept: int, accuracy: float, **changes: Any) -> Size:
    sizes = {"parameters": kept + 200, "conv_parameters": kept, "conv_compression": 1 - kept / 1000}
    told = {"by": by, "setting": setting, "source": "dense", "trained": False, "test_accuracy": accuracy}
    return FULL._replace(**(told | sizes | changes))


ROWS = (
    row("compression", 0.9, 100, 0.96),
    FULL,
    row("compression", 0.5, 500, 0.98),
    row("compression", 0.7, 300, 0.97),
    row("tolerance", 0.0, 1000, 0.98),
    row("tolerance", 0.2, 450, 0.975),
    row("tolerance", 0.4, 120, 0.95),
)


def frame(*rows: Size, **origin: Any) -> pd.DataFrame:
    return pd.DataFrame([one._asdict() for one in rows]).assign(**origin)


SIZES = Sizes.of(frame(*ROWS))


def test_a_series_goes_down_from_the_full_network() -> None:
    assert [size.setting for size in SIZES.series("compression")] == [0.0, 0.5, 0.7, 0.9]
    assert [size.setting for size in SIZES.series("tolerance")] == [0.0, 0.2, 0.4]
    assert SIZES.series("colour") == ()


def test_at_is_the_nearest() -> None:
    nearest = {-1: 0, 0: 0, 0.24: 0, 0.26: 0.5, 0.7: 0.7, 0.81: 0.9, 7: 0.9}
    assert {setting: SIZES.at("compression", setting).setting for setting in nearest} == nearest


def test_like_stores_most_nearly_as_much() -> None:
    pairs = {0.0: 0.0, 0.5: 0.2, 0.7: 0.2, 0.9: 0.4}
    assert {at: SIZES.like(SIZES.at("compression", at), "tolerance").setting for at in pairs} == pairs
    assert SIZES.like(SIZES.at("tolerance", 0.4), "compression").setting == 0.9


def test_the_smallest_that_loses_at_most() -> None:
    smallest = {0: 0.5, 0.99: 0.5, 1: 0.7, 1.9: 0.7, 2: 0.9, 100: 0.9, -1: 0}
    assert {points: SIZES.smallest_within("compression", points).setting for points in smallest} == smallest


def test_as_accurate_as_the_worst_start_is_as_accurate() -> None:
    spread = Sizes.of(frame(*(one._replace(lowest=0.97) if one == FULL else one for one in ROWS)))
    found = {points: spread.smallest_within("compression", points).setting for points in (0, 1, 1.9, 2)}
    assert found == {0: 0.7, 1: 0.7, 1.9: 0.7, 2: 0.9}


def test_a_folder_with_a_table_of_sizes_and_without(tmp_path: Path) -> None:
    frame(*ROWS, device="a machine").to_parquet(tmp_path / FILE)
    found = Sizes.load(tmp_path)
    assert (found.rows, found.full, found.origin) == (ROWS, FULL, {"device": "a machine"})
    for broken, why in ((frame(*ROWS[2:4]), "full network"), (pd.DataFrame({"a": [1]}), "all columns of a size")):
        broken.to_parquet(tmp_path / FILE)
        with pytest.raises(DataError, match=why):
            Sizes.load(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(DataError, match="no table of sizes there"):
        Sizes.load(tmp_path)


@pytest.mark.parametrize("name", recorded_sizes())
def test_recorded_tables_are_whole(name: str) -> None:
    sizes = Sizes.load(found_folder(name))
    assert {"device", "cores", "date", "commit", "torch"} <= set(sizes.origin)
    for by in ("compression", "tolerance"):
        series = sizes.series(by)
        assert series[0].setting == 0
        assert len({size.setting for size in series}) == len(series) > 10
        assert any(size.trained for size in series)


def test_the_cost_of_a_year() -> None:
    # a million batches of 128 a day, 32 ms each: 32 000 s a day, 365 days, 3600 s an hour
    assert yearly_cost(FULL, 128e6, 0.5) == pytest.approx(365 * 32_000 / 3600 * 0.5)
