"""Everything that is done to a trained network before it is written: ordinary layers, with batch norm folded."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab.deploy.export.parity import checked, on_cpu
from tuckerlab.deploy.fuse_batchnorm import aligned, fold_batch_norm, kept_norms
from tuckerlab.tucker.convert import to_plain


class FromPixels(nn.Module):
    """A network with the normalisation of its data in front: pixels 0 to 255, float32, N × C × H × W.

    `mean` and `std` are those of each channel between 0 and 1, as `ImageData` has them.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", 255 * mean.reshape(-1, 1, 1))
        self.register_buffer("scale", 1 / (255 * std.reshape(-1, 1, 1)))
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        answer: Tensor = self.network((pixels - self.shift) * self.scale)
        return answer


@dataclass(frozen=True)
class Prepared:
    """The network ready to be written, how many batch norms are folded, and the names of those that stay.

    `difference` is the largest between its outputs and those of the network it came from, relative to the largest.
    """

    module: nn.Module
    folded: int
    kept: tuple[str, ...]
    difference: float

    @property
    def words(self) -> list[str]:
        """What was done, a sentence a line."""
        said = [f"{self.folded} batch norms folded into the layers before them"] if self.folded else []
        return said + [f"batch norm {name} stays: no layer right before it can take it up" for name in self.kept]


def prepared(model: nn.Module, example: Tensor, *, align: bool = True) -> Prepared:
    """A copy on the CPU, in eval mode, of torch.nn modules only, with batch norm folded; example: a batch of inputs.

    Each Tucker layer becomes the chain with the fewest numbers (`to_plain`), so that a network gives the same file
    everywhere. To time each layer's forms and take a larger one where it is quicker changed 2 layers of ten networks
    (VGG16, ResNet-18 and smaller ones, 20 to 70 % of the ranks) and won 4 % of the time at most. align: whether ranks
    are rounded up to what the kernels of onnxruntime take at once (`aligned`).

    Raises TuckerlabError for an example that is no batch, or a network whose answers change by more than a rounding
    error.
    """
    source, example = on_cpu(model, example)
    plain = to_plain(source).eval()
    folded = fold_batch_norm(plain)
    if align:
        folded = aligned(folded)
    kept = tuple(kept_norms(folded))
    count = sum(isinstance(module, _BatchNorm) for module in plain.modules()) - len(kept)
    return Prepared(folded, count, kept, checked(folded, source, example, "the network of ordinary layers"))
