"""Two processes train the network that one trains with all images, while ranks change: in one's own loop, and `fit`."""

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from manifolds import layers_of
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

import tuckerlab as tl
from tuckerlab.training.run import Callback, Run

STEPS, EVERY = 60, 5


def compressed(buffers: list[int], bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    """A communication hook, which also counts what is sent."""
    buffers.append(bucket.buffer().numel())
    reduced = distributed.all_reduce(bucket.buffer(), async_op=True).get_future()
    return reduced.then(lambda future: future.value()[0] / distributed.get_world_size())


def trained(rank: int, world: int, folder: Path) -> None:
    """Each step two batches, of which a process gets its share; `folder` gets what process 0 has in the end."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    network, sent = tl.tuckerize(nn.Sequential(*layers).double()), list[int]()
    wrapped: Any = network
    if world > 1:
        place = (folder / "group").as_uri()
        distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=world)
        wrapped = DistributedDataParallel(network)
        wrapped.register_comm_hook(sent, compressed)
    optimizer = tl.TuckerMuon(wrapped, 0.02, ranks=tl.Budget(0.7, steps=STEPS), adapt_every=EVERY)
    ranks, random = [], torch.Generator().manual_seed(1)
    for _step in range(STEPS):
        for last in (False, True):
            images = torch.randn(8, 3, 8, 8, generator=random, dtype=torch.float64)[rank::world]
            labels = torch.randint(10, (8,), generator=random)[rank::world]
            with nullcontext() if last or world == 1 else wrapped.no_sync():
                F.cross_entropy(wrapped(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        ranks.append([layer.ranks for layer in layers_of(network)])
    if rank == 0:
        torch.save((ranks, sent, network.state_dict()), folder / f"{world}.pt")
    if world > 1:
        distributed.destroy_process_group()


def test_two_processes_train_the_network_of_one(tmp_path: Path) -> None:
    trained(0, 1, tmp_path)
    multiprocessing.spawn(trained, (2, tmp_path), 2)
    (alone, _sent, one), (together, sent, two) = (torch.load(tmp_path / f"{world}.pt") for world in (1, 2))
    assert together == alone
    assert len({*map(str, alone)}) >= 8
    assert sent[-1] < sent[0]  # through the hook, which the new buckets have kept
    torch.testing.assert_close(two, one, rtol=0, atol=1e-10)


class Doubled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.double()


def fitted(seed: int = 0, **changes: Any) -> Run:
    """Of a network with batch norm, in double precision."""
    torch.manual_seed(seed)
    data = tl.load_data("digits").subset(train=200, test=51)
    kept = (data.train_labels > 3) | (torch.arange(200) % 2 > 0)  # so that classes differ in weight
    data = replace(data, train_images=data.train_images[kept], train_labels=data.train_labels[kept])
    network = tl.build("vgg_small", in_channels=1, image_size=8, width=0.25)
    model = nn.Sequential(Doubled(), tl.tuckerize(network, ranks=0.6).double())
    settings = {"epochs": 3, "batch_size": 20, "optimizer": "muon", "class_weights": True, "label_smoothing": 0.1}
    settings |= {"ranks": tl.Tolerance(0.3, growth=0.5), "adapt_every": 4, "seed": seed, "device": "cpu"}
    return tl.fit(model, data, progress=False, **{**settings, **changes})


class At(Callback):
    """Does something after a step, once."""

    def __init__(self, step: int, do: Callable[[Run], object]) -> None:
        self.step, self.do = step, do

    def on_step(self, run: Run) -> None:
        if run.step == self.step:
            self.step = -1
            self.do(run)


def spoiled(run: Run) -> None:
    next(run.model.parameters()).data.fill_(math.nan)


def refused(**settings: Any) -> str:
    with pytest.raises(tl.TuckerlabError) as caught:
        fitted(**settings)
    return str(caught.value)


def fitted_by_two(folder: Path) -> None:
    """What each of the processes that torchrun starts does, with process 1 killed once on the way."""
    torch.set_num_threads(1)
    rank, path, halt = int(os.environ["RANK"]), folder / "run.safetensors", threading.Event()
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        half = fitted(checkpoint=path, stop=halt, callbacks=[At(13, lambda run: halt.set())] * rank)
        assert (half.state, half.step) == ("stopped", 13)
        fitted(checkpoint=path, callbacks=[At(17, lambda run: os.kill(os.getpid(), signal.SIGKILL))] * rank)
    whole = fitted(checkpoint=path)
    twice = [At(16, spoiled), At(19, spoiled)] * rank  # at the end of an epoch, which is 8 steps, and within one
    back = fitted(guard=tl.Guard(accuracy=None), callbacks=twice)
    said = [refused(seed=rank), refused(batch_size=15), refused(callbacks=[At(1, changed)] * rank)]
    torch.save((said, outcome(whole), outcome(back)), folder / f"{rank}.pt")


def outcome(run: Run) -> tuple[Any, ...]:
    rows = [{**row, "seconds": 0, "step_ms": 0} for row in run.epochs]
    return run.state, run.step, run.ranks, run.events, rows, run.model.state_dict()


def changed(run: Run) -> None:
    next(run.model.parameters()).data.mul_(1 + 1e-6)


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def test_two_processes_fit_the_network_of_one(tmp_path: Path) -> None:
    done = torchrun("--max-restarts", 1, __file__, tmp_path)
    assert "another process of this training has ended" in done.stderr
    ours, theirs = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    said, two, back = ours
    assert theirs[0] == said
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert str(other[:5]) == str(mine[:5])  # with what is not a number
        torch.testing.assert_close(other[5], mine[5], rtol=0, atol=0)
    assert "seed 0 in process 0, 1 in process 1" in said[0]
    assert "batch_size 15: 2 processes share it, so allowed are multiples of that" in said[1]
    assert "weights " in said[2]
    one = outcome(fitted())
    assert len({str(row["rank"]) for row in one[2]}) > 3
    assert two[:4] == one[:4]
    for row, other in zip(two[4], one[4], strict=True):
        assert row == pytest.approx(other, abs=1e-6)  # the loss is taken in single precision
    torch.testing.assert_close(two[5], one[5], rtol=0, atol=1e-10)
    did = [(event["step"], event["rule"], event["action"]) for event in back[3]]  # one process alone met it
    assert (did, back[0]) == ([(16, "finite", "roll back"), (20, "finite", "roll back")], "finished")


def test_a_command_of_two_processes_speaks_once(tmp_path: Path) -> None:
    settings = ["--dataset", "digits", "--width", 0.25, "--epochs", 1, "--out", tmp_path]
    done = torchrun("-m", "tuckerlab.cli.main", "poc", *settings)
    assert done.stdout.count("test accuracy") == done.stdout.count("trained by 2 processes") == 1
    assert done.stderr.count("epoch 1 of 1") == 2  # dense, Tucker


if __name__ == "__main__":
    fitted_by_two(Path(sys.argv[1]))
