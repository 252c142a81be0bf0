"""A roll-out as a state machine: counts of answers go in, a decision with its reason comes out.

It never changes: each step returns the next state, so that a service can keep it as JSON beside its log.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from tuckerlab.deploy.rollout.anytime_test import LABELLED, Pair, Rule, bounds, decided
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _

Action = Literal["go on", "hold", "ask", "roll back", "done"]
Ended = Literal["", "rolled back", "rolled out"]

REASONS = {
    "roll back": N_(
        "Rolled back in the {share:g} % stage after {all:,.0f} requests: the new network is right less often, by at "
        "least {low:.2f} points."
    ),
    "done": N_(
        "All requests go to the new network: in every stage its loss was shown to be below the limit of {harm:g}."
    ),
    "ask": N_(
        "A person decides: the {share:g} % stage has had its {requests:,.0f} requests, and the loss may still be "
        "{high:.1f} points. Below {harm:g} would be good enough."
    ),
    "hold": N_(
        "Held at {share:g} %: after {requests:,.0f} requests of this stage the loss may still be {high:.1f} points. "
        "To go on it must be shown to be below {harm:g}."
    ),
    "go on": N_(
        "On to {share:g} %: in the stage before, the loss was shown to be below {high:.2f} points ({harm:g} would have "
        "been too much)."
    ),
}
LOOK_UP = N_(
    "{differing:,.0f} requests ({part:.1f} %) were answered differently and have no true answer. That is too many to "
    "show anything without them: look up the true answers of these requests; the others need none."
)
LOOK_UP_AT_RANDOM = N_(
    "{differing:,.0f} requests ({part:.1f} %) were answered differently and have no true answer. That is too many to "
    "show anything without more true answers, of requests taken at random."
)


@dataclass(frozen=True)
class Decision:
    """What to do now, and why, in words; `low` and `high` are the bounds of the loss in points.

    - "go on": the present stage has just begun, the one before has shown that its loss is below harm.
    - "hold": go on serving this share. "ask": the same, but the stage has had its requests. A human decides: to go on
      begins another roll-out, with the stages that are left.
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

    def __post_init__(self) -> None:
        stages = len(self.rule.stages)
        if not self.counts:
            object.__setattr__(self, "counts", ((0,) * len(Pair),) * stages)
        if [len(row) for row in self.counts] != [len(Pair)] * stages or self.stage not in range(stages):
            raise TuckerlabError(
                f"stage {self.stage!r} and counts of {len(self.counts)} stages: a rule with {stages} stages has "
                f"the stages 0 to {stages - 1}, and {len(Pair)} counts of each"
            )

    def add(self, cells: Sequence[int]) -> "RollOut":
        """The state after these requests, made in the present stage; TuckerlabError where the roll-out has ended."""
        if self.ended:
            raise TuckerlabError(f"the roll-out has ended ({self.ended}): late labels may be added, requests may not")
        return self._counted(self.stage, cells)

    def add_late(self, cells: Sequence[int], stage: int) -> "RollOut":
        """The state after labels came in for requests that were counted without: `cells` is of the same requests.

        They count for the stage in which the requests were made. Raises TuckerlabError for a stage that was not
        reached, and for more labels than it has requests without.
        """
        if not 0 <= stage <= self.stage:
            raise TuckerlabError(f"stage {stage}: labels come for stages that were reached, 0 to {self.stage}")
        moved = list(cells)
        for unknown, known in ((Pair.alike, (Pair.alike_known,)), (Pair.differing, LABELLED)):
            moved[unknown] = -sum(moved[cell] for cell in known)  # requests whose label is still not known stay there
            if self.counts[stage][unknown] + moved[unknown] < 0:
                raise TuckerlabError(
                    f"{-moved[unknown]} labels for requests that were counted as {unknown.name}: there are "
                    f"{self.counts[stage][unknown]} in stage {stage}; add requests once with add(), then their labels"
                )
        return self._counted(stage, moved)

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, given: str) -> "RollOut":
        """The roll-out that was written with `to_json`; TuckerlabError for what is none."""
        try:
            found = json.loads(given)
            rule = Rule(**found["rule"] | {"stages": tuple(found["rule"]["stages"])})
            return cls(rule, found["stage"], tuple(map(tuple, found["counts"])), found["ended"])
        except (ValueError, TypeError, LookupError) as error:
            told = f"{type(error).__name__}: {error}"
            raise TuckerlabError(f"no roll-out ({told}): give what to_json() has returned") from None

    @property
    def decision(self) -> Decision:
        """What to do now."""
        rule, counts, stage = self.rule, np.array(self.counts), self.stage
        requests, differing = int(counts[stage].sum()), int(counts[stage, Pair.differing])
        low, high = (float(end) for end in bounds(counts, stage, rule))
        action: Action = "hold"
        if self.ended:
            action = "roll back" if self.ended == "rolled back" else "done"
        elif requests >= rule.most:
            action = "ask"
        elif stage and not requests:
            action, high = "go on", float(bounds(counts, stage - 1, rule)[1])  # of what has been shown
        reason = REASONS[action] if requests or action != "hold" else N_("No requests have come yet.")
        told = {"share": 100 * rule.stages[stage], "requests": requests, "all": int(counts.sum()), "harm": rule.harm}
        said = _(reason, **told, low=low, high=high)
        if action in ("hold", "ask") and differing >= max(1, rule.harm / 100 * requests):
            missing = LOOK_UP_AT_RANDOM if rule.random_labels else LOOK_UP
            said += " " + _(missing, differing=differing, part=100 * differing / requests)
        return Decision(action, said, rule.stages[stage], requests, low, high)

    def _counted(self, stage: int, cells: Sequence[int]) -> "RollOut":
        counts = np.array(self.counts)
        counts[stage] += cells
        state = replace(self, counts=tuple(map(tuple, counts.tolist())))
        if self.ended:
            return state
        back, shown = decided(counts, self.stage, self.rule)
        if back:
            return replace(state, ended="rolled back")
        return state._next() if shown else state

    def _next(self) -> "RollOut":
        last = self.stage + 1 == len(self.rule.stages)
        return replace(self, ended="rolled out") if last else replace(self, stage=self.stage + 1)
