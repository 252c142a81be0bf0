"""Memory that a network takes: how much the peak of a process grows from its imports to its first answer.

Each is measured in a process of its own, which runs this file as a script and imports its runtime alone: what the
runtime itself takes is left out, and so is tuckerlab.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def footprint(runtime: str, file: str | os.PathLike[str], shape: Sequence[int], threads: int) -> int | None:
    """Bytes by which the peak of resident memory grows to load a file and answer one batch of this shape.

    runtime: "torch" for a folder that `tuckerlab export --to plain` writes, "onnxruntime" for an ONNX file. Linux tells
    the peak of a process by itself (VmHWM); where a system does not, or the process fails, the answer is None. (What
    Unix calls ru_maxrss will not do: a process inherits it from the one that started it.)
    """
    if not sys.platform.startswith("linux"):
        return None
    command = [sys.executable, "-P", __file__, runtime, os.fspath(file), str(threads), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    return int(done.stdout) if done.returncode == 0 else None


def _in_onnxruntime(file: str, shape: list[int], threads: int) -> Callable[[], object]:
    import numpy as np
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3

    def answer() -> object:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: np.zeros(shape, dtype=np.float32)})

    return answer


def _in_torch(file: str, shape: list[int], threads: int) -> Callable[[], object]:
    import runpy

    import torch

    torch.set_num_threads(threads)
    return torch.inference_mode()(lambda: runpy.run_path(str(Path(file) / "model.py"))["load"]()(torch.zeros(shape)))


def _peak() -> int:
    """The largest resident set of this process, in bytes, since it began or was set back."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    runtime, file, threads, *shape = sys.argv[1:]
    prepare = {"torch": _in_torch, "onnxruntime": _in_onnxruntime}[runtime]
    answer = prepare(file, [int(size) for size in shape], int(threads))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak becomes the present size
    before = _peak()
    answer()
    print(_peak() - before)
