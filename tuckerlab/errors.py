"""The errors that a user can mend; each message says what was given, what is allowed and what to do.

>>> raise RankError("rank 0 in mode 0 of a weight of shape (8, 4): a rank lies between 1 and 8")
Traceback (most recent call last):
    ...
tuckerlab.errors.RankError: rank 0 in mode 0 of a weight of shape (8, 4): a rank lies between 1 and 8

Whoever faces the user (the command line, a panel) catches `TuckerlabError` and shows its message alone;
every other exception is a defect of ours and keeps its traceback.
"""

from numbers import Integral, Real
from typing import TypeGuard


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a setting is a whole number: numpy's are, True and False are not.

    >>> is_whole(5), is_whole(True), is_whole(5.0)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a setting is a number, whole or not.

    >>> is_number(5), is_number("5")
    (True, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


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
