"""What an optimizer on the manifold can be given, modules and parameters, and what it finds in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.weight import TuckerLayer, owners

Entry = nn.Module | nn.Parameter
Model = nn.Module | Iterable[dict[str, Any]] | Iterable[Entry]


@dataclass
class Contents:
    """What is in the modules and parameters of a param group."""

    parameters: list[nn.Parameter]
    layers: list[TuckerLayer] = field(default_factory=list)
    weights: list[TuckerLayer | nn.Parameter] = field(default_factory=list)  # in the order given, without embeddings
    kernels: int = 0  # numbers in dense kernels, which a budget counts


def contents(entries: Sequence[Any]) -> Contents:
    """What is in these; TuckerlabError for what is neither module nor parameter, and for parts of a Tucker layer."""
    for entry in entries:
        if not isinstance(entry, nn.Module | Tensor):
            raise TuckerlabError(
                f"a param group with a {type(entry).__name__} in its params (named_parameters()?): allowed are "
                "modules and parameters"
            )
    inside = [p for entry in entries for p in (entry.parameters() if isinstance(entry, nn.Module) else [entry])]
    if entries and not inside:
        raise TuckerlabError(f"a param group without parameters: {entries[0]}")
    found, known = Contents(list(dict.fromkeys(inside))), owners()
    given = [part for e in entries for part in (e.modules() if isinstance(e, nn.Module) else [known.get(e, e)])]
    for part in dict.fromkeys(given):
        if isinstance(part, TuckerLayer):
            if not set(part.parts) <= set(inside):
                raise TuckerlabError(
                    f"a param group has only part of {part}: its core and its factors belong in one group, together"
                )
            found.layers.append(part)
            found.weights.append(part)
        elif not isinstance(part, nn.Embedding | nn.EmbeddingBag):
            own: list[Any] = [part] if isinstance(part, Tensor) else [*part.parameters(recurse=False)]
            matrices = [p for p in own if p.dim() > 1 and p.shape[0] > 1 and p[0].numel() > 1]
            found.weights += matrices
            if isinstance(part, nn.modules.conv._ConvNd):
                found.kernels += part.weight.numel()
            elif isinstance(part, Tensor) and matrices and part.dim() > 2:  # given without its convolution
                found.kernels += part.numel()
    return found
