"""What every reader of transform files gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fitting import FitOptions
from ...landmarks import LandmarkPairs
from ...transform import Transform


@dataclass(frozen=True, eq=False)
class TransformFile:
    """A transform as read from a file.

    Parameters
    ----------
    transform : Transform
        Fixed world to moving world.
    model : str or None
        The model that was fitted, if it came from a fit.
    pairs : LandmarkPairs or None
        The landmarks of that fit.
    dimensions : int
        Of that fit; 2 for a transform of flat images, which keeps z.
    document : dict
        The whole document, for this project's own files.
    format : str
        Short name of the format, as ``ITK text``.
    warnings : tuple of str
        What the user must see, one line each.
    options : FitOptions or None
        Of that fit, with the smoothing that was used.
    held_out_um : (n, 3) float64 or None
        Of a map refined by images: errors along z, y, x at landmarks that were left out.
    """

    transform: Transform
    model: str | None = None
    pairs: LandmarkPairs | None = None
    dimensions: int = 3
    document: dict[str, Any] = field(default_factory=dict)
    format: str = "bridgecorr JSON"
    warnings: tuple[str, ...] = ()
    options: FitOptions | None = None
    held_out_um: NDArray[np.float64] | None = None
