"""From landmark pairs to a transform: models, smoothing, diagnostics, predicted error."""

from .checks import MODELS
from .diagnostics import FitDiagnostics, FoldingCheck
from .error_model import CheckErrorModel, ErrorModel, error_model
from .fit import Fit, FitOptions, fit, parse_smoothing

__all__ = [
    "MODELS",
    "CheckErrorModel",
    "ErrorModel",
    "Fit",
    "FitDiagnostics",
    "FitOptions",
    "FoldingCheck",
    "error_model",
    "fit",
    "parse_smoothing",
]
