"""The page on paper: printed to PDF by a browser of the system, none is downloaded."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tuckerlab.errors import MissingExtraError, TuckerlabError
from tuckerlab.files import atomic_path

NAMED = "TUCKERLAB_BROWSER"
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    r"C:\Program Files\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
QUIETLY = (
    "--headless", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run", "--no-default-browser-check",
    "--disable-extensions", "--disable-sync", "--disable-background-networking", "--disable-component-update",
    "--disable-dev-shm-usage",
)  # fmt: skip
SECONDS = 120


def find_browser() -> str:
    """Chromium, Chrome or Edge: the one that TUCKERLAB_BROWSER names, or the first that is found.

    Raises MissingExtraError where there is none; the page prints from any other browser too.
    """
    named = os.environ.get(NAMED, "")
    found = shutil.which(named) if named else installed_browser(shutil.which)
    if found is None:
        missing = f"{NAMED} {named}: there is no such browser" if named else "found no Chromium, Chrome or Edge"
        raise MissingExtraError(
            f"a PDF is printed by a browser: {missing}. Write the brief as .html, which prints to two pages of A4 from "
            f"any browser; or name a Chromium in {NAMED}"
        )
    return found


def installed_browser(which: Callable[[str], str | None]) -> str | None:
    """The first browser that `which` finds by its name or in its usual place; None without any."""
    return next(filter(None, map(which, BROWSERS)), None)


def print_pdf(html: str, out: Path, browser: str) -> None:
    """Prints a page to a file. TuckerlabError where the browser fails or takes too long."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, atomic_path(out) as temporary:
        page, printed = Path(folder) / "brief.html", Path(folder) / "brief.pdf"  # browsers may write to few places
        page.write_text(html, encoding="utf-8")
        command = [browser, *QUIETLY, f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", page.as_uri()]
        if sys.platform != "win32" and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # the sandbox does not work for root
        try:
            subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=True)
            shutil.copyfile(printed, temporary)
        except (OSError, subprocess.SubprocessError) as error:
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
            fault = (said.strip() or str(error)).splitlines()[-1]
            raise TuckerlabError(
                f"{out}: the browser {browser} did not print it ({fault}). Write the brief as .html, and print it from "
                "any browser"
            ) from None
