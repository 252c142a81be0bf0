"""How methods look and what people call them, the same in every picture that tells them apart.

>>> look("tucker"), method_name("dense"), method_name("my own")
(Look(colour='#0072B2', marker='o', hollow=False), 'Full network', 'my own')

Alike in colour are methods that are alike: ours, other ways to a Tucker network, other formats, pruning, and int8.
"""

from typing import Any, NamedTuple

from tuckerlab.i18n import has_text, text
from tuckerlab.plotting.figure import INK, PALETTE

OURS, PRUNING, FORMATS, INT8, TUCKER, OTHER = PALETTE


class Look(NamedTuple):
    """A colour, a marker of matplotlib, and whether the marker is hollow: not trained at its size."""

    colour: str
    marker: str
    hollow: bool = False

    @property
    def style(self) -> dict[str, Any]:
        """As matplotlib takes it."""
        face = "white" if self.hollow else self.colour
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face, "markeredgewidth": 1.5}


LOOKS = {
    "dense": Look(INK, "D"),
    "dense-adamw": Look(INK, "^"),
    "tucker": Look(OURS, "o"),
    "tucker-adamw": Look(OURS, "^"),
    "tucker-int8": Look(OURS, "s"),
    "two-gradients": Look(TUCKER, "o"),
    "factors-sgd": Look(TUCKER, "v"),
    "factors-adamw": Look(TUCKER, "^"),
    "factors-muon": Look(TUCKER, "D"),
    "cut-tuned": Look(TUCKER, "X"),
    "cut": Look(TUCKER, "P", hollow=True),
    "matrix": Look(FORMATS, "o"),
    "cp": Look(FORMATS, "v"),
    "tt": Look(FORMATS, "^"),
    "pruning": Look(PRUNING, "o"),
    "channels": Look(PRUNING, "s"),
    "int8": Look(INT8, "s"),
}


def look(method: str) -> Look:
    """The look of a method of the records; one for all that are not known.

    >>> look("dense").style["marker"]
    'D'
    """
    return LOOKS.get(method, Look(OTHER, "o"))


def method_name(method: str) -> str:
    """What people call a method.

    >>> method_name("pruning")
    'Pruned'
    """
    key = f"method.{method}"
    return text(key) if has_text(key) else method


def ordered(methods: set[str]) -> list[str]:
    """In the order of the looks, those that are not known last.

    >>> ordered({"mine", "tucker", "dense"})
    ['dense', 'tucker', 'mine']
    """
    return [*(method for method in LOOKS if method in methods), *sorted(methods - LOOKS.keys())]
