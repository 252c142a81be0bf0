"""A folder of images in a loop of your own: train/CLASS/image and test/CLASS/image, or CLASS/image alone.

Run it with `python image_folder.py FOLDER`; without a folder it writes a small one and takes that. Images that fit in
memory stay there as uint8 and are augmented in batches, which is faster than worker processes.
"""

import sys
import tempfile

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import tuckerlab as tl
from tuckerlab.data import ImageData
from tuckerlab.data.digits import write_example
from tuckerlab.training.augment import default_augmentation, epoch_order
from tuckerlab.training.metrics import evaluate
from tuckerlab.tucker.model_size import count_parameters


class Pictures(Dataset):
    """The same images for code that asks for a Dataset, one at a time; of torchvision's or your own transforms, too."""

    def __init__(self, data: ImageData, split: str = "train") -> None:
        self.data = data
        self.images, self.labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.data.normalize(self.images[index]), self.labels[index]


def main(folder: str | None = None, epochs: int = 6, compression: float = 0.9) -> dict[str, float]:
    torch.manual_seed(0)
    data = tl.load_data(f"folder:{folder or write_example(tempfile.mkdtemp())}")
    print(data, data.note)
    augment = default_augmentation(data)  # small shifts and flips. Where a mirror changes the class, say so:
    if folder is None:
        augment = type(augment)(crop_padding=1, flip=False)  # digits do not like mirrors

    model = tl.build(
        "vgg_small", num_classes=data.num_classes, in_channels=data.channels, image_size=data.image_size, width=0.5
    )
    tl.tuckerize(model)
    batch_size = min(64, len(data.train_images))  # a shorter last batch is left out: batch norm wants full ones
    batches = len(data.train_images) // batch_size
    steps = epochs * batches
    optimizer = tl.TuckerSGD(model, 0.05, 0.9, 5e-4, ranks=tl.Budget(compression).over(steps), adapt_every=10)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
    for epoch in range(epochs):
        model.train()
        order = epoch_order(len(data.train_images), seed=0, epoch=epoch)
        for chosen in order.split(batch_size)[:batches]:
            images, labels = data.train_images[chosen], data.train_labels[chosen]
            loss = F.cross_entropy(model(data.normalize(augment(images))), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        removed = count_parameters(model).conv_compression
        print(f"epoch {epoch + 1:2}: accuracy {evaluate(model, data).accuracy:.1%}, {removed:.0%} of the weights gone")

    images, labels = next(iter(DataLoader(Pictures(data, "test"), batch_size=8)))
    print(f"a batch of the DataLoader: {tuple(images.shape)}, labels {labels.tolist()}")
    return {"accuracy": evaluate(model, data).accuracy, "removed": removed, "classes": data.num_classes}


if __name__ == "__main__":
    main(*sys.argv[1:2])
