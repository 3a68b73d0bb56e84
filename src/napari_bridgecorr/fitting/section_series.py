"""Where a series of sections lies in a volume: one normal, known distances, each its own map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..geometry import Plane
from ..landmarks import LandmarkPairs
from ..transform import Affine, SectionPlacement
from .checks import check_weights
from .sections import SectionFit, SectionFitOptions, fit_section
from .series_plane import SeriesPlanes, fit_planes

FloatArray = NDArray[np.float64]

# pairs that the map within a known plane needs, and what is taken where there are fewer
_NEEDED = {"tps": 4, "affine": 3, "similarity": 2, "rigid": 2}
_SIMPLER = {"tps": "affine", "affine": "rigid"}
_TURNED_APART = 0.9
# of the median distance: four standard deviations
_OFF_PLANE_WARNING = 6
# twice a log-likelihood: three standard deviations
_SURE = 9.0


@dataclass(frozen=True, eq=False)
class SeriesSection:
    """One section of a series.

    Parameters
    ----------
    name : str
    position_um : float
        Along the series, from any zero; sections in cutting order.
    pairs : LandmarkPairs or None
        Fixed in the section, moving in the volume; None (or none): it follows its neighbours.
    middle_um : float
        World z of a section without landmarks.
    """

    name: str
    position_um: float
    pairs: LandmarkPairs | None = None
    middle_um: float = 0.0

    @property
    def n(self) -> int:
        """How many landmarks it has."""
        return 0 if self.pairs is None else len(self.pairs)


@dataclass(frozen=True)
class SeriesOptions:
    """How to place a series.

    Parameters
    ----------
    model : {"rigid", "similarity", "affine", "tps"}
        Of the map within each plane; a simpler one where a section has too few landmarks for it.
    smoothing : "auto" or float
        For ``tps``: lambda in um^2.
    thickness_um : float
        Of each section; 0 where it is not known.
    distance_um : float
        From one section to the next: what `distance_tolerance_um` refers to.
    distance_tolerance_um : float
        Standard deviation of one cut's distance; 0 keeps the distances as they are.
    """

    model: str = "tps"
    smoothing: str | float = "auto"
    thickness_um: float = 0.0
    distance_um: float = 1.0
    distance_tolerance_um: float = 0.0


@dataclass(frozen=True, eq=False)
class PlacedSection:
    """One section's place.

    Parameters
    ----------
    section : SeriesSection
    placement : SectionPlacement
    fit : SectionFit or None
        Of its landmarks within the plane; None where the map is its neighbours'.
    neighbours : tuple of str
        Whose map it took over.
    depth_um : float
        Along the normal, from the first section.
    depth_sd_um : float
        Of its place in the volume, below the landmarks' centre; NaN where it cannot be told.
    upside_down : bool
        Whether it faces the other way than the normal.
    off_plane_um : (n,) float64
        Of its landmarks, along the series' normal.
    warnings : tuple of str
    """

    section: SeriesSection
    placement: SectionPlacement
    fit: SectionFit | None
    neighbours: tuple[str, ...]
    depth_um: float
    depth_sd_um: float
    upside_down: bool
    off_plane_um: FloatArray
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = {} if self.fit is None else self.fit.to_dict()
        off = self.off_plane_um
        return {
            **values,
            "section": self.section.name,
            "by": "landmarks" if self.fit is not None else "neighbours",
            "plane": "series",
            "neighbours": list(self.neighbours),
            "n": self.section.n,
            "position_um": self.section.position_um,
            "depth_um": self.depth_um,
            "depth_sd_um": self.depth_sd_um if np.isfinite(self.depth_sd_um) else None,
            "upside_down": self.upside_down,
            "off_plane_rms_um": float(np.sqrt(np.mean(off**2))) if len(off) else None,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class SeriesFit:
    """A series' place, and how well its landmarks determine it.

    Parameters
    ----------
    sections : tuple of PlacedSection
        In cutting order.
    planes : SeriesPlanes
    warnings : tuple of str
        Of the series; the sections have their own.
    """

    sections: tuple[PlacedSection, ...]
    planes: SeriesPlanes
    warnings: tuple[str, ...]

    @property
    def off_plane_rms_um(self) -> float:
        """Root mean square of all landmarks' distances from their planes."""
        return float(np.sqrt(np.mean(self.planes.off_um**2)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "normal": self.planes.normal.tolist(),
            "tilt_sd_degrees": self.planes.tilt_sd_degrees,
            "off_plane_rms_um": self.off_plane_rms_um,
            "sections": [placed.to_dict() for placed in self.sections],
            "warnings": list(self.warnings),
        }


def fit_series(
    sections: Sequence[SeriesSection], options: SeriesOptions | None = None
) -> SeriesFit:
    """Place a series of sections: planes by all landmarks together, then each within its plane.

    Parameters
    ----------
    sections : sequence of SeriesSection
        In cutting order; two or more of them with landmarks.
    options : SeriesOptions, optional

    Raises
    ------
    FitError
        If the landmarks do not tell the planes, or a section's do not determine its map.

    Examples
    --------
    >>> from napari_bridgecorr.landmarks import LandmarkSet
    >>> flat = np.array([[0, 0, 0], [0, 90, 0], [0, 0, 90], [0, 90, 90.0]])
    >>> first = LandmarkSet.from_pairs(flat, flat + (500.0, 0, 0)).pairs()
    >>> third = LandmarkSet.from_pairs(flat, flat + (700.0, 0, 0)).pairs()
    >>> series = [("a", 0, first), ("b", 100), ("c", 200, third)]
    >>> placed = fit_series([SeriesSection(*one) for one in series]).sections[1].placement
    >>> placed.map([[0, 10, 20]]).round(6).tolist()
    [[600.0, 10.0, 20.0]]
    """
    options = options or SeriesOptions()
    _check(sections, options)
    used = [k for k, section in enumerate(sections) if section.n]
    pairs = [_pairs(sections[k]) for k in used]
    member = np.repeat(used, [len(p) for p in pairs])
    try:
        planes = fit_planes(
            np.concatenate([p.moving_um for p in pairs]),
            member,
            np.concatenate([p.weights for p in pairs]),
            np.array([section.position_um for section in sections]),
            options.distance_tolerance_um**2 / options.distance_um,
        )
    except np.linalg.LinAlgError as error:
        raise FitError(
            f"the landmarks do not tell where the series lies ({error}): look for misplaced ones"
        ) from error
    placed = _by_landmarks(sections, options, planes, member)
    for k, section in enumerate(sections):
        if k not in placed:
            off = planes.off_um[member == k]
            placed[k] = _by_neighbours(k, section, placed, sections, options, planes, off)
    ordered = tuple(placed[k] for k in range(len(sections)))
    return SeriesFit(ordered, planes, tuple(_warnings(ordered, planes)))


def _check(sections: Sequence[SeriesSection], options: SeriesOptions) -> None:
    if options.model not in _NEEDED:
        raise FitError(f"the model {options.model!r} is not one of {', '.join(_NEEDED)}")
    for name, value, least in (
        ("the cutting distance", options.distance_um, 1e-9),
        ("the distances' tolerance", options.distance_tolerance_um, 0.0),
        ("the thickness", options.thickness_um, 0.0),
    ):
        if not (np.isfinite(value) and value >= least):
            raise FitError(f"{name} is a length in um, not {value}")
    positions = np.array([section.position_um for section in sections])
    if not np.all(np.isfinite(positions)) or np.any(np.diff(positions) <= 0):
        raise FitError("the sections' positions must grow from one to the next")
    if sum(section.n for section in sections) < 4:
        raise FitError(
            "fewer than 4 landmark pairs in the whole series do not tell where it lies: place 3 "
            "or more, not on a line, on each of two sections"
        )
    for section in sections:
        if section.n:
            try:
                check_weights(_pairs(section))
            except FitError as error:
                raise FitError(f"{section.name}: {error}") from error
            if not np.all(np.isfinite([_pairs(section).fixed_um, _pairs(section).moving_um])):
                raise FitError(f"{section.name}: a landmark's coordinates are not finite numbers")


def _pairs(section: SeriesSection) -> LandmarkPairs:
    assert section.pairs is not None
    return section.pairs


def _plane(planes: SeriesPlanes, k: int) -> Plane:
    depth = planes.depth_um[k] - planes.normal @ planes.centre_um
    return Plane.from_normal(
        planes.centre_um + depth * planes.normal, planes.normal, {"by": "series"}
    )


def _by_landmarks(
    sections: Sequence[SeriesSection],
    options: SeriesOptions,
    planes: SeriesPlanes,
    member: NDArray[np.intp],
) -> dict[int, PlacedSection]:
    """Those whose landmarks determine a map within their plane."""
    placed: dict[int, PlacedSection] = {}
    typical = _median(
        np.concatenate([_scatter(planes.leave_one_out_um[member == k]) for k in set(member)])
    )
    # three landmarks tell which way up a section lies: those that have them first
    for k in sorted(range(len(sections)), key=lambda k: (sections[k].n < 3, k)):
        section = sections[k]
        if section.n < 2:
            continue
        model = options.model
        while section.n < _NEEDED[model]:
            model = _SIMPLER[model]
        plane = _plane(planes, k)
        nearest = _nearest(k, placed, sections)
        if section.n < 3 and nearest and placed[nearest[0]].upside_down:
            plane = plane.flipped()
        chosen = SectionFitOptions(model, options.smoothing, plane, options.thickness_um)
        try:
            found = fit_section(_pairs(section), chosen)
        except FitError as error:
            raise FitError(f"{section.name}: {error}") from error
        down = bool(found.placement.plane.normal @ planes.normal < 0)
        off, left_out = planes.off_um[member == k], planes.leave_one_out_um[member == k]
        errors = found.leave_one_out_um.copy()
        errors[:, 0] = left_out if down else -left_out
        warnings = [*found.in_plane.warnings]
        if model != options.model:
            warnings.append(
                f"{section.n} landmarks are too few for {options.model}: its map within the plane "
                f"is {model}"
            )
        warnings += _off_warnings(section, off, left_out, typical, options)
        found = replace(found, leave_one_out_um=errors, warnings=tuple(warnings))
        placed[k] = PlacedSection(
            section,
            found.placement,
            found,
            (),
            float(planes.depth_um[k] - planes.depth_um[0]),
            float(planes.depth_sd_um[k]),
            down,
            off,
            found.warnings,
        )
    if not placed:
        raise FitError("no section has 2 landmarks, which its turn within the plane needs")
    return placed


def _nearest(
    k: int, placed: dict[int, PlacedSection], sections: Sequence[SeriesSection]
) -> list[int]:
    """Sections placed by their own landmarks, the nearest first."""
    here = sections[k].position_um
    own = [i for i, found in placed.items() if found.fit is not None]
    return sorted(own, key=lambda i: (abs(sections[i].position_um - here), i))


def _by_neighbours(
    k: int,
    section: SeriesSection,
    placed: dict[int, PlacedSection],
    sections: Sequence[SeriesSection],
    options: SeriesOptions,
    planes: SeriesPlanes,
    off: FloatArray,
) -> PlacedSection:
    """At its depth, with the map of its neighbours (straight lines kept straight)."""
    nearest = _nearest(k, placed, sections)
    down = placed[nearest[0]].upside_down
    alike = [i for i in nearest if placed[i].upside_down == down]
    sides = [[i for i in alike if i < k][:1], [i for i in alike if i > k][:1]]
    around = sides[0] + sides[1]
    matrix = _in_plane_affine(placed[nearest[0]])
    warnings = []
    if len(around) == 2:
        first, second = (_in_plane_affine(placed[i]) for i in around)
        low, high = (sections[i].position_um for i in around)
        share = (section.position_um - low) / (high - low)
        between = (1 - share) * first + share * second
        least = min(np.linalg.det(first), np.linalg.det(second))
        if np.linalg.det(between) > _TURNED_APART * least:
            matrix = between
        else:
            around = nearest[:1]
            warnings.append("its neighbours' pictures are turned against each other")
    names = tuple(sections[i].name for i in around)
    middle = section.middle_um
    held = f"{' and '.join(names)}; that holds only where the pictures are aligned to one another"
    if section.n:
        pairs = _pairs(section)
        middle = float(pairs.fixed_um[:, 0].mean())
    else:
        warnings.append(f"it has no landmarks: its place within the plane is that of {held}")
    plane = _plane(planes, k)
    plane = plane.flipped() if down else plane
    matrix = matrix.copy()
    matrix[0] = (1.0, 0.0, 0.0, -middle)
    if section.n:
        warnings.append(f"it has one landmark: its turn and scale are those of {held}")
        there = plane.place(pairs.moving_um)[0]
        matrix[1:3, 3] += (there - Affine(matrix).map(pairs.fixed_um)[0])[1:]
    return PlacedSection(
        section,
        SectionPlacement(Affine(matrix), plane, options.thickness_um),
        None,
        names,
        float(planes.depth_um[k] - planes.depth_um[0]),
        float(planes.depth_sd_um[k]),
        down,
        off,
        tuple(warnings),
    )


def _in_plane_affine(found: PlacedSection) -> FloatArray:
    """(4, 4) the affine map nearest to a section's map within its plane, at its landmarks."""
    inner = found.placement.in_plane
    if isinstance(inner, Affine):
        return inner.matrix
    fixed = _pairs(found.section).fixed_um
    design = np.column_stack([fixed[:, 1:], np.ones(len(fixed))])
    solution = np.linalg.lstsq(design, inner.map(fixed)[:, 1:], rcond=None)[0]
    matrix = np.eye(4)
    matrix[1:3, 1:] = solution.T
    return matrix


def _scatter(left_out: FloatArray) -> FloatArray:
    return np.asarray(np.abs(left_out - _median(left_out)))


def _median(values: FloatArray) -> float:
    """Of those that are known; 0 where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _off_warnings(
    section: SeriesSection,
    off: FloatArray,
    left_out: FloatArray,
    typical: float,
    options: SeriesOptions,
) -> list[str]:
    found = []
    mean = float(off.mean())
    reach = 3 * float(off.std(ddof=1)) / np.sqrt(len(off)) if len(off) > 2 else np.inf
    if abs(mean) > max(options.thickness_um / 2, options.distance_um / 2, reach):
        found.append(
            f"its landmarks lie {abs(mean):.0f} um {'behind' if mean > 0 else 'before'} the place "
            f"that the cutting distance gives it: is it in its place of the series, and is every "
            f"gap named?"
        )
    for name, distance in zip(_pairs(section).ids, _scatter(left_out), strict=True):
        if distance > _OFF_PLANE_WARNING * max(typical, options.thickness_um / 2) > 0:
            found.append(
                f"landmark {name!r} lies {distance:.0f} um off the section's others (of all "
                f"landmarks, the median is {typical:.0f} um): look at it again"
            )
    return found


def _warnings(sections: Sequence[PlacedSection], planes: SeriesPlanes) -> list[str]:
    found = []
    if planes.reversal < _SURE:
        found.append(
            "the landmarks hardly tell in which direction the sections follow each other: the "
            "reverse order fits about as well"
        )
    own = [placed for placed in sections if placed.fit is not None and placed.section.n > 2]
    down = [placed for placed in own if placed.upside_down]
    odd = down if 2 * len(down) <= len(own) else [p for p in own if not p.upside_down]
    if odd:
        names = ", ".join(placed.section.name for placed in odd)
        found.append(f"upside down against the others: {names}")
    return found
