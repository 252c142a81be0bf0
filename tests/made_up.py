"""Records of runs that never were, for tests of what is done with records."""

from typing import Any

from tuckerlab.experiments.records import Records
from tuckerlab.training.machine import provenance

ORIGIN = provenance("cpu")
DENSE = {"label": "dense", "method": "dense", "conv_parameters": 10_000, "parameters": 10_500, "ranks_policy": ""}
DENSE |= {"conv_compression": 0.0, "compression": 0.0}
LAYERS = [("conv1", 6, 1), ("conv2", 16, 6)]


def facts(run: str = "a", **changes: Any) -> dict[str, Any]:
    """What `Records.single` needs to know of a run, and its sizes: 1 000 conv parameters of 10 000."""
    told = {"run": run, "label": "Tucker", "method": "tucker", "dataset": "digits", "model": "lenet5"}
    told |= {"width": 1.0, "seed": 0, "epochs": 3, "batch_size": 64, "lr": 0.05, "ranks_policy": "Tolerance(0.1)"}
    told |= {"state": "finished", "test_accuracy": 0.97, "conv_parameters": 1_000, "parameters": 1_500}
    told |= {"conv_compression": 0.9, "compression": 1 - 1_500 / 10_500}
    return told | ORIGIN | changes


def dense(run: str = "d", **changes: Any) -> Records:
    return Records.single(facts(run, **(DENSE | {"test_accuracy": 0.98} | changes)), epochs())


def tucker(run: str = "a", **changes: Any) -> Records:
    """A Tucker run of two epochs whose ranks fall from full to half."""
    ranks = [
        {"epoch": epoch, "step": epoch, "layer": layer, "mode": i, "size": n, "rank": max(n // share, 1)}
        for epoch, share in ((0, 1), (2, 2))
        for layer, *sizes in LAYERS
        for i, n in enumerate(sizes)
    ]
    return Records.single(facts(run, **changes), epochs(), ranks)


def epochs() -> list[dict[str, Any]]:
    train = [{"train_loss": 1.0, "train_accuracy": 0.55}, {"train_loss": 0.5, "train_accuracy": 0.95}]
    test = [{"test_loss": 1.1, "test_accuracy": 0.5}, {"test_loss": 0.55, "test_accuracy": 0.9}]
    return [{"epoch": i + 1, "step": 10 * (i + 1), **train[i], **test[i]} for i in range(2)]
