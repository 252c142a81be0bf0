"""What the brief takes from run folders: which networks, their numbers, what is better, and what is not known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from decisions import GOOD, Row, pairs, records, run, tables, with_networks

from tuckerlab import load_data
from tuckerlab.decision.evidence import Evidence, better
from tuckerlab.decision.gaps import GAPS
from tuckerlab.decision.measurements import QUANTITIES, TIMES
from tuckerlab.errors import DataError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder, found_folder


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[..., Evidence]:
    def of(rows: list[Row] | Records, network: str | None = None, **options: Any) -> Evidence:
        (rows if isinstance(rows, Records) else records(rows)).save(tmp_path / "run")
        return Evidence.of([tmp_path / "run"], network, **options)

    return of


def keys(found: Evidence) -> set[str]:
    return {gap.key for gap in found.gaps} - {"no_networks"}


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_accuracy_shares_and_the_change_of_each_seed(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97), (0.96, 0.975), (0.97, 0.95)]))
    assert found.dense is not None
    assert (full := found.dense["accuracy"]) is not None
    assert (full.value, full.low, full.high) == pytest.approx((97.0, 96.0, 98.0))
    assert found.change is not None  # −1, +1.5, −2: the spread is that of the pairs, not of the two means
    assert (found.change.value, found.change.low, found.change.high) == pytest.approx((-0.5, -2.0, 1.5))
    assert (found.pairs, found.is_valid, keys(found), found.change.origin) == (3, True, set(), "[1]")
    shares = {name: share.value for name, share in found.shares.items() if share}
    wanted = {"parameters": 1_500 / 10_500, "conv_parameters": 0.1, "file": 0.1, "time_1": 0.5, "time_128": 0.5}
    assert {name: shares[name] for name in wanted} == pytest.approx(wanted)
    assert found.shares["memory"] is None  # was not measured
    assert found.basis.measured["time_1"] == found.shares["time_1"]
    assert found.basis.full["ms_128"].value == pytest.approx(40 / 128)


def test_a_time_of_one_seed_has_the_spread_of_its_timing(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97)], latency_1_iqr_ms=30.0))
    time, size = found.shares["time_1"], found.shares["parameters"]
    assert time is not None
    assert size is not None
    assert 0 < time.low < 0.5 < time.high  # no time is below nothing
    assert not size.has_spread
    assert keys(found) == {"one_seed"}


# --- which networks --------------------------------------------------------------------------------------------------


def sizes(*given: tuple[str, float, int]) -> list[Row]:
    made = [run("dense", seed, 0.98) for seed in range(3)]
    return made + [
        run("tucker", seed, accuracy, label=label, parameters=parameters)
        for label, accuracy, parameters in given
        for seed in range(3)
    ]


def test_the_smallest_that_loses_little_or_the_one_that_is_asked_for(evidence: Callable[..., Evidence]) -> None:
    parts = sizes(("large", 0.985, 3000), ("middle", 0.972, 2000), ("tiny", 0.95, 100))
    for points, label in ((0.1, "large"), (1.0, "middle"), (5.0, "tiny")):
        small = evidence(parts, allowed=points).small
        assert small is not None
        assert small.label == label
    asked = evidence(parts, "tiny").small
    assert asked is not None
    assert asked.label == "tiny"
    for wrong, said in (("huge", "name one of"), ("dense", "there is no small one")):
        with pytest.raises(DataError, match=f"network '{wrong}': .*{said}"):
            evidence(parts, wrong)
    none_near = evidence(sizes(("middle", 0.94, 2000), ("most accurate", 0.95, 100), ("large", 0.93, 3000))).small
    assert none_near is not None
    assert none_near.label == "most accurate"


def test_the_same_optimizer_is_compared_with() -> None:
    found = Evidence.of([found_folder("compare-folder-neu_steel")], "Tucker 95 % AdamW", audit=False)
    assert found.dense is not None
    assert found.dense.label == "dense AdamW"


def test_several_folders_are_several_seeds(tmp_path: Path) -> None:
    for seed, (full, small) in enumerate([(0.98, 0.97), (0.96, 0.95)]):
        records([run("dense", seed, full), run("tucker", seed, small)]).save(tmp_path / str(seed))
    found = Evidence.of([tmp_path / "0", tmp_path / "1", tmp_path / "0"])
    assert list(found.sources) == ["[1]", "[2]"]
    assert found.change is not None
    assert (found.pairs, found.change.origin) == (2, "[1] [2]")
    records([run("tucker", 0, 0.98, width=0.5)]).save(tmp_path / "other")
    with pytest.raises(DataError, match=r"several kinds .width: 0\.5, 1\.0"):
        Evidence.of([tmp_path / "0", tmp_path / "other"])


def test_others_that_are_better_are_named(evidence: Callable[..., Evidence]) -> None:
    records = Records.load(found_folder("compare-folder-neu_steel"))
    table = records.runs.groupby("label").mean(numeric_only=True)
    found = {other.quantity: other for other in better(records, "Tucker 95 %", "dense", allowed=1.0)}
    assert found["accuracy"].network.name == table["test_accuracy"].idxmax()
    near = table[table["test_accuracy"] >= table.loc["dense", "test_accuracy"] - 0.01].drop("dense")
    assert found["file"].network.name == near["checkpoint_bytes"].idxmin()
    ours = table.loc["Tucker 95 %", "checkpoint_bytes"]
    assert found["file"].cost == pytest.approx(near["checkpoint_bytes"].min() / ours)
    assert "time_1" not in found  # the fastest are pruned channels, and these lose four points
    loose = better(records, "Tucker 95 %", "dense", allowed=5.0)
    assert {other.network.method for other in loose if other.quantity.startswith("time")} == {"channels"}
    assert evidence(sizes(("tiny", 0.99, 100), ("large", 0.98, 3000))).others == ()


# --- gaps ------------------------------------------------------------------------------------------------------------


def well(**changes: Any) -> list[Row]:
    """Three good pairs, of which the small networks are changed."""
    return pairs([(0.98, 0.97)] * 3, **changes)


@pytest.mark.parametrize(
    ("rows", "gap"),
    [
        ([run("dense", 0, 0.98)], "no_small"),
        ([run("tucker", 0, 0.98)], "no_dense"),
        (well(test_accuracy=float("nan")), "no_accuracy"),
        (well(state="stopped"), "unfinished"),
        (well(epochs=9), "recipes"),
        (pairs([(0.12, 0.12)] * 3), "guess"),
        ([run("dense", 0, 0.98), run("tucker", 1, 0.98)], "no_pairs"),
    ],
)
def test_without_a_comparison_there_is_none(evidence: Callable[..., Evidence], rows: list[Row], gap: str) -> None:
    found = evidence(rows)
    assert gap in keys(found)
    assert GAPS[gap]["kind"] == "no_comparison"
    assert not found.is_valid
    if gap in ("no_dense", "no_small", "no_accuracy", "no_pairs"):
        assert found.change is None
    if gap == "no_dense":
        assert (found.dense, set(found.shares.values()), found.basis.measured) == (None, {None}, {})


def test_training_that_is_not_over(evidence: Callable[..., Evidence]) -> None:
    [gap] = [gap for gap in evidence(records(well(), rise=0.05)).gaps if gap.key == "unsettled"]
    assert gap.values["points"] == pytest.approx(5.0)
    assert "unsettled" not in keys(evidence(records(well(), rise=0.005)))
    assert "unsettled" in keys(evidence(records(well(), epochs=1)))


def test_times_of_several_machines_are_not_compared(evidence: Callable[..., Evidence]) -> None:
    found = evidence(well(device="another"))
    assert (keys(found), found.is_valid) == ({"hardware"}, True)
    assert {name for name in QUANTITIES if found.shares[name] is None} == {*TIMES, "memory"}


# --- exported files --------------------------------------------------------------------------------------------------


def test_times_of_exported_files_come_first(evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    table = tmp_path / "run" / "deployment.parquet"
    parts = well()
    assert evidence(parts).timed_on == (parts[0]["device"], parts[0]["threads"])
    tables(parts).to_parquet(table)
    found = evidence(parts)
    share, step = found.shares["time_1"], found.shares["step"]
    assert share is not None
    assert step is not None
    assert share.value == pytest.approx(1 / 4.5)  # timed in turn, not the ratio of two medians
    assert (share.origin, step.origin) == ("[1] ONNX", "[1]")
    assert found.dense is not None
    time = found.dense["time_1"]
    assert time is not None
    assert (time.value, time.low, time.high) == (4.0, pytest.approx(16 / 4.2), 4.2)
    assert found.exported is not None
    assert found.exported.int8 == pytest.approx((0.25, 0.1, -2.0))
    assert found.timed_on == ("another machine", 1)
    table.write_bytes(b"broken")
    assert evidence(parts).exported is None


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(run=table["run"].where(table["network"] == "dense", "another run of it")),
        lambda table: table.drop(columns="run"),
        lambda table: table[table["batch"] == 1],
    ],
)
def test_times_of_something_else_are_not_shown(
    evidence: Callable[..., Evidence], tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    evidence(well())
    change(tables(well())).to_parquet(tmp_path / "run" / "deployment.parquet")
    assert evidence(well()).exported is None


# --- the audit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_networks(tmp_path_factory.mktemp("poc") / "run", pairs(GOOD))


def test_networks_that_are_there_are_audited(poc: Path) -> None:
    found = Evidence.of([poc]).pair_audit
    assert found is not None
    folder, data = RunFolder.open(poc), load_data("digits")
    inputs = data.normalize(data.test_images)
    with torch.no_grad():
        answers = [folder.network(label)(inputs).argmax(1) for label in ("dense", "Tucker")]
    agreement = 100 * float(np.mean((answers[0] == answers[1]).numpy()))
    row, traffic = found.audit.overall.iloc[0], found.traffic
    assert row["agreement"] == pytest.approx(agreement)
    assert (found.seed, found.origin) == (0, "[1]")
    assert Evidence.of([poc], audit=False).pair_audit is None
    assert traffic.differing == pytest.approx(100 - row["agreement"])  # requests like the test pictures
    _, _, lost, gained, _ = traffic.chances
    assert 100 * (lost - gained) == pytest.approx(row["dense"] - row["compressed"])
    few, many = found.requests_to_catch(10.0), found.requests_to_catch(3.0)
    assert few is not None
    assert many is None or few < many


def test_images_or_a_package_that_are_gone_are_a_gap(poc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: Exception) -> Callable[..., None]:
        def fail(*given: object, **options: object) -> None:
            raise error

        return fail

    monkeypatch.setattr("tuckerlab.decision.pair_audit.run_audit", fails(ModuleNotFoundError("no", name="captum.attr")))
    [gap] = [gap for gap in Evidence.of([poc]).gaps if gap.key == "no_package"]
    assert gap.values == {"package": "captum"}
    monkeypatch.setattr(RunFolder, "data", fails(DataError("gone")))
    assert "no_images" in keys(Evidence.of([poc]))


def test_networks_that_are_broken_or_gone_are_a_gap(poc: Path, tmp_path: Path) -> None:
    for name in ("runs", "epochs", "ranks"):
        (tmp_path / f"{name}.parquet").write_bytes((poc / f"{name}.parquet").read_bytes())
    (tmp_path / "seed0").mkdir()
    for name in ("dense", "tucker"):
        assert "no_networks" in {gap.key for gap in Evidence.of([tmp_path]).gaps}
        whole = (poc / "seed0" / f"{name}.safetensors").read_bytes()
        (tmp_path / "seed0" / f"{name}.safetensors").write_bytes(whole[:500] if name == "tucker" else whole)
    [gap] = [gap for gap in Evidence.of([tmp_path]).gaps if gap.key == "broken_network"]
    assert "the file seed0/tucker.safetensors of [1] is damaged" in gap.said
