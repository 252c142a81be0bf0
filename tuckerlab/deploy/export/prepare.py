"""Everything that is done to a trained network before it is written: ordinary layers, merged and folded.

>>> from tuckerlab import build, tuckerize
>>> network = tuckerize(build("vgg_small", in_channels=1, image_size=8, width=0.25), ranks=0.5)
>>> ready = prepared(network, torch.zeros(1, 1, 8, 8), margin=float("inf"))  # inf: nothing is timed
>>> ready.folded, ready.decisions[0].form
(6, '8 → 4 → 4 → 8')
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch as torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm.auto import tqdm

from tuckerlab.deploy.aligned_ranks import aligned
from tuckerlab.deploy.chain_merging import MARGIN, Decision, Timer, merge
from tuckerlab.deploy.export.parity import checked, on_cpu
from tuckerlab.deploy.export.sessions import onnxruntime_timer, torch_timer
from tuckerlab.deploy.fuse_batchnorm import fold_batch_norm, kept_norms
from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.weight import TuckerLayer

Runtime = Literal["onnxruntime", "torch"]
SECONDS = 3.0  # for timing the layers


@dataclass(frozen=True)
class Prepared:
    """The network ready to be written, and what was done: decisions layer by layer, batch norms folded and kept.

    `folded` counts the batch norms that are gone; `kept` has the others, by name, with the reason. `difference` is the
    largest between its outputs and those of the network it came from, relative to the largest output.

    >>> Prepared(nn.Identity(), "onnxruntime").words
    ['no Tucker layers: nothing to merge']
    """

    module: nn.Module
    runtime: Runtime
    decisions: tuple[Decision, ...] = ()
    folded: int = 0
    kept: Mapping[str, str] = field(default_factory=dict)
    difference: float = 0.0

    @property
    def merged(self) -> tuple[Decision, ...]:
        """The decisions that gave up a chain."""
        return tuple(decision for decision in self.decisions if decision.reason != "smallest")

    @property
    def words(self) -> list[str]:
        """What was done, a sentence a line."""
        said = []
        if not self.decisions:
            said.append("no Tucker layers: nothing to merge")
        elif not self.merged:
            said.append(f"{len(self.decisions)} Tucker layers stay chains: none is clearly faster merged")
        else:
            where = f"measured in {self.runtime}"
            said.append(f"{len(self.merged)} of {len(self.decisions)} Tucker layers merged back, {where}:")
            said += [f"  {decision}" for decision in self.merged]
        if self.folded:
            said.append(f"{self.folded} batch norms folded into the layers before them")
        said += [f"batch norm {name} stays: {why}" for name, why in self.kept.items()]
        return said


def prepared(
    model: nn.Module,
    example: Tensor,
    *,
    runtime: Runtime = "onnxruntime",
    margin: float = MARGIN,
    threads: int | None = None,
    quiet: bool = True,
) -> Prepared:
    """A copy on the CPU, in eval mode, of torch.nn modules only: chains merged where that is faster, batch norm folded.

    >>> prepared(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), torch.zeros(1, 4)).module
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Identity()
    )

    example: inputs as the network will get them; its batch is the one that is timed (take one image for single
    answers). runtime: where the forms of each Tucker layer are timed, for three seconds in all: "onnxruntime" on
    `threads` threads (None: as many as torch uses), or "torch". margin: how much faster a larger form must be; see
    `tuckerlab.deploy.chain_merging.merge`; with inf nothing is timed and every layer stores as little as it can. For
    onnxruntime, ranks are rounded up to what its kernels take at once (`tuckerlab.deploy.aligned_ranks`).

    Raises TuckerlabError for a runtime that is unknown, an example that is no batch, or a network whose answers change
    by more than a rounding error.
    """
    if runtime not in ("onnxruntime", "torch"):
        raise TuckerlabError(f"runtime {runtime!r}: allowed are 'onnxruntime' and 'torch'")
    source, example = on_cpu(model, example, copy.deepcopy)
    timer = onnxruntime_timer(threads=threads) if runtime == "onnxruntime" else torch_timer()
    layers = sum(isinstance(module, TuckerLayer) for module in source.modules())
    with tqdm(total=layers, desc="timing the layers", disable=quiet or margin == float("inf"), leave=False) as bar:
        plain, decisions = merge(source, example, _counted(timer, bar), margin=margin, seconds=SECONDS)
    folded = fold_batch_norm(plain, example)
    if runtime == "onnxruntime":
        folded = aligned(folded)
    kept = kept_norms(folded)
    count = sum(isinstance(module, _BatchNorm) for module in plain.modules()) - len(kept)
    far = checked(folded, source, example, "the network of ordinary layers")
    return Prepared(folded, runtime, tuple(decisions), count, kept, far)


def _counted(timer: Timer, bar: Any) -> Timer:
    def counted(forms: Mapping[str, nn.Module], images: Tensor) -> Mapping[str, float]:
        times = timer(forms, images)
        bar.update()
        return times

    return counted
