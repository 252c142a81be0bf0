"""The course as an app for a browser: Voilà with a start page, for one person on one machine, with a token."""

import logging
import os
import secrets
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from babel import Locale
from jupyter_server.base.handlers import JupyterHandler
from nbformat import NotebookNode
from tornado import web
from traitlets import Any as AnyTrait
from traitlets.config import Config
from voila.app import Voila

from tuckerlab.cli.course import Part
from tuckerlab.cli.html_site import Links, add_links, index_page
from tuckerlab.i18n import N_, _, language, speaking

INTRO = N_("Choose a part. It takes some seconds to start, and ends when its window is closed.")
PAGE, START = "/voila/render/{}.ipynb", "/?lang={}"
TEMPLATES = Path(__file__).parent / "templates"

# What a page may load: what this server has, and what stands in the page itself. Voilà's own page asks for icons
# from the net, and would wait for them behind a firewall.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data:; frame-ancestors 'self'; form-action 'self'"
)


class StartPage(JupyterHandler):
    """The list of the notebooks, for those who have the token: in the language asked, set, or of the browser."""

    @web.authenticated
    async def get(self) -> None:
        pages, told = self.settings["start_pages"], self.request.headers.get("Accept-Language", "")[:2]
        wanted = (self.get_query_argument("lang", ""), self.settings["language"], told, *pages)
        self.finish(next(pages[spoken] for spoken in wanted if spoken in pages))


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


def serve(courses: Mapping[str, Sequence[Part]], *, port: int | None = None, browser: bool = True) -> None:
    """Serve the notebooks until Ctrl-C; without a port at one that is free, else it ends where that is taken.

    The first language's lie in a folder, those of the others in folders of their names in it.
    """
    first, *others = courses
    addresses = {first: PAGE} | {spoken: PAGE.replace("{}", f"{spoken}/{{}}") for spoken in others}
    parts = {it.address(addresses[spoken]): (spoken, it) for spoken in courses for it in courses[spoken]}
    places = {(spoken, it.path.name): address for address, (spoken, it) in parts.items()}

    def elsewhere(here: str, name: str = "") -> Links:
        """Where the part of this name is in the other languages, or the start page."""
        others = [spoken for spoken in courses if spoken != here]
        return [(str(Locale(it).get_language_name()), places.get((it, name), START.format(it))) for it in others]

    def prepare(handler: Any, notebook: NotebookNode, cwd: str) -> None:
        """Voilà calls this before it starts a kernel."""
        handler.xsrf_token  # noqa: B018 (sets the cookie without which a page may not end its kernel)
        spoken, part = parts[quote(unquote(handler.request.path))]
        notebook.metadata.update(title=part.title, spoken=spoken)
        with speaking(spoken):
            links = START.format(spoken), elsewhere(spoken, part.path.name)
            add_links(notebook, courses[spoken], part, addresses[spoken], *links)

    start_pages = {}
    for spoken, course in courses.items():
        with speaking(spoken):
            start_pages[spoken] = index_page(course, addresses[spoken], _(INTRO), elsewhere(spoken))

    config = Config()
    config.Voila.root_dir = str(courses[first][0].path.parent)
    config.Voila.ip = "127.0.0.1"
    config.Voila.port_retries = 0 if port else 50
    config.Voila.token = secrets.token_hex(24)
    config.Voila.log_level = "CRITICAL"  # a page that is closed while it is executed is no error
    told = {"start_pages": start_pages, "language": os.environ.get("TUCKERLAB_LANG") and language()}
    config.Voila.tornado_settings = {"headers": {"Content-Security-Policy": POLICY}, **told}
    os.environ["TUCKERLAB_LANG"] = first  # of kernels, where a notebook does not speak another
    if port:
        config.Voila.port = port
    config.VoilaConfiguration.prelaunch_hook = prepare
    config.VoilaConfiguration.progressive_rendering = True  # a panel can be used while the cells below it are executed
    config.VoilaConfiguration.show_tracebacks = True  # our page says the error, and leaves the traceback out
    config.MappingKernelManager.cull_idle_timeout = 120  # seconds without a window
    config.MappingKernelManager.cull_interval = 30
    logging.getLogger("tornado").setLevel(logging.CRITICAL)  # a page that is refused is no news
    CourseServer.launch_instance([], browser_window=browser, config=config, config_file_paths=[])
