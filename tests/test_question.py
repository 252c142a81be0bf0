"""A question is silent until something is chosen, and then says whether it is right."""

import pytest

from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import Question


def test_a_question_answers_what_was_chosen() -> None:
    panel = Question("How much is left?", ["A twentieth", "A half"], right=0, because="95 % are gone.")
    assert panel.answered is None
    assert not panel.reply.value
    panel.choice.value = "A half"
    assert panel.answered is False
    assert "No. 95 % are gone." in panel.reply.value
    panel.choice.value = "A twentieth"
    assert panel.answered is True
    assert "Yes. 95 % are gone." in panel.reply.value


def test_a_page_that_cannot_be_clicked_has_the_answers_and_which_is_right() -> None:
    page = Question("1 < 2?", ["Yes & no", "Never"], right=0, because="It is <b>.").static()
    assert page.index("1 &lt; 2?") < page.index("Never") < page.index("<details>") < page.index("It is &lt;b&gt;.")
    assert "<b>Yes &amp; no.</b>" in page


def test_the_right_answer_is_one_of_them() -> None:
    with pytest.raises(TuckerlabError, match="right 2"):
        Question("?", ["a", "b"], right=2, because="")
