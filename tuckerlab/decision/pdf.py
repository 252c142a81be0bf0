"""The page on paper: printed to PDF by a browser of the system, none is downloaded."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tuckerlab.errors import MissingExtraError, TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _

NAMED = "TUCKERLAB_BROWSER"
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
QUIETLY = ("--headless", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run", "--disable-dev-shm-usage")
SECONDS = 120


def installed_browser() -> str | None:
    """Chromium, Chrome or Edge: the one that TUCKERLAB_BROWSER names, or the first that is found; None without any."""
    named = os.environ.get(NAMED)
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def find_browser() -> str:
    """The same; MissingExtraError where there is none. The page prints from any other browser too."""
    if found := installed_browser():
        return found
    raise MissingExtraError(_(
        "a PDF is printed by a browser: found no Chromium, Chrome or Edge. Write the brief as .html, which prints to "
        "two pages of A4 from any browser; or name a Chromium in {variable}, now {value!r}",
        variable=NAMED, value=os.environ.get(NAMED, ""),
    ))  # fmt: skip


def print_pdf(html: str, out: Path, browser: str) -> None:
    """Prints a page to a file. TuckerlabError where the browser fails or takes too long."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, atomic_path(out) as temporary:
        page, printed = Path(folder) / "brief.html", Path(folder) / "brief.pdf"  # browsers may write to few places
        page.write_text(html, encoding="utf-8")
        command = [browser, *QUIETLY, f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", page.as_uri()]
        if sys.platform != "win32" and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # the sandbox does not work for root
        try:
            subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
            shutil.copyfile(printed, temporary)
        except (OSError, subprocess.SubprocessError) as error:
            said = f"{out}: the browser {browser} did not print it ({error})"
            raise TuckerlabError(f"{said}. Write the brief as .html, and print it from any browser") from None
