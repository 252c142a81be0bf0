"""What two networks answer about the same pictures, as they are or with noise or blur; what that rests on, and tables.

In the tables accuracies, agreement and confidence are in per cent, changes in points of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _
from tuckerlab.training.metrics import device_of, eval_mode, predict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Z95 = 1.959964
BINS = 15
CHANGE = ("count", "dense", "compressed", "change", "low", "high", "lost", "gained")
CORRUPTIONS = {"noise": N_("noise of {strength:g} pixel values"), "blur": N_("blur of {strength:g} pixels")}


@dataclass(frozen=True, eq=False)
class Answers:
    """The classes that are right, and the probabilities that both networks give: pictures × classes."""

    labels: NDArray[np.int64]
    dense: Floats
    compressed: Floats

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module], data: ImageData, images: Tensor) -> "Answers":
        """The answers of "dense" and "compressed" to these test pictures; TuckerlabError for one that cannot answer."""
        found = {}
        for name, model in networks.items():
            try:
                logits = predict(model, data, images.to(device_of(model, data)))
            except RuntimeError as error:
                shape, reason = " × ".join(map(str, images.shape[1:])), str(error).strip().splitlines()[0]
                raise TuckerlabError(f"the {name} network cannot answer pictures of {shape}: {reason}") from error
            if not logits.isfinite().all():
                said = "it cannot be audited; look at how it was trained or converted"
                raise TuckerlabError(f"the {name} network answers some pictures with NaN or infinity: {said}")
            found[name] = logits.double().softmax(1).cpu().numpy()
        return cls(data.test_labels.cpu().numpy(), **found)

    def right(self, network: str) -> Bools:
        """Where the class that a network names is right."""
        return np.asarray(getattr(self, network).argmax(1) == self.labels)


def corrupted(images: Tensor, kind: str, strength: float, seed: int) -> Tensor:
    """The pictures with Gaussian noise or blur of this standard deviation, in pixel values 0..255 or in pixels."""
    from scipy.ndimage import gaussian_filter

    values = images.cpu().numpy().astype(np.float32)
    if kind == "noise":
        noise = np.random.default_rng(seed).standard_normal(images.shape, dtype=np.float32)
        values = values + np.float32(strength) * noise
    else:
        values = gaussian_filter(values, (0, 0, strength, strength))
    return torch.from_numpy(values.round().clip(0, 255).astype(np.uint8))


def attribution(networks: Mapping[str, nn.Module], data: ImageData, index: Sequence[int]) -> dict[str, Floats]:
    """How much each pixel adds to a network's answer or takes from it: pictures × height × width.

    Integrated gradients (Sundararajan, Taly and Yan 2017) of the answer's logit from the mean training picture, their
    sum over the channels. Empty without pictures, and where no gradients pass, as through int8 arithmetic.
    """
    from captum.attr import IntegratedGradients

    maps: dict[str, Floats] = {}
    for name, model in networks.items() if index else ():
        inputs = data.normalize(data.test_images[index]).to(device_of(model, data))
        with eval_mode(model):
            targets = model(inputs).argmax(1)
            try:
                found = IntegratedGradients(model).attribute(inputs, target=targets, n_steps=24)
            except (RuntimeError, NotImplementedError):  # an operation without a derivative
                return {}
        maps[name] = found.detach().abs().sum(1).double().cpu().numpy()
    return maps


def change_interval(lost: int, gained: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a change in accuracy, in points, from the answers that were lost and gained.

    Both networks see the same pictures, so only changed answers count. This is Wald's interval with the adjustment
    of Bonett and Price (2012), as Fagerland, Lydersen and Laake (2014) recommend for small samples.
    """
    down, up, total = (lost + 1) / (count + 2), (gained + 1) / (count + 2), count + 2
    middle, half = up - down, Z95 * math.sqrt((up + down - (up - down) ** 2) / total)
    return 100 * max(middle - half, -1.0), 100 * min(middle + half, 1.0)


def change(answers: Answers, chosen: Bools | slice = slice(None)) -> dict[str, Any]:
    """How many pictures, the accuracy of both, and what changed."""
    before, after = answers.right("dense")[chosen], answers.right("compressed")[chosen]
    count, lost, gained = len(before), int((before & ~after).sum()), int((~before & after).sum())
    low, high = change_interval(lost, gained, count)
    accuracies, points = (100 * before.mean(), 100 * after.mean()), 100 * (gained - lost) / count
    return dict(zip(CHANGE, (count, *accuracies, points, low, high, lost, gained), strict=True))


def overall(answers: Answers) -> pd.DataFrame:
    """One row: the change over all test pictures, and how many of them both answer alike, right or wrong."""
    alike = answers.dense.argmax(1) == answers.compressed.argmax(1)
    return pd.DataFrame([{**change(answers), "agreement": 100 * alike.mean()}])


def per_class(answers: Answers, classes: tuple[str, ...]) -> pd.DataFrame:
    """One row for each class that is tested, the largest loss first."""
    tested = {name: answers.labels == label for label, name in enumerate(classes)}
    rows = {name: change(answers, chosen) for name, chosen in tested.items() if chosen.any()}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("change", kind="stable")


def calibration(answers: Answers) -> pd.DataFrame:
    """Expected calibration error (15 bins), mean confidence and accuracy of both networks, in per cent."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    rows = {}
    for name in ("dense", "compressed"):
        said = getattr(answers, name)
        found, labels = torch.from_numpy(said), torch.from_numpy(answers.labels)
        error = multiclass_calibration_error(found, labels, num_classes=said.shape[1], n_bins=BINS).item()
        right = (said.argmax(1) == answers.labels).mean()
        rows[name] = {"calibration_error": 100 * error, "confidence": 100 * said.max(1).mean(), "accuracy": 100 * right}
    return pd.DataFrame.from_dict(rows, orient="index")


def flips(answers: Answers, classes: tuple[str, ...]) -> pd.DataFrame:
    """The pictures whose answer went from right to wrong, the surest first: product of both confidences."""
    index = np.flatnonzero(answers.right("dense") & ~answers.right("compressed"))
    names = np.asarray(classes, dtype=object)
    columns: dict[str, Any] = {"index": index, "label": names[answers.labels[index]]}
    for network in ("dense", "compressed"):
        said = getattr(answers, network)[index]
        columns |= {f"{network}_answer": names[said.argmax(1)], f"{network}_confidence": 100 * said.max(1)}
    table = pd.DataFrame(columns)
    surest = -table["dense_confidence"] * table["compressed_confidence"]
    return table.iloc[np.argsort(surest, kind="stable")].reset_index(drop=True)


def corruption(row: "pd.Series[Any]") -> str:
    """The kind and strength of a row of the table of robustness."""
    return _(CORRUPTIONS[row["kind"]], strength=row["strength"])
