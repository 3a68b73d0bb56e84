"""From landmark pairs to a transform: models, smoothing, diagnostics, predicted error."""

from .check_landmarks import CheckErrors, choose_check_landmarks, errors_at_checks
from .checks import MODELS
from .diagnostics import FitDiagnostics, FoldingCheck
from .error_levels import ErrorLevels
from .error_model import CheckErrorModel, ErrorModel, HeldOutErrorModel, error_model
from .error_summary import ErrorSummary, summarise
from .fit import Fit, fit, prior_facts
from .follow import follow
from .held_out import HeldOutErrors, k_fold, leave_one_out
from .judgement import Judgement, judge
from .mismatches import Mismatch, find_mismatches
from .next_landmark import NextLandmark, next_landmark
from .options import FitOptions, parse_smoothing
from .predicted_error import PredictedErrors, predicted_error
from .robust import Suspect
from .selection import ModelScore, SmoothingScore, compare_models, compare_smoothings

__all__ = [
    "MODELS",
    "CheckErrorModel",
    "CheckErrors",
    "ErrorLevels",
    "ErrorModel",
    "ErrorSummary",
    "Fit",
    "FitDiagnostics",
    "FitOptions",
    "FoldingCheck",
    "HeldOutErrorModel",
    "HeldOutErrors",
    "Judgement",
    "Mismatch",
    "ModelScore",
    "NextLandmark",
    "PredictedErrors",
    "SmoothingScore",
    "Suspect",
    "choose_check_landmarks",
    "compare_models",
    "compare_smoothings",
    "error_model",
    "errors_at_checks",
    "find_mismatches",
    "fit",
    "follow",
    "judge",
    "k_fold",
    "leave_one_out",
    "next_landmark",
    "parse_smoothing",
    "predicted_error",
    "prior_facts",
    "summarise",
]
