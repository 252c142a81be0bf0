"""A new network takes over in stages, and a test that may be looked at at any time says when to go on or back.

>>> rollout = RollOut(Rule(harm=1.0))
>>> old, new = [3, 5, 8, 8] * 100, [3, 5, 8, 1] * 100
>>> rollout = rollout.add(paired(old, new, labels=None, classes=10))     # answers are known at once,
>>> rollout.decision.action
'hold'
>>> rollout = rollout.add_late(paired(old, new, old, classes=10), stage=0)   # their labels later
>>> rollout.decision.action
'roll back'

A roll-out never changes: each step returns the next state, so that a service can keep it as JSON beside its log.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from tuckerlab.deploy.rollout.anytime_test import LABELLED, Pair, Rule, bounds, decided, paired
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _

__all__ = ["Decision", "RollOut", "Rule", "paired"]

REASONS = {
    "roll back": N_("Rolled back at {share:g} % after {all:,.0f} requests: the loss is at least {low:.2f} points."),
    "done": N_("All requests go to the new network: in every stage its loss was shown to be below {harm:g} points."),
    "ask": N_(
        "A person decides: after {requests:,.0f} requests at {share:g} % the loss may still be {high:.1f} points."
    ),
    "hold": N_("Held at {share:g} %: after {requests:,.0f} requests the loss may still be {high:.1f} points."),
    "go on": N_("On to {share:g} %: in the stage before, the loss was shown to be below {harm:g} points."),
}


@dataclass(frozen=True)
class Decision:
    """What to do now, and why, in words; `low` and `high` are the bounds of the loss in points.

    "go on": the present stage has just begun. "hold": go on serving this share. "ask": the same, but the stage has had
    its requests, and a human decides: to go on begins another roll-out, with the stages that are left. "roll back":
    all requests go to the old network again. "done": all go to the new one.
    """

    action: str
    reason: str
    low: float
    high: float


@dataclass(frozen=True)
class RollOut:
    """A roll-out under way: its stage, the counts of each stage in the cells of `Pair`, and its end ("" before it)."""

    rule: Rule = field(default_factory=Rule)
    stage: int = 0
    counts: tuple[tuple[int, ...], ...] = ()
    ended: str = ""

    def __post_init__(self) -> None:
        stages = len(self.rule.stages)
        counts = self.counts or ((0,) * len(Pair),) * stages
        object.__setattr__(self, "counts", tuple(map(tuple, counts)))
        if [len(row) for row in self.counts] != [len(Pair)] * stages or self.stage not in range(stages):
            raise TuckerlabError(
                f"stage {self.stage!r}, counts {counts}: a rule with {stages} stages has {len(Pair)} of each"
            )

    def add(self, cells: Sequence[int]) -> "RollOut":
        """The state after these requests, made in the present stage; TuckerlabError where the roll-out has ended."""
        if self.ended:
            raise TuckerlabError(f"the roll-out has ended ({self.ended}): late labels may be added, requests may not")
        return self._counted(self.stage, cells)

    def add_late(self, cells: Sequence[int], stage: int) -> "RollOut":
        """The state after labels came for requests of a stage that were counted without; `cells` are theirs."""
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
        """The roll-out that was written with `to_json`."""
        found = json.loads(given)
        return cls(Rule(**found.pop("rule")), **found)

    @property
    def decision(self) -> Decision:
        """What to do now."""
        rule, counts, stage = self.rule, np.array(self.counts), self.stage
        requests, differing = int(counts[stage].sum()), int(counts[stage, Pair.differing])
        low, high = (float(end) for end in bounds(counts, stage, rule))
        if self.ended:
            action = "roll back" if self.ended == "rolled back" else "done"
        elif requests >= rule.most:
            action = "ask"
        else:
            action = "go on" if stage and not requests else "hold"
        told = {"share": 100 * rule.stages[stage], "requests": requests, "all": int(counts.sum()), "harm": rule.harm}
        said = [_(REASONS[action], **told, low=low, high=high)]
        if action in ("hold", "ask"):
            said.append(_("To go on it must be shown to be below {harm:g}.", harm=rule.harm))
            if differing >= max(1, rule.harm / 100 * requests):
                said.append(_(
                    "{differing:,.0f} requests ({part:.1f} %) were answered differently and have no true answer, "
                    "too many:", differing=differing, part=100 * differing / requests,
                ))  # fmt: skip
                at_random = _("more true answers are needed, of requests taken at random.")
                look_up = _("look up the true answers of these requests; the others need none.")
                said.append(at_random if rule.random_labels else look_up)
        return Decision(action, " ".join(said), low, high)

    def _counted(self, stage: int, cells: Sequence[int]) -> "RollOut":
        counts = np.array(self.counts)
        counts[stage] += cells
        state = replace(self, counts=tuple(map(tuple, counts.tolist())))
        if self.ended:
            return state
        back, shown = decided(counts, self.stage, self.rule)
        is_last = self.stage + 1 == len(self.rule.stages)
        if back or (shown and is_last):
            return replace(state, ended="rolled back" if back else "rolled out")
        return replace(state, stage=self.stage + int(shown))
