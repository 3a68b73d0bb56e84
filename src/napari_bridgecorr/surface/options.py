"""What to look for in an image, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import GeometryError

Target = Literal["window", "surface"]

TARGETS: tuple[Target, ...] = ("window", "surface")
DIRECTIONS = ("auto", "z", "+z", "-z", "y", "+y", "-y", "x", "+x", "-x")

NAMES = {"window": "window", "surface": "brain surface"}
ADVICE = (
    "choose another channel, a region (centre and radius) in which it is flat, or the direction "
    "into the tissue; or click three points on it"
)


@dataclass(frozen=True)
class DetectOptions:
    """What to look for, and where.

    Parameters
    ----------
    target : {"window", "surface"}
        The glass of the cranial window (where the sample begins: of several parallel boundaries
        the outermost, and always flat), or the brain's surface (below a gap the innermost; may be
        curved, and the plane touches it at the middle of the region).
    channel : str, int or None
        One channel; where None, the one in which the plane is clearest.
    time : int
    into : str
        Array axis and direction that lead into the tissue, as ``+z`` or ``-y``; ``z`` leaves the
        direction open; ``auto`` takes z for a microscope's stack, and for voxels of 20 um or more
        the axis along which a plane is clearest.
    centre_um : (float, float, float) or None
        World point (z, y, x) that the region is centred on; the image's middle where None.
    radius_um : float or None
        Half the side of the region; the whole field where None, unless it is wider than 6 mm:
        then 2,500 um.
    """

    target: Target = "surface"
    channel: str | int | None = None
    time: int = 0
    into: str = "auto"
    centre_um: tuple[float, float, float] | None = None
    radius_um: float | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise GeometryError(f"detected are {' and '.join(TARGETS)}, not {self.target!r}")
        if self.into not in DIRECTIONS:
            raise GeometryError(
                f"the direction into the tissue is one of {', '.join(DIRECTIONS)}, "
                f"not {self.into!r}"
            )
        if self.radius_um is not None and not 0 < self.radius_um < float("inf"):
            raise GeometryError(f"the region's radius must be a length, not {self.radius_um} um")
