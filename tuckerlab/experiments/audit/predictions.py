"""What two networks answer about the same pictures, as they are or with noise or blur."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.augment import batches
from tuckerlab.training.eval_mode import undisturbed
from tuckerlab.training.metrics import BATCH, check_logits

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


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


def device_of(model: nn.Module, data: ImageData) -> torch.device:
    """Where the network lies, by its parameters; a quantized one may have none and lies with the data."""
    tensor = next(chain(model.parameters(), model.buffers()), data.test_images)
    return tensor.device


def _probabilities(model: nn.Module, name: str, data: ImageData, images: Tensor) -> Floats:
    found = []
    with undisturbed(model, training=False), torch.no_grad():
        for batch, _ in batches(images, data.test_labels, BATCH):
            inputs = data.normalize(batch).to(device_of(model, data), memory_format=torch.channels_last)
            try:
                logits = model(inputs)
            except RuntimeError as error:
                shape = " × ".join(map(str, images.shape[1:]))
                reason = str(error).strip().splitlines()[0]
                raise TuckerlabError(f"the {name} network cannot answer pictures of {shape}: {reason}") from error
            check_logits(logits, len(batch), data.num_classes)
            if not logits.isfinite().all():
                raise TuckerlabError(
                    f"the {name} network answers some pictures with NaN or infinity: it cannot be audited; "
                    "look at how it was trained or converted"
                )
            found.append(logits.double().softmax(1).cpu())
    return torch.cat(found).numpy()


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
