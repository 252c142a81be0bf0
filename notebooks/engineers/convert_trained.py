"""A network that is trained already: bring it to Tucker format in two ways, and compare.

Run it with `python convert_trained.py`. In the place of `dense_network` comes your own: any nn.Module with trained
weights, `tl.load("dense.safetensors").model`, or `model.load_state_dict(torch.load("yours.pt"))`.
"""

import copy

import torch
from torch import nn

import tuckerlab as tl
from tuckerlab.data import ImageData
from tuckerlab.training.metrics import evaluate
from tuckerlab.tucker.model_size import count_parameters


def dense_network(data: ImageData, epochs: int, width: float) -> nn.Module:
    """Stands for the network that you have."""
    torch.manual_seed(0)
    shape = {"num_classes": data.num_classes, "in_channels": data.channels, "image_size": data.image_size}
    model = tl.build("vgg_small", width=width, **shape)
    tl.fit(model, data, epochs=epochs, lr=0.1, progress=False)
    return model


def main(
    dataset: str = "digits", epochs: int = 10, more: int = 5, compression: float = 0.9, width: float = 0.5
) -> dict[str, float]:
    data = tl.load_data(dataset)
    dense = dense_network(data, epochs, width)
    before = evaluate(dense, data).accuracy

    # At once: each weight becomes its best approximation at the ranks that the budget allows. With
    # ranks=tl.Tolerance(0.3) each would lose at most 30 % of its norm, and the size would be what that takes.
    hasty = tl.tuckerize(copy.deepcopy(dense), ranks=tl.Budget(compression))
    cut = evaluate(hasty, data).accuracy
    tl.fit(hasty, data, epochs=more, lr=0.05, ranks=tl.Fixed(), progress=False)  # go on, with ranks as they are

    # Little by little: at full rank it is the same function as before; ranks come down while training goes on.
    # `fit` is a loop like any other: see plain_loop.py for one of your own.
    small = tl.tuckerize(copy.deepcopy(dense), ranks=1.0)
    tl.fit(small, data, epochs=more, lr=0.05, ranks=tl.Budget(compression), progress=False)

    found = {"before": before, "cut": cut}
    found |= {"cut_and_trained": evaluate(hasty, data).accuracy, "little_by_little": evaluate(small, data).accuracy}
    removed = count_parameters(small).conv_compression
    print(f"the dense network                             {before:6.1%} right")
    print(f"cut at once, {removed:.0%} of the weights gone         {cut:6.1%}")
    print(f"cut at once, then trained for {more:2} epochs       {found['cut_and_trained']:6.1%}")
    print(f"cut little by little over the {more:2} epochs       {found['little_by_little']:6.1%}")
    return found | {"removed": removed}


if __name__ == "__main__":
    main()
