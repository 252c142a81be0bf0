"""The rule of a roll-out: which loss is too much, how often it may err, and through which stages it goes.

>>> Rule().stages
(0.01, 0.1, 0.5, 1.0)
>>> Rule(harm=0.5, tolerated=0.5)
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: tolerated 0.5: a loss that is tolerated lies from 0 to below harm, which is 0.5 points
"""

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
        if not is_number(self.harm) or not 0 < self.harm < 100:
            raise TuckerlabError(f"harm {self.harm!r}: a loss that is too much lies above 0 and below 100 points")
        if not is_number(self.tolerated) or not 0 <= self.tolerated < self.harm:
            raise TuckerlabError(
                f"tolerated {self.tolerated!r}: a loss that is tolerated lies from 0 to below harm, which is "
                f"{self.harm:g} points"
            )
        for name in ("false_alarm", "miss"):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value <= 0.5:
                raise TuckerlabError(f"{name} {value!r}: the chance of an error lies above 0 and up to 0.5")
        if not is_whole(self.most) or self.most < 1:
            raise TuckerlabError(f"most {self.most!r}: the requests of a stage are a whole number from 1")
        if not isinstance(self.random_labels, bool):
            raise TuckerlabError(f"random_labels {self.random_labels!r}: allowed are True and False")
        if not isinstance(self.stages, tuple) or not self.stages or not all(map(is_number, self.stages)):
            raise TuckerlabError(f"stages {self.stages!r}: give a tuple of shares that ends with 1.0")
        rising = all(low < high for low, high in itertools.pairwise(self.stages))
        if not rising or self.stages[0] <= 0 or self.stages[-1] != 1:
            raise TuckerlabError(f"stages {self.stages!r}: shares of the requests rise from above 0 to 1.0")

    def with_labels(self, share: float) -> "Rule":
        """The rule where this share of labels arrives, at random: something is assumed only where some do not.

        >>> Rule().with_labels(0.1).random_labels, Rule().with_labels(1.0).random_labels
        (True, False)
        """
        return replace(self, random_labels=share < 1)
