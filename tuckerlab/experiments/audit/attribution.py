"""Which pixels an answer rests on: integrated gradients of both networks, and how alike they are.

The method is that of Sundararajan, Taly and Yan (2017), with the mean picture of the training split as the baseline.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tuckerlab.data import ImageData
from tuckerlab.experiments.audit.predictions import Answers, Floats, Integers, device_of
from tuckerlab.training.eval_mode import undisturbed

SAMPLE = 64
SHOWN = 3  # of each kind in the picture
STEPS = 24  # on the path from the baseline to the picture


@dataclass(frozen=True, eq=False)
class Attribution:
    """Maps (pictures × height × width) for the test pictures in `index`: `flips` of them flips, the others a sample.

    `similarity` is the mean rank correlation of both networks' maps over the sample, `chance` the same with maps of
    different pictures; NaN where there is no sample to compare.
    """

    index: Integers
    flips: int
    maps: dict[str, Floats]
    similarity: float
    chance: float

    @property
    def sample(self) -> int:
        """How many pictures were compared."""
        return len(self.index) - self.flips


def attribution(
    networks: Mapping[str, nn.Module], data: ImageData, answers: Answers, flips: Iterable[int], seed: int
) -> Attribution:
    """Maps of both networks, each for its own answer: of the first flips, and of pictures that both get right.

    The sample is up to 64 pictures, drawn by the seed.
    """
    shown = np.fromiter(flips, dtype=np.int64)[:SHOWN]
    both = np.flatnonzero(answers.dense_right & answers.compressed_right)
    sample = np.random.default_rng(seed).permutation(both)[:SAMPLE]
    index = np.concatenate([shown, sample])
    targets = {"dense": answers.dense, "compressed": answers.compressed}
    maps = {
        name: _maps(model, data, index, targets[name][index].argmax(1).astype(np.int64))
        for name, model in networks.items()
    }
    dense, compressed = maps["dense"][len(shown) :], maps["compressed"][len(shown) :]
    similarity = rank_correlation(dense, compressed).mean() if len(sample) else np.nan
    chance = rank_correlation(dense, np.roll(compressed, 1, axis=0)).mean() if len(sample) > 1 else np.nan
    return Attribution(index, len(shown), maps, float(similarity), float(chance))


def has_gradients(model: nn.Module, data: ImageData) -> bool:
    """Whether an answer can be followed back to the pixels; through int8 arithmetic it cannot."""
    with undisturbed(model, training=False), torch.enable_grad():
        inputs = data.normalize(data.test_images[:4]).to(device_of(model, data)).requires_grad_()
        try:
            found = torch.autograd.grad(model(inputs).amax(1).sum(), inputs, allow_unused=True)[0]
        except (RuntimeError, NotImplementedError):  # an operation without a derivative
            return False
    return found is not None and bool(found.any())


def rank_correlation(one: Floats, other: Floats) -> Floats:
    """Spearman's correlation of the pixels' sizes in each pair of maps; 0 for a map that is the same all over."""
    from scipy.stats import ConstantInputWarning, spearmanr

    with warnings.catch_warnings(action="ignore", category=ConstantInputWarning):
        pairs = [spearmanr(a, b, axis=None).statistic for a, b in zip(one, other, strict=True)]
    return np.nan_to_num(np.asarray(pairs, dtype=np.float64))


def _maps(model: nn.Module, data: ImageData, index: Integers, targets: Integers) -> Floats:
    """How much each pixel adds to the logit or takes from it, in absolute value, summed over the channels."""
    from captum.attr import IntegratedGradients

    device = device_of(model, data)
    chosen = torch.from_numpy(index).to(data.test_images.device)
    inputs = data.normalize(data.test_images[chosen]).to(device)
    if not len(index):
        return np.zeros((0, *inputs.shape[2:]))
    with undisturbed(model, training=False):
        found = IntegratedGradients(model).attribute(
            inputs, target=torch.from_numpy(targets).to(device), n_steps=STEPS, internal_batch_size=256
        )
    return np.asarray(found.detach().abs().sum(1).double().cpu().numpy())
