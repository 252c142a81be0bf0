"""A linear layer whose dense weight would not fit into memory, trained in Tucker format by one process or several.

python benchmarks/huge.py
torchrun --nproc-per-node 2 benchmarks/huge.py --size 262144

Each process has images of its own; time of a step, and the most memory that a process has had.
"""

import argparse
import resource
import time

import script
import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import tuckerlab as tl

CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=script.positive, default=2**18, help="inputs and outputs of the layer")
    parser.add_argument("--ranks", type=script.positive, default=16)
    parser.add_argument("--batch", type=script.positive, default=32, help="of a process")
    parser.add_argument("--steps", type=script.positive, default=20)
    options = parser.parse_args()
    is_one_of_several = distributed.is_torchelastic_launched()
    if is_one_of_several:
        distributed.init_process_group("gloo")
    rank = distributed.get_rank() if is_one_of_several else 0
    torch.manual_seed(0)
    layer = tl.TuckerLinear(options.size, options.size, ranks=options.ranks)
    network = nn.Sequential(layer, nn.ReLU(), tl.TuckerLinear(options.size, CLASSES, ranks=CLASSES))
    optimizer = tl.TuckerMuon(network, lr=0.02, ranks=tl.Tolerance(0.1), adapt_every=10)
    trained = DistributedDataParallel(network) if is_one_of_several else network
    torch.manual_seed(1 + rank)
    images, labels = torch.randn(options.batch, options.size), torch.randint(CLASSES, (options.batch,))
    losses, began = list[float](), time.perf_counter()
    for _ in range(options.steps):
        optimizer.zero_grad()
        loss = cross_entropy(trained(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = (time.perf_counter() - began) / options.steps
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    dense, stored = layer.dense_numel * 4 / 1e9, layer.stored_numel * 4 / 1e6
    print(
        f"process {rank}: {dense:,.0f} GB dense, {stored:,.0f} MB at ranks {layer.ranks}; a step {seconds:.1f} s, "
        f"at most {most:.1f} GB; loss {losses[0]:.2f} to {min(losses):.2g}"
    )
    if is_one_of_several:
        distributed.destroy_process_group()


if __name__ == "__main__":
    script.run(main)
