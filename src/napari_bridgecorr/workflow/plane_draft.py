"""A reference plane in the making: what it goes through, how it was turned, and the steps so far.

Values only. The window shows a draft and makes new ones; a step back is an older draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..errors import GeometryError
from ..geometry import Plane
from ..landmarks import Point

Way = Literal["points", "lines", "found"]
Line = tuple[Point, Point]

WAYS: tuple[Way, ...] = ("points", "lines", "found")
NEEDED_POINTS, NEEDED_LINES = 3, 2


@dataclass(frozen=True)
class PlaneDraft:
    """What a plane is made from, and what was done to it since.

    Parameters
    ----------
    way : {"points", "lines", "found"}
        Which of the three below counts.
    points_um : tuple of (z, y, x)
        World points on the plane: the least-squares plane of three or more.
    lines_um : tuple of pairs of (z, y, x)
        Traces of the plane; the last two count.
    found : Plane or None
        Found in the image, or read from a file.
    tilt_degrees : (float, float)
        About the plane's own y and x axes; see :meth:`~napari_bridgecorr.geometry.Plane.tilted`.
    shift_um : float
        Along the normal.
    turn_degrees : float
        About the normal, x towards y.
    is_flipped : bool
        Whether the plane is looked at from its other side.
    """

    way: Way = "points"
    points_um: tuple[Point, ...] = ()
    lines_um: tuple[Line, ...] = ()
    found: Plane | None = None
    tilt_degrees: tuple[float, float] = (0.0, 0.0)
    shift_um: float = 0.0
    turn_degrees: float = 0.0
    is_flipped: bool = False

    @property
    def lacking(self) -> str:
        """What is still to be done before there is a plane; "" if nothing is."""
        if self.way == "points" and len(self.points_um) < NEEDED_POINTS:
            n = NEEDED_POINTS - len(self.points_um)
            return f"{n} more point{'' if n == 1 else 's'}"
        if self.way == "lines" and len(self.lines_um) < NEEDED_LINES:
            n = NEEDED_LINES - len(self.lines_um)
            return f"{n} more line{'' if n == 1 else 's'}"
        if self.way == "found" and self.found is None:
            return "the search"
        return ""

    @property
    def is_changed(self) -> bool:
        """Whether the plane was tilted, shifted, turned or flipped."""
        return self != self.as_found()

    def as_found(self) -> PlaneDraft:
        """The same without tilt, shift, turn and flip."""
        return PlaneDraft(self.way, self.points_um, self.lines_um, self.found)

    def base(self) -> Plane | None:
        """The plane before it was changed; None while something is lacking.

        Raises
        ------
        GeometryError
            If the points or lines determine no plane.
        """
        if self.lacking:
            return None
        if self.way == "points":
            return Plane.through_points(self.points_um)
        if self.way == "lines":
            return Plane.through_lines(*self.lines_um[-NEEDED_LINES:])
        return self.found

    def plane(self) -> Plane | None:
        """The plane: tilted about its own axes, then shifted, turned and flipped.

        Raises
        ------
        GeometryError
            If the points or lines determine no plane.
        """
        plane = self.base()
        if plane is None:
            return None
        if self.tilt_degrees != (0.0, 0.0):
            plane = plane.tilted(*self.tilt_degrees)
        if self.shift_um:
            plane = plane.shifted(self.shift_um)
        if self.turn_degrees:
            plane = plane.turned(self.turn_degrees)
        return plane.flipped() if self.is_flipped else plane

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of :meth:`from_dict`."""
        return {
            "way": self.way,
            "points_um": [list(p) for p in self.points_um],
            "lines_um": [[list(p) for p in line] for line in self.lines_um],
            "found": None if self.found is None else self.found.to_dict(),
            "tilt_degrees": list(self.tilt_degrees),
            "shift_um": self.shift_um,
            "turn_degrees": self.turn_degrees,
            "is_flipped": self.is_flipped,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlaneDraft:
        """Draft from :meth:`to_dict`'s values.

        Raises
        ------
        GeometryError
            If they are not those of a draft.
        """
        try:
            found = values["found"]
            y, x = (float(v) for v in values["tilt_degrees"])
            if values["way"] not in WAYS:
                raise ValueError(values["way"])
            return cls(
                values["way"],
                points_of(values["points_um"]),
                tuple(_line(line) for line in values["lines_um"]),
                None if found is None else Plane.from_dict(found),
                (y, x),
                float(values["shift_um"]),
                float(values["turn_degrees"]),
                bool(values["is_flipped"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GeometryError("the plane that was kept is damaged: make it anew") from error


def points_of(values: Any) -> tuple[Point, ...]:
    """(n, 3) numbers as points."""
    rows = np.asarray(values, dtype=np.float64).reshape(-1, 3).tolist()
    return tuple((z, y, x) for z, y, x in rows)


def _line(values: Any) -> Line:
    a, b = points_of(values)
    return a, b


def misfit_words(plane: Plane) -> str:
    """How well the plane is known, for a user; "" where nothing is known.

    Examples
    --------
    >>> misfit_words(Plane.through_points([(0, 0, 0), (0, 50, 0), (0, 0, 50)]))
    '3 points: three always fit, a fourth tells how well'
    """
    made = plane.made
    rms, points, gap = made.get("residual_rms_um"), made.get("points_um"), made.get("gap_um")
    if made.get("by") == "detection":
        return _found_words(made)
    if isinstance(points, list) and isinstance(rms, float):
        if len(points) == NEEDED_POINTS:
            return "3 points: three always fit, a fourth tells how well"
        tilt = made.get("tilt_sd_degrees")
        known = f", tilt known to {tilt:.2g}°" if isinstance(tilt, float) else ""
        return f"{len(points)} points: misfit {rms:.3g} µm (RMS){known}"
    if isinstance(gap, float):
        return f"two lines that pass each other {gap:.3g} µm apart"
    return ""


def _found_words(made: Mapping[str, Any]) -> str:
    try:
        return (
            f"found in {made['channel']}: {100 * made['support']:.0f} % of {made['columns']} "
            f"columns agree, RMS {made['rms_um']:.3g} µm, tilt {made['tilt_degrees']:.3g}° known "
            f"to {made['tilt_sd_degrees']:.2g}°"
        )
    except (KeyError, TypeError, ValueError):  # a file that someone wrote by hand
        return ""


@dataclass(frozen=True)
class PlaneStep:
    """One step: its name, and the draft before and after it.

    `deed` is what else was done, as a number that its doer knows; 0 where only the plane changed.
    """

    name: str
    before: PlaneDraft
    after: PlaneDraft
    deed: int = 0


@dataclass
class PlaneHistory:
    """The draft as it is, and the way there and back.

    Parameters
    ----------
    draft : PlaneDraft
        As it is now.
    """

    draft: PlaneDraft = field(default_factory=PlaneDraft)
    done: list[PlaneStep] = field(default_factory=list)
    undone: list[PlaneStep] = field(default_factory=list)

    def change(self, draft: PlaneDraft, name: str, *, goes_on: bool = False) -> bool:
        """Make a step; whether anything changed.

        Parameters
        ----------
        draft : PlaneDraft
        name : str
            As ``tilt`` or ``point 3``.
        goes_on : bool
            Whether it goes on with the step before, if that bears the same name: one drag, or
            one number that is typed, is one step.
        """
        if draft == self.draft:
            return False
        before = self.draft
        last = self.done[-1] if self.done else None
        if goes_on and last is not None and last.name == name and not self.undone:
            before = self.done.pop().before
        self.draft = draft
        if before != draft:
            self.done.append(PlaneStep(name, before, draft))
        self.undone.clear()
        return True

    def note(self, name: str, deed: int) -> None:
        """Record what was done with the plane as it is."""
        self.done.append(PlaneStep(name, self.draft, self.draft, deed))
        self.undone.clear()

    @property
    def undo_name(self) -> str:
        """What an undo takes back; "" if there is nothing."""
        return self.done[-1].name if self.done else ""

    @property
    def redo_name(self) -> str:
        """What a redo does again; "" if there is nothing."""
        return self.undone[-1].name if self.undone else ""

    def undo(self) -> PlaneStep | None:
        """Take the last step back, if there is one."""
        if not self.done:
            return None
        step = self.done.pop()
        self.undone.append(step)
        self.draft = step.before
        return step

    def redo(self) -> PlaneStep | None:
        """Do the step again that was taken back last, if there is one."""
        if not self.undone:
            return None
        step = self.undone.pop()
        self.done.append(step)
        self.draft = step.after
        return step


def with_points(draft: PlaneDraft, points_um: Sequence[Point]) -> tuple[PlaneDraft, str]:
    """The draft through other points, and what that step is called."""
    points = tuple(points_um)
    n, before = len(points), len(draft.points_um)
    if n > before:
        name = f"point {n}" if n == before + 1 else f"{n - before} points"
    else:
        name = "delete a point" if n < before else "move a point"
    return replace(draft, way="points", points_um=points), name


def shifted_by(draft: PlaneDraft, step_um: Sequence[float]) -> PlaneDraft:
    """The draft whose plane goes along with a step: by the step's part along the normal.

    Parameters
    ----------
    draft : PlaneDraft
        One that makes a plane.
    step_um : (z, y, x)
    """
    base = _base(draft)
    normal = base.tilted(*draft.tilt_degrees).normal
    return replace(draft, shift_um=draft.shift_um + float(normal @ np.asarray(step_um)))


def swung(
    draft: PlaneDraft, pivot_um: Sequence[float], axis: Sequence[float], degrees: float
) -> PlaneDraft:
    """The draft whose plane is turned about a line, told as tilt and shift.

    Parameters
    ----------
    draft : PlaneDraft
        One that makes a plane.
    pivot_um : (z, y, x)
        A world point of the line.
    axis : (z, y, x)
        The line's direction.
    degrees : float
        In the sense of a rotation vector along `axis` with components (z, y, x).
    """
    base = _base(draft)
    pivot, along = np.asarray(pivot_um, dtype=np.float64), np.asarray(axis, dtype=np.float64)
    along = along / np.linalg.norm(along)
    angle, before = np.deg2rad(degrees), base.tilted(*draft.tilt_degrees).normal
    # Rodrigues' formula
    normal = (
        before * np.cos(angle)
        + np.cross(along, before) * np.sin(angle)
        + along * (along @ before) * (1 - np.cos(angle))
    )
    depth, down, across = base.axes.T @ normal
    about_x = -np.arcsin(np.clip(down, -1, 1))
    about_y = np.arctan2(-across, depth)
    tilt = (float(np.rad2deg(about_y)), float(np.rad2deg(about_x)))
    origin = base.origin_um + draft.shift_um * before
    # the line's foot keeps its distance from the plane
    away = float((pivot - origin) @ before)
    shift = float((pivot - base.origin_um) @ normal) - away
    return replace(draft, tilt_degrees=tilt, shift_um=shift)


def _base(draft: PlaneDraft) -> Plane:
    base = draft.base()
    if base is None:
        raise GeometryError(f"there is no plane yet: it lacks {draft.lacking}")
    return base


def with_lines(draft: PlaneDraft, lines_um: Sequence[Line]) -> tuple[PlaneDraft, str]:
    """The draft through other lines, and what that step is called."""
    lines = tuple(lines_um)
    n, before = len(lines), len(draft.lines_um)
    name = f"line {n}" if n > before else "delete a line" if n < before else "move a line"
    return replace(draft, way="lines", lines_um=lines), name
