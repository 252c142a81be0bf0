"""What answers and labels say, as six counts: all that a roll-out needs to remember of a stage.

>>> paired(old=[3, 3, 5, 7], new=[3, 5, 3, 7], labels=[3, 3, None, None], classes=10)
Tally(cells=(1, 1, 1, 1, 0, 0), paired=True)

Where both networks answer alike nothing is lost, whatever the label turns out to be; only where they differ is a label
needed at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tuckerlab.errors import TuckerlabError, is_whole

Answers = Sequence[int] | NDArray[np.integer]
Labels = Sequence[int | None] | NDArray[np.integer] | None

UNKNOWN = -1


class Pair(IntEnum):
    """The cells of requests that both networks have answered; `differing` and `alike` have no label yet."""

    alike, alike_known, differing, lost, gained, both_wrong = range(6)


class Arm(IntEnum):
    """The cells of requests that one network has answered; the open ones have no label yet."""

    new_open, new_right, new_wrong, old_open, old_right, old_wrong = range(6)


BECOMES: dict[
    bool, dict[Pair | Arm, tuple[Pair | Arm, ...]]
] = {  # what a cell without a label turns into when the label comes
    True: {Pair.alike: (Pair.alike_known,), Pair.differing: (Pair.lost, Pair.gained, Pair.both_wrong)},
    False: {Arm.new_open: (Arm.new_right, Arm.new_wrong), Arm.old_open: (Arm.old_right, Arm.old_wrong)},
}


@dataclass(frozen=True)
class Tally:
    """How many requests lie in each cell, of `Pair` or of `Arm`."""

    cells: tuple[int, ...]
    paired: bool = True


def paired(old: Answers, new: Answers, labels: Labels, classes: int) -> Tally:
    """The answers of both networks to the same requests, as classes; a label that is not known is None or −1.

    Raises TuckerlabError where the lengths differ, or an answer or a label is not a class.
    """
    before, now = _checked("old answers", old, classes), _checked("new answers", new, classes)
    if len(before) != len(now):
        raise TuckerlabError(
            f"{len(before)} old and {len(now)} new answers: with a shadow both networks answer each request; give as "
            "many, or compare apart()"
        )
    right = _labels(labels, len(now), classes)
    known, differ = right != UNKNOWN, before != now
    cell = np.where(differ, Pair.differing, np.where(known, Pair.alike_known, Pair.alike))
    cell[differ & known] = Pair.both_wrong
    cell[differ & known & (before == right)] = Pair.lost
    cell[differ & known & (now == right)] = Pair.gained
    return Tally(tuple(np.bincount(cell, minlength=len(Pair)).tolist()))


def apart(new: Answers, new_labels: Labels, old: Answers, old_labels: Labels, classes: int) -> Tally:
    """The answers of each network to requests of its own: an A/B test without a shadow.

    >>> apart([1, 2], [1, 1], [0, 0, 0], [0, None, None], classes=3).cells
    (0, 1, 1, 2, 1, 0)
    """
    cells: list[int] = []
    for name, answers, labels in (("new", new, new_labels), ("old", old, old_labels)):
        given = _checked(f"{name} answers", answers, classes)
        right = _labels(labels, len(given), classes)
        known = right != UNKNOWN
        cells += [int((~known).sum()), int((known & (given == right)).sum()), int((known & (given != right)).sum())]
    return Tally(tuple(cells), paired=False)


def _labels(labels: Labels, count: int, classes: int) -> NDArray[np.int64]:
    if labels is None:
        return np.full(count, UNKNOWN)
    found = _checked("labels", [UNKNOWN if label is None else label for label in labels], classes, least=UNKNOWN)
    if len(found) != count:
        raise TuckerlabError(f"{len(found)} labels for {count} requests: give one each, None where it is not known")
    return found


def _checked(name: str, given: Answers, classes: int, least: int = 0) -> NDArray[np.int64]:
    if not is_whole(classes) or classes < 2:
        raise TuckerlabError(f"classes {classes!r}: a whole number from 2")
    found = np.asarray(given)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise TuckerlabError(f"{name} of type {found.dtype}, {found.ndim} dimensions: give one list of whole numbers")
    wrong = found[(found < least) | (found >= classes)]
    if wrong.size:
        unknown = ", and None or -1 where it is not known" if least else ""
        raise TuckerlabError(f"{name}: {wrong[0]} is not a class; classes are 0 to {classes - 1}{unknown}")
    return found.astype(np.int64)
