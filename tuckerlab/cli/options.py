"""Options of commands: those that several share, said once, and a decorator that gives them to a command."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer


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
