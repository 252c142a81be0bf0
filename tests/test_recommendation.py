"""The recommendation: what follows from the criteria, and how the criteria come out."""

import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from decisions import GOOD, pairs, records, run
from hypothesis import given, strategies as st

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import Basis, Money, money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.pair_audit import PairAudit
from tuckerlab.decision.recommendation import ASKED, Answer, Criterion, Outcome, judge, recommend

criterion = st.builds(Criterion, st.sampled_from(list(ASKED)), st.sampled_from(Outcome))


# --- what follows ----------------------------------------------------------------------------------------------------


@given(st.lists(criterion))
def test_nothing_is_recommended_on_missing_evidence(criteria: list[Criterion]) -> None:
    answer, missing = recommend(criteria), [c.kind for c in criteria if c.outcome is Outcome.MISSING]
    assert (answer is Answer.GO) == (bool(criteria) and all(c.outcome is Outcome.HELD for c in criteria))
    if "decisive" in missing:
        assert answer in (Answer.UNDECIDED, Answer.NO_GO)
    if "valid" in missing:
        assert answer is Answer.UNDECIDED


def made(**outcomes: Outcome) -> list[Criterion]:
    keys = {"valid": "comparison", "decisive": "agreement", "decisive2": "payback", "gain": "file", "gain2": "time_1"}
    return [Criterion(keys.get(kind, "repeats"), outcome) for kind, outcome in outcomes.items()]


HELD, IN_PART, FAILED, MISSING = Outcome


@pytest.mark.parametrize(
    ("outcomes", "answer"),
    [
        ({"valid": HELD, "decisive": HELD, "gain": HELD, "care": HELD}, Answer.GO),
        ({"valid": HELD, "decisive": IN_PART, "gain": HELD}, Answer.CONDITIONS),
        ({"valid": HELD, "decisive": HELD, "care": MISSING}, Answer.CONDITIONS),
        ({"valid": HELD, "decisive": HELD, "gain": FAILED, "gain2": HELD}, Answer.CONDITIONS),
        ({"valid": HELD, "decisive": HELD, "gain": FAILED, "gain2": FAILED}, Answer.NO_GO),
        ({"valid": HELD, "decisive": FAILED, "decisive2": MISSING}, Answer.NO_GO),
        ({"valid": HELD, "decisive": HELD, "decisive2": MISSING}, Answer.UNDECIDED),
        ({"valid": MISSING, "decisive": FAILED}, Answer.UNDECIDED),
        ({}, Answer.UNDECIDED),
    ],
)
def test_the_answer(outcomes: dict[str, Outcome], answer: Answer) -> None:
    for order in itertools.permutations(made(**outcomes)):
        assert recommend(order) is answer


# --- how they come out -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Three good pairs, with an audit in which all holds."""
    folder = tmp_path_factory.mktemp("good")
    records(pairs(GOOD)).save(folder)
    return dataclasses.replace(Evidence.of([folder]), pair_audit=look(99.0, 2.0), gaps=())


def look(agreement: float, class_loss: float) -> PairAudit:
    rows = [("agreement", agreement, "", None, None), ("class_loss", class_loss, "3", -1.0, 12.0)]
    found = pd.DataFrame(rows, columns=["name", "measured", "detail", "low", "high"])
    return PairAudit(SimpleNamespace(criteria=found), 0, "[1]")  # type: ignore[arg-type]


def case(pays: float, entered: bool = True) -> Money:
    assumptions = Assumptions().entered(**{one.key: one.range for one in Assumptions()}) if entered else Assumptions()
    return dataclasses.replace(money(assumptions, Basis()), pays=pays)


def outcomes(evidence: Evidence, pays: float = 0.9, entered: bool = True) -> dict[str, str]:
    return {c.key: c.outcome for c in judge(evidence, case(pays, entered))}


def test_accuracy_is_judged_by_its_worst_seed(good: Evidence) -> None:
    for allowed, outcome in ((0.2, HELD), (0.15, IN_PART), (0.01, FAILED)):
        assert outcomes(dataclasses.replace(good, allowed=allowed))["accuracy_loss"] == outcome
    [loss] = [c for c in judge(good, None) if c.key == "accuracy_loss"]
    assert loss.measured is not None
    assert (loss.measured.low, loss.measured.high) == pytest.approx((-0.2, 0.2))


@pytest.mark.parametrize(
    ("agreement", "class_loss", "answer"),
    [(95.0, 5.0, Answer.GO), (94.9, 0.0, Answer.NO_GO), (99.0, 5.1, Answer.NO_GO)],
)
def test_the_audit_decides(good: Evidence, agreement: float, class_loss: float, answer: Answer) -> None:
    found = dataclasses.replace(good, pair_audit=look(agreement, class_loss))
    assert recommend(judge(found, case(0.9))) is answer


def test_without_an_audit_nothing_is_decided(good: Evidence) -> None:
    found = dataclasses.replace(good, pair_audit=None)
    assert outcomes(found)["agreement"] == outcomes(found)["class_loss"] == MISSING
    assert recommend(judge(found, case(1.0))) is Answer.UNDECIDED


@pytest.mark.parametrize(
    ("pays", "entered", "outcome", "answer"),
    [
        (0.8, True, HELD, Answer.GO),
        (0.6, True, IN_PART, Answer.CONDITIONS),
        (0.4, True, FAILED, Answer.NO_GO),
        (0.99, False, IN_PART, Answer.CONDITIONS),  # defaults are no evidence
        (0.01, False, MISSING, Answer.UNDECIDED),
        (0.0, False, FAILED, Answer.NO_GO),  # none of them can change it: nothing is saved
    ],
)
def test_the_money_decides(good: Evidence, pays: float, entered: bool, outcome: Outcome, answer: Answer) -> None:
    assert outcomes(good, pays, entered)["payback"] == outcome
    assert recommend(judge(good, case(pays, entered))) is answer
    assert recommend(judge(good, None)) is Answer.UNDECIDED


def test_few_repeats_are_a_condition(good: Evidence, tmp_path: Path) -> None:
    seeds = {"dense": (0, 1, 2), "tucker": (2, 3, 4)}  # three of each, one pair
    records([run(method, seed, 0.98) for method, found in seeds.items() for seed in found]).save(tmp_path)
    found = dataclasses.replace(Evidence.of([tmp_path]), pair_audit=good.pair_audit)
    assert outcomes(found)["repeats"] == IN_PART
    assert recommend(judge(found, case(0.9))) is Answer.CONDITIONS


def test_what_is_neither_smaller_nor_quicker_is_a_no_go(good: Evidence) -> None:
    slow = {name: Measured(1.2, 1.2, 1.2) for name in good.shares}
    assert recommend(judge(dataclasses.replace(good, shares=slow), case(0.9))) is Answer.NO_GO
