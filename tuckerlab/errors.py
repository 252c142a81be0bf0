"""The errors that a user can mend, and checks of settings that raise them: what was given, what is allowed.

Whoever faces the user (the command line, a panel) catches `TuckerlabError` and shows its message alone;
every other exception is a defect of ours and keeps its traceback.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard


class TuckerlabError(ValueError):
    """A mistake in what was asked for or given: its message is a full sentence for the user."""


class RankError(TuckerlabError):
    """A rank, tolerance or budget outside its range."""


class DataError(TuckerlabError):
    """A data set that is unknown, missing, empty or broken."""


class CheckpointError(TuckerlabError):
    """A checkpoint that is missing, cut off, or made for another model."""


class DivergedError(TuckerlabError):
    """Training met a loss or a gradient that is not finite."""


class MissingExtraError(TuckerlabError):
    """An optional package is not installed; the message names the pip command."""


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a setting is a whole number: numpy's are, True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a setting is a number, whole or not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_whole(
    name: str, value: object, least: int, most: float = math.inf, *, error: type[TuckerlabError] = TuckerlabError
) -> int:
    """The whole number from `least` to `most`, as an int; the error otherwise."""
    if not is_whole(value) or not least <= value <= most:
        raise error(f"{name} {value!r}: allowed are whole numbers {_within(least, most)}")
    return int(value)


def check_number(
    name: str, value: object, least: float = -math.inf, most: float = math.inf, *,
    above: float = -math.inf, below: float = math.inf, error: type[TuckerlabError] = TuckerlabError,
) -> float:  # fmt: skip
    """The finite number from `least` to `most`, or between `above` and `below` without these; the error otherwise."""
    if not is_number(value) or not (least <= value <= most and above < value < below and math.isfinite(value)):
        raise error(f"{name} {value!r}: allowed are numbers {_within(least, most, above, below)}")
    return float(value)


def check_choice(
    name: str, value: object, allowed: Iterable[str], *, error: type[TuckerlabError] = TuckerlabError
) -> str:
    """The value if it is one of those allowed; the error otherwise."""
    if value not in (allowed := tuple(allowed)):
        raise error(f"{name} {value!r}: allowed are {', '.join(allowed)}")
    return str(value)


def _within(least: float, most: float, above: float = -math.inf, below: float = math.inf) -> str:
    limits = [("from", least), ("above", above), ("up to", most), ("below", below)]
    return " and ".join(f"{word} {limit:,}" for word, limit in limits if math.isfinite(limit))
