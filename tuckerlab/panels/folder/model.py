"""The state of a look at a folder: what was typed, how far it is, and what was found.

>>> model = FolderModel("no such folder")
>>> model.look(); model.wait()
>>> model.problem.startswith("the folder no such folder is not there"), model.dataset
(True, '')
"""

import threading
from dataclasses import dataclass, field

import traitlets

from tuckerlab.data import data_roots
from tuckerlab.data.folder_check import FolderReport, inspect_folder
from tuckerlab.panels.model import PanelModel

EXAMPLE = "neu_steel"  # offered where it is among the data


@dataclass(eq=False)
class _Search:
    """One look, in a thread of its own."""

    name: str
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class FolderModel(PanelModel):
    """`dataset` is the name for `load_data` once the folder is ready to train on, and empty before."""

    folder = traitlets.Unicode(help="what was typed")
    dataset = traitlets.Unicode()
    report = traitlets.Instance(FolderReport, allow_none=True)
    looking = traitlets.Bool()
    done = traitlets.Int()
    total = traitlets.Int()

    def __init__(self, folder: str = "") -> None:
        self._lock = threading.RLock()  # the thread that looks, and the one that types
        super().__init__()
        self._search = _Search("")
        self.folder = folder

    @property
    def name(self) -> str:
        """The folder without what comes along when a path is pasted: blanks, quotation marks, `folder:`."""
        return self.folder.strip().strip("\"'").removeprefix("folder:").strip()

    @property
    def example(self) -> str:
        """A folder to begin with, or empty where there is none."""
        return EXAMPLE if any((root / EXAMPLE).is_dir() for root in data_roots()) else ""

    def look(self) -> None:
        """Begins to look at the folder, and comes back at once; nothing happens while it is at it already."""
        if not self.name or (self.looking and self._search.name == self.name):
            return
        self.stop()
        search = self._search = _Search(self.name)
        self.problem, self.details = "", ""
        self.done, self.total, self.looking = 0, 0, True
        search.thread = threading.Thread(target=self._work, args=[search], name="tuckerlab folder", daemon=True)
        search.thread.start()

    def stop(self) -> None:
        """Ends a look; what was found by then is shown."""
        self._search.stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the look has ended, or so many seconds."""
        if self._search.thread is not None:
            self._search.thread.join(seconds)

    @traitlets.observe("folder")
    def _forget(self, change: dict[str, object]) -> None:
        """What was found in one folder says nothing about another."""
        with self._lock:
            self.stop()
            self._search = _Search("")
            self.report, self.dataset, self.looking = None, "", False
            self.problem, self.details = "", ""

    def _work(self, search: _Search) -> None:
        def progress(done: int, total: int) -> None:
            if self._search is search:
                self.total, self.done = total, done

        outcome: FolderReport | Exception
        try:
            outcome = inspect_folder(search.name, on_progress=progress, stop=search.stop)
        except Exception as error:  # shown in the panel, by `reporting`
            outcome = error
        with self._lock:  # another folder may be typed at any moment
            if self._search is not search:
                return
            with self.reporting():
                self.report = outcome if isinstance(outcome, FolderReport) else None
                self.dataset = f"folder:{search.name}" if self.report is not None and self.report.ready else ""
                if isinstance(outcome, Exception):
                    raise outcome
            self.looking = False
