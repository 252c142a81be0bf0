"""What a training run is made of: `Recipe`, one value to pass on, to store beside a checkpoint, and to compare."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from tuckerlab.errors import TuckerlabError, check_choice, check_number, check_whole
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.sgd_adamw_muon import TuckerAdamW, TuckerMuon, TuckerSGD

ADAPTATIONS = 100  # rank adaptations in a run, where adapt_every is not given …
LEAST_EVERY = 10  # … but not more often: an adaptation costs about two steps, and new directions need time
# Learning rate and weight decay where none are given; Muon's keeps the norm of each weight.
USUAL: dict[str, tuple[float, float | None]] = {"sgd": (0.1, 5e-4), "adamw": (1e-3, 0.05), "muon": (0.03, None)}
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "optimizer": partial(check_choice, allowed=USUAL),
    "schedule": partial(check_choice, allowed=("onecycle", "constant")),
    "precision": partial(check_choice, allowed=("auto", "fp32", "bf16")),
    **dict.fromkeys(("epochs", "batch_size", "adapt_every"), partial(check_whole, least=1)),
    "seed": partial(check_whole, least=0),
    "lr": partial(check_number, above=0),
    "weight_decay": partial(check_number, least=0),
    **dict.fromkeys(("momentum", "label_smoothing"), partial(check_number, least=0, below=1)),
}
OPTIONAL = ("lr", "weight_decay", "adapt_every")
FORMER = {"channels_last": True, "patience": None}  # settings that there were: ids of recorded runs contain them


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that decide a run's outcome, together with its model, data and device.

    optimizer: "sgd" with Nesterov momentum, "adamw" or "muon". lr, weight_decay: None is what is usual for it, `USUAL`.
    ranks: how ranks go on; None leaves them as they are. adapt_every: optimizer steps between rank adaptations; None is
    a hundredth of the run, at least 10. schedule: "onecycle" or "constant". precision: "fp32", "bf16", or "auto": bf16
    on CUDA, fp32 elsewhere. augmentation: random shifts and flips as suit the data. class_weights: classes count alike
    in the loss, however many images each has.
    """

    epochs: int = 20
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    class_weights: bool = False
    schedule: str = "onecycle"
    ranks: RankPolicy | None = None
    adapt_every: int | None = None
    augmentation: bool = True
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            value = getattr(self, name)
            if value is not None or name not in OPTIONAL:
                object.__setattr__(self, name, check(name, value))  # numpy's too: the settings are stored as JSON
        if self.ranks is not None and not isinstance(self.ranks, RankPolicy):
            raise TuckerlabError(f"ranks {self.ranks!r}: allowed are None and a policy, such as Tolerance(0.1)")

    @property
    def rate(self) -> float:
        """The largest learning rate of the run."""
        return USUAL[self.optimizer][0] if self.lr is None else self.lr

    @property
    def decay(self) -> float | None:
        """The weight decay of the run; None keeps norms, as Muon can."""
        return USUAL[self.optimizer][1] if self.weight_decay is None else self.weight_decay

    def settings(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        ranks = None if self.ranks is None else repr(self.ranks)
        return {**vars(self), **FORMER, "lr": self.rate, "weight_decay": self.decay, "ranks": ranks}

    def every(self, total_steps: int) -> int:
        """Optimizer steps between two rank adaptations in a run of so many steps."""
        return self.adapt_every or max(LEAST_EVERY, total_steps // ADAPTATIONS)

    def make_optimizer(self, model: torch.nn.Module, total_steps: int) -> TuckerOptimizer:
        """The optimizer for a run of so many steps; dense weights take its steps too."""
        every = self.every(total_steps)
        ranks = None if self.ranks is None else self.ranks.over(total_steps)
        options: dict[str, Any] = {"weight_decay": self.decay, "ranks": ranks, "adapt_every": every}
        if self.optimizer == "adamw":
            return TuckerAdamW(model, self.rate, **options)
        make = TuckerMuon if self.optimizer == "muon" else TuckerSGD
        return make(model, self.rate, self.momentum, nesterov=self.momentum > 0, **options)

    def make_schedule(self, optimizer: TuckerOptimizer, total_steps: int) -> LRScheduler:
        """The learning rate's schedule, stepped after every optimizer step."""
        if self.schedule == "constant":
            return ConstantLR(optimizer, factor=1.0)
        rising = 0.25 if total_steps != 4 else 0.3  # 0.25 · 4 − 1 is a 0 that torch divides by
        return OneCycleLR(
            optimizer, self.rate, total_steps=total_steps, pct_start=rising, cycle_momentum=False, final_div_factor=1e3
        )

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of the forward pass."""
        is_half = self.precision == "bf16" or (self.precision == "auto" and device.type == "cuda")
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half)
