"""Your own PyTorch loop, made small while it trains. Three lines differ from an ordinary loop; they are marked.

Run it with `python plain_loop.py`; it takes some seconds. Replace `digits` and `network` by yours.
"""

import tempfile
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tuckerlab as tl


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Any data set of tensors will do."""
    bundled = load_digits()
    images = torch.tensor(bundled.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(bundled.target)
    return TensorDataset(images[:1400], labels[:1400]), TensorDataset(images[1400:], labels[1400:])


def network() -> nn.Module:
    """Any nn.Module will do."""
    widths, layers = (1, 32, 64, 64), []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * widths[-1], 10))


@torch.no_grad()
def accuracy(model: nn.Module, data: TensorDataset) -> float:
    images, labels = data.tensors
    return (model.eval()(images).argmax(1) == labels).float().mean().item()


def main(epochs: int = 12, compression: float = 0.9, out: str | None = None) -> dict[str, float]:
    torch.manual_seed(0)
    train, test = digits()
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    model = network()
    full = sum(p.numel() for p in model.parameters())

    tl.tuckerize(model)  # 1: large layers become a core and thin factors, at 70 % of each rank
    ranks = tl.Budget(compression).over(epochs * len(loader))  # 2: how small, and over how many steps to come down
    optimizer = tl.TuckerSGD(model, lr=0.05, momentum=0.9, weight_decay=5e-4, ranks=ranks, adapt_every=10)  # 3
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)

    for epoch in range(epochs):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        stored = sum(p.numel() for p in model.parameters())
        print(f"epoch {epoch + 1:2}: accuracy {accuracy(model, test):.1%}, {stored} of {full} numbers stored")

    print(tl.summary(model))
    folder = Path(out or tempfile.mkdtemp())
    tl.save(folder / "small.safetensors", model, optimizer=optimizer)  # to go on later
    plain = tl.to_plain(model)  # torch.nn alone: runs where tuckerlab is not installed
    torch.save(plain, folder / "plain.pt")
    print(f"saved in {folder}")
    return {"accuracy": accuracy(plain, test), "stored": sum(p.numel() for p in plain.parameters()), "full": full}


if __name__ == "__main__":
    main()
