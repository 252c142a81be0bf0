"""torch.compile: a rank change costs at most one recompilation, and the compiled model stays right, and compiled.

The backend runs the captured graphs as they are, so no C compiler is needed; what dynamo captures, and when it does so
again, does not depend on the backend.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from manifolds import point_of
from torch import Tensor, nn

from tuckerlab import TuckerConv2d, TuckerLayer, TuckerLinear, TuckerSGD
from tuckerlab.tucker.manifold import truncated

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Backend:
    """Counts the graphs that it is given, and how often they run."""

    def __init__(self) -> None:
        self.graphs = self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1

        def run(*args: Any) -> Any:
            self.runs += 1
            return graph(*args)

        return run


@pytest.fixture
def backend() -> Iterator[Backend]:
    torch._dynamo.reset()
    yield Backend()
    torch._dynamo.reset()


def network(modes: str = "channels") -> nn.Sequential:
    ranks = {"channels": (16, 15), "all": (16, 15, 3, 3)}[modes]
    return nn.Sequential(
        TuckerConv2d(16, 20, 3, ranks=ranks, padding=1, modes=modes),
        nn.ReLU(),
        TuckerConv2d(20, 18, 3, ranks=15, padding=1, padding_mode="circular"),
        nn.Flatten(),
        TuckerLinear(18 * 16, 24, ranks=17),
    )


def shrink(model: nn.Module) -> None:
    """One direction less in both channel modes of every layer."""
    for layer in model.modules():
        if isinstance(layer, TuckerLayer):
            ranks = [rank - (mode < 2) for mode, rank in zip(layer.modes, layer.ranks, strict=True)]
            layer.assign(truncated(point_of(layer), ranks))


def train_step(compiled: Any, net: nn.Module, optimizer: TuckerSGD, input: Tensor) -> None:
    """A step through the compiled model, compared with the uncompiled one."""
    out, expected = compiled(input), net(input)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)
    gradients = torch.autograd.grad(expected.square().mean(), list(net.parameters()))
    optimizer.zero_grad()
    out.square().mean().backward()
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)
    optimizer.step()


@pytest.mark.parametrize("modes", ["channels", "all"])
def test_one_graph_and_at_most_one_more_for_each_rank_change(backend: Backend, modes: str) -> None:
    net, input = network(modes), torch.randn(2, 16, 4, 4)
    optimizer = TuckerSGD(net, lr=0.01, momentum=0.9)
    compiled = torch.compile(net, backend=backend, fullgraph=True)  # fullgraph: nothing in the forward breaks the graph
    train_step(compiled, net, optimizer, input)
    for change in range(1, 5):
        shrink(net)
        for _ in range(2):  # the second step has nothing left to compile
            train_step(compiled, net, optimizer, input)
        assert backend.graphs <= 1 + change
    assert backend.runs == 9


def test_with_parameters_of_any_size_many_rank_changes_cost_one_compilation_in_all(backend: Backend) -> None:
    """By default dynamo compiles anew for each size of a parameter, and gives up after 8 times; this setting helps."""
    net, input = network(), torch.randn(2, 16, 4, 4)
    optimizer = TuckerSGD(net, lr=0.01, momentum=0.9)
    with torch._dynamo.config.patch(force_parameter_static_shapes=False):
        compiled = torch.compile(net, backend=backend)
        train_step(compiled, net, optimizer, input)
        for _ in range(12):
            shrink(net)
            train_step(compiled, net, optimizer, input)
    assert backend.runs == 13
    assert backend.graphs == 2
