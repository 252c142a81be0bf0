"""Everything that is done to a trained network before it is written: ordinary layers, merged and folded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tuckerlab.deploy.chain_merging import MARGIN, Decision, merge
from tuckerlab.deploy.export.parity import checked, on_cpu
from tuckerlab.deploy.fuse_batchnorm import aligned, fold_batch_norm, kept_norms
from tuckerlab.deploy.ort import time_in_onnxruntime
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.timing import latencies

Runtime = Literal["onnxruntime", "torch"]
SECONDS = 3.0  # for timing the layers


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
    """The network ready to be written, and what was done: decisions layer by layer, batch norms folded and kept.

    `folded` counts the batch norms that are gone; `kept` has the names of the others. `difference` is the largest
    between its outputs and those of the network it came from, relative to the largest output.
    """

    module: nn.Module
    runtime: Runtime
    decisions: tuple[Decision, ...]
    folded: int
    kept: tuple[str, ...]
    difference: float

    @property
    def words(self) -> list[str]:
        """What was done, a sentence a line."""
        layers = len(self.decisions)
        merged = [decision for decision in self.decisions if decision.reason != "smallest"]
        if not layers:
            said = ["no Tucker layers: nothing to merge"]
        elif not merged:
            said = [f"{layers} Tucker layers stay chains: none is clearly faster merged"]
        else:
            said = [f"{len(merged)} of {layers} Tucker layers merged back, measured in {self.runtime}:"]
            said += [f"  {decision}" for decision in merged]
        if self.folded:
            said.append(f"{self.folded} batch norms folded into the layers before them")
        return said + [f"batch norm {name} stays: no layer right before it can take it up" for name in self.kept]


def prepared(
    model: nn.Module, example: Tensor, *, runtime: Runtime = "onnxruntime", margin: float = MARGIN,
    threads: int | None = None,
) -> Prepared:  # fmt: skip
    """A copy on the CPU, in eval mode, of torch.nn modules only: chains merged where that is faster, batch norm folded.

    example: inputs as the network will get them; its batch is the one that is timed (take one image for single
    answers). runtime: where the forms of each Tucker layer are timed, for three seconds in all: "onnxruntime" on
    `threads` threads (None: as many as torch uses), or "torch". margin: how much faster a larger form must be; see
    `tuckerlab.deploy.chain_merging.merge`; with inf nothing is timed and every layer stores as little as it can. For
    onnxruntime, ranks are rounded up to what its kernels take at once (`aligned`).

    Raises TuckerlabError for a runtime that is unknown, an example that is no batch, or a network whose answers change
    by more than a rounding error.
    """
    if runtime not in ("onnxruntime", "torch"):
        raise TuckerlabError(f"runtime {runtime!r}: allowed are 'onnxruntime' and 'torch'")
    source, example = on_cpu(model, example)
    timer = partial(time_in_onnxruntime, threads=threads) if runtime == "onnxruntime" else _time_in_torch
    plain, decisions = merge(source, example, timer, margin=margin, seconds=SECONDS)
    folded = fold_batch_norm(plain, example)
    if runtime == "onnxruntime":
        folded = aligned(folded)
    kept = tuple(kept_norms(folded))
    count = sum(isinstance(module, _BatchNorm) for module in plain.modules()) - len(kept)
    far = checked(folded, source, example, "the network of ordinary layers")
    return Prepared(folded, runtime, tuple(decisions), count, kept, far)


def _time_in_torch(forms: Mapping[str, nn.Module], images: Tensor) -> dict[str, float]:
    return {form: timing.median_ms for form, timing in latencies(forms, images, repeats=20).items()}
