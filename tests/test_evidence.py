"""What the brief takes from run folders: which networks, their numbers, what is better, and what is not known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from decisions import GOOD, Row, pairs, records, run, tables, with_networks
from hypothesis import given, strategies as st

from tuckerlab import load_data
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.basis import full_network
from tuckerlab.decision.closer import DAMAGED, Look
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.gaps import INVALID, Gap
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.numbers import QUANTITIES, measured
from tuckerlab.decision.others import better, called
from tuckerlab.errors import DataError
from tuckerlab.experiments.recorded import found_folder
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import RunFolder


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[..., Evidence]:
    def of(rows: list[Row] | Records, network: str | None = None, **options: Any) -> Evidence:
        (rows if isinstance(rows, Records) else records(rows)).save(tmp_path / "run")
        return Evidence.of([tmp_path / "run"], network, **options)

    return of


def keys(found: Evidence) -> set[str]:
    return {gap.key for gap in found.gaps} - {"no_networks"}


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_accuracy_and_the_change_of_each_seed(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97), (0.96, 0.975), (0.97, 0.95)]))
    assert found.dense is not None
    assert found.small is not None
    full = found.dense["accuracy"]
    assert full is not None
    assert (full.value, full.low, full.high) == pytest.approx((97.0, 96.0, 98.0))
    assert found.change is not None  # −1, +1.5, −2: the spread is that of the pairs, not of the two means
    assert (found.change.value, found.change.low, found.change.high) == pytest.approx((-0.5, -2.0, 1.5))
    assert found.change.origin == "[1]"
    assert (found.pairs, found.is_valid, keys(found)) == (3, True, set())


def test_shares_are_of_the_full_network(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97), (0.96, 0.975), (0.97, 0.95)]))
    shares = {name: share.value for name, share in found.shares.items() if share}
    wanted = {"parameters": 1_500 / 10_500, "conv_parameters": 0.1, "time_1": 0.5, "time_128": 0.5, "step": 0.5}
    assert {name: shares[name] for name in wanted} == pytest.approx(wanted)
    assert found.shares["memory"] is None  # was not measured
    assert found.basis.time_1 == found.shares["time_1"]
    assert found.basis.full["ms_128"].value == pytest.approx(40 / 128)


def test_a_time_of_one_seed_has_the_spread_of_its_timing(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97)]))
    share = found.shares["time_1"]
    assert share is not None
    assert share.low < 0.5 < share.high
    assert found.shares["parameters"] is not None
    assert not found.shares["parameters"].has_spread
    assert keys(found) == {"one_seed"}


@given(st.integers(1, 10**9), st.integers(1, 9), st.floats(1e-6, 1e6))
def test_the_spread_holds_the_middle(size: int, seeds: int, time: float) -> None:
    timed = {"latency_1_ms": time, "latency_1_iqr_ms": 0.0, "checkpoint_bytes": size}
    rows = pd.DataFrame([run("dense", seed, 0.98, **timed) for seed in range(seeds)])
    found = {name: measured(rows, name, "[1]") for name in ("file", "time_1", "accuracy")}
    assert all(one is not None and one.low <= one.value <= one.high for one in found.values())
    assert Assumptions().measured(full_network(found))["file_mb"].said_origin == "measured in [1]"


def test_an_end_that_is_not_a_number_stays_so() -> None:
    found = Measured("any", 1.0, math.nan, math.nan, "[1]")
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert Measured("any", math.nan, 1.0, 2.0, "[1]").low == 1.0


def test_pairs_are_the_seeds_in_common(evidence: Callable[..., Evidence]) -> None:
    rows = [run("dense", seed, 0.98) for seed in (0, 1, 2)] + [run("tucker", seed, 0.97) for seed in (2, 3, 4)]
    found = evidence(rows)
    [gap] = [gap for gap in found.gaps if gap.key == "one_seed"]
    assert (found.pairs, gap.values["count"]) == (1, 1)


def test_no_time_is_below_nothing(evidence: Callable[..., Evidence]) -> None:
    noisy = {"latency_1_ms": 1.0, "latency_1_iqr_ms": 30.0}
    found = evidence([run("dense", 0, 0.98, **noisy), run("tucker", 0, 0.97, **noisy)])
    for part in (found.dense, found.small):
        assert part is not None
        time = part["time_1"]
        assert time is not None
        assert 0 < time.low < time.value < time.high


# --- which networks --------------------------------------------------------------------------------------------------


def sizes(*given: tuple[str, float, int]) -> list[Row]:
    made = [run("dense", seed, 0.98) for seed in range(3)]
    return made + [
        run("tucker", seed, accuracy, label=label, parameters=parameters)
        for label, accuracy, parameters in given
        for seed in range(3)
    ]


def test_the_smallest_that_loses_little(evidence: Callable[..., Evidence]) -> None:
    parts = sizes(("large", 0.985, 3000), ("middle", 0.972, 2000), ("tiny", 0.95, 100))
    chosen = [evidence(parts, allowed=points).small for points in (0.1, 1.0, 5.0)]
    assert [subject.label if subject else None for subject in chosen] == ["large", "middle", "tiny"]


def test_the_most_accurate_where_all_lose_more(evidence: Callable[..., Evidence]) -> None:
    found = evidence(sizes(("middle", 0.94, 2000), ("tiny", 0.95, 100), ("large", 0.93, 3000)))
    assert found.small is not None
    assert found.small.label == "tiny"


def test_the_one_that_is_asked_for(evidence: Callable[..., Evidence]) -> None:
    parts = sizes(("middle", 0.972, 2000), ("tiny", 0.95, 100))
    found = evidence(parts, "tiny")
    assert found.small is not None
    assert found.small.label == "tiny"
    for wrong, said in (
        ("huge", "none of that label; there are"),
        ("dense", "which is compared with; name a small one of"),
    ):
        with pytest.raises(DataError, match=f"network '{wrong}': .*{said} middle, tiny"):
            evidence(parts, wrong)


def test_the_same_optimizer_is_compared_with() -> None:
    found = Evidence.of([found_folder("compare-folder-neu_steel")], "Tucker 95 % AdamW", audit=False)
    assert found.dense is not None
    assert found.dense.label == "dense AdamW"


def test_several_folders_are_several_seeds(tmp_path: Path) -> None:
    for seed, (full, small) in enumerate([(0.98, 0.97), (0.96, 0.95)]):
        records([run("dense", seed, full), run("tucker", seed, small)]).save(tmp_path / str(seed))
    found = Evidence.of([tmp_path / "0", tmp_path / "1", tmp_path / "0"])
    assert [source.mark for source in found.sources] == ["[1]", "[2]"]
    assert found.change is not None
    assert (found.pairs, found.change.origin) == (2, "[1] [2]")


@pytest.mark.parametrize("other", [{"dataset": "cifar10"}, {"model": "vgg16"}, {"width": 0.5}])
def test_folders_that_do_not_belong_together(tmp_path: Path, other: dict[str, Any]) -> None:
    records([run("dense", 0, 0.98)]).save(tmp_path / "a")
    records([run("tucker", 0, 0.98, **other)]).save(tmp_path / "b")
    with pytest.raises(DataError, match=f"several kinds .{next(iter(other))}"):
        Evidence.of([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(DataError, match="no runs were given"):
        Evidence.of([])


# --- what else was tried ---------------------------------------------------------------------------------------------


def test_others_that_are_better_are_named() -> None:
    records = Records.load(found_folder("compare-folder-neu_steel"))
    table = records.runs.groupby("label").mean(numeric_only=True)
    found = {other.quantity: other for other in better(records, "Tucker 95 %", "dense", allowed=1.0)}
    assert found["accuracy"].network.name == table["test_accuracy"].idxmax()
    near = table[table["test_accuracy"] >= table.loc["dense", "test_accuracy"] - 0.01].drop("dense")
    assert found["file"].network.name == near["checkpoint_bytes"].idxmin()
    assert found["file"].cost == pytest.approx(
        near["checkpoint_bytes"].min() / table.loc["Tucker 95 %", "checkpoint_bytes"]
    )
    assert "time_1" not in found  # the fastest are pruned channels, and these lose four points
    loose = better(records, "Tucker 95 %", "dense", allowed=5.0)
    assert {other.network.method for other in loose if other.quantity.startswith("time")} == {"channels"}


def test_nothing_is_better_than_the_best(evidence: Callable[..., Evidence]) -> None:
    assert evidence(sizes(("tiny", 0.99, 100), ("large", 0.98, 3000))).others == ()


def test_names_of_networks() -> None:
    assert called("Tucker 95 % AdamW", "tucker-adamw") == "Tucker, AdamW 95 %"


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
    assert gap in keys(found) & INVALID
    assert not found.is_valid
    if gap in ("no_dense", "no_small", "no_accuracy", "no_pairs"):
        assert found.change is None


def test_without_a_full_network_no_share_is_made_up(evidence: Callable[..., Evidence]) -> None:
    found = evidence([run("tucker", seed, 0.98) for seed in range(3)])
    assert (found.dense, found.change, set(found.shares.values())) == (None, None, {None})
    assert found.basis.measured == {}


def test_training_that_is_not_over(evidence: Callable[..., Evidence]) -> None:
    rows = pairs([(0.98, 0.97)] * 3)
    [gap] = [gap for gap in evidence(records(rows, rise=0.05)).gaps if gap.key == "unsettled"]
    assert gap.values["points"] == pytest.approx(5.0)
    assert "unsettled" not in keys(evidence(records(rows, rise=0.005)))
    assert "unsettled" in keys(evidence(records(rows, epochs=1)))


def test_times_of_several_machines_are_not_compared(evidence: Callable[..., Evidence]) -> None:
    found = evidence(well(device="another"))
    assert keys(found) == {"hardware"}
    assert found.is_valid
    assert [found.shares[name] for name, of in QUANTITIES.items() if of.is_time] == [None] * 3
    assert found.shares["file"] is not None


def test_gaps_say_what_to_do() -> None:
    assert Gap("no_networks", {"command": "tuckerlab poc"}).said.count("`tuckerlab poc`") == 1


# --- exported files --------------------------------------------------------------------------------------------------


def test_times_of_exported_files_come_first(evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    parts = pairs([(0.98, 0.97)] * 3)
    assert evidence(parts).timed_on == (parts[0]["device"], parts[0]["threads"])
    tables(parts).to_parquet(tmp_path / "run" / "deployment.parquet")
    found = evidence(parts)
    share = found.shares["time_1"]
    assert share is not None
    assert share.value == pytest.approx(1 / 4.5)  # timed in turn, not the ratio of two medians
    assert share.low <= share.value <= share.high
    assert share.origin == "[1] ONNX"
    assert found.dense is not None
    time = found.dense["time_1"]
    assert time is not None
    assert (time.value, time.low, time.high, time.origin) == (4.0, pytest.approx(16 / 4.2), 4.2, "[1] ONNX")
    assert found.deployed is not None
    assert found.deployed.int8 == pytest.approx((0.25, 0.1, -2.0))
    assert found.timed_on == ("another machine", 1)
    assert found.shares["step"] is not None
    assert found.shares["step"].origin == "[1]"
    (tmp_path / "run" / "deployment.parquet").write_bytes(b"broken")
    assert evidence(parts).deployed is None


def other_run(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(run=table["run"].where(table["network"] == "dense", "another run of it"))


def without_runs(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="run")


def one_batch(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["batch"] == 1]


@pytest.mark.parametrize("change", [other_run, without_runs, one_batch])
def test_times_of_something_else_are_not_shown(
    evidence: Callable[..., Evidence], tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    parts = pairs([(0.98, 0.97)] * 3)
    evidence(parts)
    change(tables(parts)).to_parquet(tmp_path / "run" / "deployment.parquet")
    found = evidence(parts)
    assert found.deployed is None
    assert [found.shares[name].origin for name in ("time_1", "time_128") if found.shares[name]] == ["[1]", "[1]"]


# --- the audit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_networks(tmp_path_factory.mktemp("poc") / "run", pairs(GOOD))


def test_networks_that_are_there_are_audited(poc: Path) -> None:
    found = Evidence.of([poc])
    assert isinstance(found.closer, Look)
    folder, data = RunFolder.open(poc), load_data("digits")
    inputs = data.normalize(data.test_images)
    with torch.no_grad():
        answers = [folder.network(label)(inputs).argmax(1) for label in ("dense", "Tucker")]
    agreement = 100 * float(np.mean((answers[0] == answers[1]).numpy()))
    assert found.closer.audit.overall["agreement"].iloc[0] == pytest.approx(agreement)
    assert (found.closer.seed, found.closer.origin) == (0, "[1]")
    assert Evidence.of([poc], audit=False).closer is None


def test_a_rollout_is_planned_for_requests_like_the_test_pictures(poc: Path) -> None:
    closer = Evidence.of([poc]).closer
    assert isinstance(closer, Look)
    row, traffic = closer.audit.overall.iloc[0], closer.traffic
    assert traffic.differing == pytest.approx(100 - row["agreement"])
    _, _, lost, gained, _ = traffic.chances
    assert 100 * (lost - gained) == pytest.approx(row["dense"] - row["compressed"])
    few, many = closer.requests_to_catch(10.0), closer.requests_to_catch(3.0)
    assert few is not None
    assert many is None or few < many


def test_images_that_are_gone_are_a_gap(poc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(folder: RunFolder) -> None:
        raise DataError("gone")

    monkeypatch.setattr(RunFolder, "data", gone)
    assert "no_images" in keys(Evidence.of([poc]))


def test_a_package_that_is_missing_is_a_gap(poc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*given: object, **options: object) -> None:
        raise ModuleNotFoundError("no", name="captum.attr")

    monkeypatch.setattr("tuckerlab.decision.closer.run_audit", missing)
    [gap] = [gap for gap in Evidence.of([poc]).gaps if gap.key == "no_package"]
    assert gap.values == {"package": "captum"}


def test_networks_that_are_broken_or_gone_are_a_gap(poc: Path, tmp_path: Path) -> None:
    for name in ("runs", "epochs", "ranks"):
        (tmp_path / f"{name}.parquet").write_bytes((poc / f"{name}.parquet").read_bytes())
    [gap] = [gap for gap in Evidence.of([tmp_path]).gaps if gap.key == "no_networks"]
    assert gap.values["command"] == "tuckerlab poc --dataset digits --model vgg_small"
    (tmp_path / "seed0").mkdir()
    whole = {name: (poc / "seed0" / f"{name}.safetensors").read_bytes() for name in ("dense", "tucker")}
    for name, other in (("dense", "tucker"), ("tucker", "dense")):
        file, beside = (tmp_path / "seed0" / f"{one}.safetensors" for one in (name, other))
        beside.write_bytes(whole[other])
        file.unlink(missing_ok=True)
        for key, said in (("missing_network", "is missing"), ("broken_network", "is damaged")):
            [gap] = [gap for gap in Evidence.of([tmp_path]).gaps if gap.key in DAMAGED]
            assert gap.key == key
            assert f"the file seed0/{name}.safetensors of [1] {said}" in gap.said
            file.write_bytes(whole[name][:500])
