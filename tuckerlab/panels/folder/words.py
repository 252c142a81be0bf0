"""What was found in a folder, in words.

>>> from tuckerlab.data.folder_check import Finding
>>> said(Finding("warning", "untested", {"names": ("rust", "dent")}))
'Classes without a test image: rust, dent.'
"""

from typing import Any

from tuckerlab.data.folder_check import Finding
from tuckerlab.i18n import text

NAMED = 4  # of a long list


def said(finding: Finding) -> str:
    """What there is."""
    return text(f"inspection.{finding.key}", **_values(finding))


def advice(finding: Finding) -> str:
    """What to do."""
    return text(f"inspection.{finding.key}.do", **{k: v for k, v in _values(finding).items() if k != "count"})


def _values(finding: Finding) -> dict[str, Any]:
    return {name: _list(value) if isinstance(value, tuple) else value for name, value in finding.values.items()}


def _list(names: tuple[str, ...]) -> str:
    # One more would fit in the place of "and 1 more"
    if len(names) <= NAMED + 1:
        return ", ".join(names)
    return text("inspection.names", names=", ".join(names[:NAMED]), more=len(names) - NAMED)
