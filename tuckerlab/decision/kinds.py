"""What may be assumed: the name, unit and default range of each number, and why that is its default.

Together the defaults are a case of middle size: 100 cameras that send five images a second to some servers.
"""

from typing import NamedTuple

from tuckerlab.i18n import N_


class Range(NamedTuple):
    """A number that nobody knows exactly: `likely`, and the `low` and `high` it should lie between."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """So many times as much, at both ends and in the middle."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)


class Kind(NamedTuple):
    """An assumption in words, its default with its reason and as a price in yen, and the numbers that are allowed."""

    name: str
    unit: str
    why: str
    default: Range
    most: float
    yen: Range | None = None
    least: float = 0.0


# fmt: off
KINDS = {
    # what is asked of the network
    "answers_a_day": Kind(N_("Answers a day"), N_("answers"), N_("100 cameras, five images a second"),
        Range(10e6, 40e6, 60e6), most=1e12),
    "alone": Kind(N_("Share answered one at a time"), N_("of all answers, 0 to 1"),
        N_("nobody has said whether images come alone or in batches"), Range(0, 0.5, 1), most=1),
    "ms_1": Kind(N_("Time of an answer today, one at a time"), "ms",
        N_("an image network of common size (25 million weights) on one processor core"), Range(20, 40, 80), most=1e6),
    "ms_128": Kind(N_("Time of an answer today, in batches"), "ms",
        N_("about half of the time of an image that comes alone"), Range(10, 20, 40), most=1e6),
    "busy": Kind(N_("Share of paid server time that is used"), N_("0 to 1"),
        N_("servers are bought for the busiest hour"), Range(0.2, 0.4, 0.7), most=1, least=0.01),
    "server_hour": Kind(N_("Price of a server hour"), N_("{currency} an hour"),
        N_("one to four rented cores, the number that the times were measured on"),
        Range(0.04, 0.1, 0.2), most=1e6, yen=Range(6, 15, 30)),
    "copies": Kind(N_("Copies of the network in servers’ memory"), N_("copies"), N_("a few on each of some servers"),
        Range(4, 10, 20), most=1e6),
    "memory_mb": Kind(N_("Memory of a copy today"), "MB",
        N_("an image network of common size (25 million weights)"), Range(50, 100, 200), most=1e9),
    "gb_month": Kind(N_("Price of memory"), N_("{currency} for a GB and month"),
        N_("what larger rented servers cost more than smaller ones"),
        Range(2, 4, 8), most=1e6, yen=Range(300, 600, 1200)),
    "watts": Kind(N_("Power of a server at work"), "W",
        N_("nothing: the price of a rented server holds its power; enter it for servers of your own"),
        Range(0, 0, 0), most=1e5),
    "kwh": Kind(N_("Price of power"), N_("{currency} a kWh"), N_("common prices for industry"),
        Range(0.1, 0.2, 0.35), most=1e6, yen=Range(20, 30, 40)),
    # devices
    "devices": Kind(N_("Devices in the field"), N_("devices"), N_("one for each of 100 cameras"),
        Range(50, 100, 150), most=1e9),
    "device_difference": Kind(N_("What a smaller device costs less"), "{currency}",
        N_("two neighbouring sizes of common edge computers"),
        Range(50, 150, 300), most=1e8, yen=Range(7500, 22500, 45000)),
    "smaller_device": Kind(N_("Speed of the smaller device"), N_("of today’s, 0 to 1"),
        N_("a neighbouring size is about half as fast"), Range(0.3, 0.5, 0.6), most=1),
    "device_years": Kind(N_("Life of a device"), N_("years"), N_("common in industry"),
        Range(3, 5, 8), most=50, least=0.1),
    "updates": Kind(N_("Updates sent to devices"), N_("a year"), N_("one every two months"),
        Range(2, 6, 12), most=1e5),
    "file_mb": Kind(N_("File of the network today"), "MB",
        N_("an image network of common size (25 million weights)"), Range(50, 100, 200), most=1e9),
    "download_gb": Kind(N_("Price of sending data"), N_("{currency} a GB"), N_("from a fixed line to a mobile network"),
        Range(0.05, 0.5, 5), most=1e6, yen=Range(7, 75, 750)),
    # training
    "retrainings": Kind(N_("Retrainings"), N_("a year"), N_("one a quarter"),
        Range(1, 4, 12), most=1e5),
    "training_hours": Kind(N_("Hours of a training today"), N_("hours"),
        N_("an image network of common size on one GPU"), Range(2, 10, 40), most=1e7),
    "training_hour": Kind(N_("Price of a training hour"), N_("{currency} an hour"), N_("rented GPUs, small to large"),
        Range(0.5, 2, 4), most=1e6, yen=Range(75, 300, 600)),
    # to get there, and to stay there: days and weeks are the sums of the plan's stages, times 0.6, 1 and 1.8
    "people_days": Kind(N_("Days of work until it runs everywhere"), N_("days"), N_("the stages of the plan"),
        Range(24, 40, 72), most=1e6),
    "weeks": Kind(N_("Weeks until it runs everywhere"), N_("weeks"), N_("the stages of the plan"),
        Range(7.2, 12, 21.6), most=520),
    "day_rate": Kind(N_("Price of a day of work"), N_("{currency} a day"),
        N_("engineers, with all that their workplace costs"),
        Range(500, 800, 1200), most=1e8, yen=Range(50000, 80000, 120000)),
    "poc_hours": Kind(N_("Training hours of the PoC"), N_("hours"),
        N_("three starts at four sizes, and a second round"), Range(20, 60, 200), most=1e7),
    "validation": Kind(N_("Other costs of checking"), N_("{currency}, once"),
        N_("new test images to be labelled, or an inspector from outside"),
        Range(0, 3000, 10000), most=1e12, yen=Range(0, 450000, 1500000)),
    "upkeep_days": Kind(N_("Days of work to keep it up"), N_("days a year"), N_("one more recipe to look after"),
        Range(1, 3, 8), most=1e6),
    # what can go wrong
    "wrong_answer": Kind(N_("Cost of one more wrong answer"), "{currency}",
        N_("one in ten thousand has a consequence, of some dollars; the next image corrects the others"),
        Range(0, 0.0001, 0.001), most=1e9, yen=Range(0, 0.015, 0.15)),
    "discount": Kind(N_("Interest that the money could earn"), N_("a year, 0.08 is 8 %"),
        N_("what companies commonly ask of an investment"), Range(0.05, 0.08, 0.12), most=1),
}
# fmt: on
