"""What two processes send each other in a training step, dense and in Tucker format, and what the step takes.

    torchrun --nproc-per-node 2 benchmarks/wire.py       # over the loopback of this machine
    sudo python benchmarks/wire.py 40gbit 1gbit 100mbit  # over a cable of these rates between two namespaces of Linux

VGG16 for CIFAR-10, whose Tucker network has lost 95 % of its convolution weights already; images of random numbers.
"""

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch

from tuckerlab import Budget, TuckerSGD, fit
from tuckerlab.data import ImageData
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.training import processes
from tuckerlab.training.run import Callback, Run

SPEC = {"name": "vgg16", "num_classes": 10, "in_channels": 3, "image_size": 32, "width": 1.0}
IMAGES, BATCH = 96, 8  # in all, and a step of both processes
SPACES, CABLE = ("tuckerlab-0", "tuckerlab-1"), "wire"  # namespaces, and what both call their end of the cable


class Meter(Callback):
    """Time, and bytes received, after each step."""

    def __init__(self) -> None:
        self.device, self.seen = os.environ.get("GLOO_SOCKET_IFNAME", "lo"), list[tuple[float, float]]()

    def on_step(self, run: Run) -> None:
        received = Path(f"/sys/class/net/{self.device}/statistics/rx_bytes").read_text(encoding="ascii")
        self.seen.append((time.perf_counter(), int(received) / (2 if self.device == "lo" else 1)))  # lo: by both


def measure() -> None:
    """Trains both networks for some steps; process 0 prints the medians."""
    torch.manual_seed(0)
    images, labels = torch.randint(256, (IMAGES, 3, 32, 32), dtype=torch.uint8), torch.arange(IMAGES) % 10
    data = ImageData("random", images, labels, images[:10], labels[:10], tuple("0123456789"))
    for method in (Dense(), Tucker(Budget(0.95))):
        network, meter = method.network(SPEC, 0), Meter()
        if method.policy is not None:
            TuckerSGD(network, 0.1, ranks=Budget(0.95, steps=0)).adapt(grow=False)
        fit(network, data, batch_size=BATCH, epochs=1, callbacks=[meter], progress=False, device="cpu")
        took, came = (median(b - a for a, b in pairwise(values)) for values in zip(*meter.seen[2:], strict=True))
        stored = sum(part.nbytes for part in network.parameters())
        if processes.number() == 0:
            print(f"{method.label:12} gradients {stored / 1e6:6.2f} MB, received {came / 1e6:6.2f} MB, {took:6.3f} s")


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def over_cable(rate: str) -> None:
    """Runs this file in two namespaces, as on two machines, with a cable of that rate between them."""
    for space in SPACES:
        ip(f"netns add {space}")
    try:
        ip(f"link add {CABLE} netns {SPACES[0]} type veth peer name {CABLE} netns {SPACES[1]}")
        running = []
        os.environ |= {"GLOO_SOCKET_IFNAME": CABLE, "OMP_NUM_THREADS": "1"}
        for number, space in enumerate(SPACES):
            ip(f"-n {space} addr add 10.77.0.{number + 1}/24 dev {CABLE}")
            ip(f"-n {space} link set lo up")  # for what it sends to itself
            ip(f"-n {space} link set {CABLE} up")
            ip(f"netns exec {space} tc qdisc add dev {CABLE} root tbf rate {rate} burst 128kb latency 1s")
            command = f"ip netns exec {space} {sys.executable} -m torch.distributed.run --nnodes 2 --node-rank {number}"
            command += f" --master-addr 10.77.0.1 {__file__}"
            running.append(subprocess.Popen(command.split()))
        for process in running:
            process.wait()
    finally:
        for space in SPACES:
            ip(f"netns del {space}")


if __name__ == "__main__":
    for rate in sys.argv[1:]:
        print(f"cable: {rate}", flush=True)
        over_cable(rate)
    if not sys.argv[1:]:
        measure()
