"""The errors that a user can mend; each message says what was given, what is allowed and what to do.

>>> raise RankError("rank 0 in mode 0 of a weight of shape (8, 4): a rank lies between 1 and 8")
Traceback (most recent call last):
    ...
tuckerlab.errors.RankError: rank 0 in mode 0 of a weight of shape (8, 4): a rank lies between 1 and 8

Whoever faces the user (the command line, a panel) catches `TuckerlabError` and shows its message alone;
every other exception is a defect of ours and keeps its traceback.
"""


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
