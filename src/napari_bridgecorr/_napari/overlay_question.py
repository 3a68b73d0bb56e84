"""What the live overlay is asked to show, or in words why it can show nothing."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BridgecorrError
from ..fitting import Fit, follow
from ..geometry.view import ShownPlane
from ..image import SpatialImage
from ..landmarks import LandmarkPairs
from ..progress import Progress
from ..resampling.view import HeldLevel, warped_view
from ..transform import SectionPlacement, Transform
from .canvas_view import CanvasView
from .frames import frame_of
from .live_drag import moved_pairs
from .newest_view import ViewQuestion

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

# a picture of so few pixels is always worked out
_FEWEST_PIXELS = 40_000


@dataclass(frozen=True, eq=False)
class Picture:
    """What the overlay shows.

    Parameters
    ----------
    plane : ShownPlane
    frame : (4, 4) float64
        From where it is shown to world um.
    values : (rows, columns) float32
    transform : Transform
        The map that it was warped through.
    warped_shape : (int, int)
        Rows and columns that were worked out; fewer than there are values where it is rough.
    seconds : float
        How long that took.
    """

    plane: ShownPlane
    frame: NDArray[np.float64]
    values: NDArray[np.float32]
    transform: Transform
    warped_shape: tuple[int, int]
    seconds: float

    @property
    def is_sharp(self) -> bool:
        """Whether every pixel of the plane was worked out."""
        return self.warped_shape == self.plane.shape


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is looked at.

    Parameters
    ----------
    moving : SpatialImage
    channel, time : int
    plane : ShownPlane
    frame : (4, 4) float64
    transform : Transform
        The map in use.
    fit : Fit or None
        Where that is the landmarks' fit.
    most_pixels : int or None
        Of how many pixels (about) it is warped, and then enlarged to the plane's; None for all.
    """

    moving: SpatialImage
    channel: int
    time: int
    plane: ShownPlane
    frame: NDArray[np.float64]
    transform: Transform
    fit: Fit | None
    most_pixels: int | None = None

    def question(self, held: HeldLevel, moved: LandmarkPairs | None = None) -> ViewQuestion:
        """The picture, through the map in use or through the fit with its landmarks moved."""
        place = (self.plane, id(self.moving), self.channel, self.time, self.frame.tobytes())
        return ViewQuestion(partial(_work, self, held, moved), place, self)


def wanted(
    session: ViewerSession, canvas: CanvasView, moving: SpatialImage | None, channel: int
) -> Wanted | str:
    """What the overlay should show now; else why it shows nothing, and what to do."""
    fixed, made = session.image_layer("fixed"), session.image_map() or session.fit
    viewer = session.viewer
    if fixed is None or moving is None or viewer is None:
        return "Choose a fixed and a moving image in step 1."
    if made is None:
        return "There is no map yet: place landmarks until there is a fit."
    if isinstance(made.transform, SectionPlacement):
        return "Not for a section placed in a volume: warp it instead."
    if moving.dtype.kind not in "buif":
        return f"{moving.name} has no voxels that can be interpolated."
    if viewer.dims.ndisplay == 3:
        return "The overlay shows slices: leave the 3-D view."
    plane = canvas.plane(fixed)
    if plane is None:
        return "Nothing of the fixed image is in view: press Overlay in step 2 to go back to it."
    return Wanted(
        moving,
        min(channel, len(moving.channels) - 1),
        _time(session, moving),
        plane,
        frame_of(fixed),
        made.transform,
        made if isinstance(made, Fit) else None,
    )


def moved_landmarks(session: ViewerSession, fit: Fit) -> LandmarkPairs | None:
    """The fit's landmarks where they are this moment."""
    try:
        return moved_pairs(session, fit.pairs)
    except BridgecorrError:
        return None  # a layer's place is told of when the landmarks are read


def affordable_pixels(picture: Picture | None, budget_s: float) -> int:
    """How many pixels can be warped in a time, by how long a picture took."""
    if picture is None or picture.seconds <= 0:
        return _FEWEST_PIXELS
    rate = picture.warped_shape[0] * picture.warped_shape[1] / picture.seconds
    return max(round(rate * budget_s), _FEWEST_PIXELS)


def _time(session: ViewerSession, moving: SpatialImage) -> int:
    """The moving image's time point: that of the slider, where it has times."""
    viewer, layer = session.viewer, session.image_layer("moving")
    if viewer is None or layer is None or layer.ndim < 4 or viewer.dims.ndim < 4:
        return 0
    steps = viewer.dims.point[viewer.dims.ndim - 4] / layer.scale[layer.ndim - 4]
    return int(np.clip(round(steps), 0, moving.n_times - 1))


def _work(
    asked: Wanted, held: HeldLevel, moved: LandmarkPairs | None, progress: Progress
) -> Picture:
    start = clock.perf_counter()
    transform: Any = asked.transform
    if asked.fit is not None and moved is not None:
        transform = follow(asked.fit, moved)
    plane = asked.plane
    rough = plane if asked.most_pixels is None else plane.coarser(asked.most_pixels)
    values = warped_view(
        asked.moving,
        transform,
        rough.grid(asked.frame),
        asked.channel,
        asked.time,
        progress,
        held,
    )
    seconds = clock.perf_counter() - start
    if rough is not plane:
        values = values[np.ix_(rough.nearest(plane, 0), rough.nearest(plane, 1))]
    return Picture(plane, asked.frame, values, transform, rough.shape, seconds)
