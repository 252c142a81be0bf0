"""The language that panels and pictures speak: English stands in the code, catalogues of gettext hold translations.

A sentence is a template of `str.format`, and its own key in `locale/LANGUAGE/LC_MESSAGES/tuckerlab.po`. The variable
TUCKERLAB_LANG chooses the language, `speaking` that of a block of code; what a catalogue lacks is shown in English.
"""

import gettext
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from tuckerlab.errors import check_choice

FOLDER = Path(__file__).parent / "locale"
ENGLISH = "en"
UNITS = {"ja": ((1e12, "兆"), (1e8, "億"), (1e4, "万"))}  # of large numbers, where not each thousand is parted
_spoken: ContextVar[str] = ContextVar("language of a block, of one thread or task alone")


def _(message: str, /, **values: Any) -> str:
    """A sentence in the language that is spoken here, with its values filled in; minus signs are typographic."""
    return _filled(_catalogue(language()).gettext(message), values)


def ngettext(one: str, many: str, /, count: float, **values: Any) -> str:
    """The same for a sentence with a number in it, `count`, that decides between singular and plural."""
    return _filled(_catalogue(language()).ngettext(one, many, int(count)), {"count": count, **values})


def large(value: float, decimals: int = 0) -> str:
    """A number as people write it where there are many digits: 150,000,000, in Japanese 1億5,000万."""
    said, rest = "", abs(value)
    for size, name in UNITS.get(language(), ()):
        many, rest = divmod(rest, size)
        said += f"{many:,.0f}{name}" if many else ""
    return ("−" if value < 0 else "") + said + (f"{rest:,.{decimals}f}" if rest or not said else "")


def day(date: str) -> str:
    """A date as people write it; records have 2026-11-28, and maybe the time after it."""
    year, month, day = map(int, date[:10].split("-"))
    return _("{year}-{month:02}-{day:02}", year=year, month=month, day=day)


def N_(message: str) -> str:  # noqa: N802 (the name that extractors of messages know)
    """Marks a sentence that stands in a table, and is given to `_` where it is shown."""
    return message


def language() -> str:
    """The language that `_` speaks here. TuckerlabError where TUCKERLAB_LANG names one that there is not."""
    return _spoken.get("") or check_choice("TUCKERLAB_LANG", os.environ.get("TUCKERLAB_LANG") or ENGLISH, languages())


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Another language for a block of code, in this thread alone. TuckerlabError for one that there is not."""
    token = _spoken.set(check_choice("language", language, languages()))
    try:
        yield
    finally:
        _spoken.reset(token)


@lru_cache
def languages() -> list[str]:
    """The languages that there are texts in."""
    return sorted([ENGLISH, *(path.parts[-3] for path in FOLDER.glob("*/LC_MESSAGES/tuckerlab.po"))])


def _filled(message: str, values: dict[str, Any]) -> str:
    return message.format_map({name: _Number(v) if isinstance(v, int | float) else v for name, v in values.items()})


class _Number(float):
    """A number whose minus is as long as its plus."""

    def __format__(self, spec: str) -> str:
        value: float = int(self) if self.is_integer() and spec[-1:] not in tuple("eEfFgG%") else float(self)
        return format(value, spec).replace("-", "−")


@lru_cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == ENGLISH:  # stands in the code
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with (FOLDER / language / "LC_MESSAGES" / "tuckerlab.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
