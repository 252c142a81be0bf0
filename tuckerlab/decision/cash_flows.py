"""The lines of the account: what is paid once, and what is saved or paid every year.

>>> from types import SimpleNamespace
>>> case = SimpleNamespace(people_days=40, day_rate=800)
>>> ONCE[0].key, ONCE[0].amount(case)
('people', -32000)

A line is a function of the assumptions and of the measured shares that it needs, by their names; it is positive where
it saves. Prices and amounts are multiplied, nothing else: who can read a spreadsheet can check it here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuckerlab.i18n import text

DAYS = 365
MS_PER_HOUR = 3.6e6


@dataclass(frozen=True)
class Line:
    """One line; without one of the measurements that it `needs` it is a gap: it counts nothing, and is named."""

    key: str
    needs: tuple[str, ...]
    amount: Callable[[Any], Any]

    @property
    def name(self) -> str:
        """What people call it."""
        return text(f"money.line.{self.key}")


def alone_hours(a: Any) -> Any:
    """Server hours that a year of images one at a time is paid for: servers stand idle between them."""
    return a.answers_a_day * DAYS * a.alone * a.ms_1 / MS_PER_HOUR / a.busy


def batch_hours(a: Any) -> Any:
    """Server hours that a year of images in batches is paid for."""
    return a.answers_a_day * DAYS * (1 - a.alone) * a.ms_128 / MS_PER_HOUR / a.busy


def hours_at_work(a: Any) -> Any:
    """The hours of computing that a year saves."""
    return a.busy * (alone_hours(a) * (1 - a.time_1) + batch_hours(a) * (1 - a.time_128))


ONCE = (
    Line("people", (), lambda a: -a.people_days * a.day_rate),
    Line("computing", (), lambda a: -a.poc_hours * a.training_hour),
    Line("validation", (), lambda a: -a.validation),
)
YEARLY = (
    Line("alone", ("time_1",), lambda a: alone_hours(a) * a.server_hour * (1 - a.time_1)),
    Line("batches", ("time_128",), lambda a: batch_hours(a) * a.server_hour * (1 - a.time_128)),
    Line(  # a smaller device is enough where the network became quicker by as much as that device is slower
        "devices",
        ("time_1",),
        lambda a: a.devices / a.device_years * a.device_difference * (a.time_1 <= a.smaller_device),
    ),
    Line("memory", ("memory",), lambda a: a.copies * a.memory_mb / 1e3 * a.gb_month * 12 * (1 - a.memory)),
    Line("energy", ("time_1", "time_128"), lambda a: hours_at_work(a) * a.watts / 1e3 * a.kwh),
    Line("downloads", ("file",), lambda a: a.devices * a.updates * a.file_mb / 1e3 * a.download_gb * (1 - a.file)),
    Line("retraining", ("training",), lambda a: a.retrainings * a.training_hours * a.training_hour * (1 - a.training)),
    Line("upkeep", (), lambda a: -a.upkeep_days * a.day_rate),
    Line(  # a gain is no money: who would pay for it? A loss is
        "accuracy",
        ("accuracy",),
        lambda a: a.answers_a_day * DAYS * np.minimum(a.accuracy, 0) / 100 * a.wrong_answer,
    ),
)
LINES = {line.key: line for line in (*ONCE, *YEARLY)}
