"""How methods look and what people call them, the same in every picture that tells them apart.

Alike in colour are methods that are alike: ours, other ways to a Tucker network, other formats, pruning, and int8.
"""

import re
from typing import Any, NamedTuple

from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, PALETTE

OURS, PRUNING, FORMATS, INT8, TUCKER, OTHER = PALETTE


class Look(NamedTuple):
    """A colour, a marker of matplotlib, the English name, and whether the marker is hollow: not trained at its size."""

    colour: str
    marker: str
    name: str = ""
    hollow: bool = False

    @property
    def style(self) -> dict[str, Any]:
        """As matplotlib takes it."""
        face = "white" if self.hollow else self.colour
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face, "markeredgewidth": 1.5}


LOOKS = {
    "dense": Look(INK, "D", N_("Full network")),
    "dense-adamw": Look(INK, "^", N_("Full network, AdamW")),
    "tucker": Look(OURS, "o", N_("Tucker")),
    "nested": Look(OURS, "X", N_("One training, any size")),
    "tucker-adamw": Look(OURS, "^", N_("Tucker, AdamW")),
    "tucker-int8": Look(OURS, "s", N_("Tucker as int8")),
    "two-gradients": Look(TUCKER, "o", N_("Tucker, two gradients a step")),
    "factors-sgd": Look(TUCKER, "v", N_("Tucker factors, plain SGD")),
    "factors-adamw": Look(TUCKER, "^", N_("Tucker factors, plain AdamW")),
    "factors-muon": Look(TUCKER, "D", N_("Tucker factors, plain Muon")),
    "cut-tuned": Look(TUCKER, "X", N_("Cut after training, tuned")),
    "cut": Look(TUCKER, "P", N_("Cut after training"), hollow=True),
    "matrix": Look(FORMATS, "o", N_("Low rank as a matrix")),
    "cp": Look(FORMATS, "v", N_("CP")),
    "tt": Look(FORMATS, "^", N_("Tensor train")),
    "pruning": Look(PRUNING, "o", N_("Pruned")),
    "channels": Look(PRUNING, "s", N_("Channels pruned")),
    "int8": Look(INT8, "s", N_("Full network as int8")),
}

WORDS = (  # of labels, which the records hold in English
    N_("any size"), N_("channels"), N_("cut and tuned"), N_("cut"), N_("dense"), N_("factors"), N_("matrix"),
    N_("pruned"), N_("Tucker"), N_("two gradients"), N_(", equal time"), N_(" to "), N_(" %"), N_(", "),
)  # fmt: skip


def look(method: str) -> Look:
    """The look of a method of the records; one for all that are not known."""
    return LOOKS.get(method, Look(OTHER, "o"))


def method_name(method: str) -> str:
    """What people call a method, in the reader's language."""
    return _(name) if (name := look(method).name) else method


def label_name(label: str) -> str:
    """The label of a network in the reader's language."""
    return re.sub("|".join(WORDS), lambda word: _(word[0]), label)


def ordered(methods: set[str]) -> list[str]:
    """In the order of the looks, those that are not known last."""
    return [*(method for method in LOOKS if method in methods), *sorted(methods - LOOKS.keys())]
