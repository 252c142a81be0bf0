"""The roll-out panel: a fault is put into a new network, and the stages catch it or do not."""

from dataclasses import replace
from typing import Any

import ipywidgets

from tuckerlab.deploy.rollout import Rule
from tuckerlab.deploy.rollout.plots import rollout_timeline
from tuckerlab.deploy.rollout.simulate import Timeline, recorded_traffic, simulate, timeline
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.widgets import SLIDER, Line, Panel, PictureBox, choice, labelled, tiles, watch

STAGES = Rule().stages
WEEK = 7
NAMED = {"description_width": "17rem"}  # sliders begin below each other

SAYS = {  # by the end of a roll-out
    "rolled back": N_("Rolled back"), "rolled out": N_("Rolled out to all"), "asked": N_("Left to a person"),
}  # fmt: skip


class RollOutPanel(Panel):
    """Put a fault into the new network, and see in which stage it is caught, when, and what it has cost by then.

    `source` are recorded answers and the small network in them; `story` is the roll-out that is shown.
    """

    def __init__(self, source: str = "digits: Tucker 90 %") -> None:
        super().__init__()
        self.traffic = recorded_traffic()[source]
        self.harm = labelled(
            ipywidgets.FloatSlider, _("Loss that would be too much, points"), value=1.0, min=0.2, max=5, step=0.1,
            continuous_update=False, layout=SLIDER, readout_format=".1f", style=NAMED,
        )  # fmt: skip
        self.fault = choice(
            _("Fault of the new network"), _("So many of its right answers, in points, are made wrong."),
            2.0, [(_("{points:g} points", points=fault), fault) for fault in (0.0, 1.0, 2.0, 5.0)], style=NAMED,
        )  # fmt: skip
        self.since = choice(
            _("The fault shows from"), _("Some faults show only when much of the traffic has come over."),
            STAGES[0], [(_("{share:g} %", share=100 * share), share) for share in STAGES], style=NAMED,
        )  # fmt: skip
        self.stops = self.since, STAGES
        self.labelled = choice(
            _("Requests whose true answer is found out"),
            _("The share of requests, taken at random, whose true answer becomes known. Complaints are not at random."),
            1.0, [(_("{share:g} %", share=100 * share), share) for share in (0.0, 0.1, 0.5, 1.0)], style=NAMED,
        )  # fmt: skip
        days = [(ngettext("{count:g} day", "{count:g} days", count=count), count) for count in (0, 1, 7)]
        self.delay = choice(_("… after"), "", 1, days, style=NAMED)
        self.sentence, self.numbers = Line(), ipywidgets.HTML()
        self.picture = PictureBox(
            _("The bounds of the loss against the requests answered, with the stages and the end of the roll-out")
        )
        self.origin = Line(_(
            "Requests are drawn from the test images, with the real answers of both networks; the fault is put on top."
        ))  # fmt: skip
        controls = [self.harm, self.fault, self.since, self.labelled, self.delay]
        self.children = [*controls, self.sentence, self.picture, self.numbers, self.origin, self.alert]
        watch(self._show, *controls)
        self._show()

    def _show(self, change: object = None) -> None:
        with self.reporting():
            traffic = replace(self.traffic, labelled=self.labelled.value, delay=self.delay.value)
            rule = Rule(harm=self.harm.value, random_labels=self.labelled.value < 1)
            faulty = traffic.with_loss(self.fault.value)
            each = [faulty if share >= self.since.value else traffic for share in rule.stages]
            # nothing can be held back: all requests of a week go on coming, and of the days until labels arrive
            most = max(rule.most, int((WEEK + traffic.delay) * traffic.requests_a_day))
            once = simulate(replace(rule, stages=(1.0,), most=most), faulty, 1, 0).iloc[0]
            self.story = timeline(rule, each, 0)
            self.picture.show(rollout_timeline(self.story))
            self.sentence.say(_said(self.story), bold=True)
            a_day = self.fault.value / 100 * faulty.requests_a_day
            self.numbers.value = tiles([
                (_("Wrong answers, in stages"), f"{self.story.end.wrong:,}", _until(self.story.end)),
                (_("All at once, same test"), f"{once.wrong:,}", _until(once)),
                (_("All at once, no test"), f"{a_day:,.0f}", _("more every day, until someone notices")),
                (_("Answers that differ"), _("{value:.1f} %", value=faulty.differing),
                 _("accuracy in truth: {points:+.1f} points", points=-faulty.loss)),
            ])  # fmt: skip


def _until(end: Any) -> str:
    return _("until day {day:.0f}", day=int(end.days) + 1)


def _said(story: Timeline) -> str:
    end = story.end
    low, high = story.points[["low", "high"]].iloc[-1]
    said = [_(
        "{how} in the {share:g} % stage after {requests:,.0f} requests, on day {day:.0f}: the loss lies between "
        "{low:.1f} and {high:.1f} points.",
        how=_(SAYS[end.ended]), share=100 * end.stage, requests=end.requests, day=int(end.days) + 1, low=low, high=high,
    )]  # fmt: skip
    if end.wrong:
        said.append(ngettext(
            "{count:,.0f} customer saw a wrong answer that the old network would have given right.",
            "{count:,.0f} customers saw a wrong answer that the old network would have given right.",
            count=end.wrong,
        ))  # fmt: skip
    if end.ended == "asked" and end.unlabelled:
        said.append(ngettext(
            "Look up the true answer of the {count:,.0f} request on which the networks differ; the others need none.",
            "Look up the true answers of the {count:,.0f} requests on which the networks differ; the others need none.",
            count=end.unlabelled,
        ))  # fmt: skip
    return " ".join(said)
