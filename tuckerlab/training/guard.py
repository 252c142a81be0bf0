"""The guard: rules on what a training shows of itself, and what to do where one is broken.

In a loop of your own, `Watch` says what is wrong, and a `Snapshot` of the last good moment is what to go back to:

    watch = Watch(Guard())
    good = Snapshot.of(model, optimizer).copied()
    for x, y in loader:                               # your loop
        loss = criterion(model(x), y)
        if alarm := watch.after_step(loss.item()):    # Alarm(rule="loss", measured=7.1, allowed=4.6)
            print(alarm, watch.decide(alarm))         # … and what the rule says: "roll back"
            good.put_back(model, optimizer)
            continue
        optimizer.zero_grad(); loss.backward(); optimizer.step()

The constants leave room for the noise of all but 2 of the 113 ordinary runs that were counted (benchmarks/guard.py).
"""

import math
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from tuckerlab.errors import TuckerlabError, check_choice, check_number, check_whole

ACTIONS = ("roll back", "stop")
LIMITS = {"finite": (0, 0), "loss": (1, math.inf), "accuracy": (0, 1), "cut": (0, 1)}  # that a rule may have
WINDOW = 8  # losses whose median is compared: one bad batch is not a rise
RISE = 0.75  # of an untrained network's loss: by that much a loss may rise; close to 0, twice the best is little
LEARNED = 0.9  # of an untrained network's loss: above it nothing has been learned
EASE = 0.75  # more that the accuracy may fall at the beginning of a run, less and less up to its end
SPREAD = 3  # standard errors of an accuracy that are chance


@dataclass(frozen=True)
class Rule:
    """What to do beyond a limit, and how often: once more than `times` without coming any further, the run is stopped.

    >>> Rule("stop", 0.5)
    Rule(action='stop', limit=0.5, times=3)

    "roll back": return to the last good state with a lower learning rate; to the rank policy of that state, if it was
    exchanged since (then that was the cause, and the rate stays); ranks are cut no further where a cut was too large,
    or the rule is broken for the second time. "stop": end with the last good state.
    """

    action: str
    limit: float = 0.0
    times: int = 3


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The rules; None switches one off.

    >>> Guard(accuracy=None).loss
    Rule(action='roll back', limit=2.0, times=3)

    finite: the loss, the gradient and the weights are numbers (no limit).
    loss: the median of the last 8 training losses is at most `limit` times its best; by three quarters of an untrained
    network's loss it may always rise.
    accuracy: that on images held out of the training split is at most `limit` below its best, beyond chance, with more
    room early in the run, two epochs in a row or at the end.
    cut: the share of the numbers in Tucker layers that goes in one adaptation is at most `limit`; a schedule that is
    over in fewer than 20 cycles may cut more.

    slower: what a roll-back multiplies the learning rate by. A guard with an accuracy rule holds a tenth of the
    training images out; without it, a run in which no rule is broken ends exactly as one without a guard. Raises
    TuckerlabError for what is out of range.
    """

    finite: Rule | None = Rule("roll back")
    loss: Rule | None = Rule("roll back", 2.0)
    accuracy: Rule | None = Rule("roll back", 0.05)
    cut: Rule | None = Rule("roll back", 0.6)
    slower: float = 0.2

    def __post_init__(self) -> None:
        for name, limits in LIMITS.items():
            rule = getattr(self, name)
            if rule is None:
                continue
            if not isinstance(rule, Rule):
                raise TuckerlabError(f'{name} {rule!r}: allowed are None and a rule, such as Rule("stop", 1)')
            check_choice(f"{name}: action", rule.action, ACTIONS)
            check_number(f"{name}: limit", rule.limit, *limits)
            check_whole(f"{name}: times", rule.times, 0)
        check_number("slower", self.slower, above=0, below=1)


class Alarm(NamedTuple):
    """A rule that was broken: what was measured, and what is allowed."""

    rule: str
    measured: float
    allowed: float


@dataclass
class Watch:
    """Takes in what is measured, and answers with an alarm or None."""

    guard: Guard
    untrained: float | None = None  # loss of a network that knows nothing; None: the first one is that
    lowest: float = math.inf  # median of the loss
    recent: list[float] = field(default_factory=list)
    best: float = 0.0  # accuracy
    was_low: bool = False
    is_good: bool = True  # the last moment that was looked at: worth returning to
    broken: dict[str, int] = field(default_factory=dict)  # how often each rule has been, since the run came further

    def after_step(self, loss: float) -> Alarm | None:
        """Of a training loss."""
        if not math.isfinite(loss):
            return None if self.guard.finite is None else Alarm("finite", loss, math.inf)
        if self.lowest == math.inf:  # the first: no step has been taken yet
            self.untrained = loss if self.untrained is None else self.untrained
            self.lowest = max(loss, self.untrained)
        self.recent = [*self.recent, loss][-WINDOW:]
        if len(self.recent) < WINDOW:
            return None
        now, allowed = median(self.recent), self.allowed_loss
        self.lowest = min(self.lowest, now)
        return Alarm("loss", now, allowed) if self.guard.loss is not None and now > allowed else None

    @property
    def allowed_loss(self) -> float:
        """The highest median of the loss that is no alarm."""
        limit = math.inf if self.guard.loss is None else self.guard.loss.limit
        return max(limit * self.lowest, self.lowest + RISE * (self.untrained or 0.0))

    def after_adaptation(self, before: int, after: int) -> Alarm | None:
        """Of the numbers that all Tucker layers store, before and after ranks were adapted."""
        rule, share = self.guard.cut, 1 - after / before if before else 0.0
        return Alarm("cut", share, rule.limit) if rule is not None and share > rule.limit else None

    def after_epoch(self, accuracy: float, images: int, progress: float) -> Alarm | None:
        """Of the accuracy on so many held-out images, at a `progress` of the run from 0 to 1."""
        rule = self.guard.accuracy
        if rule is None:
            return None
        near = self.best - rule.limit - SPREAD * math.sqrt(self.best * (1 - self.best) / images)
        allowed = near - EASE * (1 - progress)
        self.is_good = accuracy >= near
        self.best = max(self.best, accuracy)
        was_low, self.was_low = self.was_low, accuracy < allowed
        return Alarm("accuracy", accuracy, allowed) if self.was_low and (was_low or progress >= 1) else None

    def is_calm(self) -> bool:
        """Whether this moment is worth returning to."""
        if self.guard.loss is not None and self.lowest > LEARNED * (self.untrained or 0.0):
            return False  # nothing has been learned yet: the beginning is better than what a wrong start has left
        halfway = (self.lowest + self.allowed_loss) / 2
        return self.is_good and (len(self.recent) < WINDOW or median(self.recent) <= halfway)

    def decide(self, alarm: Alarm) -> str:
        """The action that the rule has for it: again and again, it is to stop."""
        rule: Rule = getattr(self.guard, alarm.rule)
        self.broken[alarm.rule] = self.broken.get(alarm.rule, 0) + 1
        return rule.action if self.broken[alarm.rule] <= rule.times else "stop"

    def went_back(self) -> None:
        """After a return to an earlier state: what was seen since does not count."""
        self.recent, self.was_low, self.is_good = [], False, True
