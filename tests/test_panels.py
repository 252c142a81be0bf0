"""What holds for every panel: its picture is described, nothing is cut off, and what goes wrong is a line."""

import html
import io
import re
from collections.abc import Iterator

import ipywidgets
import numpy as np
import pytest
from PIL import Image

from tuckerlab import panels
from tuckerlab.errors import TuckerlabError
from tuckerlab.panels.widgets import BLANK, Panel, unwatched, watch

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
    data = panel._repr_mimebundle_()
    left = (data[0] if isinstance(data, tuple) else data)["text/html"]
    assert "<script" not in left
    for picture in [one for one in widgets if isinstance(one, ipywidgets.Image) and one.value not in (b"", BLANK)]:
        assert html.escape(picture.tooltip, quote=True) in left
        pixels = np.asarray(Image.open(io.BytesIO(picture.value)).convert("RGB"))
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert edges.min() > 230


def test_what_goes_wrong_is_a_line() -> None:
    panel = Panel()
    panel.children = [panel.alert]
    for error, line, is_defect in (
        (TuckerlabError("no <memory>"), "no <memory>", False),
        (FileNotFoundError(2, "No such file", "a/b"), "a/b: cannot be read or written (No such file)", False),
        (ValueError("a\nlong story"), "ValueError: a long story", True),
    ):
        with panel.reporting():
            raise error
        assert line in panel.problem
        assert html.escape(line) in panel.static()
        assert bool(re.search("Traceback", panel.static())) == is_defect
        with panel.reporting(fresh=False):
            pass
        assert line in panel.problem
    with panel.reporting():
        pass
    assert (panel.problem, panel.static()) == ("", "")


def test_values_that_are_set_unwatched() -> None:
    slider, seen = ipywidgets.IntSlider(), list[int]()

    def note(change: object) -> None:
        seen.append(slider.value)

    watch(note, slider)
    with unwatched(note, slider):
        slider.value = 3
    slider.value = 4
    assert seen == [4]
