"""With Lightning: `configure_optimizers` returns TuckerSGD, and everything else stays as it is.

Run it with `python lightning_loop.py` after `pip install lightning`. What was checked, and what to mind:

- Automatic optimization, gradient clipping, schedulers, checkpoints and going on from them work, also after ranks have
  changed: Lightning asks the optimizer for its parameters anew in every step.
- Call `tuckerize` in `__init__`. Then `load_from_checkpoint` builds the layers, which take up any ranks from the file.
- A rank change replaces parameters. On several devices `strategy="ddp"` follows it; what else holds parameters by
  itself does not: the StochasticWeightAveraging callback, a moving average. Do without, or keep the ranks (Fixed()).
- Clipping by norm sees the gradients of core and factors, whose norm is not that of the dense weight's gradient.
"""

import tempfile

import lightning as L
import torch
import torch.nn.functional as F
from plain_loop import digits, network
from torch import Tensor
from torch.utils.data import DataLoader

import tuckerlab as tl


class Small(L.LightningModule):
    def __init__(self, compression: float = 0.9) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = tl.tuckerize(network())

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("stored", float(sum(p.numel() for p in self.net.parameters())), prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean(), prog_bar=True)

    def configure_optimizers(self) -> dict:
        steps = int(self.trainer.estimated_stepping_batches)
        ranks = tl.Budget(self.hparams["compression"]).over(steps)
        optimizer = tl.TuckerSGD(self.net, 0.05, momentum=0.9, weight_decay=5e-4, ranks=ranks, adapt_every=10)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main(epochs: int = 8, compression: float = 0.9, out: str | None = None) -> dict[str, float | str]:
    L.seed_everything(0, verbose=False)
    train, test = digits()
    model = Small(compression)
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, gradient_clip_val=1.0, logger=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=out or tempfile.mkdtemp(),
    )  # fmt: skip
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    trainer.fit(model, loader, DataLoader(test, batch_size=len(test)))
    print(tl.summary(model.net))

    file = trainer.checkpoint_callback.best_model_path
    again = Small.load_from_checkpoint(file, weights_only=True)  # starts at 70 % of each rank, takes up the file's
    [result] = trainer.validate(again, DataLoader(test, batch_size=len(test)), verbose=False)
    stored = sum(p.numel() for p in again.net.parameters())
    print(f"accuracy {result['accuracy']:.1%} with {stored} numbers, from {file}")
    return {"accuracy": result["accuracy"], "stored": stored, "checkpoint": file}


if __name__ == "__main__":
    main()
