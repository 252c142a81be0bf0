"""The summary: every layer with a weight, the sums of `count_parameters`, and why a layer is dense."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tuckerlab import build, summary, tuckerize
from tuckerlab.tucker.model_size import count_parameters


class LinearOfAnotherLibrary(nn.Module):
    """As transformers' Conv1D: a matrix, but in × out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(inputs, outputs)), nn.Parameter(torch.zeros(outputs))


def test_the_reasons_are_listed() -> None:
    parts = {"first": nn.Conv2d(3, 8, 3), "good": nn.Conv2d(8, 8, 3), "normed": weight_norm(nn.Conv2d(8, 8, 3))}
    parts |= {"other": LinearOfAnotherLibrary(8, 6), "attention": nn.MultiheadAttention(8, 2), "last": nn.Linear(8, 4)}
    notes = {row["layer"]: row["note"] for row in summary(tuckerize(nn.ModuleDict(parts), ranks=0.5)).rows}
    expected = {
        "first": "first layer", "normed": "not a plain convolution", "good": "",
        "other": "LinearOfAnotherLibrary is not a convolution or linear layer",
        "attention": "MultiheadAttention is not a convolution", "attention.out_proj": "MultiheadAttention",
        "last": "last layer",
    }  # fmt: skip
    assert notes.keys() == expected.keys()
    assert all(reason in notes[name] for name, reason in expected.items()), notes


@pytest.mark.parametrize(("name", "modes"), [("resnet18", None), ("vgg_small", "channels"), ("lenet5", "all")])
def test_the_counts_are_those_of_the_parameters(name: str, modes: str | None) -> None:
    model: nn.Module = build(name, width=0.25)
    if modes:
        model = tuckerize(model, ranks=0.4, modes=modes)
    report, counts = summary(model), count_parameters(model)
    assert report.counts == counts
    convolutions = [row for row in report.rows if "Conv" in row["kind"]]
    assert sum(row["stored"] for row in convolutions) == counts.conv_stored
    assert sum(row["dense"] for row in convolutions) == counts.conv_dense
    assert f"c.r. {100 * counts.conv_compression:.1f} %" in str(report)
    assert f"c.r. {100 * counts.compression:.1f} %" in str(report)


def test_it_prints_as_a_table() -> None:
    report = summary(tuckerize(build("vgg_small", width=0.5), ranks=0.5))
    assert report._repr_html_().count("<tr") == 1 + len(report.rows)
    assert len(summary(nn.ReLU()).rows) == 0
    assert all(row["layer"] in str(report) and row["ranks"] in str(report) for row in report.rows)
    assert "the first layer stays dense" in str(report)
