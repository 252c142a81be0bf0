"""Another contender's network, trained with AdamW where the recipe has SGD.

>>> from tuckerlab import Budget
>>> from tuckerlab.experiments.methods.base import Dense, Tucker
>>> WithAdamW(Dense()).label, WithAdamW(Tucker(Budget(0.9))).method
('dense AdamW', 'tucker-adamw')

Some images are learned better with AdamW, whatever the format of the weights. Beside a rival that uses it stand the
dense network and ours with the same optimizer, so that nobody takes the one for the other.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Varied
from tuckerlab.training.config import Recipe
from tuckerlab.training.run import Run
from tuckerlab.tucker.optimizer import TuckerOptimizer

ADAMW: dict[str, Any] = {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 0.05}
"""What differs from a recipe of SGD; not tuned."""


@dataclass(frozen=True)
class WithAdamW(Varied):
    """A contender whose weights are stepped by AdamW; those in Tucker format on the manifold.

    >>> from tuckerlab import load_data
    >>> from tuckerlab.experiments.setup import Arena
    >>> from tuckerlab.experiments.methods.base import Dense
    >>> contender, data = WithAdamW(Dense()), load_data("digits").subset(train=128, test=64)
    >>> arena = Arena.of([contender], data, "vgg_small", 0.25, Recipe(epochs=1, batch_size=64), "cpu")
    >>> type(contender.train(Training(arena)).optimizer).__name__
    'TuckerAdamW'
    """

    @property
    def method(self) -> str:  # type: ignore[override]
        return f"{self.of.method}-adamw"

    @property
    def label(self) -> str:
        return f"{self.of.label} AdamW"

    def recipe(self, recipe: Recipe) -> Recipe:
        return replace(recipe, **ADAMW)

    def optimizer(self, recipe: Recipe, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        return replace(recipe, optimizer="adamw").make_optimizer(model, total_steps)

    def train(self, training: Training) -> Run:
        arena = replace(training.arena, recipe=self.recipe(training.recipe))
        return self.of.train(replace(training, arena=arena, prefix="adamw-"))
