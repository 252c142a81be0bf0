"""The tables of numbers and sentences that lie beside this file as TOML."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tuckerlab.i18n import _, ngettext

Message = tuple[int, str, str | tuple[str, str], list[str]]
"""A line, the function that translates, what it is given, and comments: what Babel takes."""


def table(name: str) -> dict[str, Any]:
    """A table by its name, in the order of its file."""
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


def told(one: str, many: str = "", /, **values: Any) -> str:
    """A sentence of a table; where it has a form for `many`, the `count` among the values decides."""
    return ngettext(one, many, **values) if many else _(one, **values)


def sentences(file: BinaryIO, *_asked: object, options: object = None) -> Iterator[Message]:
    """All that a table says, as Babel asks for it: a text with `many` after it is the singular of that.

    Units of two letters are the same in all languages.
    """
    texts = list(_texts(tomllib.load(file)))
    for (name, said), (after, many) in zip(texts, [*texts[1:], ("", "")], strict=True):
        if after == "many":
            yield 0, "ngettext", (said, many), []
        elif name != "many" and len(re.sub(r"\{.*?\}", "", said)) > 2:
            yield 0, "_", said, []


def _texts(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, str):
            yield name, value
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from _texts(inner)
