"""What an optimizer on the manifold can be given: modules and parameters, and what it finds in them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.weight import TuckerLayer, owners

Entry = nn.Module | nn.Parameter
Model = nn.Module | Iterable[dict[str, Any]] | Iterable[Entry]
Weight = TuckerLayer | nn.Parameter
LARGEST_KERNEL = 31  # stacks of matrices have three dimensions too, but longer ones


def tucker_layers(entries: Sequence[Any]) -> list[TuckerLayer]:
    """The Tucker layers in the modules of a param group, and those whose core and factors are given as tensors.

    Raises TuckerlabError for what is neither a module nor a parameter, and for a core or a factor without the rest of
    its layer: they move together.
    """
    for entry in entries:
        if not isinstance(entry, nn.Module | Tensor):
            raise TuckerlabError(
                f"a param group with a {type(entry).__name__} in its params (named_parameters()?): allowed are "
                "modules and parameters"
            )
    tensors = [entry for entry in entries if isinstance(entry, Tensor)]
    found, known = dict.fromkeys(m for e in entries if isinstance(e, nn.Module) for m in e.modules()), owners()
    for layers in [known[tensor] for tensor in tensors if tensor in known]:
        if len(layers) > 1:
            raise TuckerlabError(
                f"a param group has parameters that {len(layers)} layers such as {layers[0]} share: give it the layer, "
                "or the network, that is meant"
            )
        if not set(layers[0].parts) <= set(tensors):
            raise TuckerlabError(
                f"a param group has only part of {layers[0]}: its core and its factors belong in one group, together"
            )
        found[layers[0]] = None
    return [module for module in found if isinstance(module, TuckerLayer)]


def parameters_of(entries: Sequence[Any], taken: Collection[nn.Parameter]) -> list[nn.Parameter]:
    """All parameters of the entries, each once; of a module those that no other group has taken.

    Raises TuckerlabError where none are left.
    """
    inside = [p for e in entries if isinstance(e, nn.Module) for p in e.parameters()]
    parameters: list[Any] = [*(p for p in inside if p not in taken), *(e for e in entries if isinstance(e, Tensor))]
    if entries and not parameters:
        why = "its parameters are in more than one parameter group" if inside else "it has no parameters"
        raise TuckerlabError(f"nothing is left for a param group: {why}")
    return list(dict.fromkeys(parameters))


def weights_of(entries: Sequence[Any]) -> tuple[list[Weight], dict[nn.Parameter | nn.Module, int]]:
    """Kernels and matrices in the order given, embeddings left out; and the dense kernels with their numbers.

    >>> weights, kernels = weights_of([nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 4)), nn.Conv1d(4, 2, 3)])
    >>> [tuple(weight.shape) for weight in weights], list(kernels.values())
    ([(4, 8), (2, 4, 3)], [24])
    """
    weights: list[Weight] = []
    kernels: dict[nn.Parameter | nn.Module, int] = {}
    known = owners()
    parts: list[Any] = [p for e in entries for p in (e.modules() if isinstance(e, nn.Module) else [e])]
    for part in parts:
        if isinstance(part, TuckerLayer):
            weights.append(part)
        elif part in known:
            weights += known[part]
        elif not isinstance(part, nn.Embedding | nn.EmbeddingBag):
            own: list[Any] = [part] if isinstance(part, Tensor) else [*part.parameters(recurse=False)]
            weights += [p for p in own if is_matrix(p)]
            if isinstance(part, nn.modules.conv._ConvNd):  # a module stands for a weight that is computed
                kernels[part.weight if isinstance(part.weight, nn.Parameter) else part] = part.weight.numel()
            elif isinstance(part, nn.Parameter) and is_kernel(part):
                kernels[part] = part.numel()
    return weights, kernels


def is_matrix(parameter: Tensor) -> bool:
    """Whether a tensor that comes without its module is a matrix or the kernel of a convolution, by its shape."""
    return parameter.dim() > 1 and parameter.shape[0] > 1 and parameter[0].numel() > 1


def is_kernel(parameter: Tensor) -> bool:
    """Whether such a tensor is the kernel of a convolution."""
    return parameter.dim() > 2 and is_matrix(parameter) and max(parameter.shape[2:]) <= LARGEST_KERNEL
