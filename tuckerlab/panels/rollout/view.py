"""The roll-out panel as widgets."""

from html import escape

import ipywidgets

from tuckerlab.deploy.rollout import Timeline
from tuckerlab.deploy.rollout.plots import rollout_timeline
from tuckerlab.deploy.rollout.traffic import Truth
from tuckerlab.i18n import has_text, text
from tuckerlab.panels.rollout.model import DELAYS, FAULTS, LABELLED, REQUESTS, STAGES, RollOutModel, State
from tuckerlab.panels.widgets import (
    BLANK,
    Panel,
    bind,
    button,
    labelled,
    line_widget,
    picture_widget,
    problem_widget,
    set_line,
    tiles,
)

SLIDER = {"width": "100%", "max_width": "46rem"}
NAMED = {"description_width": "17rem"}  # sliders begin below each other
WIDE = {"width": "auto", "min_width": "22rem"}


class RollOutPanel(Panel):
    """Put a fault into the new network, and see in which stage it is caught, when, and what it has cost by then."""

    model: RollOutModel

    def __init__(self, source: str = "digits", model: RollOutModel | None = None) -> None:
        self.model = model or RollOutModel(source)
        self.source = labelled(
            ipywidgets.Dropdown, "canary.source", layout=WIDE, style=NAMED,
            options=[(source_name(name), name) for name in self.model.sources],
        )  # fmt: skip
        self.harm = labelled(
            ipywidgets.FloatSlider, "canary.harm", min=0.2, max=5, step=0.1, continuous_update=False, layout=SLIDER,
            readout_format=".1f", style=NAMED,
        )  # fmt: skip
        self.fault = _choice("canary.fault", [(text("canary.points", points=fault), fault) for fault in FAULTS])
        self.since = _choice("canary.since", [(text("rollout.stage", share=100 * share), share) for share in STAGES])
        self.labelled = _choice(
            "canary.labelled", [(text("rollout.stage", share=100 * share), share) for share in LABELLED]
        )
        self.delay = _choice("canary.delay", [(text("canary.days", count=days), days) for days in DELAYS])
        self.requests_a_day = _choice(
            "canary.requests_a_day", [(text("unit.count", count_=count), count) for count in REQUESTS]
        )
        self.again = button("canary.again", self.model.again)
        self.sentence, self.chances, self.origin = line_widget(), line_widget(), line_widget()
        self.numbers, self.picture = ipywidgets.HTML(), picture_widget(b"", text("canary.alt"))
        names = ("source", "harm", "fault", "since", "labelled", "delay", "requests_a_day")
        bind(self.model, **{name: getattr(self, name) for name in names})
        self.model.observe(self._show, "state")
        self._show()
        super().__init__([
            self.source, self.harm, self.fault, self.since, self.labelled, self.delay, self.requests_a_day,
            self.again,
            self.sentence, self.picture, self.numbers, self.chances, self.origin, problem_widget(self.model),
        ])  # fmt: skip

    def _show(self, _: object = None) -> None:
        state = self.model.state
        self.picture.value = rollout_timeline(state.story)._repr_png_() if state else BLANK
        set_line(self.sentence, f"<b>{escape(story_said(state.story))}</b>" if state else "")
        set_line(self.chances, escape(_chances_said(state, self.model.repeats)) if state else "")
        set_line(self.origin, escape(_origin_said(state, self.model.fault)) if state else "")
        self.numbers.value = tiles(_numbers(state)) if state else ""


def _choice(key: str, options: list[tuple[str, float]]) -> ipywidgets.SelectionSlider:
    return labelled(
        ipywidgets.SelectionSlider, key, options=options, continuous_update=False, layout=SLIDER, style=NAMED
    )


def source_name(source: str) -> str:
    """What people call a source.

    >>> source_name("digits: Tucker 90 %")
    'Handwritten digits, small network: Tucker 90 %'
    """
    name, _, network = source.partition(": ")
    key = f"canary.data.{name}"
    return f"{text(key)}: {network}" if has_text(key) else source


def story_said(story: Timeline) -> str:
    """How a roll-out ended, when, and what it has cost by then."""
    end = story.points.iloc[-1]
    told = {
        "share": 100 * story.stage,
        "requests": story.requests,
        "day": int(story.days) + 1,
        "harm": story.rule.harm,
        "high": float(end["high"]),
    }
    said = [text(f"canary.says.{story.ended.replace(' ', '_')}", **told)]
    said.append(text("canary.says.wrong", count=story.wrong) if story.wrong else text("canary.says.none_wrong"))
    if story.ended == "asked" and story.unlabelled:
        said.append(text("canary.says.too_loose", count=story.unlabelled))
    return " ".join(said)


def _numbers(state: State) -> list[tuple[str, str, str]]:
    """What it has cost: in stages, at once with the same test, and at once with none."""
    story, once, unwatched = state.story, state.at_once, "canary.tile.unwatched"
    a_day = state.faulty.chances[Truth.lost] * state.faulty.requests_a_day
    at_once = text("unit.count", count_=int(once["wrong"])), _until(once["ended"], once["days"])
    until = text(f"{unwatched}.until" if state.faulty.loss > 0 else f"{unwatched}.a_day")
    differing = text("canary.tile.differing.meaning", points=-state.faulty.loss)
    return [
        (text("canary.tile.stages"), text("unit.count", count_=story.wrong), _until(story.ended, story.days)),
        (text("canary.tile.at_once"), *at_once),
        (text(unwatched), text("unit.count", count_=a_day), until),
        (text("canary.tile.differing"), text("unit.percent", value=state.faulty.differing), differing),
    ]


def _until(ended: str, days: float) -> str:
    return text(f"canary.until.{ended.replace(' ', '_')}", day=int(days) + 1)


def _chances_said(state: State, repeats: int) -> str:
    back, out, asked = (state.shares[how] * repeats for how in ("rolled back", "rolled out", "asked"))
    said = text("canary.chances", repeats=repeats, back=back, out=out, asked=asked)
    return f"{said} {text('canary.chances.median', median=state.median)}" if back >= repeats / 2 else said


def _origin_said(state: State, fault: float) -> str:
    told = {"points": -state.traffic.loss, "differing": state.traffic.differing, "fault": fault}
    return text("canary.origin", **told, alarm=100 * state.story.rule.false_alarm)
