"""The course as an app for a browser: Voilà with a start page, for one person on one machine.

>>> render_pattern(["01_start_here"])
'/voila/render/(01_start_here\\\\.ipynb)'

Voilà serves a whole folder and shows file names. Here it serves the parts it is given and nothing else, and begins
with their titles. Nothing is loaded from elsewhere.
"""

import logging
import re
import webbrowser
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server import DEFAULT_STATIC_FILES_PATH
from jupyter_server.base.handlers import JupyterHandler
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from tornado import web
from traitlets import Any as AnyTrait, List
from traitlets.config import Config
from voila.app import Voila
from voila.static_file_handler import AllowListFileHandler
from voila.tornado.contentshandler import VoilaContentsHandler
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.treehandler import TornadoVoilaTreeHandler

from tuckerlab.cli.course import Part
from tuckerlab.cli.execute_notebook import QUIET_KERNEL
from tuckerlab.cli.pages import index_page
from tuckerlab.cli.serve import ADDRESS
from tuckerlab.i18n import text

IDLE_SECONDS = 120  # a kernel that no browser window is connected to ends after this time, and
LOOK_SECONDS = 30  # so often the server looks for such kernels

# What a page may load: what this server has, and what stands in the page itself. Voilà's own page asks for icons
# from the net, and would wait for them behind a firewall.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data:; "
    "frame-ancestors 'self'; form-action 'self'"
)
FOR_ENGINEERS = "engineer"  # the tag of cells that ask to be run, or take long
HIDDEN = "from tuckerlab.cli.one_line_errors import errors_in_one_line\n\nerrors_in_one_line()"


class StartPage(JupyterHandler):
    """The list of the parts, for those who have the token."""

    def initialize(self, page: str) -> None:
        """Keeps the page, which does not change."""
        self.page = page

    @web.authenticated
    async def get(self) -> None:
        """Answers with the page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.page)


class CourseApp(Voila):  # type: ignore[misc]  # published without types
    """Voilà for the parts of the course; `opened` is called with the address when the server listens."""

    parts: Any = List()
    opened = AnyTrait()

    def init_handlers(self) -> list[Any]:
        """Voilà's, without those that list or serve files, and with a start page before them."""
        unwanted = (TornadoVoilaTreeHandler, VoilaContentsHandler, AllowListFileHandler)
        kept = [handler for handler in super().init_handlers() if handler[1] not in unwanted]
        only = render_pattern(part.name for part in self.parts)
        named = [(only, *handler[1:]) if handler[1] is TornadoVoilaHandler else handler for handler in kept]
        links = [f"/voila/render/{quote(part.path.name)}" for part in self.parts]
        page = index_page(self.parts, links, text("app.intro"))
        return [("/", StartPage, {"page": page}), *named]

    def launch_browser(self) -> None:
        """Called by Voilà when it listens."""
        self.opened(f"{self.connection_url}?token={self.token}")


def render_pattern(names: Iterable[str]) -> str:
    """The addresses of the notebooks of these names, and of no other, as a regular expression."""
    return f"/voila/render/({'|'.join(re.escape(quote(f'{name}.ipynb')) for name in names)})"


def dressed(shown: Collection[str], handler: Any, notebook: NotebookNode, cwd: str) -> NotebookNode:
    """The notebook with a way back, readable errors, without cells for engineers and links to files not shown.

    Voilà calls this before it starts a kernel. The page ends its kernel when it is closed, and needs a cookie for that
    which is set by asking for it here.
    """
    _ = handler.xsrf_token
    notebook.cells = [cell for cell in notebook.cells if FOR_ENGINEERS not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = local_links(cell.source, shown)
    back = f"[← {text('site.all_parts')}](/)"
    notebook.cells.insert(0, new_code_cell(HIDDEN))  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, new_markdown_cell(back))  # type: ignore[no-untyped-call]
    notebook.cells.append(new_markdown_cell(back))  # type: ignore[no-untyped-call]
    return notebook


def local_links(markdown: str, shown: Collection[str]) -> str:
    """A text in which links to files that are not shown are only words.

    >>> local_links("[a](01.ipynb), [b](04.ipynb#x), [c](../c.py), [d](#d), ![e](e.png)", {"01.ipynb"})
    '[a](01.ipynb), b, c, [d](#d), ![e](e.png)'
    """

    def kept(link: re.Match[str]) -> str:
        file = link[2].partition("#")[0]
        return link[0] if not file or file in shown or re.match(r"https?:|mailto:", file) else link[1]

    return re.sub(r"(?<!!)\[([^\[\]]*)\]\(([^()\s]*)\)", kept, markdown)


class QuietKernels(KernelSpecManager):
    """Kernels that do not warn, at each start, of what is usual on one machine."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """How to start a kernel."""
        spec = super().get_kernel_spec(kernel_name)
        if "ipykernel_launcher" in spec.argv:
            spec.argv = [*spec.argv, *QUIET_KERNEL]
        return spec


def settings(parts: Sequence[Part], port: int, token: str) -> Config:
    """All that the server is told; configuration files are not read."""
    config = Config()
    config.Voila.root_dir = str(parts[0].path.parent)
    config.Voila.ip = ADDRESS
    config.Voila.port = port
    config.Voila.port_retries = 0
    config.Voila.token = token
    config.Voila.open_browser = True  # calls `launch_browser`, which leaves the rest to us
    config.Voila.log_level = "ERROR"
    config.Voila.tornado_settings = {
        "headers": {"Content-Security-Policy": POLICY},
        "static_path": DEFAULT_STATIC_FILES_PATH,  # for the icon of the page that says what was not found
        "static_url_prefix": "/voila/static/",
    }
    config.VoilaConfiguration.strip_sources = True
    config.VoilaConfiguration.show_tracebacks = False
    config.VoilaConfiguration.file_allowlist = []
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.prelaunch_hook = partial(dressed, {part.path.name for part in parts})
    config.VoilaConfiguration.kernel_spec_manager_class = QuietKernels
    config.VoilaConfiguration.show_margins = True
    config.MappingKernelManager.cull_idle_timeout = IDLE_SECONDS
    config.MappingKernelManager.cull_interval = LOOK_SECONDS
    config.MappingKernelManager.cull_connected = False
    config.MappingKernelManager.cull_busy = False
    return config


def run(parts: Sequence[Part], port: int, token: str, browser: bool) -> None:
    """Serve the parts until Ctrl-C; prints the address once it can be opened."""

    def opened(address: str) -> None:
        print(f"{text('app.open')} {address}  {text('app.stop')}", flush=True)
        if browser:
            webbrowser.open(address)

    for name in ("tornado.access", "tornado.general"):
        logging.getLogger(name).setLevel(logging.ERROR)  # a page that is refused is no news
    config = settings(parts, port, token)
    app: CourseApp = CourseApp.instance(parts=list(parts), opened=opened, config=config, config_file_paths=[])
    app.initialize([])
    app.start()
