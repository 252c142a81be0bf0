"""DistributedDataParallel: two processes train the network that one trains with all images, while ranks change."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from manifolds import layers_of
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

import tuckerlab as tl

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
    for name, value in one.items():
        assert isinstance(value, Tensor)
        assert two[name] == pytest.approx(value, abs=1e-10)
