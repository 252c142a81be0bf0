"""Trained networks at the sizes between them: their weights are cut further, nothing is trained again.

This makes a slider instant. A network that was cut is worse than one that was trained at that size, so every row says
which of the two it is, and from which network it comes.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.errors import RankError
from tuckerlab.experiments.methods.base import Contender
from tuckerlab.training.metrics import checkpoint_bytes, evaluate, multiply_adds
from tuckerlab.training.models import MODELS, Network
from tuckerlab.training.timing import latencies
from tuckerlab.tucker.convert import to_plain, tuckerize
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance
from tuckerlab.tucker.sgd_adamw import TuckerSGD
from tuckerlab.tucker.weight import TuckerLayer

SETTINGS = {
    "compression": [*np.arange(0, 50, 10) / 100, *np.arange(50, 90, 2) / 100, *np.arange(90, 100) / 100],
    "tolerance": [*np.arange(0, 81, 2) / 100],
}


def cut(model: nn.Module, policy: RankPolicy) -> nn.Module:
    """A copy at the ranks that `policy` chooses now: a truncated HOSVD of each weight, and no training.

    A dense network is brought into Tucker format. Raises RankError for a budget that cannot be met.
    """
    model = copy.deepcopy(model)
    if not any(isinstance(module, TuckerLayer) for module in model.modules()):
        include = MODELS[model.spec["name"]].include if isinstance(model, Network) else None
        return tuckerize(model, include=include, ranks=policy)
    TuckerSGD(model, lr=1.0, ranks=policy).adapt(grow=False)
    return model


def retruncations(
    networks: Mapping[Contender, nn.Module],
    data: ImageData,
    settings: Mapping[str, Sequence[float]] | None = None,
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """One row for each setting of the compression and of the tolerance: sizes, test accuracy, time of an answer.

    At each setting stands the trained network with the nearest setting at or below it, cut to the setting; dense
    networks count as trained at 0. Settings that no network can be cut to are left out. The columns are those of
    `tuckerlab.experiments.size_table.Size`.
    """
    rows: list[dict[str, Any]] = []
    plains: dict[str, nn.Module] = {}
    asked = [(by, float(value)) for by, values in (settings or SETTINGS).items() for value in values]
    shape = (data.channels, data.image_size, data.image_size)
    for by, setting in tqdm(asked, desc="sizes between", disable=not progress):
        policy: RankPolicy = Budget(setting) if by == "compression" else Tolerance(setting)
        trained = [(at, c) for c in networks if (at := _trained_at(c, policy)) is not None and at <= setting + 1e-9]
        if not trained:
            continue
        start, source = max(trained, key=lambda pair: pair[0])
        is_trained = abs(start - setting) < 1e-9
        try:
            model = networks[source] if is_trained else cut(networks[source], policy)
        except RankError:
            continue
        counts, plain = count_parameters(model), to_plain(model)
        plains[str(len(rows))] = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rows.append({
            "by": by, "setting": setting, "source": source.label, "trained": is_trained,
            "parameters": counts.total_stored, "conv_parameters": counts.conv_stored,
            "compression": counts.compression, "conv_compression": counts.conv_compression,
            "multiply_adds": multiply_adds(plain, shape), "file_bytes": checkpoint_bytes(model),
            "test_accuracy": evaluate(model, data).accuracy,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    for count, repeats in ((1, 30), (128, 10)):
        batch = data.normalize(data.test_images[:count]).contiguous(memory_format=torch.channels_last)
        times = latencies(plains, batch, repeats=repeats)
        table[f"latency_{count}_ms"] = [times[name].median_ms for name in plains]
    return table


def _trained_at(contender: Contender, policy: RankPolicy) -> float | None:
    """The setting that a network was trained at; None where it is of another kind than this policy's."""
    ranks = contender.ranks
    if contender.method == "dense":
        return 0.0
    if isinstance(ranks, Budget) and isinstance(policy, Budget):
        return ranks.compression
    return ranks.tau if isinstance(ranks, Tolerance) and isinstance(policy, Tolerance) else None
