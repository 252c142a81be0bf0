"""What two networks answer about the same pictures, as they are or with noise or blur, and what that rests on."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.metrics import device_of, eval_mode, predict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
SAMPLE, SHOWN = 64, 3  # pictures whose maps are compared; of each kind in the figure
STEPS = 24  # on the path from the baseline to the picture


@dataclass(frozen=True, eq=False)
class Answers:
    """The classes that are right, and the probabilities that both networks give: pictures × classes."""

    labels: Integers
    dense: Floats
    compressed: Floats

    @classmethod
    def of(cls, networks: Mapping[str, nn.Module], data: ImageData, images: Tensor) -> "Answers":
        """The answers of the networks "dense" and "compressed" to these versions of the test pictures.

        Raises TuckerlabError for a network that cannot read the pictures, has another number of outputs than the data
        has classes, or answers with what is not finite.
        """
        dense, compressed = (_probabilities(networks[name], name, data, images) for name in ("dense", "compressed"))
        return cls(data.test_labels.cpu().numpy(), dense, compressed)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dense_right(self) -> Bools:
        """Where the dense network's class is right."""
        return np.asarray(self.dense.argmax(1) == self.labels)

    @property
    def compressed_right(self) -> Bools:
        """Where the compressed network's class is right."""
        return np.asarray(self.compressed.argmax(1) == self.labels)

    @property
    def agree(self) -> Bools:
        """Where both name the same class, right or wrong."""
        return np.asarray(self.dense.argmax(1) == self.compressed.argmax(1))


def _probabilities(model: nn.Module, name: str, data: ImageData, images: Tensor) -> Floats:
    try:
        logits = predict(model, data, images.to(device_of(model, data)))
    except RuntimeError as error:
        shape, reason = " × ".join(map(str, images.shape[1:])), str(error).strip().splitlines()[0]
        raise TuckerlabError(f"the {name} network cannot answer pictures of {shape}: {reason}") from error
    if not logits.isfinite().all():
        raise TuckerlabError(
            f"the {name} network answers some pictures with NaN or infinity: it cannot be audited; look at how it was "
            "trained or converted"
        )
    return logits.double().softmax(1).cpu().numpy()


def noisy(images: Tensor, strength: float, seed: int) -> Tensor:
    """Gaussian noise of this standard deviation, in pixel values 0..255, rounded and clipped to them.

    The same seed gives the same noise at every strength, only larger.
    """
    noise = np.random.default_rng(seed).standard_normal(images.shape, dtype=np.float32)
    return _pixels(images.cpu().numpy() + np.float32(strength) * noise, images)


def blurred(images: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """Gaussian blur of this standard deviation, in pixels; at the border the picture is mirrored."""
    from scipy.ndimage import gaussian_filter

    return _pixels(gaussian_filter(images.cpu().numpy().astype(np.float32), (0, 0, sigma, sigma)), images)


CORRUPTIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {"noise": noisy, "blur": blurred}


def _pixels(values: NDArray[np.float32], images: Tensor) -> Tensor:
    return torch.from_numpy(values.round().clip(0, 255).astype(np.uint8)).to(images.device)


# --- what answers rest on ---------------------------------------------------------------------------------------------


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
    networks: Mapping[str, nn.Module], data: ImageData, answers: Answers, flips: Integers, seed: int
) -> Attribution:
    """Maps of both networks, each for its own answer: of the first flips, and of pictures that both get right.

    The sample is up to 64 pictures, drawn by the seed. A map holds integrated gradients (Sundararajan, Taly and Yan
    2017), with the mean picture of the training split as the baseline.
    """
    shown = flips[:SHOWN]
    both = np.flatnonzero(answers.dense_right & answers.compressed_right)
    sample = np.random.default_rng(seed).permutation(both)[:SAMPLE]
    index = np.concatenate([shown, sample])
    maps = {
        name: _maps(model, data, index, getattr(answers, name)[index].argmax(1)) for name, model in networks.items()
    }
    dense, compressed = maps["dense"][len(shown) :], maps["compressed"][len(shown) :]
    similarity = rank_correlation(dense, compressed).mean() if len(sample) else np.nan
    chance = rank_correlation(dense, np.roll(compressed, 1, axis=0)).mean() if len(sample) > 1 else np.nan
    return Attribution(index, len(shown), maps, float(similarity), float(chance))


def has_gradients(model: nn.Module, data: ImageData) -> bool:
    """Whether an answer can be followed back to the pixels; through int8 arithmetic it cannot."""
    with eval_mode(model), torch.enable_grad():
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
    with eval_mode(model):
        found = IntegratedGradients(model).attribute(
            inputs, target=torch.from_numpy(targets).to(device), n_steps=STEPS, internal_batch_size=256
        )
    return np.asarray(found.detach().abs().sum(1).double().cpu().numpy())
