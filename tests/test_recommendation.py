"""The recommendation: what follows from the criteria, and how the criteria come out."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from decisions import GOOD, changed, pairs, records, run
from hypothesis import given, strategies as st

from tuckerlab.decision.assumptions import Assumptions, Range
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.recommendation import Answer, Criterion, Outcome, judge, lacks, recommend

HELD, IN_PART, FAILED, MISSING = Outcome
criterion = st.builds(
    Criterion, st.just("one"), st.sampled_from(["valid", "decisive", "gain", "care"]), st.sampled_from(Outcome)
)


@given(st.lists(criterion))
def test_nothing_is_recommended_on_missing_evidence(criteria: list[Criterion]) -> None:
    answer, missing = recommend(criteria), [c.kind for c in criteria if c.outcome is MISSING]
    assert (answer is Answer.GO) == (bool(criteria) and all(c.outcome is HELD for c in criteria))
    if "decisive" in missing:
        assert answer in (Answer.UNDECIDED, Answer.NO_GO)
    if "valid" in missing:
        assert answer is Answer.UNDECIDED


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        ({"decisive": HELD, "gain": HELD, "care": HELD}, Answer.GO),
        ({"decisive": IN_PART, "gain": HELD}, Answer.CONDITIONS),
        ({"decisive": HELD, "care": MISSING}, Answer.CONDITIONS),
        ({"decisive": HELD, "gain": FAILED, "gain ": HELD}, Answer.CONDITIONS),
        ({"decisive": HELD, "gain": FAILED}, Answer.NO_GO),
        ({"decisive": FAILED, "decisive ": MISSING}, Answer.NO_GO),
        ({"decisive": HELD, "decisive ": MISSING}, Answer.UNDECIDED),
        ({"valid": MISSING, "decisive": FAILED}, Answer.UNDECIDED),
        ({}, Answer.UNDECIDED),
    ],
)
def test_the_answer(outcomes: dict[str, Outcome], answer: Answer) -> None:
    made = [Criterion("one", kind.strip(), outcome) for kind, outcome in outcomes.items()]
    for order in itertools.permutations(made):
        assert recommend(order) is answer


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Three good pairs, with an audit in which all holds."""
    folder = tmp_path_factory.mktemp("good")
    records(pairs(GOOD)).save(folder)
    return changed(Evidence([folder]), audit=look(99.0, 2.0))


def look(agreement: float, class_loss: float) -> Any:
    rows = [("agreement", agreement, ""), ("class_loss", class_loss, "3")]
    return SimpleNamespace(criteria=pd.DataFrame(rows, columns=["name", "measured", "detail"]))


def case(pays: float, entered: bool = True) -> Money:
    usual = Assumptions()
    values = {key: (it.low, it.likely, it.high) for key, it in usual.ranges.items()}
    made = Money(usual.entered(**values) if entered else usual, {})
    made.pays = pays
    return made


def outcome(criteria: Iterable[Criterion], key: str) -> Outcome:
    return next(one.outcome for one in criteria if one.key == key)


def test_accuracy_is_judged_by_its_worst_seed(good: Evidence) -> None:
    for low, likely, wanted in ((-1.0, -0.2, HELD), (-1.1, -1.0, IN_PART), (-1.2, -1.1, FAILED)):
        shares = {**good.shares, "accuracy": Range(low, likely, 0.2)}
        criteria = judge(changed(good, shares=shares), case(0.9))
        assert outcome(criteria, "accuracy") is wanted
    assert lacks(criteria) == ["Right on test images: −1.1 (−1.2 to +0.2); ≥ −1.0 was asked"]


def test_the_audit_decides(good: Evidence) -> None:
    for agreement, class_loss, answer in ((95.0, 5.0, Answer.GO), (94.9, 0.0, Answer.NO_GO), (99.0, 5.1, Answer.NO_GO)):
        found = changed(good, audit=look(agreement, class_loss))
        assert recommend(judge(found, case(0.9))) is answer
    without = judge(changed(good, audit=None), case(1.0))
    assert outcome(without, "agreement") is outcome(without, "class_loss") is MISSING
    assert recommend(without) is Answer.UNDECIDED


@pytest.mark.parametrize(
    ("pays", "entered", "wanted", "answer"),
    [
        (0.8, True, HELD, Answer.GO),
        (0.6, True, IN_PART, Answer.CONDITIONS),
        (0.4, True, FAILED, Answer.NO_GO),
        (0.99, False, IN_PART, Answer.CONDITIONS),  # defaults are no evidence
        (0.01, False, MISSING, Answer.UNDECIDED),
        (0.0, False, FAILED, Answer.NO_GO),  # none of them can change it: nothing is saved
    ],
)
def test_the_money_decides(good: Evidence, pays: float, entered: bool, wanted: Outcome, answer: Answer) -> None:
    criteria = judge(good, case(pays, entered))
    assert (outcome(criteria, "payback"), recommend(criteria)) == (wanted, answer)
    assert recommend(judge(good, None)) is Answer.UNDECIDED


def test_few_repeats_are_a_condition(good: Evidence, tmp_path: Path) -> None:
    seeds = {"dense": (0, 1, 2), "tucker": (2, 3, 4)}  # three of each, one pair
    records([run(method, seed, 0.98) for method, found in seeds.items() for seed in found]).save(tmp_path)
    found = changed(Evidence([tmp_path]), audit=good.audit)
    criteria = judge(found, case(0.9))
    assert recommend(criteria) is Answer.CONDITIONS
    assert lacks(criteria) == ["Trainings, other seeds: 1; ≥ 3 was asked"]


def test_what_is_neither_smaller_nor_quicker_is_a_no_go(good: Evidence) -> None:
    slow = {name: Range(1.2, 1.2, 1.2) for name in good.shares} | {"accuracy": good.shares["accuracy"]}
    criteria = judge(changed(good, shares=slow), case(0.9))
    assert recommend(criteria) is Answer.NO_GO
    assert "File: 120 %; ≤ 20 % was asked" in lacks(criteria)


def test_where_classes_differ_in_size_each_counts_alike(tmp_path: Path) -> None:
    """Of 100 images 10 are of one class, and the small network misses most of these: 1 point there, 30 here."""
    full, small = ({"a": [90, 90, 90, 92], "b": [10, 10, right, 8]} for right in (8, 2))
    told = {"dense": json.dumps(full), "tucker": json.dumps(small)}
    records([row | {"by_class": told[row["method"]]} for row in pairs(GOOD)]).save(tmp_path)
    evidence = Evidence([tmp_path], audit=False)
    found = {one.key: one for one in judge(evidence, None)}
    assert (found["accuracy"].outcome, found["balanced"].outcome) == (HELD, FAILED)
    change = evidence.shares["balanced"]
    assert change is not None
    assert change.likely == pytest.approx(-30)
