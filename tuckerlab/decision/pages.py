"""What people read of a decision as HTML: the templates that its sentences stand in, filled."""

import base64
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from tuckerlab.decision import wording
from tuckerlab.decision.business_case import LINES, ONCE, YEARLY, Money
from tuckerlab.decision.wording import unbroken

TEMPLATES = Path(__file__).parent / "templates"


def fill(template: str, **values: Any) -> str:
    """A template by its name, in the language that is spoken here, with these values; all of them are escaped."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


def account(money: Money) -> str:
    """The account of the money, line by line."""
    return fill("account", money=money, parts={"once": ONCE, "yearly": YEARLY})


def notes(money: Money) -> str:
    """What a reader should know before trusting the numbers: what was not measured, and what is doubtful."""
    return fill("notes", money=money, lines=LINES).strip()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_unbroken,
    )  # fmt: skip
    environment.globals |= vars(wording)  # with _ and ngettext
    environment.filters |= {"commands": commands, "short": wording.short, "thumbnail": thumbnail}
    return environment


def _unbroken(value: Any) -> Any:
    """Japanese has no space after a full stop; and see `unbroken`."""
    return unbroken(value.replace("。 ", "。")) if type(value) is str else value


def commands(line: str) -> Markup:
    """What stands in backticks is something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_unbroken(line)))))


def thumbnail(image: Any) -> str:
    """A picture of a test set as the address of a PNG."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
