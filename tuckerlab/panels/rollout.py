"""The roll-out panel: a fault is put into a new network, and the stages catch it or do not."""

from dataclasses import dataclass, replace
from functools import lru_cache

import ipywidgets
import pandas as pd

from tuckerlab.deploy.rollout import Rule
from tuckerlab.deploy.rollout.plots import rollout_timeline
from tuckerlab.deploy.rollout.simulate import Timeline, Traffic, Truth, recorded_traffic, simulate, timeline
from tuckerlab.errors import DataError
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.widgets import (
    SLIDER,
    Line,
    Panel,
    PictureBox,
    button,
    choice,
    labelled,
    recorded_name,
    tiles,
    watch,
)

FAULTS = (0.0, 1.0, 2.0, 5.0)
LABELLED = (0.0, 0.1, 0.5, 1.0)
STAGES = Rule().stages
WEEK = 7
NAMED = {"description_width": "17rem"}  # sliders begin below each other

SAYS = {
    "rolled back": N_(
        "Rolled back in the {share:g} % stage after {requests:,.0f} requests, on day {day:.0f}: the loss is at least "
        "{low:.1f} points."
    ),
    "rolled out": N_(
        "Rolled out to all after {requests:,.0f} checked requests, on day {day:.0f}: each stage showed a loss below "
        "{harm:g}."
    ),
    "asked": N_(
        "Left to a person in the {share:g} % stage after {requests:,.0f} requests, on day {day:.0f}: the loss may "
        "still be {high:.1f} points, and {harm:g} would be too much."
    ),
}
UNTIL = {
    "rolled back": N_("until rolled back on day {day:.0f}"),
    "rolled out": N_("until rolled out on day {day:.0f}"),
    "asked": N_("until a person decides on day {day:.0f}"),
}
"""By the end of a roll-out."""


@dataclass(frozen=True, eq=False)
class RollOut:
    """A roll-out, the same without stages , and how those end that differ from it by chance."""

    story: Timeline
    at_once: pd.Series  # a row of `simulate`
    faulty: Traffic
    ends: pd.DataFrame  # of `simulate`


class RollOutPanel(Panel):
    """Put a fault into the new network, and see in which stage it is caught, when, and what it has cost by then.

    `source` is the name of recorded answers or the beginning of it; `repeats` is how many roll-outs are counted beside
    the one that is shown. `state` is what is shown. DataError where there is no such source.
    """

    def __init__(self, source: str = "digits", repeats: int = 50) -> None:
        super().__init__()
        self.repeats, self.seed = repeats, 0
        names = list(recorded_traffic())
        found = next((name for name in names if name.startswith(source)), None)
        if found is None:
            raise DataError(_(
                "{source}: there are no recorded answers of that name; there are {there}",
                source=source, there=", ".join(names),
            ))  # fmt: skip
        options = [(recorded_name(name.partition(":")[0]) + ":" + name.partition(":")[2], name) for name in names]
        self.source = labelled(
            ipywidgets.Dropdown, _("Networks"), layout={"width": "auto", "min_width": "22rem"}, style=NAMED,
            options=options, value=found,
        )  # fmt: skip
        self.harm = labelled(
            ipywidgets.FloatSlider, _("Loss that would be too much, points"), value=1.0, min=0.2, max=5, step=0.1,
            continuous_update=False, layout=SLIDER, readout_format=".1f", style=NAMED,
        )  # fmt: skip
        shares = {share: f"{100 * share:g} %" for share in (*STAGES, *LABELLED)}
        self.fault = choice(
            _("Fault of the new network"), _("So many of its right answers, in points, are made wrong."),
            2.0, [(_("{points:g} points", points=fault), fault) for fault in FAULTS], style=NAMED,
        )  # fmt: skip
        self.since = choice(
            _("The fault shows from"), _("Some faults show only when much of the traffic has come over."),
            STAGES[0], [(shares[share], share) for share in STAGES], style=NAMED,
        )  # fmt: skip
        self.labelled = choice(
            _("Requests whose true answer is found out"),
            _("The share of requests, taken at random, whose true answer becomes known. Complaints are not at random."),
            1.0, [(shares[share], share) for share in LABELLED], style=NAMED,
        )  # fmt: skip
        days = [(ngettext("{count:g} day", "{count:g} days", count=count), count) for count in (0, 1, 7)]
        self.delay = choice(_("… after"), "", 1, days, style=NAMED)
        requests = [(f"{count:,}", count) for count in (1_000, 10_000, 100_000, 1_000_000)]
        self.requests_a_day = choice(_("Requests a day"), "", 10_000, requests, style=NAMED)
        self.again = button(_("Other requests"), self._again, _("The same roll-out on other days: how much is chance?"))
        self.sentence, self.chances, self.origin = Line(), Line(), Line()
        self.numbers = ipywidgets.HTML()
        self.picture = PictureBox(
            _("The bounds of the loss against the requests answered, with the stages and the end of the roll-out")
        )
        controls = [self.source, self.harm, self.fault, self.since, self.labelled, self.delay, self.requests_a_day]
        self.children = [
            *controls, self.again,
            self.sentence, self.picture, self.numbers, self.chances, self.origin, self.alert,
        ]  # fmt: skip
        watch(self._show, *controls)
        self._show()

    def _again(self) -> None:
        """The same roll-out with other requests."""
        self.seed += 1
        self._show()

    def _show(self, change: object = None) -> None:
        with self.reporting():
            traffic = replace(
                recorded_traffic()[self.source.value], labelled=self.labelled.value, delay=self.delay.value,
                requests_a_day=self.requests_a_day.value,
            )  # fmt: skip
            rule = Rule(harm=self.harm.value, random_labels=self.labelled.value < 1)
            fault = self.fault.value
            self.state = roll_out(rule, traffic, fault, self.since.value, self.seed, self.repeats)
            self.picture.show(rollout_timeline(self.state.story))
            self.sentence.say(story_said(self.state.story), bold=True)
            self.chances.say(_chances_said(self.state.ends))
            self.origin.say(_(
                "Requests are drawn from the test images with the real answers of both networks ({differing:.1f} "
                "% differ; accuracy of the new one: {points:+.1f} points), and the fault of {fault:g} points is "
                "put on top. The test errs in at most {alarm:g} % of roll-outs in each direction, however often "
                "it looks.",
                points=-traffic.loss, differing=traffic.differing, fault=fault, alarm=100 * rule.false_alarm,
            ))  # fmt: skip
            self.numbers.value = tiles(_numbers(self.state))


@lru_cache(maxsize=64)
def roll_out(rule: Rule, traffic: Traffic, fault: float, since: float, seed: int, repeats: int) -> RollOut:
    """A roll-out of a network that loses `fault` points from the stage `since` on, and what to compare it with."""
    faulty = traffic.with_loss(fault)
    each = [faulty if share >= since else traffic for share in rule.stages]
    # nothing can be held back: all requests of a week go on coming, and of the days until labels arrive
    most = max(rule.most, int((WEEK + traffic.delay) * traffic.requests_a_day))
    at_once = simulate(replace(rule, stages=(1.0,), most=most), faulty, 1, seed)
    return RollOut(timeline(rule, each, seed), at_once.iloc[0], faulty, simulate(rule, each, repeats, seed=seed))


def story_said(story: Timeline) -> str:
    """How a roll-out ended, when, and what it has cost by then."""
    end = story.end
    said = [_(
        SAYS[end.ended], share=100 * end.stage, requests=end.requests, day=int(end.days) + 1, harm=story.rule.harm,
        **story.points[["low", "high"]].iloc[-1],
    )]  # fmt: skip
    if end.wrong:
        said.append(ngettext(
            "{count:,.0f} customer saw a wrong answer that the old network would have given right.",
            "{count:,.0f} customers saw a wrong answer that the old network would have given right.",
            count=end.wrong,
        ))  # fmt: skip
    else:
        said.append(_("No customer saw a wrong answer that the old network would have given right."))
    if end.ended == "asked" and end.unlabelled:
        said.append(ngettext(
            "Look up the true answer of the {count:,.0f} request on which the networks differ; the others "
            "need none.",
            "Look up the true answers of the {count:,.0f} requests on which the networks differ; the others "
            "need none.",
            count=end.unlabelled,
        ))  # fmt: skip
    return " ".join(said)


def _numbers(state: RollOut) -> list[tuple[str, str, str]]:
    """What it has cost: in stages, at once with the same test, and at once with none."""
    end, once = state.story.end, state.at_once
    a_day = state.faulty.chances[Truth.lost] * state.faulty.requests_a_day
    differing = _("accuracy in truth: {points:+.1f} points", points=-state.faulty.loss)
    noticed = _("every day, until someone notices")
    if state.faulty.loss <= 0:
        noticed = _("every day; as many come right that were wrong")
    return [
        (_("Wrong answers, in stages"), f"{end.wrong:,}", _(UNTIL[end.ended], day=int(end.days) + 1)),
        (_("All at once, same test"), f"{once.wrong:,}", _(UNTIL[once.ended], day=int(once.days) + 1)),
        (_("All at once, no test"), f"{a_day:,.0f}", noticed),
        (_("Answers that differ"), _("{value:.1f} %", value=state.faulty.differing), differing),
    ]


def _chances_said(found: pd.DataFrame) -> str:
    back, out, asked = (int((found["ended"] == how).sum()) for how in ("rolled back", "rolled out", "asked"))
    said = _(
        "Of {repeats:.0f} such roll-outs {back:.0f} are rolled back, {out:.0f} go out to all, "
        "{asked:.0f} are left to a person.",
        repeats=len(found), back=back, out=out, asked=asked,
    )  # fmt: skip
    if back < len(found) / 2:
        return said
    median = float(found["requests"][found["ended"] == "rolled back"].median())
    return f"{said} {_('Half of those rolled back took at most {median:,.0f} requests.', median=median)}"
