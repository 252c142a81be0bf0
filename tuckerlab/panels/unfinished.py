"""Trainings that have not ended: each has a folder with what was asked for and its checkpoints, until it has."""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tuckerlab.files import atomic_path

FOLDER, ASKED = "unfinished", "asked.json"


class Unfinished:
    """The folder of a training below `out`, which a living process holds and a dead one has let go.

    `asked` is what its controls were when it began, and what they are now.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, dict[str, dict[str, Any]]()
        self._lock = FileLock(f"{folder}.lock", thread_local=False)  # one thread begins a training, another ends it

    @classmethod
    def left(cls, out: str) -> "list[Unfinished]":
        """Those that nobody is at, the newest first."""
        found = []
        for path in sorted(Path(out).glob(f"{FOLDER}/*/{ASKED}"), reverse=True):
            one = cls(path.parent)
            with suppress(OSError, ValueError):  # of somebody else, ended by now, or broken
                if one.hold():
                    one._lock.release()
                    one.asked = json.loads(path.read_text(encoding="utf-8"))
                    found.append(one)
        return found

    @classmethod
    def begin(cls, out: str, asked: Mapping[str, Any]) -> "Unfinished":
        """A new one, in the place of those that nobody is at."""
        for old in cls.left(out):
            old.end()
        new = cls(Path(out) / FOLDER / f"{datetime.now():%Y%m%d-%H%M%S-%f}")
        new.folder.mkdir(parents=True)
        new.hold()
        new.asked["begun"] = dict(asked)
        new.note(asked)
        return new

    def hold(self) -> bool:
        """Keeps others from it; False: somebody else has it."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def note(self, asked: Mapping[str, Any]) -> None:
        """What the controls are now."""
        self.asked["now"] = dict(asked)
        with atomic_path(self.folder / ASKED) as path:
            path.write_text(json.dumps(self.asked), encoding="utf-8")

    def end(self) -> None:
        """There is nothing to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
            self.folder.parent.rmdir()  # where there is no other
