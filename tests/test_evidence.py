"""What the brief takes from run folders: which networks, their numbers, what is better, and what is not known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from decisions import GOOD, Row, pairs, records, run, tables, with_networks

from tuckerlab import load_data
from tuckerlab.decision.evidence import QUANTITIES, Evidence, choose_small
from tuckerlab.errors import CheckpointError, DataError
from tuckerlab.experiments.run_folder import RunFolder


@pytest.fixture
def evidence(tmp_path: Path) -> Callable[..., Evidence]:
    def of(rows: list[Row], **course: Any) -> Evidence:
        records(rows, **course).save(tmp_path / "run")
        return Evidence([tmp_path / "run"])

    return of


def test_accuracy_shares_and_the_change_of_each_seed(evidence: Callable[..., Evidence]) -> None:
    found = evidence(pairs([(0.98, 0.97), (0.96, 0.975), (0.97, 0.95)]))
    full, change = found.dense["accuracy"], found.shares["accuracy"]
    assert full is not None
    assert change is not None
    assert (full.low, full.likely, full.high) == pytest.approx((96.0, 97.0, 98.0))
    # −1, +1.5, −2: the spread is that of the pairs, not of the two means
    assert (change.low, change.likely, change.high) == pytest.approx((-2.0, -0.5, 1.5))
    assert (found.pairs, found.is_valid, found.gaps) == (3, True, {})
    shares = {name: share.likely for name, share in found.shares.items() if share}
    wanted = {"parameters": 1_500 / 10_500, "conv_parameters": 0.1, "file": 0.1, "time_1": 0.5, "time_128": 0.5}
    assert {name: shares[name] for name in wanted} == pytest.approx(wanted)
    assert found.shares["memory"] is None  # was not measured
    assert found.measured["time_1"] == found.shares["time_1"]
    assert found.measured["memory"] == found.shares["parameters"]  # of the weights
    assert found.measured["ms_128"].likely == pytest.approx(40 / 128)


def small_of(network: str | None = None, **given: tuple[float, int]) -> str | None:
    """Which is chosen of networks with an accuracy and a size each, beside a full one that is right in 98 %."""
    made = [run("tucker", 0, accuracy, label=label, parameters=size) for label, (accuracy, size) in given.items()]
    return choose_small(records([run("dense", 0, 0.98), *made]), network)


def test_the_smallest_that_loses_little_or_the_one_that_is_asked_for() -> None:
    parts = {"large": (0.985, 3000), "middle": (0.972, 2000), "tiny": (0.95, 100)}
    assert (small_of(**parts), small_of("tiny", **parts)) == ("middle", "tiny")
    for wrong, said in (("huge", "name one of"), ("dense", "there is no small one")):
        with pytest.raises(DataError, match=f"network '{wrong}': .*{said}"):
            small_of(wrong, **parts)
    assert small_of(middle=(0.94, 2000), best=(0.95, 100), large=(0.93, 3000)) == "best"  # all lose more


def test_the_same_optimizer_is_compared_with_and_others_that_are_better_are_named() -> None:
    folder = "compare-folder-neu_steel"
    assert Evidence([folder], "Tucker 95 % AdamW", audit=False).dense.label == "dense AdamW"
    found = Evidence([folder], audit=False)
    assert (found.dense.label, found.small.label) == ("dense", "Tucker 95 %")
    table = RunFolder.open(folder).records.runs.groupby("label").mean(numeric_only=True)
    ours = table.loc["Tucker 95 %"]
    near = table[(table["parameters"] <= ours["parameters"]) & (table["test_accuracy"] >= ours["test_accuracy"])]
    assert {network.name for network in found.better} == set(near.index) - {"Tucker 95 %"} != set()


def test_several_folders_are_several_seeds(tmp_path: Path) -> None:
    for seed, (full, small) in enumerate([(0.98, 0.97), (0.96, 0.95)]):
        records([run("dense", seed, full), run("tucker", seed, small)]).save(tmp_path / str(seed))
    found = Evidence([tmp_path / "0", tmp_path / "1", tmp_path / "0"])
    assert (found.sources, found.pairs) == (("0", "1"), 2)
    records([run("tucker", 0, 0.98, width=0.5)]).save(tmp_path / "other")
    with pytest.raises(DataError, match=r"several kinds .width: 0\.5, 1\.0"):
        Evidence([tmp_path / "0", tmp_path / "other"])


def well(**changes: Any) -> list[Row]:
    """Three good pairs, of which the small networks are changed."""
    return pairs([(0.98, 0.97)] * 3, **changes)


GUESSED = json.dumps({"a": [9, 9, 9, 18], "b": [9, 9, 0, 0]})  # always the same answer


@pytest.mark.parametrize(
    ("rows", "gap"),
    [
        ([run("dense", 0, 0.98)], "no_pair"),
        ([run("tucker", 0, 0.98)], "no_pair"),
        (well(test_accuracy=float("nan")), "unfinished"),
        (well(state="stopped"), "unfinished"),
        (well(epochs=9), "recipes"),
        ([row | {"by_class": GUESSED} for row in pairs([(0.5, 0.5)] * 3)], "guess"),
        ([run("dense", 0, 0.98), run("tucker", 1, 0.98)], "no_pairs"),
    ],
)
def test_without_a_comparison_there_is_none(evidence: Callable[..., Evidence], rows: list[Row], gap: str) -> None:
    found = evidence(rows)
    assert gap in found.gaps
    assert not found.is_valid
    if gap == "no_pair":
        assert set(found.shares.values()) == {None}


def test_training_that_is_not_over_and_times_of_several_machines_are_gaps(evidence: Callable[..., Evidence]) -> None:
    assert "rose by 5.0 points" in evidence(well(), rise=0.05).gaps["unsettled"]
    assert "unsettled" not in evidence(well(), rise=0.005).gaps
    assert "unsettled" in evidence(well(), epochs=1).gaps
    found = evidence(well(device="another"))
    assert ({*found.gaps}, found.is_valid) == ({"hardware"}, True)
    unknown = {name for name in QUANTITIES if found.shares[name] is None}
    assert unknown == {"balanced", "time_1", "time_128", "step", "memory"}


def test_times_of_exported_files_come_first(evidence: Callable[..., Evidence], tmp_path: Path) -> None:
    table, parts = tmp_path / "run" / "deployment.parquet", well()
    found = evidence(parts)
    assert (found.exported, found.timed_on) == (False, (parts[0]["device"], parts[0]["threads"]))
    tables(parts).to_parquet(table)
    found = evidence(parts)
    share, time = found.shares["time_1"], found.dense["time_1"]
    assert share is not None
    assert time is not None
    assert (share.likely, time.likely) == pytest.approx((0.25, 4.0))
    assert (found.exported, found.timed_on) == (True, ("another machine", 1))
    other = tables(parts).assign(run="another run of it")
    for wrong in (other, other.drop(columns="run"), tables(parts)[lambda rows: rows["batch"] == 1]):
        wrong.to_parquet(table)
        assert not evidence(parts).exported
    table.write_bytes(b"broken")
    assert not evidence(parts).exported


def test_networks_that_are_there_are_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poc = with_networks(tmp_path / "poc", pairs(GOOD))
    found = Evidence([poc]).audit
    assert found is not None
    folder, data = RunFolder.open(poc), load_data("digits")
    inputs = data.normalize(data.test_images)
    with torch.no_grad():
        answers = [folder.network(label)(inputs).argmax(1) for label in ("dense", "Tucker")]
    agreement = 100 * float(np.mean((answers[0] == answers[1]).numpy()))
    assert found.overall["agreement"].iloc[0] == pytest.approx(agreement)
    assert Evidence([poc], audit=False).audit is None
    file = poc / "seed0" / "tucker.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:500])
    with pytest.raises(CheckpointError, match=r"tucker\.safetensors"):  # which can be mended
        Evidence([poc])
    file.unlink()
    assert Evidence([poc]).audit is None
    file.write_bytes(whole)
    monkeypatch.setenv("TUCKERLAB_DATA", str(tmp_path))
    records([row | {"dataset": "cifar10"} for row in pairs(GOOD)]).save(poc)  # which is not there
    assert Evidence([poc]).audit is None
