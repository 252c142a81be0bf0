"""What the brief says in sentences: what stands in the way, what else was tried, and what to say in the meeting.

>>> from tuckerlab.decision.recommendation import judge
>>> from tuckerlab.experiments.recorded import found_folder
>>> evidence = Evidence.of([found_folder("compare-folder-neu_steel")])
>>> lacks(judge(evidence, None), Answer.UNDECIDED)
['which classes lose: the audit', 'how often both answer alike: the audit', 'the money']
"""

from collections.abc import Iterator, Sequence

from tuckerlab.decision.assumptions import ENTERED
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.money import Money
from tuckerlab.decision.money_words import chance, verdict_line
from tuckerlab.decision.others import Other, called
from tuckerlab.decision.plan import Plan
from tuckerlab.decision.recommendation import Answer, Criterion, Outcome
from tuckerlab.decision.sensitivity import REACH
from tuckerlab.decision.words import number, percent, short, some, spread, times
from tuckerlab.i18n import text

OTHERS = 5  # lines of them
IN_POINTS = ("accuracy_loss", "class_loss", "agreement")


def lacks(criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way: of a no-go what failed, of an open answer what is missing, else all that did not hold."""
    asked = {Answer.NO_GO: (Outcome.FAILED,), Answer.UNDECIDED: (Outcome.MISSING,)}
    wanted = asked.get(answer, (Outcome.IN_PART, Outcome.FAILED, Outcome.MISSING))
    return [_lack(criterion) for criterion in criteria if criterion.outcome in wanted]


def _lack(criterion: Criterion) -> str:
    key, measured = f"brief.lack.{criterion.key}", criterion.measured
    if criterion.key == "payback" and measured is not None:
        return _lack_of_money(criterion, measured.value)
    if criterion.key == "repeats":
        return text("brief.lack.repeats", limit=criterion.limit, count=int(measured.value) if measured else 0)
    if measured is None:
        return text(f"{key}.missing")
    if criterion.key == "accuracy_loss" and criterion.outcome is Outcome.IN_PART:
        return text(f"{key}.in_part", worst=number(measured.high, 1))
    if criterion.key in IN_POINTS:
        told = {"measured": number(measured.value, 1), "limit": f"{criterion.limit:g}"}
    else:
        told = {"measured": spread(measured, 0, scale=100), "limit": f"{100 * criterion.limit:.0f}"}
    return text(key, **told, name=short(criterion.detail, 20))


def _lack_of_money(criterion: Criterion, pays: float) -> str:
    if not criterion.detail:
        return text("brief.lack.payback", chance=chance(pays), limit=f"{100 * criterion.limit:.0f}")
    if criterion.outcome is Outcome.FAILED:
        return text("brief.lack.payback.settled", chance=chance(pays), reach=REACH)
    return text("brief.lack.payback.default", name=text(f"money.name.{criterion.detail}"))


def other_lines(evidence: Evidence) -> list[str]:
    """What else was tried, and where it is better than the network of the brief."""
    ours = {subject.label for subject in (evidence.dense, evidence.small) if subject}
    rest = [network for network in evidence.networks if network.name not in ours]
    lines = [_other(other) for other in evidence.others]
    if evidence.deployed and evidence.deployed.int8:
        time, file, points = evidence.deployed.int8
        told = {"time": 100 * time, "file": 100 * file, "device": short(evidence.deployed.device)}
        lines.insert(0, text("brief.others.int8", points=points, **told))
    if not rest:
        return [text("brief.others.none"), *lines]
    methods = len({network.method for network in rest})
    best = [] if evidence.others else [text("brief.others.best")]
    return some([text("brief.others.count", networks=len(rest), methods=methods), *best, *lines], OTHERS)


def _other(other: Other) -> str:
    network = other.network
    told = {
        "name": short(called(network.name, network.method), 28),
        "points": other.points,
        "accuracy": network.accuracy,
    }
    return text(f"brief.others.{other.quantity}", **told, share=100 * other.cost, times=times(1 / other.cost))


def meeting_lines(
    evidence: Evidence, criteria: Sequence[Criterion], answer: Answer, money: Money | None, plan: Plan | None
) -> list[str]:
    """Sentences to say, each with the numbers that were measured; what was not measured is said too."""
    if not evidence.is_valid:
        return [text("brief.say.invalid" if evidence.change else "brief.say.nothing"), *_ask(criteria, answer, plan)]
    return [*_said(evidence), *_of_money(money), *_ask(criteria, answer, plan)]


def _said(evidence: Evidence) -> Iterator[str]:
    dense, small, of, change = evidence.dense, evidence.small, evidence.shares, evidence.change
    assert dense
    assert small
    if (size := of["parameters"]) and (full := dense["accuracy"]) and (cut := small["accuracy"]):
        yield text("brief.say.size", times=times(size.value), small=number(cut.value, 1), dense=number(full.value, 1))
    if change and evidence.pairs < 2:
        yield text("brief.say.one")
    elif change:
        ends = {"low": number(change.low, 1, signed=True), "high": number(change.high, 1, signed=True)}
        yield text("brief.say.spread", **ends, allowed=evidence.allowed, seeds=evidence.pairs)
    if (one := of["time_1"]) and (batch := of["time_128"]):
        device = short(evidence.timed_on[0])
        yield text("brief.say.time", one=percent(one.value), batch=percent(batch.value), device=device)
    if evidence.closer is None:
        yield text("brief.say.unknown_class")
    else:
        worst = evidence.closer.audit.per_class.iloc[0]
        loses = worst["change"] < 0
        told = {"name": short(str(worst.name), 20), "points": number(worst["change"], 1, signed=True)}
        yield text("brief.say.class", **told) if loses else text("brief.say.no_class")
    for other in evidence.others[:1]:
        if other.quantity == "accuracy":
            name = called(other.network.name, other.network.method)
            yield text("brief.say.other", name=name, accuracy=other.network.accuracy, times=times(1 / other.cost))


def _of_money(money: Money | None) -> Iterator[str]:
    if money is not None:
        entered = [one.origin == ENTERED for one in money.assumptions]
        key = f"brief.say.money.{'entered' if any(entered) else 'default'}"
        origin = text(key, entered=sum(entered), all=len(entered))
        yield text("brief.say.money", line=verdict_line(money).rstrip("."), origin=origin)


def _ask(criteria: Sequence[Criterion], answer: Answer, plan: Plan | None) -> Iterator[str]:
    if answer is Answer.UNDECIDED:
        yield text("brief.say.ask.undecided", missing=text("brief.semicolon").join(some(lacks(criteria, answer), 3)))
    elif answer is Answer.NO_GO:
        yield text("brief.say.ask.no_go")
    elif plan is not None:
        yield text(f"brief.say.ask.{answer}", weeks=plan.weeks.likely, days=plan.days.likely)
