"""What all tests share: the same random numbers in every run, and Hypothesis settings that fit a test command."""

import gc
import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples in every run and on every machine; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile(
    "repeat",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

torch.set_num_threads(1)  # the tensors of tests are small, and test processes run beside each other


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)


def pytest_collection_finish() -> None:
    """What has been imported stays: looking through it for garbage again and again takes a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
