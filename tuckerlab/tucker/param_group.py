"""What an optimizer on the manifold can be given, modules and parameters, and what it finds in them."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.weight import TuckerLayer, owners

Entry = nn.Module | nn.Parameter
Weight = TuckerLayer | nn.Parameter
Model = nn.Module | Iterable[dict[str, Any]] | Iterable[Entry]


def contents(entries: Sequence[Any]) -> tuple[list[nn.Parameter], list[Weight], int]:
    """The parameters; the weights in the order given, without embeddings; the numbers in dense kernels.

    Raises TuckerlabError for what is neither module nor parameter, and for parts of a Tucker layer.
    """
    for entry in entries:
        if not isinstance(entry, nn.Module | Tensor):
            raise TuckerlabError(
                f"a param group with a {type(entry).__name__} in its params (named_parameters()?): allowed are "
                "modules and parameters"
            )
    inside = [p for entry in entries for p in (entry.parameters() if isinstance(entry, nn.Module) else [entry])]
    if entries and not inside:
        raise TuckerlabError(f"a param group without parameters: {entries[0]}")
    weights, kernels, known = list[Weight](), 0, owners()
    given = [part for e in entries for part in (e.modules() if isinstance(e, nn.Module) else [known.get(e, e)])]
    for part in dict.fromkeys(given):
        if isinstance(part, TuckerLayer):
            if not set(part.parts) <= set(inside):
                raise TuckerlabError(
                    f"a param group has only part of {part}: its core and its factors belong in one group, together"
                )
            weights.append(part)
        elif not isinstance(part, nn.Embedding | nn.EmbeddingBag):
            own: list[Any] = [part] if isinstance(part, Tensor) else [*part.parameters(recurse=False)]
            matrices = [p for p in own if p.dim() > 1 and p.shape[0] > 1 and p[0].numel() > 1]
            weights += matrices
            if isinstance(part, nn.modules.conv._ConvNd):
                kernels += part.weight.numel()
            elif isinstance(part, Tensor) and matrices and part.dim() > 2:  # given without its convolution
                kernels += part.numel()
    return list(dict.fromkeys(inside)), weights, kernels
