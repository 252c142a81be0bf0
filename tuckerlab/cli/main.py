"""The command line. A mistake of the user ends with one line and exit code 2; a traceback is a defect of ours."""

import shlex
import sys

import typer

from tuckerlab.cli import commands, course
from tuckerlab.cli.doctor import doctor
from tuckerlab.errors import TuckerlabError

INTERRUPTED = 130  # what shells give to a command ended by Ctrl-C

app = typer.Typer(
    name="tuckerlab",
    help="Train neural networks small from the start, and see what it saves and what it costs.",
    add_completion=False,
    rich_markup_mode=None,  # plain help: loading the pretty one takes three times as long
    pretty_exceptions_enable=False,
)
for command in (commands.poc, commands.headline, commands.sweep, commands.compare):
    app.command()(command)
for command in (commands.export, commands.check, commands.brief, doctor):
    app.command()(command)
app.command("lab")(course.open_lab)
app.command("app")(course.open_app)
app.command("course")(course.write_course)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; return its exit code: 0 done, 1 a problem was found, 2 a mistake of the user."""
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = int(app(given, prog_name="tuckerlab", standalone_mode=False) or 0)
    except TuckerlabError as error:
        message = str(error)
    except typer.TyperException as error:  # an option that does not exist or cannot be read
        said = error.format_message().rstrip(".")
        message = f"{said}. Given: tuckerlab {shlex.join(given)}; --help lists what there is"
    except OSError as error:  # such as a folder that may not be written, or a disk that is full
        message = f"{error.filename or 'the system'}: {error.strerror or error}"
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "tuckerlab"):
            raise
        message = f"the package {package} is not installed: `tuckerlab doctor` says how to get it"
    else:
        if code == INTERRUPTED:
            print("stopped; finished parts are kept, and the same command goes on with them", file=sys.stderr)
        return code
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
