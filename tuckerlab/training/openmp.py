"""The threads that torch computes with on a CPU, where a training run has a Python thread of its own."""

import ctypes
import os

SOFT = 1  # omp_pause_soft of OpenMP 5: settings stay


def release_workers() -> None:
    """Ends the workers that the calling thread has had; its next operation gets new ones.

    Each Python thread has its own team of workers. GNU's OpenMP lets workers spin between two operations only while all
    teams together are no more than the cores. With two teams they sleep and are woken for every small operation, and
    training takes up to three times as long. So whoever hands the work to another thread lets go of his own team first.
    Without OpenMP 5 this does nothing.
    """
    if os.name == "nt":  # another OpenMP, and no such way to ask for it
        return
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is not None:
        pause(SOFT)
