"""The roll-out panel: what each control does to the end of a roll-out, and what is said of it."""

import pytest
from jobs import said

from tuckerlab.errors import DataError
from tuckerlab.panels import RollOutPanel
from tuckerlab.panels.rollout import FAULTS, STAGES, story_said


@pytest.fixture
def panel() -> RollOutPanel:
    return RollOutPanel(repeats=10)


def median(panel: RollOutPanel) -> float:
    ends = panel.state.ends
    return float(ends["requests"][ends["ended"] == "rolled back"].median())


def test_the_picture_follows(panel: RollOutPanel) -> None:
    """From a fault that is caught to a larger one, back, and to other requests."""
    story, caught = panel.state.story.end, bytes(panel.picture.value)
    assert story.ended == "rolled back"
    sentence = said(panel.sentence)
    assert sentence.startswith(f"Rolled back in the 1 % stage after {story.requests:,} requests, on day ")
    assert f"{story.wrong} customers saw a wrong answer" in sentence
    assert "Of 10 such roll-outs 10 are rolled back" in said(panel.chances)
    panel.fault.value = 5.0
    assert panel.picture.value != caught
    panel.fault.value = 2.0
    assert panel.picture.value == caught
    panel.again.click()
    assert panel.picture.value != caught
    assert "Rolled back" in panel.static()


def test_a_larger_fault_is_caught_sooner_and_none_goes_out(panel: RollOutPanel) -> None:
    medians = []
    for fault in FAULTS[1:]:
        panel.fault.value = fault
        medians.append(median(panel))
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 2 * medians[-1]
    panel.fault.value = 0.0
    strict = panel.state.story
    assert "Rolled out to all after" in story_said(strict)
    assert "No customer saw a wrong answer" in story_said(strict)
    panel.harm.value = 3.0  # a looser limit takes fewer requests
    assert panel.state.story.end.requests < strict.end.requests


def test_a_fault_is_caught_in_the_stage_in_which_it_shows(panel: RollOutPanel) -> None:
    panel.fault.value = 5.0
    for since in STAGES:
        panel.since.value = since
        story = panel.state.story.end
        assert (story.ended, story.stage) == ("rolled back", since)


def test_without_labels_a_person_is_asked_and_told_what_to_do(panel: RollOutPanel) -> None:
    panel.labelled.value = 0.0
    story = panel.state.story.end
    assert story.ended == "asked"
    assert f"Look up the true answers of the {story.unlabelled:,} requests" in said(panel.sentence)


def test_sources() -> None:
    with pytest.raises(DataError, match="nothing: there are no recorded answers of that name; there are "):
        RollOutPanel("nothing", repeats=1)
    panel = RollOutPanel(repeats=1)
    for _, source in panel.source.options:
        panel.source.value = source
        assert panel.problem == ""
        assert panel.state.story.end.requests > 0
