"""What holds for every panel: its picture is described, nothing is cut off, mistakes are a line; the small ones."""

import html
import io
from collections.abc import Iterator

import ipywidgets
import numpy as np
import pytest
from jobs import said
from PIL import Image

from tuckerlab import panels
from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import CyclePanel, GeometryPanel, Question, RollOutPanel
from tuckerlab.panels.geometry import draw_paths
from tuckerlab.panels.rollout import STAGES
from tuckerlab.panels.widgets import Panel

GIVEN = {"Question": {"question": "How much is left?", "answers": ["A twentieth"], "right": 0, "because": "95 % go."}}


def every_widget(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


@pytest.mark.parametrize("name", panels.__all__)
def test_every_panel_opens(name: str) -> None:
    panel = getattr(panels, name)(**GIVEN.get(name, {}))
    widgets = list(every_widget(panel))
    assert not [widget for widget in widgets if isinstance(widget, ipywidgets.Output)]
    assert len({id(widget.layout) for widget in widgets}) == len(widgets)  # one that hides does not hide two
    assert panel.problem == ""
    left = panel._repr_mimebundle_()["text/html"]
    assert "<script" not in left
    for picture in [one for one in widgets if isinstance(one, ipywidgets.Image) and one.value]:
        assert html.escape(picture.tooltip, quote=True) in left
        pixels = np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB"))
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert edges.min() > 230


def test_what_goes_wrong_is_a_line() -> None:
    panel = Panel()
    panel.children = [panel.alert]
    for error, line in (
        (TuckerlabError("no <memory>"), "no <memory>"),
        (FileNotFoundError(2, "No such file", "a/b"), "a/b: cannot be read or written (No such file)"),
        (ValueError("a\nlong story"), "ValueError: a long story"),
    ):
        with panel.reporting():
            raise error
        assert line in panel.problem
        assert html.escape(line) in panel.static()
    with panel.reporting():
        pass
    assert (panel.problem, panel.static()) == ("", "")


# --- a question ------------------------------------------------------------------------------------------------------


def test_a_question_answers_what_was_chosen() -> None:
    panel = Question("How much is left?", ["A twentieth", "A half"], right=0, because="95 % are gone.")
    assert not panel.reply.value
    for answer, reply in (("A half", "No. 95 % are gone."), ("A twentieth", "Yes. 95 % are gone.")):
        panel.choice.value = answer
        assert said(panel.reply) == reply
    with pytest.raises(TuckerlabError, match="right 2"):
        Question("?", ["a", "b"], right=2, because="")


def test_a_page_that_cannot_be_clicked_has_the_answers_and_which_is_right() -> None:
    page = Question("1 < 2?", ["Yes & no", "Never"], right=0, because="It is <b>.").static()
    assert page.index("1 &lt; 2?") < page.index("Never") < page.index("<details>") < page.index("It is &lt;b&gt;.")
    assert "<b>Yes &amp; no.</b>" in page


# --- geometry --------------------------------------------------------------------------------------------------------


def test_geometry_says_who_is_ahead_and_what_blows_up() -> None:
    panel = GeometryPanel(steps=40)
    ratios, pictures = [], []
    for exponent, lr in ((4, 0.2), (0, 1.0), (4, 0.2)):
        panel.lr.value, panel.exponent.value = lr, exponent
        ratios.append(panel.left[1] / panel.left[0])
        pictures.append(panel.picture.value)
        assert f"ordinary descent has {100 * panel.left[1]:.2g} % of its first error left" in said(panel.sentence)
    assert ratios[0] > 10 > 0.1 > ratios[1]
    assert (ratios[0], pictures[0]) == (ratios[2], pictures[2])
    panel.exponent.value, panel.lr.value = 8, 3.0
    assert said(panel.sentence).startswith("Ordinary descent blew up at step 3: its steps were too long.")


# --- the cycle of ranks ----------------------------------------------------------------------------------------------


def test_each_cycle_ends_at_its_rank() -> None:
    panel = CyclePanel()
    for every, rank in {1: 2, 20: 8, 50: 5}.items():
        panel.every.value = every
        assert f"the layer comes to rank {rank}; cut at every step it ends at rank 2." in said(panel.sentence)
    left, right = draw_paths(panel.each_step, panel.chosen).axes
    paths = [*panel.each_step, *panel.chosen]
    assert [list(line.get_ydata()) for line in left.lines[:4]] == [list(path.ranks) for path in paths]
    assert [list(line.get_ydata()) for line in right.lines] == [list(path.losses) for path in paths]
    assert [path.every for path in paths] == [1, 1, 50, 50]


# --- the roll-out ----------------------------------------------------------------------------------------------------


def test_a_fault_is_caught_in_the_stage_in_which_it_shows() -> None:
    panel = RollOutPanel()
    panel.fault.value = 5.0
    for since in STAGES:
        panel.since.value = since
        assert (panel.story.end.ended, panel.story.end.stage) == ("rolled back", since)
    sentence = said(panel.sentence)
    assert sentence.startswith(f"Rolled back in the 100 % stage after {panel.story.end.requests:,} requests, on day ")
    assert f"{panel.story.end.wrong:,} customers saw a wrong answer" in sentence


def test_without_a_fault_it_goes_out_and_sooner_where_more_may_be_lost() -> None:
    panel = RollOutPanel()
    panel.fault.value = 0.0
    strict = panel.story.end
    assert said(panel.sentence).startswith("Rolled out to all in the 100 % stage after")
    panel.harm.value = 3.0
    assert (panel.story.end.ended, panel.story.end.requests < strict.requests) == ("rolled out", True)


def test_without_labels_a_person_is_asked_and_told_what_to_do() -> None:
    panel = RollOutPanel()
    panel.labelled.value = 0.0
    assert panel.story.end.ended == "asked"
    assert f"Look up the true answers of the {panel.story.end.unlabelled:,} requests" in said(panel.sentence)
