"""The language that panels and pictures speak: English stands in the code, catalogues of gettext hold translations.

>>> _("{points:+.1f} points", points=-1.24)
'−1.2 points'

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

from tuckerlab.errors import TuckerlabError

FOLDER = Path(__file__).parent / "locale"
ENGLISH = "en"
_spoken: ContextVar[str] = ContextVar("language of a block, of one thread or task alone")


def _(message: str, /, **values: Any) -> str:
    """A sentence in the language that is spoken here, with its values filled in; minus signs are typographic.

    Raises TuckerlabError for an unknown language.
    """
    return _filled(_catalogue(language()).gettext(message), values)


def ngettext(one: str, many: str, /, count: float, **values: Any) -> str:
    """The same for a sentence with a number in it, `count`, that decides between singular and plural.

    >>> ngettext("{count} image", "{count:,} images", count=1)
    '1 image'
    """
    return _filled(_catalogue(language()).ngettext(one, many, int(count)), {"count": count, **values})


def N_(message: str) -> str:  # noqa: N802 (the name that extractors of messages know)
    """Marks a sentence that stands in a table, and is given to `_` where it is shown."""
    return message


def language() -> str:
    """The language that `_` speaks here. TuckerlabError where TUCKERLAB_LANG names one that there is not."""
    if spoken := _spoken.get(""):
        return spoken
    named = os.environ.get("TUCKERLAB_LANG") or ENGLISH
    return named if named == ENGLISH else checked(named, "TUCKERLAB_LANG")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Another language for a block of code, in this thread alone. TuckerlabError for one that there is not.

    >>> with speaking("ja"):
    ...     _("Full network")
    '元のネットワーク'
    """
    token = _spoken.set(checked(language))
    try:
        yield
    finally:
        _spoken.reset(token)


def checked(language: str, given_in: str = "language") -> str:
    """The language; TuckerlabError where there are no texts in it."""
    if language not in (known := languages()):
        raise TuckerlabError(f"{given_in} {language!r}: there are texts in {', '.join(known)}")
    return language


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

    with (FOLDER / language / "LC_MESSAGES" / "tuckerlab.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
