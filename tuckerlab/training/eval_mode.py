"""Measuring without a trace: a network comes out of a measurement as it went in."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def undisturbed(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the whole model in `train()` or `eval()` mode, without gradients, for the length of the block.

    After it the mode of every module, the buffers (running statistics), the gradients and the random numbers
    to come are what they were. Parameters are not copied: the block must not step an optimizer.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    devices = {parameter.device for parameter, _ in gradients if parameter.is_cuda}
    with torch.random.fork_rng(devices=list(devices)):
        try:
            model.train(training)
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
            for parameter, gradient in gradients:
                parameter.grad = gradient
