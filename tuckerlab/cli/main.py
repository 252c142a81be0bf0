"""The command line: `tuckerlab poc`, `headline`, `sweep`, `compare`, `export`, `check`, `doctor`, `lab` and others.

Heavy imports happen inside the commands, so `tuckerlab --help` answers at once. A mistake of the user ends
with one line and exit code 2; a traceback is a defect of ours.
"""

import shlex
import sys

import typer

from tuckerlab.cli import course
from tuckerlab.cli.run_commands import brief, check, export
from tuckerlab.cli.training_commands import compare, headline, poc, sweep
from tuckerlab.errors import TuckerlabError

INTERRUPTED = 130  # what shells give to a command ended by Ctrl-C

app = typer.Typer(
    name="tuckerlab",
    help="Train neural networks small from the start, and see what it saves and what it costs.",
    add_completion=False,
    rich_markup_mode=None,  # plain help: loading the pretty one takes three times as long
    pretty_exceptions_enable=False,
)


for command in (poc, headline, sweep, compare, export, check, brief):
    app.command()(command)


@app.command()
def doctor() -> None:
    """Check this installation, and say how to mend what is missing."""
    from tuckerlab.cli.doctor import PROBLEM, examine, show

    findings = examine()
    show(findings)
    raise typer.Exit(int(any(finding.state == PROBLEM for finding in findings)))


app.command("lab")(course.open_lab)
app.command("app")(course.open_app)
app.command("course")(course.write_course)


@app.command()
def version() -> None:
    """Print the version."""
    from tuckerlab import __version__

    print(f"tuckerlab {__version__}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; return its exit code: 0 done, 1 a problem was found, 2 a mistake of the user.

    >>> main(["version"])
    tuckerlab 0.1.0
    0
    """
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(given, prog_name="tuckerlab", standalone_mode=False)
    except TuckerlabError as error:
        return _complain(str(error))
    except typer.TyperException as error:  # an option that does not exist or cannot be read
        said = error.format_message().rstrip(".")
        return _complain(f"{said}. Given: tuckerlab {shlex.join(given)}; --help lists what there is")
    except typer.Abort:
        return _stopped()
    except OSError as error:  # such as a folder that may not be written, or a disk that is full
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "tuckerlab"):
            raise
        return _complain(f"the package {package} is not installed: `tuckerlab doctor` says how to get it")
    return _stopped() if code == INTERRUPTED else int(code or 0)


def _complain(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _stopped() -> int:
    print("stopped; finished parts are kept, and the same command goes on with them", file=sys.stderr)
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
