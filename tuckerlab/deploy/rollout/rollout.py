"""A roll-out as a state machine: counts of answers go in, a decision with its reason comes out.

>>> from tuckerlab.deploy.rollout.counts import Tally
>>> rollout = RollOut()
>>> rollout = rollout.add(Tally((0, 960, 0, 25, 5, 10)))
>>> rollout.decision.action, rollout.decision.share
('roll back', 0.01)
>>> print(rollout.decision.reason)
Rolled back in the 1 % stage after 1,000 requests: the new network is right less often, by at least 0.24 points.

It never changes: each step returns the next state, so that a service can keep it as JSON beside its log:

>>> RollOut.from_json(rollout.to_json()) == rollout
True
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from tuckerlab.deploy.rollout.counts import LABELLED, Pair, Tally, bounds, decided
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import text

Action = Literal["go on", "hold", "ask", "roll back", "done"]
Ended = Literal["", "rolled back", "rolled out"]


@dataclass(frozen=True)
class Decision:
    """What to do now, and why, in words; `low` and `high` are the bounds of the loss in points.

    - "go on": the present stage has just begun, the one before has shown that its loss is below harm.
    - "hold": go on serving this share. "ask": the same, but the stage has had its requests; a human decides.
    - "roll back": all requests go to the old network again. "done": all go to the new one.
    """

    action: Action
    reason: str
    share: float
    requests: int
    low: float
    high: float


@dataclass(frozen=True)
class RollOut:
    """A roll-out under way: the stage it is in, and the counts of each stage, in the cells of `Pair`."""

    rule: Rule = field(default_factory=Rule)
    stage: int = 0
    counts: tuple[tuple[int, ...], ...] = ()
    ended: Ended = ""
    by_hand: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TuckerlabError(f"rule {self.rule!r}: give a Rule, such as Rule(harm=1.0)")
        if not self.counts:
            object.__setattr__(self, "counts", ((0,) * len(Pair),) * len(self.rule.stages))
        stages = len(self.rule.stages)
        if [len(row) for row in self.counts] != [len(Pair)] * stages or self.stage not in range(stages):
            raise TuckerlabError(
                f"stage {self.stage!r} and counts of {len(self.counts)} stages: a rule with {stages} stages has "
                f"the stages 0 to {stages - 1}, and {len(Pair)} counts of each"
            )

    def add(self, tally: Tally) -> "RollOut":
        """The state after these requests, made in the present stage; TuckerlabError where the roll-out has ended."""
        if self.ended:
            raise TuckerlabError(f"the roll-out has ended ({self.ended}): late labels may be added, requests may not")
        return self._counted(self.stage, self._cells(tally))._decided()

    def add_late(self, tally: Tally, stage: int) -> "RollOut":
        """The state after labels came in for requests that were counted without: `tally` is of the same requests.

        They count for the stage in which the requests were made. Raises TuckerlabError for a stage that was not
        reached, and for more labels than it has requests without.
        """
        if not 0 <= stage <= self.stage:
            raise TuckerlabError(f"stage {stage}: labels come for stages that were reached, 0 to {self.stage}")
        moved = list(self._cells(tally))
        for unknown, known in ((Pair.alike, (Pair.alike_known,)), (Pair.differing, LABELLED)):
            moved[unknown] = -sum(moved[cell] for cell in known)  # requests whose label is still not known stay there
            if self.counts[stage][unknown] + moved[unknown] < 0:
                raise TuckerlabError(
                    f"{-moved[unknown]} labels for requests that were counted as {unknown.name}: there are "
                    f"{self.counts[stage][unknown]} in stage {stage}; add requests once with add(), then their labels"
                )
        return self._counted(stage, moved)._decided()

    def overrule(self, action: Literal["go on", "roll back"]) -> "RollOut":
        """The state after a human has decided. What is promised about errors does not hold for a human."""
        if self.ended or action not in ("go on", "roll back"):
            raise TuckerlabError(
                f"overrule({action!r}): a human may decide to go on or to roll back while a roll-out is under way"
            )
        by_hand = replace(self, by_hand=(*self.by_hand, self.stage))
        return by_hand._next() if action == "go on" else replace(by_hand, ended="rolled back")

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, given: str) -> "RollOut":
        """The roll-out that was written with `to_json`; TuckerlabError for what is none.

        >>> RollOut.from_json("{}")
        Traceback (most recent call last):
            ...
        tuckerlab.errors.TuckerlabError: no roll-out (KeyError: 'rule'): give what to_json() has returned
        """
        try:
            found = json.loads(given)
            rule = found["rule"]
            return cls(
                Rule(**{**rule, "stages": tuple(rule["stages"])}), found["stage"], tuple(map(tuple, found["counts"])),
                found["ended"], tuple(found["by_hand"]),
            )  # fmt: skip
        except (ValueError, TypeError, LookupError) as error:
            told = f"{type(error).__name__}: {error}"
            raise TuckerlabError(f"no roll-out ({told}): give what to_json() has returned") from None

    @property
    def decision(self) -> Decision:
        """What to do now."""
        requests = sum(self.counts[self.stage])
        low, high = (float(end) for end in bounds(np.array(self.counts), self.stage, self.rule))
        action, reason = self._action(requests)
        if reason == "went_on":
            high = float(bounds(np.array(self.counts), self.stage - 1, self.rule)[1])
        share = self.rule.stages[-1] if self.ended == "rolled out" else self.rule.stages[self.stage]
        told = {"share": 100 * share, "requests": requests, "low": low, "high": high, "harm": self.rule.harm}
        said = [text(f"rollout.reason.{reason}", **told, all=sum(map(sum, self.counts)))]
        differing = self.counts[self.stage][Pair.differing]
        if action in ("hold", "ask") and differing >= max(1, self.rule.harm / 100 * requests):
            key = "too_few_labels" if self.rule.random_labels else "too_loose"  # no number of requests would show it
            said.append(text(f"rollout.reason.{key}", differing=differing, share=100 * differing / requests))
        return Decision(action, " ".join(said), share, requests, low, high)

    def _action(self, requests: int) -> tuple[Action, str]:
        if self.ended == "rolled back":
            return "roll back", "rolled_back_by_hand" if self.stage in self.by_hand else "rolled_back"
        if self.ended:
            return "done", "done_by_hand" if self.by_hand else "done"
        if requests >= self.rule.most:
            return "ask", "ask"
        if self.stage and not requests:
            return "go on", "sent_on" if self.stage - 1 in self.by_hand else "went_on"
        return "hold", "hold" if requests else "begin"

    def _cells(self, tally: Tally) -> tuple[int, ...]:
        if not isinstance(tally, Tally):
            raise TuckerlabError(f"{tally!r} is no tally: give what paired() counts")
        return tally.cells

    def _counted(self, stage: int, cells: tuple[int, ...] | list[int]) -> "RollOut":
        counts = [list(row) for row in self.counts]
        counts[stage] = [there + new for there, new in zip(counts[stage], cells, strict=True)]
        return replace(self, counts=tuple(map(tuple, counts)))

    def _decided(self) -> "RollOut":
        if self.ended:
            return self
        back, shown = decided(np.array(self.counts), self.stage, self.rule)
        if back:
            return replace(self, ended="rolled back")
        return self._next() if shown else self

    def _next(self) -> "RollOut":
        last = self.stage + 1 == len(self.rule.stages)
        return replace(self, ended="rolled out") if last else replace(self, stage=self.stage + 1)
