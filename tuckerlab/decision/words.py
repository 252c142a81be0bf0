"""Numbers of the brief as people read them: with three digits, with their spread, and never more exact than measured.

>>> number(1.0439), number(37.27), number(287_654), number(-0.5, signed=True)
('1.04', '37.3', '287,654', '−0.50')
>>> spread(Measured("accuracy", 98.24, 97.78, 98.61, "[1]"), digits=1)
'98.2 (97.8–98.6)'
"""

import re
from collections.abc import Iterable
from functools import reduce
from unicodedata import east_asian_width

from tuckerlab.decision.measured import Measured
from tuckerlab.i18n import text

LONGEST_NAME = 34
"""Letters of a name that a user gave: of a class, a data set, a folder."""


def number(value: float, digits: int | None = None, *, signed: bool = False) -> str:
    """Three digits, or so many after the point; a minus is as long as a plus."""
    if digits is None:
        digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    value = round(value, digits) + 0.0  # no minus before a nought
    return f"{value:{'+' if signed and value else ''},.{digits}f}".replace("-", "−")


def spread(found: Measured, digits: int | None = None, *, signed: bool = False, scale: float = 1.0) -> str:
    """The middle, and the lowest and highest in brackets where there is more than one value."""
    value, low, high = (number(scale * part, digits, signed=signed) for part in (found.value, found.low, found.high))
    return between(value, low, high, signed=signed) if found.has_spread else value


def between(value: str, low: str, high: str, *, signed: bool = False) -> str:
    """A number with its range, where rounding leaves one.

    >>> between("98.2", "97.8", "98.6"), between("50", "50", "50")
    ('98.2 (97.8–98.6)', '50')
    """
    if low == high:
        return value
    return text("brief.in_signed_range" if signed else "brief.in_range", value=value, low=low, high=high)


def percent(share: float) -> str:
    """A share without its sign: two digits below ten per cent."""
    return number(100 * share, 1 if 100 * share < 9.95 else 0)


def times(share: float) -> str:
    """How many times fewer a share is.

    >>> times(0.0553), times(0.5), times(1.25)
    ('18', '2.0', '0.80')
    """
    ratio = 1 / share
    return number(ratio, 0 if ratio >= 9.95 else 1 if ratio >= 0.995 else 2)


def joined(sentences: Iterable[str]) -> str:
    """Sentences one after the other; Japanese has no space between them.

    >>> joined(["One.", "Two."]), joined([])
    ('One. Two.', '')
    """
    return reduce(lambda first, second: text("brief.two", first=first, second=second), sentences, "").strip()


def some(lines: list[str], most: int) -> list[str]:
    """So many lines at most, the last of which says how many more there are.

    >>> some(["one", "two", "three"], 2)
    ['one', 'and 2 more']
    """
    return lines if len(lines) <= most else [*lines[: most - 1], text("brief.more", count=len(lines) - most + 1)]


def unbroken(said: str) -> str:
    """No line ends between a number and its sign, or its unit.

    >>> unbroken("−$5 in 1 %").replace("\\u2060", "|").replace("\\u00a0", "_")
    '−|$5 in 1_%'
    """
    said = re.sub(r"−(?=[^\d\s\u2060])", "−\u2060", said)
    return said.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A name that a user gave, in one line and not too long for its place; a Japanese character is as wide as two.

    >>> short("a\\nb"), short("x" * 40, 6), short("鋼板の表面", 6)
    ('a b', 'xxxxx…', '鋼板…')
    """
    one_line = " ".join(name.split())
    if _width(one_line) <= most:
        return one_line
    while _width(one_line) >= most:
        one_line = one_line[:-1]
    return f"{one_line}…"


def _width(name: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)


def dataset_name(dataset: str) -> str:
    """A data set as people call it: of a folder its own name.

    >>> dataset_name("folder:/data/our_parts/"), dataset_name("digits")
    ('our_parts', 'digits')
    """
    return short(dataset.removeprefix("folder:").rstrip("/\\").replace("\\", "/").rpartition("/")[2] or dataset)
