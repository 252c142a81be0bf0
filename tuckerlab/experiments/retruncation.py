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
from tuckerlab.tucker.rank_change import truncated
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Spectrum, Tolerance
from tuckerlab.tucker.weight import TuckerLayer

POLICIES: dict[str, tuple[type[RankPolicy], str]] = {  # each with the name of its setting
    "compression": (Budget, "compression"),
    "tolerance": (Tolerance, "tau"),
}
SETTINGS = {
    "compression": [*np.arange(0, 50, 10) / 100, *np.arange(50, 90, 2) / 100, *np.arange(90, 100) / 100],
    "tolerance": [*np.arange(0, 81, 2) / 100],
}


def cut(model: nn.Module, policy: RankPolicy) -> nn.Module:
    """A copy at the ranks that `policy` chooses now: a truncated HOSVD of each weight, and no training.

    A dense network is brought into Tucker format. Raises RankError for a budget that cannot be met.
    """
    model = copy.deepcopy(model)
    layers = [module for module in model.modules() if isinstance(module, TuckerLayer)]
    if not layers:
        include = MODELS[model.spec["name"]].include if isinstance(model, Network) else None
        return tuckerize(model, include=include, ranks=policy)
    spectra, bases = zip(*map(Spectrum.of, layers), strict=True)
    other = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd))
    for layer, ranks, basis in zip(layers, policy.choose(spectra, other=other), bases, strict=True):
        layer.assign(truncated(layer.point, ranks, basis))
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
    networks count as trained at 0. Settings that no network can be cut to are left out. The columns are by, setting,
    source, trained, parameters, conv_parameters, compression, conv_compression, multiply_adds, file_bytes,
    test_accuracy, latency_1_ms, latency_128_ms.
    """
    rows: list[dict[str, Any]] = []
    plains: list[nn.Module] = []
    asked = [(by, float(value)) for by, values in (settings or SETTINGS).items() for value in values]
    shape = (data.channels, data.image_size, data.image_size)
    for by, setting in tqdm(asked, desc="sizes between", disable=not progress):
        trained = {_trained_at(c, by): c for c in networks if _trained_at(c, by) is not None}
        start = max((value for value in trained if value is not None and value <= setting + 1e-9), default=None)
        if start is None:
            continue
        network, is_trained = networks[trained[start]], abs(start - setting) < 1e-9
        try:
            model = network if is_trained else cut(network, _policy(by, setting))
        except RankError:
            continue
        counts, plain = count_parameters(model), to_plain(model)
        rows.append({
            "by": by, "setting": setting, "source": trained[start].label, "trained": is_trained,
            "parameters": counts.total_stored, "conv_parameters": counts.conv_stored,
            "compression": counts.compression, "conv_compression": counts.conv_compression,
            "multiply_adds": multiply_adds(plain, shape), "file_bytes": checkpoint_bytes(model),
            "test_accuracy": evaluate(model, data).accuracy,
        })  # fmt: skip
        plains.append(plain.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    for count, repeats in ((1, 30), (128, 10)):
        batch = data.normalize(data.test_images[:count]).contiguous(memory_format=torch.channels_last)
        times = latencies({str(i): plain for i, plain in enumerate(plains)}, batch, repeats=repeats)
        for i, row in enumerate(rows):
            row[f"latency_{count}_ms"] = times[str(i)].median_ms
    return pd.DataFrame(rows)


def _policy(by: str, setting: float) -> RankPolicy:
    kind, name = POLICIES[by]
    given: dict[str, Any] = {name: setting}
    return kind(**given)


def _trained_at(contender: Contender, by: str) -> float | None:
    """The setting a network was trained at; None where it is of another kind."""
    if contender.method == "dense":
        return 0.0
    kind, name = POLICIES[by]
    return getattr(contender.ranks, name) if isinstance(contender.ranks, kind) else None
