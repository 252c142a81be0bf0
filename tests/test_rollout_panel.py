"""The roll-out panel: every control, what it says of each end, and that picture and widgets follow."""

import html
import re

import pytest
import traitlets

from tuckerlab.deploy.rollout import Timeline
from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import RollOutPanel
from tuckerlab.panels.rollout import model as model_file
from tuckerlab.panels.rollout.model import FAULTS, STAGES, RollOutModel, State
from tuckerlab.panels.rollout.view import story_said
from tuckerlab.panels.widgets import BLANK


@pytest.fixture(scope="module")
def shared() -> RollOutPanel:
    return RollOutPanel(model=RollOutModel(repeats=10))


@pytest.fixture
def model() -> RollOutModel:
    return RollOutModel(repeats=10)


def state_of(model: RollOutModel) -> State:
    assert model.problem == ""
    assert model.state is not None
    return model.state


def story_of(model: RollOutModel) -> Timeline:
    return state_of(model).story


def said(value: str) -> str:
    return html.unescape(re.sub("<.*?>", " ", value)).strip()


def test_widgets_and_picture_follow(shared: RollOutPanel) -> None:
    """From a fault that is caught to none, and to the same fault with other requests."""
    state = state_of(shared.model)
    assert state.story.ended == "rolled back"
    sentence = said(shared.sentence.value)
    assert sentence.startswith(f"Rolled back in the 1 % stage after {state.story.requests:,} requests, on day ")
    assert f"{state.story.wrong} customers saw a wrong answer" in sentence
    assert "Of 10 such roll-outs 10 are rolled back" in said(shared.chances.value)
    caught = bytes(shared.picture.value)
    shared.fault.value = 5.0
    assert shared.model.fault == 5.0
    assert shared.picture.value != caught
    shared.model.fault = 2.0
    assert shared.fault.value == 2.0
    assert shared.picture.value == caught
    shared.again.click()
    assert shared.model.seed == 1
    assert shared.picture.value != caught
    static = shared.static()
    assert "data:image/png" in static
    assert "Rolled back" in static


def test_a_larger_fault_is_caught_sooner_and_none_goes_out(model: RollOutModel) -> None:
    medians = []
    for fault in FAULTS[1:]:
        model.fault = fault
        medians.append(state_of(model).median)
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 2 * medians[-1]
    model.fault = 0.0
    assert story_said(story_of(model)).startswith("Rolled out to all after")
    assert "No customer saw a wrong answer" in story_said(story_of(model))


@pytest.mark.parametrize("since", STAGES)
def test_a_fault_is_caught_in_the_stage_in_which_it_shows(model: RollOutModel, since: float) -> None:
    model.fault = 5.0
    model.since = since
    story = story_of(model)
    assert (story.ended, story.stage) == ("rolled back", since)
    assert f"in the {100 * since:g} % stage" in story_said(story)


def test_without_labels_a_person_is_asked_and_told_what_to_do(shared: RollOutPanel) -> None:
    shared.labelled.value = 0.0
    story = story_of(shared.model)
    assert story.ended == "asked"
    assert f"Look up the true answers of the {story.unlabelled:,} requests" in said(shared.sentence.value)
    assert "same test" in said(shared.numbers.value)


def test_late_answers_are_what_stages_save(model: RollOutModel) -> None:
    """With the answers at once, all at once is no worse: the same requests are needed. With late ones it is."""
    model.fault = 5.0
    model.delay = 0
    soon = state_of(model)
    model.delay = 7
    late = state_of(model)
    assert soon.at_once["wrong"] < 3 * soon.story.wrong
    assert late.at_once["wrong"] > 3 * late.story.wrong


def test_a_stricter_limit_takes_more_requests_to_go_out(model: RollOutModel) -> None:
    model.fault = 0.0
    strict = story_of(model)
    model.harm = 3.0
    assert story_of(model).ended == strict.ended == "rolled out"
    assert story_of(model).requests < strict.requests


def test_more_requests_a_day_take_fewer_days(model: RollOutModel) -> None:
    model.fault = 5.0
    model.requests_a_day = 1_000
    slow = story_of(model)
    model.requests_a_day = 100_000
    assert story_of(model).days < slow.days


def test_every_source(model: RollOutModel) -> None:
    assert len(model.sources) > 1
    model.fault = 5.0
    for source in model.sources:
        model.source = source
        assert story_of(model).ended == "rolled back"


def test_a_source_that_there_is_not() -> None:
    panel = RollOutPanel(model=RollOutModel("<b>nothing</b>", repeats=1))
    assert panel.model.state is None
    assert panel.model.problem.startswith("<b>nothing</b>: there are no recorded answers of that name; there are ")
    assert "&lt;b&gt;nothing" in panel.children[-1].value
    assert panel.picture.value == BLANK
    panel.source.value = panel.model.sources[-1]  # and from there it goes on
    assert story_of(panel.model).requests > 0
    assert panel.picture.value != BLANK


def test_a_mistake_is_one_line(shared: RollOutPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TuckerlabError("no <requests>")

    monkeypatch.setattr(model_file, "_rolled", fail)
    shared.fault.value = 1.0
    assert shared.model.problem == "no <requests>"
    assert "no &lt;requests&gt;" in shared.children[-1].value


@pytest.mark.parametrize(
    ("trait", "value"), [("fault", 3.0), ("harm", 0.0), ("since", 0.2), ("labelled", 2.0), ("seed", -1)]
)
def test_only_what_there_is(model: RollOutModel, trait: str, value: float) -> None:
    with pytest.raises(traitlets.TraitError):
        setattr(model, trait, value)
