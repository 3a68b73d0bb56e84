"""Where a section lies in a volume, from landmarks in both.

The section's landmarks are flat, the volume's are not. Their depths along the plane's normal are a
linear function of their places in the section (that is the plane); their places within the plane
are an ordinary map of two dimensions (that may bend).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from ..geometry import Plane
from ..landmarks import LandmarkPairs
from ..transform import Affine, Chain, SectionPlacement, Transform
from .checks import check_pairs
from .fit import Fit, fit
from .linear_models import fit_linear, normalisation
from .options import FitOptions

FloatArray = NDArray[np.float64]

_RIGID = ("rigid", "similarity")
# a section's own landmarks lie in its picture: rounding and half a slice of z are no depth
_FLAT_SHARE = 0.02
_LEAST_FREEDOM = 1e-9
_OFF_PLANE_WARNING = 4


@dataclass(frozen=True)
class SectionFitOptions:
    """How to place a section.

    Parameters
    ----------
    model : {"translation", "rigid", "similarity", "affine", "tps"}
        Of the map within the plane. Without `plane`, the plane of ``rigid`` and ``similarity`` is
        the one of the rigid fit in space (three pairs); that of ``affine`` and ``tps`` the one on
        which the depths of the volume's landmarks vary linearly over the section (least squares).
    smoothing : "auto" or float
        For ``tps``: lambda in um^2; see :class:`FitOptions`.
    plane : Plane, optional
        The chosen slice; the volume's landmarks are projected onto it.
    thickness_um : float
        Of the section; 0 where it is not known.
    """

    model: str = "tps"
    smoothing: str | float = "auto"
    plane: Plane | None = None
    thickness_um: float = 0.0


@dataclass(frozen=True, eq=False)
class SectionFit:
    """A section's place, and how well its landmarks determine it.

    Parameters
    ----------
    placement : SectionPlacement
        Section world (fixed) to volume world (moving).
    options : SectionFitOptions
    in_plane : Fit
        The fit of (y, x) within the plane.
    pairs : LandmarkPairs
    off_plane_um : (n,) float64
        Distances of the volume's landmarks from the plane, along its normal.
    leave_one_out_um : (n, 3) float64
        Error (depth, y, x) in the plane's axes of predicting each landmark from the others, lambda
        and the axes' directions kept (the axes too are fitted anew for rigid and similarity); depth
        is the distance to a plane that was chosen. NaN where the others do not determine the map.
    tilt_sd_degrees : float or None
        How well the landmarks tell the plane's tilt; None for a plane that was chosen, or where
        there are no more landmarks than the plane needs.
    warnings : tuple of str
    """

    placement: SectionPlacement
    options: SectionFitOptions
    in_plane: Fit
    pairs: LandmarkPairs
    off_plane_um: FloatArray
    leave_one_out_um: FloatArray
    tilt_sd_degrees: float | None
    warnings: tuple[str, ...]

    @property
    def off_plane_rms_um(self) -> float:
        """Root mean square of the distances from the plane."""
        return float(np.sqrt(np.mean(self.off_plane_um**2)))

    @property
    def loo_rms_um(self) -> float | None:
        """Root-mean-square length of the leave-one-out errors; None where there are none."""
        lengths = np.linalg.norm(self.leave_one_out_um, axis=1)
        known = lengths[np.isfinite(lengths)]
        return float(np.sqrt(np.mean(known**2))) if len(known) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what stands beside the transform."""
        loo = np.linalg.norm(self.leave_one_out_um, axis=1)
        return {
            "by": "landmarks",
            "model": self.options.model,
            "plane": "fitted" if self.options.plane is None else "chosen",
            "smoothing": self.in_plane.smoothing_um,
            "n": len(self.pairs),
            "off_plane_rms_um": self.off_plane_rms_um,
            "in_plane_residual_rms_um": self.in_plane.diagnostics.residual_rms_um,
            "loo_rms_um": self.loo_rms_um,
            "tilt_sd_degrees": self.tilt_sd_degrees,
            "landmarks": [
                {
                    "id": name,
                    "fixed_um": f.tolist(),
                    "moving_um": m.tolist(),
                    "off_plane_um": float(off),
                    "loo_um": float(length) if np.isfinite(length) else None,
                }
                for name, f, m, off, length in zip(
                    self.pairs.ids,
                    self.pairs.fixed_um,
                    self.pairs.moving_um,
                    self.off_plane_um,
                    loo,
                    strict=True,
                )
            ],
            "warnings": list(self.warnings),
        }


def fit_section(pairs: LandmarkPairs, options: SectionFitOptions | None = None) -> SectionFit:
    """Place a section by landmarks.

    Parameters
    ----------
    pairs : LandmarkPairs
        Fixed side: in the section, all at one z (its middle). Moving side: in the volume.
    options : SectionFitOptions, optional

    Raises
    ------
    FitError
        If the landmarks are too few, lie on a line or at one point, or are not flat in the section.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_bridgecorr.landmarks import LandmarkSet
    >>> flat = np.array([[0, 0, 0], [0, 90, 0], [0, 0, 90], [0, 90, 90.0]])
    >>> there = np.column_stack([500 + flat[:, 1], flat[:, 1], flat[:, 2]])
    >>> pairs = LandmarkSet.from_pairs(flat, there).pairs()
    >>> placed = fit_section(pairs, SectionFitOptions("affine")).placement
    >>> placed.map([[0, 10, 20]]).round(6).tolist()
    [[510.0, 10.0, 20.0]]
    """
    options = options or SectionFitOptions()
    _check(pairs, options)
    flat, plane, found = _placed(pairs, options)
    placement = _placement(pairs, plane, found, options.thickness_um)
    off = plane.place(pairs.moving_um)[:, 0]
    errors = _leave_one_out(flat, options, plane, found, off)
    tilt = None if options.plane is not None else _tilt_sd(flat.fixed_um, off)
    warnings = (*found.warnings, *_warnings(pairs, options, off, errors))
    return SectionFit(placement, options, found, pairs, off, errors, tilt, warnings)


def _placed(pairs: LandmarkPairs, options: SectionFitOptions) -> tuple[LandmarkPairs, Plane, Fit]:
    """The landmarks with the section's at z = 0, the plane, and the fit within it."""
    flat = replace(pairs, fixed_um=pairs.fixed_um * (0.0, 1.0, 1.0))
    plane = options.plane
    plane = _fitted_plane(flat, options.model) if plane is None else _facing(flat, plane)
    within = replace(flat, moving_um=plane.place(pairs.moving_um) * (0.0, 1.0, 1.0))
    return flat, plane, fit(within, FitOptions(options.model, options.smoothing, 2))


def _placement(
    pairs: LandmarkPairs, plane: Plane, found: Fit, thickness_um: float
) -> SectionPlacement:
    middle = float(pairs.fixed_um[:, 0].mean())
    to_middle = Affine.from_parts(np.eye(3), (-middle, 0.0, 0.0))
    inner: Transform = found.transform
    if isinstance(inner, Affine):
        inner = Affine(inner.matrix @ to_middle.matrix)
    elif middle != 0:
        inner = Chain(to_middle, inner)
    return SectionPlacement(inner, plane, thickness_um)


def _check(pairs: LandmarkPairs, options: SectionFitOptions) -> None:
    spread = np.ptp(pairs.fixed_um, axis=0) if len(pairs) else np.zeros(3)
    if spread[0] > _FLAT_SHARE * max(spread[1], spread[2]) and len(pairs) > 1:
        raise FitError(
            f"the section's landmarks lie at depths {spread[0]:.3g} um apart, but a section is "
            f"flat: are its landmarks on the fixed side and the volume's on the moving side?"
        )
    if options.plane is not None:
        return  # what the in-plane fit needs is enough
    if options.model == "translation":
        raise FitError("a translation tells no plane: choose one with --plane, or fit rigid")
    if len(pairs) < 3:
        raise FitError(
            f"{len(pairs)} complete, enabled landmark pairs are too few to tell a plane: place "
            f"at least 3 that are not on a line, or choose the plane with --plane"
        )
    check_pairs(pairs, "rigid", 3)


def _fitted_plane(flat: LandmarkPairs, model: str) -> Plane:
    """The plane that the landmarks tell; its origin is where their centre falls."""
    centre = flat.fixed_um.mean(axis=0)
    if model in _RIGID:
        placed = fit_linear(model, flat.fixed_um, flat.moving_um, flat.weights)
        linear = placed.matrix[:3, :3]
        axes = linear / np.cbrt(np.linalg.det(linear))
        return Plane(placed.map(centre)[0], axes, {"by": "landmarks"})
    design, scale = _design(flat.fixed_um)
    root = np.sqrt(flat.weights)[:, None]
    solution = np.linalg.lstsq(design * root, flat.moving_um * root, rcond=None)[0]
    slopes = solution[:2].T / scale
    left, extent, right = np.linalg.svd(slopes, full_matrices=False)
    if extent[1] < 1e-6 * extent[0]:
        raise FitError(
            "the volume's landmarks tell no plane: the section would be squashed to a line; look "
            "for misplaced landmarks"
        )
    down, across = (left @ right).T
    axes = np.column_stack([np.cross(down, across), down, across])
    return Plane(solution[2], axes, {"by": "landmarks"})


def _facing(flat: LandmarkPairs, plane: Plane) -> Plane:
    """The plane, turned over if the section would be mirrored in it."""
    design, _ = _design(flat.fixed_um)
    if len(flat) < 3 or np.linalg.matrix_rank(design) < 3:
        return plane
    slopes = np.linalg.lstsq(design, plane.place(flat.moving_um)[:, 1:], rcond=None)[0][:2]
    return plane if np.linalg.det(slopes) >= 0 else plane.flipped()


def _design(fixed_um: FloatArray) -> tuple[FloatArray, float]:
    centre, scale = normalisation(fixed_um)
    u = (fixed_um[:, 1:] - centre[1:]) / scale
    return np.column_stack([u, np.ones(len(u))]), scale


def _leave_one_out(
    flat: LandmarkPairs, options: SectionFitOptions, plane: Plane, found: Fit, off: FloatArray
) -> FloatArray:
    errors = found.diagnostics.leave_one_out_um.copy()
    if options.plane is not None:
        errors[:, 0] = -off
        return errors
    if options.model in _RIGID:
        return _refitted(flat, options, plane)
    design, _ = _design(flat.fixed_um)
    q, _ = np.linalg.qr(design * np.sqrt(flat.weights)[:, None])
    freedom = 1 - np.sum(q**2, axis=1)
    usable = freedom > _LEAST_FREEDOM
    # prediction minus data, as within the plane
    errors[:, 0] = np.where(usable, -off / np.where(usable, freedom, 1.0), np.nan)
    return errors


def _refitted(flat: LandmarkPairs, options: SectionFitOptions, plane: Plane) -> FloatArray:
    errors = np.full((len(flat), 3), np.nan)
    for i in range(len(flat)):
        others = flat.subset(np.arange(len(flat)) != i)
        try:
            _check(others, options)
            _, other_plane, found = _placed(others, options)
        except FitError:
            continue  # without this landmark the others tell no plane
        placed = _placement(others, other_plane, found, 0.0)
        errors[i] = (placed.map(flat.fixed_um[i])[0] - flat.moving_um[i]) @ plane.axes
    return errors


def _tilt_sd(fixed_um: FloatArray, off: FloatArray) -> float | None:
    if len(off) <= 3:
        return None
    scatter = float(np.sqrt(np.sum(off**2) / (len(off) - 3)))
    centred = fixed_um[:, 1:] - fixed_um[:, 1:].mean(axis=0)
    width = float(np.linalg.svd(centred, compute_uv=False)[1])
    return float(np.rad2deg(np.arctan2(scatter, width)))


def _warnings(
    pairs: LandmarkPairs, options: SectionFitOptions, off: FloatArray, errors: FloatArray
) -> list[str]:
    found = []
    if options.plane is not None:
        mean = float(off.mean())
        scatter = float(off.std(ddof=1)) / np.sqrt(len(off)) if len(off) > 1 else 0.0
        reach = max(options.thickness_um / 2, 3 * scatter)
        if abs(mean) > reach > 0:
            found.append(
                f"the volume's landmarks lie {abs(mean):.0f} um {'above' if mean > 0 else 'below'} "
                f"the chosen plane on average (along its normal): is it the right slice?"
            )
        return found
    depth = np.abs(errors[:, 0])
    typical = float(np.nanmedian(depth)) if np.isfinite(depth).any() else 0.0
    for name, distance in zip(pairs.ids, depth, strict=True):
        if typical > 0 and distance > _OFF_PLANE_WARNING * max(typical, options.thickness_um / 2):
            found.append(
                f"landmark {name!r} lies {distance:.0f} um off the plane of the others (median "
                f"{typical:.0f} um): look at it again"
            )
    return found
