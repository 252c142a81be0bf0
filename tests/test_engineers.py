"""The files that engineers copy: each runs, and does what it says."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from tuckerlab.data.digits import write_example
from tuckerlab.tucker.layers import TuckerConv2d

FOLDER = Path(__file__).parent.parent / "notebooks" / "engineers"


@pytest.fixture(autouse=True)
def _copied_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


PLAIN = """
import sys
sys.modules["tuckerlab"] = None  # so that importing it fails
import torch
model = torch.load(sys.argv[1], weights_only=False)  # a whole module, written by this test
print(tuple(model(torch.zeros(2, 1, 8, 8)).shape), sum(p.numel() for p in model.parameters()))
"""


def test_the_plain_loop(tmp_path: Path) -> None:
    found = import_module("plain_loop").main(epochs=4, out=str(tmp_path))
    assert found["accuracy"] > 0.85
    assert found["stored"] < 0.16 * found["full"]
    command = [sys.executable, "-c", PLAIN, str(tmp_path / "plain.pt")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["(2,", "10)", str(found["stored"])]


def test_the_image_folder(tmp_path: Path) -> None:
    found = import_module("image_folder").main(str(write_example(tmp_path / "digits")), epochs=2)
    assert found["classes"] == 10
    assert found["removed"] >= 0.9
    assert found["accuracy"] > 0.2  # two epochs with mirrors that digits do not like: above chance


@pytest.mark.filterwarnings("default")
def test_lightning_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    """With the ranks, the momentum and the schedules of the checkpoint, in a model that starts at other ranks."""
    file = import_module("lightning_loop")

    class Interrupt(file.L.Callback):
        def on_train_epoch_end(self, trainer: Any, module: torch.nn.Module) -> None:
            trainer.should_stop = trainer.current_epoch == 1

    def trainer(*callbacks: Any) -> Any:
        return file.L.Trainer(
            max_epochs=3, accelerator="cpu", devices=1, logger=False, gradient_clip_val=1.0, default_root_dir=tmp_path,
            enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks), limit_val_batches=0,
        )  # fmt: skip

    def ranks(model: torch.nn.Module) -> list[tuple[int, ...]]:
        return [layer.ranks for layer in model.modules() if isinstance(layer, TuckerConv2d)]

    loader = file.DataLoader(torch.utils.data.Subset(file.digits()[0], range(640)), batch_size=64)
    first, second, whole = file.Small(), file.Small(), file.Small()
    for model in (second, whole):
        model.load_state_dict(first.state_dict())
    started = ranks(first)
    interrupted = trainer(Interrupt())
    interrupted.fit(first, loader)
    assert interrupted.global_step == 2 * len(loader)
    assert ranks(second) == started
    again = trainer()
    again.fit(second, loader, ckpt_path=interrupted.checkpoint_callback.best_model_path, weights_only=True)
    trainer().fit(whole, loader)
    assert again.global_step == 3 * len(loader)
    assert all(small < large for small, large in zip(ranks(second), started, strict=True))
    for a, b in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
