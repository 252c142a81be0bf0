"""Seconds from the click on a page of `tuckerlab app` until its first panel can be used, in a real browser.

    python benchmarks/pages.py
    python benchmarks/pages.py 04 07

Needs Chromium, Chrome or Edge, and the packages of the tests. Nothing else should run on the machine.
"""

import re
import subprocess
import sys
import time

from playwright.sync_api import sync_playwright

from tuckerlab.decision.pdf import find_browser

PANEL = ":is(.widget-slider, .widget-radio-box, .jupyter-button)"
COMMAND = [sys.executable, "-m", "tuckerlab.cli.main", "app", "--no-browser"]


def main() -> None:
    options = ["--no-sandbox", "--disable-background-networking"]
    with (
        subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_browser(), args=options) as browser,
    ):
        assert server.stdout is not None
        page = browser.new_page()
        page.set_default_timeout(300_000)
        try:
            address = re.search(r"(http:/{2}[^/]+)/\S*", server.stdout.readline())
            page.goto(address[0])
            links = [link.get_attribute("href") for link in page.get_by_role("link").all()]
            for link in links:
                if not sys.argv[1:] or any(f"/{number}_" in link for number in sys.argv[1:]):
                    began = time.perf_counter()
                    page.goto(address[1] + link, wait_until="commit")
                    page.locator(PANEL).first.wait_for()
                    print(f"{time.perf_counter() - began:5.1f} s  {link.rpartition('/')[2]}", flush=True)
                    page.goto("about:blank")  # which ends its kernel
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
