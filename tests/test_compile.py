"""torch.compile: a rank change costs at most one recompilation, and the compiled model stays right, and compiled."""

from collections.abc import Iterator

import pytest
import torch
from manifolds import layers_of, point_of
from torch import nn
from torch._dynamo.testing import CompileCounter

from tuckerlab import TuckerConv2d, TuckerLinear, TuckerSGD
from tuckerlab.tucker.manifold import truncated

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def backend() -> Iterator[CompileCounter]:
    torch._dynamo.reset()
    yield CompileCounter()  # runs the captured graphs as they are, without a C compiler
    torch._dynamo.reset()


def test_one_graph_and_at_most_one_more_for_each_rank_change(backend: CompileCounter) -> None:
    net = nn.Sequential(
        TuckerConv2d(16, 20, 3, ranks=(16, 15, 3, 3), padding=1, modes="all"), nn.ReLU(),
        TuckerConv2d(20, 18, 3, ranks=15, padding=1, padding_mode="circular"), nn.Flatten(),
        TuckerLinear(18 * 16, 24, ranks=17),
    )  # fmt: skip
    input, optimizer = torch.randn(2, 16, 4, 4), TuckerSGD(net, lr=0.01, momentum=0.9)
    compiled = torch.compile(net, backend=backend, fullgraph=True)  # fullgraph: nothing in the forward breaks the graph
    for change in range(3):
        for _ in range(2):  # the second step has nothing left to compile
            out, expected = compiled(input), net(input)
            torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)
            gradients = torch.autograd.grad(expected.square().mean(), list(net.parameters()))
            optimizer.zero_grad()
            out.square().mean().backward()
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)
            optimizer.step()
        assert backend.frame_count <= 1 + change
        for layer in layers_of(net):  # one direction less in both channel modes
            fewer = [rank - (mode < 2) for mode, rank in zip(layer.modes, layer.ranks, strict=True)]
            layer.assign(truncated(point_of(layer), fewer))
