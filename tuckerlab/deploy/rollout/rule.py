"""The rule of a roll-out: which loss is too much, how often it may err, and through which stages it goes."""

import itertools
from dataclasses import dataclass, replace

from tuckerlab.errors import TuckerlabError, is_number, is_whole


@dataclass(frozen=True)
class Rule:
    """When to go on, to hold and to roll back. A loss is how much less often the new network is right, in points.

    - `harm`: a loss of this size or more must not go through. A stage is left once its loss is shown to be below.
    - `tolerated`: a loss up to this is no reason to go back. The roll-out is rolled back once more is shown.
    - `false_alarm`: the chance of rolling back although the loss is tolerated, over all stages and all looks.
    - `miss`: the chance of going on although the loss of the stage is harm, over all stages and all looks.
    - `stages`: the shares of the requests that the new network answers, rising to 1.
    - `most`: after so many of its answers in a stage a human decides, if nothing is shown by then.
    - `random_labels`: whether the chance that a label arrives has nothing to do with the answers, so that the labels
      are a fair sample. If not (complaints; true answers looked up where answers differ), an answer that differs and
      has no label counts against every decision, and one that does not differ needs none.

    The old network answers the same requests in the shadow of the new one. Raises TuckerlabError for what is out of
    range.
    """

    harm: float = 1.0
    tolerated: float = 0.0
    false_alarm: float = 0.05
    miss: float = 0.05
    stages: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    most: int = 20_000
    random_labels: bool = False

    def __post_init__(self) -> None:
        harm, chance = self.harm, "chances above 0 and up to 0.5"
        is_tuple = isinstance(self.stages, tuple) and all(map(is_number, self.stages))
        rises = is_tuple and all(low < high for low, high in itertools.pairwise((0, *self.stages)))
        for name, is_allowed, allowed in (
            ("harm", is_number(harm) and 0 < harm < 100, "losses above 0 and below 100 points"),
            ("tolerated", is_number(self.tolerated) and 0 <= self.tolerated < harm, f"losses from 0 to below {harm}"),
            ("false_alarm", is_number(self.false_alarm) and 0 < self.false_alarm <= 0.5, chance),
            ("miss", is_number(self.miss) and 0 < self.miss <= 0.5, chance),
            ("stages", rises and self.stages[-1:] == (1,), "a tuple of shares that rise from above 0 to 1.0"),
            ("most", is_whole(self.most) and self.most >= 1, "whole numbers from 1"),
        ):
            if not is_allowed:
                raise TuckerlabError(f"{name} {getattr(self, name)!r}: allowed are {allowed}")

    def with_labels(self, share: float) -> "Rule":
        """The rule where this share of labels arrives, at random: something is assumed only where some do not."""
        return replace(self, random_labels=share < 1)
