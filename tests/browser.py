"""A real browser on a real server, for the tests of what people see and click."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tuckerlab.decision.pdf import installed_browser

ROOT = Path(__file__).parent.parent
PATIENCE = 120_000  # milliseconds: a kernel that starts beside other tests takes its time


def find_browser() -> str:
    """The browser of this system. Where there is none the test is skipped, unless TUCKERLAB_BROWSER says there is."""
    found = installed_browser()
    if found is None:
        assert "TUCKERLAB_BROWSER" not in os.environ, "there is no such browser"
        pytest.skip("needs Chromium, Chrome or Edge")
    return found


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser that asks nobody on the net."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        with playwright.chromium.launch(executable_path=find_browser(), args=options) as browser:
            page = browser.new_page(viewport={"width": 1400, "height": 1300})
            page.set_default_timeout(PATIENCE)
            yield page
            assert page.get_by_text("javascript error").count() == 0  # what a broken widget says in its place


@contextlib.contextmanager
def a_server(command: str, folder: Path, notebooks: Path = ROOT / "notebooks") -> Iterator[str]:
    """`tuckerlab lab` or `tuckerlab app` on a copy of the notebooks; gives the address that it prints."""
    shutil.copytree(notebooks, folder / "copy", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "RUNTIME", "DATA")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    own |= {"PYTHONUNBUFFERED": "1", "TUCKERLAB_PROFILE": "quick"}
    start, log = [sys.executable, "-m", "tuckerlab.cli.main", command], folder / "log.txt"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [*start, str(folder / "copy"), "--no-browser"], stdout=said, stderr=said, cwd=folder, env=os.environ | own
        ) as process,
    ):
        try:
            yield listening(log)
        finally:
            process.terminate()


def listening(log: Path) -> str:
    """The address in what a server says, once somebody listens there: JupyterLab says it a moment before it does."""
    for _ in range(PATIENCE // 100):
        if found := re.search(r"https?:/{2}(?:127\.0\.0\.1|localhost):(\d+)/\S*token=\S+", log.read_text()):
            with contextlib.suppress(OSError), socket.create_connection(("localhost", int(found[1])), timeout=1):
                return found[0]
        time.sleep(0.1)
    raise AssertionError(f"nobody listens: {log.read_text()}")
