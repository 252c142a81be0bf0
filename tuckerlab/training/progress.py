"""How far a long job is: a bar in a terminal or a notebook; elsewhere, in a file or in CI, who uses it writes lines."""

import sys
from typing import Any

from tqdm import auto


def progress_bar(*, shown: bool, **options: Any) -> Any:
    """A bar of tqdm with these options; where it is not to be shown, or could not move, its `disable` is true."""
    can_move = sys.stderr.isatty() or auto.notebook_tqdm is not auto.std_tqdm
    return auto.tqdm(disable=not (shown and can_move), **options)
