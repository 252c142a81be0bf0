"""The command line. A mistake of the user ends with one line and exit code 2; a traceback is a defect of ours.

Each command loads what it needs when it runs, so that `tuckerlab --help` answers at once.
"""

import functools
import inspect
import io
import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from tuckerlab.cli.course import open_app, open_lab, write_course
from tuckerlab.cli.doctor import doctor
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.i18n import ENGLISH, _, language

INTERRUPTED = 130  # what shells give to a command ended by Ctrl-C
FIRST_SPEAKS = 3.0  # seconds that other processes wait

app = typer.Typer(
    name="tuckerlab",
    help="Train neural networks small from the start, and see what it saves and what it costs.",
    add_completion=False,
    rich_markup_mode=None,  # plain help: loading the pretty one takes three times as long
    pretty_exceptions_enable=False,
)


def option(kind: Any, text: str, *names: str, **settings: Any) -> Any:
    """An option that may be left out; `settings` are those of `typer.Option`."""
    return Annotated[kind | None, typer.Option(*names, help=text, **settings)]


def whole(text: str) -> Any:
    """A whole number from 1."""
    return option(int, text, min=1, metavar="<int>")


SHARED: dict[str, Any] = {
    "dataset": option(str, "What to learn: mnist, digits, cifar10, or folder:PATH with your images. [default: mnist]"),
    "image_size": whole("Resize the images of a folder to this many pixels a side."),
    "model": option(str, "auto, vgg_small, lenet5, vgg16, alexnet, resnet18 or vit_small. [default: auto]"),
    "width": option(float, "Make every layer this many times as wide. [default: 1.0, for mnist 2.0]"),
    "seeds": whole("Train every network so often. [default: 3]"),
    "epochs": whole("How often to go through all images."),
    "batch_size": whole("Images a training step."),
    "optimizer": option(str, "What trains all networks: muon, sgd or adamw. [default: muon]"),
    "lr": option(float, "Learning rate: the length of the longest steps. [default: 0.03 muon, 0.1 sgd, 0.001 adamw]"),
    "workers": whole("Networks trained at once on this machine. [default: 1]"),
    "run": Annotated[Path, typer.Argument(help="A folder that tuckerlab poc has left.")],
    "network": option(str, 'Its label, such as "Tucker 90 %", or dense. [default: the smallest Tucker one]'),
    "out": option(Path, "The folder for the results. [default: runs]", file_okay=False),
    "device": option(str, "auto, cpu, cuda or mps. [default: auto]"),
    "resume": option(bool, "Go on with a run that was cut off, or begin anew.", "--resume/--fresh"),
    "quiet": option(bool, "Print the table only, no progress.", "--quiet"),
}


def takes(names: str, **own: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of these names, its own and shared ones; it is called with those that were given."""
    options = {name: own.get(name) or SHARED[name] for name in names.split()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(**{name: value for name, value in given.items() if value is not None and value != []})

        parameters = []
        for name, kind in options.items():
            default = None if type(None) in get_args(kind.__origin__) else inspect.Parameter.empty  # one must be given
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
        vars(run)["__signature__"] = inspect.Signature(parameters)
        run.__annotations__ = options
        return run

    return decorate


PART = "A part of the convolution weights to save; may be repeated."


@takes(
    "dataset image_size model width compression tolerance any_size epochs batch_size optimizer lr seed out device "
    "resume quiet",
    compression=option(float, "The part of the convolution weights to save: 0.9 keeps a tenth. [default: 0.95]"),
    tolerance=option(float, "Instead of --compression: how much of each layer may be rounded away, such as 0.1."),
    any_size=option(bool, "Instead of both: one training, cut to any size from 50 to 95 %.", "--any-size"),
    seed=option(int, "The same seed gives the same run on the same CPU."),
)
def poc(**given: Any) -> None:
    """Train one network twice, as usual and in compressed form, and compare the two.

    Prints a table of accuracy, size, speed and memory, and leaves the record, the trained networks and the
    pictures in a folder of their own. Without options it takes one to two minutes and needs no download.
    """
    if len(given.keys() & {"compression", "tolerance", "any_size"}) > 1:
        raise RankError("--compression, --tolerance and --any-size each choose the sizes: give one of them")
    from tuckerlab.experiments.run import run_poc

    run_poc(**given).show()


@takes(
    "dataset model width compression pruning no_pruning equal rival start seeds epochs minutes batch_size optimizer lr "
    "precision out device resume quiet",
    dataset=option(str, "What to learn. [default: cifar10]"),
    model=option(str, "vgg16, resnet18, alexnet or another of poc's. [default: vgg16]"),
    compression=option(list[float], f"{PART} [default: 0.9 0.95 0.97 0.98]"),
    pruning=option(list[float], "Prune the dense network by this part; may be repeated. [default: 0.97 0.98]"),
    no_pruning=option(bool, "Leave the pruned networks out.", "--no-pruning"),
    equal=option(list[str], "What Tucker networks may spend like the dense one: epochs (the default), time, or both."),
    rival=option(list[str], "One more method, of those of compare, at each --compression; may be repeated."),
    start=option(float, "Largest first rank of Tucker networks, as a share of the widest layer. [default: 0.25]"),
    minutes=option(float, "Instead of --epochs: as many, up to the default, as end within this time."),
    epochs=whole("How often to go through all images. [default: 40 on CUDA, 12 on a CPU]"),
    batch_size=whole("Images a training step. [default: 512 on CUDA, 256]"),
    precision=option(str, "Of the arithmetic: auto, fp32 or bf16. [default: auto, bf16 on CUDA, fp32 elsewhere]"),
)
def headline(**given: Any) -> None:
    """Train a large network as usual, in compressed form at several sizes, and pruned; several times each.

    It is made for a GPU. On a CPU --width 0.25 --seeds 1 gives a smaller version of the picture, and
    --precision bf16 is faster where the processor has it. After Ctrl-C the same command goes on where it was, a minute
    earlier at most; with more networks or seeds it trains those alone.
    """
    if given.pop("no_pruning", False):
        if "pruning" in given:
            raise RankError("both --no-pruning and --pruning were given: give one of them")
        given["pruning"] = []
    from tuckerlab.experiments.headline import run_headline

    run_headline(rivals=given.pop("rival", ()), **given).show()


@takes(
    "dataset image_size model width method tolerances compressions seeds epochs batch_size optimizer lr workers "
    "scheduler storage study out device quiet",
    method=option(list[str], "tucker, dense, pruning, cut or another; may be repeated. [default: dense tucker]"),
    tolerances=option(str, "What each layer may lose: 0.02,0.1 or start:stop:count, such as 0.02:0.3:8."),
    compressions=option(str, "Parts of the weights to save, written alike. [default: 0.8,0.9,0.95,0.98]"),
    scheduler=option(str, "Train on the cluster of this dask scheduler, such as tcp://host:8786."),
    storage=option(str, "URL of the data base for the study. [default: a file in the folder]"),
    study=option(str, "Name of the study. [default: made of the settings]"),
)
def sweep(**given: Any) -> None:
    """Train networks of many sizes, several at once, and show which are the best at their size.

    It may be stopped or killed at any time: the same command goes on where it was, and a longer list of tolerances,
    methods or seeds trains only what is new. On several machines, give a --storage and an --out that all of them see.
    """
    from tuckerlab.experiments.sweep.study import run_sweep

    run_sweep(methods=given.pop("method", None), **given).show()


@takes(
    "dataset image_size model width method compression seeds epochs batch_size optimizer lr out device resume quiet",
    method=option(list[str], "tucker, pruning, channels, cut, matrix or another; may be repeated. [default: all]"),
    compression=option(list[float], f"{PART} [default: 0.8 0.9 0.95]"),
)
def compare(**given: Any) -> None:
    """Make a network small in every way there is, with the same training, and compare what comes out.

    Accuracy against size, time and file: trained in Tucker format, cut after training, other factorizations, pruned,
    quantized. With everything it takes half an hour for digits on two cores, and longer for mnist; after Ctrl-C the
    same command goes on.
    """
    from tuckerlab.experiments.run import run_compare

    run_compare(methods=given.pop("method", None), **given).show()


@takes(
    "run to network out overwrite",
    to=Annotated[str, typer.Option(help="onnx, torch (torch.export), or plain (a model.py that needs torch alone).")],
    out=option(Path, "The file (plain: the folder). [default: in RUN/export]"),
    overwrite=option(bool, "Replace what lies at OUT already.", "--overwrite"),
)
def export(**given: Any) -> None:
    """Write a trained network as a file that runs without tuckerlab.

    Batch norms are folded into the layers before them, and the file is run and compared with the network before it is
    there. It takes pixels from 0 to 255.
    """
    from tuckerlab.deploy.export_run import run_export

    run_export(given.pop("run"), **given)


@takes("run network fresh quiet", fresh=option(bool, "Measure again even if there is a table.", "--fresh"))
def check(run: Path, **given: Any) -> None:
    """Measure the networks of a run where they are deployed: time, throughput, file, and equal answers.

    The full and the compressed network in torch and onnxruntime, the latter as fp32 and int8, in turn on this machine;
    the table and its picture stay in the folder. Let nothing else run beside it.
    """
    from tuckerlab.deploy.runtime.benchmark import check_run

    print(check_run(run, **given))


@takes(
    "runs out lang network assumptions company pdf_too quiet",
    runs=Annotated[list[str], typer.Argument(metavar="RUN…", help="Folders or recorded results, of one task.")],
    out=Annotated[Path, typer.Option(help="The file: .html, or .pdf where a Chromium, Chrome or Edge is installed.")],
    lang=option(str, "en or ja. [default: en]"),
    assumptions=option(Path, "What the money rests on, as TOML. [default: an example]"),
    company=option(str, "Stands above the title."),
    pdf_too=option(bool, "Print it to a .pdf beside the .html too.", "--pdf"),
)
def brief(runs: list[str], assumptions: Path | None = None, quiet: bool = False, **given: Any) -> None:
    """Write the decision brief of runs: recommendation, numbers, money, plan, risks, and what is not known.

    One file of two A4 pages that needs nothing else. Where the networks lie beside the record they are audited, which
    takes some seconds for small ones. Repeat a run with other seeds and give all of its folders.
    """
    from rich.console import Console

    from tuckerlab.decision.assumptions import Assumptions
    from tuckerlab.decision.report import write_brief

    told = Assumptions.load(assumptions) if assumptions else None
    with Console(stderr=True, quiet=quiet).status("") as status:
        written = write_brief(runs, assumptions=told, report=status.update, **given)
    print(written.answer, *written.paths, sep="\n")


for command in (poc, headline, sweep, compare, export, check, brief, doctor):
    app.command()(command)
app.command("lab")(open_lab)
app.command("app")(open_app)
app.command("course")(write_course)


def commands() -> tuple[Any, list[Any]]:
    """The command line, and all in it that has a `help`, in English."""
    group: Any = typer.main.get_command(app)
    parts = [one for command in (group, *group.commands.values()) for one in (command, *command.params)]
    return group, [one for one in parts if getattr(one, "help", None)]


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; return its exit code: 0 done, 1 a problem was found, 2 a mistake of the user.

    Of the processes that torchrun has started the first one speaks.
    """
    process = os.environ.get("RANK", "0") if "TORCHELASTIC_RUN_ID" in os.environ else "0"
    if process == "0":
        return _run(arguments)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = _run(arguments)
    if code:
        time.sleep(FIRST_SPEAKS)  # of what all have met; torchrun then ends the others
        print(*said.getvalue().splitlines()[-1:], f"(process {process})", file=sys.stderr)
    return code


def _run(arguments: list[str] | None) -> int:
    given = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        group, helped = commands()
        for one in helped if language() != ENGLISH else ():
            one.help = _(one.help)
        code = int(group(given, prog_name="tuckerlab", standalone_mode=False) or 0)
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
