"""What a training run is made of: `Recipe`, one value to pass on, to store beside a checkpoint, and to compare."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from tuckerlab.errors import TuckerlabError, is_number, is_whole
from tuckerlab.tucker.muon import TuckerMuon
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.sgd_adamw import TuckerAdamW, TuckerSGD

ADAPTATIONS = 100  # rank adaptations in a run, where adapt_every is not given …
LEAST_EVERY = 10  # … but not more often: an adaptation costs about two steps, and new directions need time
# Learning rate and weight decay where none are given; Muon's keeps the norm of each weight.
USUAL: dict[str, tuple[float, float | None]] = {"sgd": (0.1, 5e-4), "adamw": (1e-3, 0.05), "muon": (0.03, None)}
CHOICES = {
    "optimizer": tuple(USUAL),
    "schedule": ("onecycle", "cosine", "constant"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that decide a run's outcome, together with its model, data and device.

    optimizer: "sgd" with Nesterov momentum, "adamw" or "muon". lr, weight_decay: None is what is usual for it, `USUAL`.
    ranks: how ranks go on; None leaves them as they are. adapt_every: optimizer steps between rank adaptations; None is
    a hundredth of the run, at least 10.
    schedule: "onecycle", "cosine" or "constant". precision: "fp32", "bf16", "fp16", or "auto": bf16 on CUDA, fp32
    elsewhere. augmentation: random shifts and flips as suit the data. class_weights: classes count alike in the loss,
    however many images each has. patience: stop when the accuracy on a held-out tenth of the training images has not
    improved for so many epochs, counted from where the ranks' schedule is over.
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
    channels_last: bool = True
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise TuckerlabError(f"{name} {getattr(self, name)!r}: allowed are {', '.join(allowed)}")
        for name, least in (("epochs", 1), ("batch_size", 1), ("adapt_every", 1), ("patience", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name in ("adapt_every", "patience"):
                continue
            if not is_whole(value) or not least <= value < 2**31:
                raise TuckerlabError(f"{name} {value!r}: allowed are whole numbers from {least}")
            object.__setattr__(self, name, int(value))  # numpy's too: the settings are stored as JSON
        tops = {"lr": math.inf, "momentum": 1, "weight_decay": math.inf, "label_smoothing": 1}
        for name, top in tops.items():
            number: Any = getattr(self, name)
            if number is None and name in ("lr", "weight_decay"):
                continue
            if is_number(number):
                object.__setattr__(self, name, float(number))
            if not is_number(number) or not 0 <= number < top or (name == "lr" and number == 0):
                bottom = "above 0" if name == "lr" else "from 0"
                limit = "" if top == math.inf else f" up to, not including, {top}"
                raise TuckerlabError(f"{name} {number!r}: allowed are numbers {bottom}{limit}")
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
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"lr": self.rate, "weight_decay": self.decay}
        return {**values, "ranks": None if self.ranks is None else repr(self.ranks)}

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
        if self.schedule == "onecycle":
            rising = 0.25 if total_steps != 4 else 0.3  # 0.25 · 4 − 1 is a 0 that torch divides by
            return OneCycleLR(
                optimizer,
                self.rate,
                total_steps=total_steps,
                pct_start=rising,
                cycle_momentum=False,
                final_div_factor=1e3,
            )
        if self.schedule == "cosine":
            return CosineAnnealingLR(optimizer, total_steps)
        return ConstantLR(optimizer, factor=1.0)

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of the forward pass."""
        precision = self.precision
        if precision == "auto":
            precision = "bf16" if device.type == "cuda" else "fp32"
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[precision]
        return torch.autocast(device.type, dtype=kind, enabled=kind is not None)
