"""The use cases: what the command line and the window call. No printing, no widgets.

Heavy libraries are loaded when a function needs them, so that asking for help is instant.
"""

from .images import convert, warp
from .landmarks import fit_landmarks, fit_of, map_points
from .replay import RunResult, new_session, run_session
from .reports import report
from .tables import tabulate, transform_error

__all__ = [
    "RunResult",
    "convert",
    "fit_landmarks",
    "fit_of",
    "map_points",
    "new_session",
    "report",
    "run_session",
    "tabulate",
    "transform_error",
    "warp",
]
