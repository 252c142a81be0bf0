"""The course as an app for a browser: Voilà with a start page, for one person on one machine, with a token."""

import logging
import secrets
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jupyter_server.base.handlers import JupyterHandler
from nbformat import NotebookNode
from tornado import web
from traitlets import Any as AnyTrait
from traitlets.config import Config
from voila.app import Voila

from tuckerlab.cli.course import Part
from tuckerlab.cli.html_site import add_links, index_page
from tuckerlab.i18n import N_, _, language

INTRO = N_("Choose a part. It takes some seconds to start, and ends when its window is closed.")
PAGE = "/voila/render/{}.ipynb"
TEMPLATES = Path(__file__).parent / "templates"

# What a page may load: what this server has, and what stands in the page itself. Voilà's own page asks for icons
# from the net, and would wait for them behind a firewall.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data:; frame-ancestors 'self'; form-action 'self'"
)


class StartPage(JupyterHandler):
    """The list of the notebooks, for those who have the token."""

    @web.authenticated
    async def get(self) -> None:
        self.finish(self.settings["start_page"])


class CourseServer(Voila):  # type: ignore[misc]  # published without types
    """Voilà with our template and start page."""

    browser_window = AnyTrait(True)

    def setup_template_dirs(self) -> None:
        super().setup_template_dirs()
        self.template_paths.insert(0, str(TEMPLATES / "app"))

    def init_handlers(self) -> list[Any]:
        return [("/", StartPage), *super().init_handlers()]

    def launch_browser(self) -> None:
        """Called by Voilà when it listens."""
        address = f"{self.connection_url}?token={self.token}"
        print(f"The course is open at {address}  Ctrl-C ends it.", flush=True)
        if self.browser_window:
            webbrowser.open(address)


def serve(course: Sequence[Part], *, port: int | None = None, browser: bool = True) -> None:
    """Serve the notebooks until Ctrl-C; without a port at one that is free, else it ends where that is taken."""
    parts = {part.path.name: part for part in course}

    def prepare(handler: Any, notebook: NotebookNode, cwd: str) -> None:
        """Voilà calls this before it starts a kernel."""
        handler.xsrf_token  # noqa: B018 (sets the cookie without which a page may not end its kernel)
        part = parts[Path(unquote(handler.request.path)).name]
        notebook.metadata.title = part.title
        add_links(notebook, course, part, PAGE, "/")

    config = Config()
    config.Voila.root_dir = str(course[0].path.parent)
    config.Voila.ip = "127.0.0.1"
    config.Voila.port_retries = 0 if port else 50
    config.Voila.token = secrets.token_hex(24)
    config.Voila.log_level = "CRITICAL"  # a page that is closed while it is executed is no error
    headers, start_page = {"Content-Security-Policy": POLICY}, index_page(course, PAGE, _(INTRO))
    config.Voila.tornado_settings = {"headers": headers, "start_page": start_page}
    if port:
        config.Voila.port = port
    config.VoilaConfiguration.prelaunch_hook = prepare
    config.VoilaConfiguration.progressive_rendering = True  # a panel can be used while the cells below it are executed
    config.VoilaConfiguration.show_tracebacks = True  # our page says the error, and leaves the traceback out
    config.HTMLExporter.language_code = language()
    config.MappingKernelManager.cull_idle_timeout = 120  # seconds without a window
    config.MappingKernelManager.cull_interval = 30
    logging.getLogger("tornado").setLevel(logging.CRITICAL)  # a page that is refused is no news
    CourseServer.launch_instance([], browser_window=browser, config=config, config_file_paths=[])
