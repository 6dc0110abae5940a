"""mu8: quantized Bayesian neural networks, from a trained posterior to predictions with their uncertainty.

    report = mu8.convert("net.onnx", "posterior.npz", training_inputs, output="net.mu8")
    prediction = mu8.load("net.mu8").predict(inputs)   # .mean, .predictive_entropy, .mutual_information ...
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._library import Error
    from .commands import Report, convert, diff, evaluate, inspect
    from .ensemble import Ensemble
    from .model import Doubt, Model, Stop, load
    from .prediction import Prediction
else:
    # Imported when they are asked for: mu8.torch needs no engine, which a source tree need not have built.
    _MODULES = {"._library": ("Error",), ".commands": ("Report", "convert", "diff", "evaluate", "inspect"),
                ".ensemble": ("Ensemble",), ".model": ("Doubt", "Model", "Stop", "load"),
                ".prediction": ("Prediction",)}

    def __getattr__(name):
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(module, __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted(__all__)

__all__ = ["Doubt", "Ensemble", "Error", "Model", "Prediction", "Report", "Stop", "convert", "diff", "evaluate",
           "inspect", "load"]
