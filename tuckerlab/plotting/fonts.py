"""Fonts that pages and pictures bring with them, so that Japanese needs none on the machine that shows it.

Latin letters are DejaVu Sans, which comes with matplotlib; Japanese is IPAex Gothic, which comes with the package
matplotlib-fontja. The licences of both permit to embed them: the IPA Font License (article 2.5) puts no obligation on a
document in which the glyphs that it needs are embedded.
"""

import base64
import importlib.util
import io
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from tuckerlab.errors import MissingExtraError

LATIN, JAPANESE = "DejaVu Sans", "IPAexGothic"


def japanese() -> Path:
    """The file of the Japanese font; MissingExtraError where the package that brings it is not installed."""
    package = importlib.util.find_spec("matplotlib_fontja")  # found, not imported: an import would restyle all figures
    if package is None or package.origin is None:
        raise MissingExtraError(
            "Japanese pictures and pages need a font from the package matplotlib-fontja, which is not installed: "
            "pip install 'tuckerlab[brief]'"
        )
    return Path(package.origin).parent / "fonts" / "ipaexg.ttf"


def families(language: str) -> tuple[str, ...]:
    """The fonts of matplotlib's pictures in a language, the first first; matplotlib is told of the Japanese one."""
    if language != "ja":
        return (LATIN,)
    _add_to_matplotlib()
    return (JAPANESE, LATIN)


@lru_cache
def _add_to_matplotlib() -> None:
    from matplotlib.font_manager import fontManager

    fontManager.addfont(japanese())


WIDE = frozenset("‘’“”…")
"""As wide as a Japanese character in the Japanese font."""

PAGE = "'Page', 'Page rest', sans-serif"
"""The value of `font-family` for a page that has `font_faces` in it."""


def font_faces(characters: Collection[str], language: str) -> str:
    """CSS that embeds the glyphs of these characters, for a page whose `font-family` is PAGE.

    IPAex Gothic has Latin letters too; what it lacks is taken from DejaVu Sans, and what neither has is left to the
    machine. A browser makes the bold ones itself. MissingExtraError where the Japanese font is not installed.
    """
    import matplotlib

    latin = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    first = set(characters) if language == "ja" else set(characters) - WIDE
    faces = ("Page", _subset(japanese(), first)), ("Page rest", _subset(latin, set(characters)))
    return "\n".join(
        f"@font-face {{ font-family: '{family}'; src: url(data:font/woff2;base64,{encoded}) format('woff2'); }}"
        for family, encoded in faces
    )


def _subset(file: Path, characters: Collection[str]) -> str:
    """The font with the glyphs of these characters alone, those that it has, as woff2 in base 64."""
    from fontTools.subset import Options, Subsetter, save_font  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    options = Options(flavor="woff2", hinting=False, layout_features=["kern", "liga", "locl", "mark"])
    options.drop_tables += ["FFTM"]  # when its editor saved it
    subsetter, written = Subsetter(options), io.BytesIO()
    subsetter.populate(text="".join(characters))
    with TTFont(file, lazy=True, recalcTimestamp=False) as font:
        subsetter.subset(font)
        save_font(font, written, options)
    return base64.b64encode(written.getvalue()).decode()
