"""What the scripts of this folder share: a mistake of the user is one line, and numbers are checked when read."""

import argparse
import sys
from collections.abc import Callable

from tuckerlab.errors import TuckerlabError


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends in one line and exit code 2, as in the command line."""
    try:
        main()
    except TuckerlabError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename}: cannot be read or written ({error.strerror})", file=sys.stderr)
    else:
        return
    sys.exit(2)


def positive(text: str) -> int:
    """A whole number from 1, for argparse.

    >>> positive("3")
    3
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are whole numbers from 1")
    return int(text)
