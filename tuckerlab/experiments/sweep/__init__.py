"""Sweeps: methods × settings × seeds as an Optuna study, by one worker or many, that can be killed at any time.

>>> import tempfile
>>> small = {"width": 0.125, "epochs": 1, "methods": ["tucker"], "tolerances": [0.1], "seeds": 1}
>>> run_sweep(**small, out=tempfile.mkdtemp(), quiet=True).records.runs["label"].tolist()
['Tucker τ 0.1']
"""

from tuckerlab.experiments.sweep.driver import run_sweep
from tuckerlab.experiments.sweep.outcome import Sweep

__all__ = ["Sweep", "run_sweep"]
