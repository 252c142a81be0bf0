"""The panels of the course: what a manager moves and an engineer reads, in a notebook or as an app.

Each is a class whose widgets are its only state, which tests set without a browser; functions that know no widgets
draw its picture. A cell shows the one that it ends with.
"""

import gc

from tuckerlab.errors import MissingExtraError

try:
    from tuckerlab.panels.bring_your_own import BringYourOwn as BringYourOwn
    from tuckerlab.panels.decide import DecidePanel as DecidePanel
    from tuckerlab.panels.geometry import CyclePanel as CyclePanel, GeometryPanel as GeometryPanel
    from tuckerlab.panels.live_comparison import LiveComparison as LiveComparison
    from tuckerlab.panels.question import Question as Question
    from tuckerlab.panels.rollout import RollOutPanel as RollOutPanel
    from tuckerlab.panels.size_slider import InstantSlider as InstantSlider
    from tuckerlab.panels.tradeoff import TradeOff as TradeOff
    from tuckerlab.panels.training_panel import TrainingPanel as TrainingPanel
    from tuckerlab.panels.tucker_explorer import TuckerExplorer as TuckerExplorer
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("ipywidgets", "traitlets", "IPython"):
        raise
    raise MissingExtraError(f"panels need {error.name}: pip install 'tuckerlab[notebooks]'") from None

gc.freeze()  # all that was imported stays: to look through it would take longer than a picture that a slider asks for
