"""What tests of panels share: what a widget says, and a gate that holds a thread where a test wants it to."""

import html
import re
import threading

import ipywidgets

LONG = 120.0  # seconds after which a test has failed


class Gate:
    """Holds a thread once, when it has come to this step, until it is opened."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step
        self.reached, self.opened = threading.Event(), threading.Event()

    def hold(self, step: int) -> None:
        if step == self.step:
            self.step = None
            self.reached.set()
            assert self.opened.wait(LONG)

    def wait(self) -> None:
        assert self.reached.wait(LONG)


def said(widget: ipywidgets.HTML) -> str:
    return " ".join(html.unescape(re.sub("<.*?>", " ", widget.value)).split())
