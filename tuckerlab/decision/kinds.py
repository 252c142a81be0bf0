"""All assumptions that the money has: the default range of each, and what is allowed.

>>> KINDS["server_hour"].default, KINDS["server_hour"].yen
(Range(low=0.04, likely=0.1, high=0.2), Range(low=6, likely=15, high=30))

Together they are a case of middle size: 100 cameras that send five images a second to some servers.
"""

from typing import NamedTuple

from tuckerlab.decision.stages import Range, total_days, total_weeks


class Kind(NamedTuple):
    """What an assumption may be: its default range, the allowed numbers, and the default as a price in yen."""

    default: Range
    most: float
    least: float = 0.0
    yen: Range | None = None


def _price(low: float, likely: float, high: float, most: float, *yen: float) -> Kind:
    return Kind(Range(low, likely, high), most, yen=Range(*yen))


KINDS = {
    # what is asked of the network
    "answers_a_day": Kind(Range(10e6, 40e6, 60e6), 1e12),
    "alone": Kind(Range(0, 0.5, 1), 1),
    "ms_1": Kind(Range(20, 40, 80), 1e6),
    "ms_128": Kind(Range(10, 20, 40), 1e6),
    "busy": Kind(Range(0.2, 0.4, 0.7), 1, least=0.01),
    "server_hour": _price(0.04, 0.1, 0.2, 1e6, 6, 15, 30),
    "copies": Kind(Range(4, 10, 20), 1e6),
    "memory_mb": Kind(Range(50, 100, 200), 1e9),
    "gb_month": _price(2, 4, 8, 1e6, 300, 600, 1200),
    "watts": Kind(Range(0, 0, 0), 1e5),
    "kwh": _price(0.1, 0.2, 0.35, 1e6, 20, 30, 40),
    # devices
    "devices": Kind(Range(50, 100, 150), 1e9),
    "device_difference": _price(50, 150, 300, 1e8, 7_500, 22_500, 45_000),
    "smaller_device": Kind(Range(0.3, 0.5, 0.6), 1),
    "device_years": Kind(Range(3, 5, 8), 50, least=0.1),
    "updates": Kind(Range(2, 6, 12), 1e5),
    "file_mb": Kind(Range(50, 100, 200), 1e9),
    "download_gb": _price(0.05, 0.5, 5, 1e6, 7, 75, 750),
    # training
    "retrainings": Kind(Range(1, 4, 12), 1e5),
    "training_hours": Kind(Range(2, 10, 40), 1e7),
    "training_hour": _price(0.5, 2, 4, 1e6, 75, 300, 600),
    # to get there, and to stay there
    "people_days": Kind(total_days(), 1e6),
    "weeks": Kind(total_weeks(), 520),
    "day_rate": _price(500, 800, 1200, 1e8, 50_000, 80_000, 120_000),
    "poc_hours": Kind(Range(20, 60, 200), 1e7),
    "validation": _price(0, 3_000, 10_000, 1e12, 0, 450_000, 1_500_000),
    "upkeep_days": Kind(Range(1, 3, 8), 1e6),
    # what can go wrong
    "wrong_answer": _price(0, 0.0001, 0.001, 1e9, 0, 0.015, 0.15),
    "discount": Kind(Range(0.05, 0.08, 0.12), 1),
}
"""All assumptions. Names, units and the reason of each default are the messages money.name, money.unit, money.why."""

LEADING = ("answers_a_day", "server_hour", "day_rate", "devices")
"""What a manager changes first."""
