"""What holds for every panel: its picture is described, nothing is cut off, mistakes are a line; the small ones."""

import html
import io
from collections.abc import Iterator
from functools import partial
from unittest.mock import Mock

import ipywidgets
import numpy as np
import pytest
from jobs import said
from PIL import Image

from tuckerlab import panels
from tuckerlab.demos.planted_ranks import CYCLE_RANK
from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import CyclePanel, GeometryPanel, Question, RollOutPanel, geometry, rollout
from tuckerlab.panels.widgets import Panel

GIVEN = {"Question": {"question": "How much is left?", "answers": ["A twentieth"], "right": 0, "because": "95 % go."}}


@pytest.fixture(autouse=True)
def _short_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "follow", partial(geometry.follow, steps=80))


def every_widget(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


@pytest.mark.parametrize("kind", [it for it in vars(panels).values() if isinstance(it, type) and issubclass(it, Panel)])
def test_every_panel_opens(kind: type[Panel]) -> None:
    panel = kind(**GIVEN.get(kind.__name__, {}))  # type: ignore[arg-type]
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


def test_a_question_answers_what_was_chosen_and_has_the_answers_on_a_page_that_cannot_be_clicked() -> None:
    panel = Question("1 < 2?", ["Yes & no", "Never"], right=0, because="It is <b>.")
    assert not panel.reply.value
    for answer, reply in (("Never", "No. It is <b>."), ("Yes & no", "Yes. It is <b>.")):
        panel.choice.value = answer
        assert said(panel.reply) == reply
    page = panel.static()
    assert page.index("1 &lt; 2?") < page.index("Never") < page.index("<details>") < page.index("It is &lt;b&gt;.")
    assert "<b>Yes &amp; no.</b>" in page
    with pytest.raises(TuckerlabError, match="right 2"):
        Question("?", ["a", "b"], right=2, because="")


def test_geometry_says_who_is_ahead_and_what_blows_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "draw_descents", drawn := Mock(return_value=None))
    panel, ratios = GeometryPanel(steps=40), []
    for exponent, lr in ((4, 0.2), (0, 1.0), (4, 0.2)):
        panel.lr.value, panel.exponent.value = lr, exponent
        _values, ours, theirs = drawn.call_args.args
        ratios.append(theirs[-1] / ours[-1])
        assert f"ordinary descent has {100 * theirs[-1] / theirs[0]:.2g} % of its first error left" in said(
            panel.sentence
        )
    assert ratios[0] > 10 > 0.1 > ratios[1]
    assert ratios[0] == ratios[2]
    panel.exponent.value, panel.lr.value = 8, 3.0
    assert said(panel.sentence).startswith("Ordinary descent blew up at step 3: its steps were too long.")


def test_each_cycle_ends_at_its_rank() -> None:
    panel = CyclePanel()
    for every, rank in {1: 2, 10: 7}.items():
        panel.every.value = every
        assert f"the layer comes to rank {rank}; cut at every step it ends at rank 2." in said(panel.sentence)
    assert panel.chosen[1].found == CYCLE_RANK == 8 < panel.chosen[1].ranks[0]  # from above
    assert panel.chosen[0].losses[-1] < panel.each_step[0].losses[-1]
    left, right = geometry.draw_paths(panel.each_step, panel.chosen).axes
    paths = [*panel.each_step, *panel.chosen]
    assert [list(line.get_ydata()) for line in left.lines[:4]] == [list(path.ranks) for path in paths]
    assert [list(line.get_ydata()) for line in right.lines] == [list(path.losses) for path in paths]
    assert [path.every for path in paths] == [1, 1, 10, 10]


def test_a_fault_is_caught_where_it_shows_and_a_good_network_goes_out_sooner_where_more_may_be_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "rollout_timeline", lambda story: None)
    panel = RollOutPanel()
    panel.labelled.value = 0.0
    assert panel.story.end.ended == "asked"
    assert f"Look up the true answers of the {panel.story.end.unlabelled:,} requests" in said(panel.sentence)
    panel.fault.value, panel.labelled.value = 5.0, 1.0
    for since in rollout.STAGES:
        panel.since.value = since
        assert (panel.story.end.ended, panel.story.end.stage) == ("rolled back", since)
    sentence = said(panel.sentence)
    assert sentence.startswith(f"Rolled back in the 100 % stage after {panel.story.end.requests:,} requests, on day ")
    assert f"{panel.story.end.wrong:,} customers saw a wrong answer" in sentence
    panel.fault.value = 0.0
    strict = panel.story.end
    assert said(panel.sentence).startswith("Rolled out to all in the 100 % stage after")
    panel.harm.value = 3.0
    assert (panel.story.end.ended, panel.story.end.requests < strict.requests) == ("rolled out", True)
