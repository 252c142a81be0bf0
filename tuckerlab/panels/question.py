"""A question to the reader, with answers to choose from; what is chosen is answered at once."""

from collections.abc import Sequence
from html import escape

import ipywidgets

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import _
from tuckerlab.panels.widgets import Line, Panel, folded, watch


class Question(Panel):
    """A question with its answers, of which one is right; nothing is chosen at first.

    because: why the right answer is right, said after any choice. `values` are filled into all of these sentences,
    which are shown in the reader's language where it has them.
    """

    def __init__(self, question: str, answers: Sequence[str], *, right: int, because: str, **values: object) -> None:
        super().__init__()
        if not 0 <= right < len(answers):
            raise TuckerlabError(f"right {right}: allowed are 0 to {len(answers) - 1}, one of the answers")
        question, because = _(question, **values), _(because, **values)
        answers = [_(answer, **values) for answer in answers]
        self.right, self.because = answers[right], because
        self.asked, self.reply = Line(question, bold=True), Line()
        self.choice = ipywidgets.RadioButtons(options=answers, value=None, tooltip=question, layout={"width": "100%"})
        self.children = [self.asked, self.choice, self.reply]
        watch(self._answer, self.choice)

    def static(self) -> str:
        """Where nothing can be chosen: the question, the answers, and which is right, folded away."""
        answers = "".join(f"<li>{escape(answer)}</li>" for answer in self.choice.options)
        solution = f"<p><b>{escape(self.right)}.</b> {escape(self.because)}</p>"
        below = folded(_("The answer"), solution)
        return f"{self.asked.value}<ul>{answers}</ul>{below}"

    def _answer(self, change: object) -> None:
        said = _("Yes.") if self.choice.value == self.right else _("No.")
        self.reply.say(f"{said} {self.because}")
