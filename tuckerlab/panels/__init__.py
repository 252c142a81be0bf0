"""The panels of the course: what a manager moves and an engineer reads, in a notebook or as an app.

Each is a folder of three files: a model (traits and methods, which tests drive without a browser), a view (widgets
linked to the model), and a picture (plain numbers in, a figure out). The last line of a cell shows one:

    from tuckerlab.panels import InstantSlider
    InstantSlider()
"""

from importlib import import_module

from tuckerlab.errors import MissingExtraError

_HOMES = {
    "BringYourOwn": "own",
    "CyclePanel": "cycle",
    "DecidePanel": "decide",
    "FolderInspector": "folder",
    "GeometryPanel": "geometry",
    "InstantSlider": "instant",
    "RollOutPanel": "rollout",
    "TradeOff": "tradeoff",
    "TrainingPanel": "training",
    "TuckerExplorer": "explorer",
}

__all__ = [
    "BringYourOwn",
    "CyclePanel",
    "DecidePanel",
    "FolderInspector",
    "GeometryPanel",
    "InstantSlider",
    "RollOutPanel",
    "TradeOff",
    "TrainingPanel",
    "TuckerExplorer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuckerlab.panels' has no attribute {name!r}")
    try:
        return getattr(import_module(f"tuckerlab.panels.{_HOMES[name]}.view"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("ipywidgets", "traitlets", "IPython"):
            raise
        raise MissingExtraError(f"panels need {error.name}: pip install 'tuckerlab[notebooks]'") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
