"""The command line: `tuckerlab poc`, `headline`, `doctor`, `lab`, `app`, `course`, `version`.

Heavy imports happen inside the commands, so `tuckerlab --help` answers at once. A mistake of the user ends
with one line and exit code 2; a traceback is a defect of ours.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tuckerlab import serve
from tuckerlab.errors import RankError, TuckerlabError

INTERRUPTED = 130  # what shells give to a command ended by Ctrl-C

app = typer.Typer(
    name="tuckerlab",
    help="Train neural networks small from the start, and see what it saves and what it costs.",
    add_completion=False,
    rich_markup_mode=None,  # plain help: loading the pretty one takes three times as long
    pretty_exceptions_enable=False,
)

# Options that several commands have.
Out = Annotated[Path | None, typer.Option(file_okay=False, help="The folder for the results. [default: runs]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. [default: auto]")]
Resume = Annotated[
    bool | None,
    typer.Option("--resume/--fresh", help="Go on with a run that was cut off, or begin anew even if one is there."),
]
Quiet = Annotated[bool | None, typer.Option("--quiet", help="Print the table only, no progress.")]


@app.command()
def poc(
    dataset: Annotated[
        str | None,
        typer.Option(help="What to learn: digits, cifar10, or folder:PATH with your images. [default: digits]"),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="<int>", help="Resize the images of a folder to this many pixels a side."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The network: auto, vgg_small, lenet5, vgg16, alexnet, resnet18 or vit_small. [default: auto]"
        ),
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="Make every layer this many times as wide. [default: 1.0]")
    ] = None,
    compression: Annotated[
        float | None,
        typer.Option(help="The part of the convolution weights to save: 0.9 keeps a tenth. [default: 0.9]"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Instead of --compression: how much of each layer may be rounded away, such as 0.1."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="How often to go through all images.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="<int>", help="Images a training step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate: the length of the first steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run on the same CPU.")] = None,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Train one network twice, as usual and in compressed form, and compare the two.

    Prints a table of accuracy, size, speed and memory, and leaves the record, the trained networks and the
    pictures in a folder of their own. Without options it takes two minutes and needs no download.
    """
    if compression is not None and tolerance is not None:
        raise RankError(
            f"both --compression {compression:g} and --tolerance {tolerance:g} were given: give one of them "
            "(the first sets the size, the second the loss of detail)"
        )
    given: dict[str, Any] = {
        "dataset": dataset,
        "image_size": image_size,
        "model": model,
        "width": width,
        "compression": compression,
        "tolerance": tolerance,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "seed": seed,
        "out": out,
        "device": device,
        "resume": resume,
        "quiet": quiet,
    }
    from tuckerlab.proof import run_poc, show

    show(run_poc(**{name: value for name, value in given.items() if value is not None}))


@app.command()
def headline(
    dataset: Annotated[str | None, typer.Option(help="What to learn. [default: cifar10]")] = None,
    model: Annotated[
        str | None, typer.Option(help="The network: vgg16, resnet18, alexnet or another of poc's. [default: vgg16]")
    ] = None,
    width: Annotated[
        float | None, typer.Option(help="Make every layer this many times as wide. [default: 1.0]")
    ] = None,
    compression: Annotated[
        list[float] | None,
        typer.Option(help="A part of the convolution weights to save; may be repeated. [default: 0.9 0.95 0.97 0.98]"),
    ] = None,
    pruning: Annotated[
        list[float] | None,
        typer.Option(help="Prune the dense network by this part, to compare; may be repeated. [default: 0.97 0.98]"),
    ] = None,
    no_pruning: Annotated[bool, typer.Option("--no-pruning", help="Leave the pruned networks out.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="Train every network so often. [default: 3]")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="How often to go through all images. [default: 40 on CUDA, 12 on a CPU]"
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Instead of --epochs: as many, up to the default, as end within this time.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="Images a training step. [default: 512 on CUDA, 128]")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate. [default: 0.4 on CUDA, 0.1 on a CPU]")] = None,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Train a large network as usual, in compressed form at several sizes, and pruned; several times each.

    It is made for a GPU. On a CPU --width 0.25 --seeds 1 --minutes 50 gives a smaller version of the picture. After
    Ctrl-C the same command goes on where it was, a minute earlier at most.
    """
    if no_pruning and pruning:
        raise RankError(f"both --no-pruning and --pruning {pruning[0]:g} were given: give one of them")
    given: dict[str, Any] = {
        "dataset": dataset,
        "model": model,
        "width": width,
        "compression": compression or None,
        "pruning": [] if no_pruning else pruning or None,
        "seeds": seeds,
        "epochs": epochs,
        "minutes": minutes,
        "batch_size": batch_size,
        "lr": lr,
        "out": out,
        "device": device,
        "resume": resume,
        "quiet": quiet,
    }
    from tuckerlab.headline import run_headline
    from tuckerlab.proof import show

    show(run_headline(**{name: value for name, value in given.items() if value is not None}))


@app.command()
def doctor() -> None:
    """Check this installation, and say how to mend what is missing."""
    from tuckerlab.doctor import examine, show

    findings = examine()
    show(findings)
    raise typer.Exit(int(any(finding.is_problem for finding in findings)))


app.command("lab")(serve.open_lab)
app.command("app")(serve.open_app)
app.command("course")(serve.write_course)


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
    except PermissionError as error:
        return _complain(f"no permission for {error.filename}: choose another folder or change who may write")
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        return _complain(f"{error.filename}: cannot be read or made ({error.strerror}): choose another path")
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
