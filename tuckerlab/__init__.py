"""Train neural networks small from the start: large weights in Tucker format, ranks found while training.

    import tuckerlab as tl

    model = tl.tuckerize(model)                       # any nn.Module; or build it from our layers at once
    optimizer = tl.TuckerSGD(model, lr=0.05, momentum=0.9, weight_decay=5e-4, ranks=tl.Tolerance(0.1))
    for x, y in loader:                               # your loop, unchanged
        loss = criterion(model(x), y)
        optimizer.zero_grad(); loss.backward(); optimizer.step()

    plain = tl.to_plain(model)                        # torch.nn modules only: runs without tuckerlab
    tl.summary(model)                                 # ranks and sizes, layer by layer

Names are loaded when they are first used: importing the package reads no torch, using a layer does.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# The public names; the loader below reads them here. None may be the name of a module, which would take its place.
if TYPE_CHECKING:
    from tuckerlab.data import load_data as load_data
    from tuckerlab.deploy.export.onnx import export_onnx as export_onnx
    from tuckerlab.deploy.export.torch_files import export_plain as export_plain, export_program as export_program
    from tuckerlab.errors import (
        CheckpointError as CheckpointError,
        DataError as DataError,
        DivergedError as DivergedError,
        MissingExtraError as MissingExtraError,
        RankError as RankError,
        TuckerlabError as TuckerlabError,
    )
    from tuckerlab.experiments.audit import Thresholds as Thresholds, run_audit as run_audit
    from tuckerlab.experiments.headline import run_headline as run_headline
    from tuckerlab.experiments.retruncation import cut as cut
    from tuckerlab.experiments.run import run_poc as run_poc
    from tuckerlab.experiments.run_folder import recorded as recorded
    from tuckerlab.experiments.sweep.study import run_sweep as run_sweep
    from tuckerlab.training.checkpoint import load as load, save as save
    from tuckerlab.training.fit import fit as fit
    from tuckerlab.training.guard import Guard as Guard, Rule as Rule
    from tuckerlab.training.models import build as build
    from tuckerlab.tucker.convert import (
        materialize as materialize,
        to_dense as to_dense,
        to_plain as to_plain,
        tuckerize as tuckerize,
    )
    from tuckerlab.tucker.layers import (
        TuckerConv1d as TuckerConv1d,
        TuckerConv2d as TuckerConv2d,
        TuckerConv3d as TuckerConv3d,
        TuckerLinear as TuckerLinear,
    )
    from tuckerlab.tucker.model_size import summary as summary
    from tuckerlab.tucker.nested import Nested as Nested
    from tuckerlab.tucker.rank_policy import Budget as Budget, Fixed as Fixed, Tolerance as Tolerance
    from tuckerlab.tucker.sgd_adamw_muon import (
        TuckerAdamW as TuckerAdamW,
        TuckerMuon as TuckerMuon,
        TuckerSGD as TuckerSGD,
    )
    from tuckerlab.tucker.weight import TuckerLayer as TuckerLayer
else:  # not for mypy, which would then believe in every name
    _body = ast.parse(Path(__file__).read_text(encoding="utf-8")).body
    _imports = next(node for node in _body if isinstance(node, ast.If)).body
    _HOMES = {alias.name: node.module for node in _imports for alias in node.names}
    __all__ = ["__version__", *_HOMES]

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'tuckerlab' has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value  # the next use finds it without asking here
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
