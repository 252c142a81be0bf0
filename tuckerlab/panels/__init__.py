"""The panels of the course: what a manager moves and an engineer reads, in a notebook or as an app.

Each is a class whose widgets are its only state, which tests set without a browser; functions that know no widgets
draw its picture. A cell shows the one that it ends with.
"""

from importlib import import_module

from tuckerlab.errors import MissingExtraError

_HOMES = {
    "BringYourOwn": "bring_your_own",
    "CyclePanel": "geometry",
    "DecidePanel": "decide",
    "GeometryPanel": "geometry",
    "InstantSlider": "size_slider",
    "LiveComparison": "training_panel",
    "Question": "question",
    "RollOutPanel": "rollout",
    "TradeOff": "tradeoff",
    "TrainingPanel": "training_panel",
    "TuckerExplorer": "tucker_explorer",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuckerlab.panels' has no attribute {name!r}")
    try:
        return getattr(import_module(f"tuckerlab.panels.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("ipywidgets", "traitlets", "IPython"):
            raise
        raise MissingExtraError(f"panels need {error.name}: pip install 'tuckerlab[notebooks]'") from None
