"""How good a registration is: against check landmarks, against another, and point by point."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, TransformError
from ..evaluate import (
    Folding,
    JacobianDeterminant,
    OutsideHull,
    PredictedError,
    Quantity,
    RaterDifference,
    TargetError,
    fitted_among,
    inter_rater,
    lazy_map,
    target_error,
)
from ..fitting import ErrorLevels, summarise
from ..fitting.diagnostics import number_or_none
from ..fitting.error_levels import MEANING as LEVELS_MEANING
from ..geometry import Grid
from ..geometry.anatomical import AnatomicalFrame
from ..geometry.convex_hull import ConvexHull
from ..image import SpatialImage
from ..io.atomic import replacing
from ..io.landmark_files import LandmarkFileOptions
from ..io.transform_files import TransformFile, read_transform
from ..io.writers import check_image_path, write_image
from ..landmarks import LandmarkPairs, LandmarkSet
from ..progress import Progress
from ..transform import ThinPlateSpline
from .landmarks import read_pairs
from .tables import transform_error

FloatArray = NDArray[np.float64]

MapKind = Literal["jacobian", "fold", "hull", "error", "error68", "error95"]
MAP_KINDS: tuple[MapKind, ...] = ("jacobian", "fold", "hull", "error", "error68", "error95")

TARGET_MEANING = (
    "distance (um) in the moving space between each check landmark and where the transform puts "
    "it; the check landmark's own localisation error is part of it"
)
# columns of a voxel table; its predicted error is there anyway
_COLUMNS: dict[MapKind, str] = {
    "jacobian": "jacobian_determinant",
    "fold": "folding",
    "hull": "outside_hull_um",
    "error68": "registration_error_68_um",
    "error95": "registration_error_95_um",
}
_LEVELS: dict[MapKind, float] = {"error68": 0.68, "error95": 0.95}
_DIFFERENCE_COLUMNS = (
    "slice", "row", "column", "z_um", "y_um", "x_um",
    "difference_z_um", "difference_y_um", "difference_x_um", "distance_um",
)  # fmt: skip


@dataclass(frozen=True)
class Within:
    """`n` of `of` check landmarks lie within a length that a share of `level` should stay below."""

    level: float
    n: int
    of: int


@dataclass(frozen=True, eq=False)
class CheckedTransform:
    """Target error of a transform at check landmarks.

    Parameters
    ----------
    pairs : LandmarkPairs
        The check landmarks, those that took part in the fit left out.
    error : TargetError
        One row per check landmark.
    fitted : tuple of str
        Names of the file's landmarks that took part in the fit.
    outside_hull_um : (n,) float64 or None
        Distance of each from the hull of the fitted landmarks; None if these are not known.
    predicted : ErrorLevels or None
        Expected errors at each by the transform's own landmarks; None if these are not known.
    warnings : tuple of str
    """

    pairs: LandmarkPairs
    error: TargetError
    fitted: tuple[str, ...]
    outside_hull_um: FloatArray | None
    predicted: ErrorLevels | None
    warnings: tuple[str, ...]

    def within_landmark_levels(self) -> dict[str, Within]:
        """How many check landmarks lie within their own 68 % and 95 % landmark levels.

        Those outside the fitted landmarks' hull are not counted, nor are undefined ones. Empty
        where nothing was predicted.
        """
        if self.predicted is None or self.outside_hull_um is None:
            return {}
        off = self.error.distances_um
        counted = np.isfinite(off) & (self.outside_hull_um == 0)
        n = int(counted.sum())
        columns = self.predicted.columns()
        return {
            name: Within(level, int(np.sum(off[counted] <= columns[name][counted])), n)
            for name, level in (("landmark_error_68_um", 0.68), ("landmark_error_95_um", 0.95))
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; undefined numbers are None."""
        found: dict[str, Any] = {"meaning": TARGET_MEANING, **self.error.summary.to_dict()}
        if self.outside_hull_um is not None:
            inside = self.outside_hull_um == 0
            found["inside_hull"] = summarise(self.error.errors_um[inside]).to_dict()
            found["outside_hull"] = summarise(self.error.errors_um[~inside]).to_dict()
        if self.predicted is not None:
            rms = float(np.sqrt(np.mean(self.predicted.rms_um**2)))
            found["predicted_rms_um"] = number_or_none(rms)
            found["predicted_meaning"] = LEVELS_MEANING
            found["inside_hull_within"] = {
                name: {"expected_share": w.level, "n": w.n, "of": w.of}
                for name, w in self.within_landmark_levels().items()
            }
        found["fitted_left_out"] = list(self.fitted)
        found["landmarks"] = [self._row(i) for i in range(len(self.pairs))]
        found["warnings"] = list(self.warnings)
        return found

    def _row(self, i: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": self.pairs.ids[i],
            "error_um": number_or_none(float(self.error.distances_um[i])),
            "error_zyx_um": [number_or_none(float(v)) for v in self.error.errors_um[i]],
        }
        if self.outside_hull_um is not None:
            row["outside_hull_um"] = number_or_none(float(self.outside_hull_um[i]))
        if self.predicted is not None:
            for name, values in self.predicted.columns().items():
                row[f"predicted_{name.removeprefix('predicted_')}"] = number_or_none(
                    float(values[i])
                )
        return row


def check_landmarks(
    transform: Path,
    landmarks: Path,
    reading: LandmarkFileOptions | None = None,
    frame: AnatomicalFrame = "LPS",
) -> CheckedTransform:
    """Target error of a transform file at the landmarks of a file, both of any format.

    Landmarks that the transform was fitted to are left out, with a warning: they would show a
    residual.

    Raises
    ------
    ReadError
    TransformError
        If all of them were fitted, or the transform is defined at none.
    """
    source = read_transform(transform, frame)
    file = read_pairs(landmarks, reading, "--moving")
    pairs = file.landmarks.check_pairs()  # where some were set aside, these are meant
    if not len(pairs):
        pairs = file.landmarks.pairs()
    warnings = [*source.warnings, *file.warnings]
    warnings += _unused(file.landmarks, landmarks)
    if not len(pairs):
        raise TransformError(
            f"{landmarks}: every complete pair is disabled; enable those that are to be checked"
        )
    known = fitted_landmarks(source)
    fitted: tuple[str, ...] = ()
    if known is None:
        warnings.append(
            f"{transform.name} does not say which landmarks it was fitted to: be sure that it was "
            f"not these"
        )
    else:
        same = fitted_among(pairs, known)
        fitted = tuple(name for name, is_same in zip(pairs.ids, same, strict=True) if is_same)
        pairs = pairs.subset(~same)
        if not len(pairs):
            raise TransformError(
                f"{landmarks}: the transform was fitted to all of these landmarks, which says "
                f"nothing of the error elsewhere: give landmarks that were kept out of the fit, or "
                f"see the errors of left-out landmarks that `bridgecorr fit --json` prints"
            )
        if fitted:
            warnings.append(
                f"{_count(len(fitted), 'landmark')} took part in the fit and "
                f"{'is' if len(fitted) == 1 else 'are'} left out: {_listed(fitted)}"
            )
    error = target_error(source.transform, pairs)
    if not error.summary.n:
        raise TransformError(
            f"{landmarks}: the transform is defined at none of the {len(pairs)} check landmarks: "
            f"check that it belongs to these images, its direction and the units"
        )
    if error.summary.n_undefined:
        lost = [n for n, e in zip(pairs.ids, error.distances_um, strict=True) if np.isnan(e)]
        warnings.append(
            f"the transform is not defined at {_count(len(lost), 'check landmark')}, which count "
            f"nowhere: {_listed(lost)}"
        )
    outside = predicted = None
    if known is not None:
        outside = ConvexHull(known.fixed_um, source.dimensions).distance_um(pairs.fixed_um)
        model = transform_error(source)
        if model is not None:
            predicted = model.levels(pairs.fixed_um)
    return CheckedTransform(pairs, error, fitted, outside, predicted, tuple(warnings))


def compare_registrations(
    first: Path,
    second: Path,
    grid: Grid,
    *,
    points: tuple[int, int] = (50, 50),
    out: Path | None = None,
    frame: AnatomicalFrame = "LPS",
    progress: Progress | None = None,
) -> tuple[RaterDifference, tuple[str, ...]]:
    """Difference of two transform files over a fixed image, and what the user should know.

    Parameters
    ----------
    first, second : Path
        Transforms of the same two images, in any format.
    grid : Grid
        Of the fixed image.
    points : (int, int)
        Points along y and x of each slice; see :func:`~napari_bridgecorr.evaluate.inter_rater`.
    out : Path, optional
        A CSV of every point, where it lies and the difference there.
    frame : {"LPS", "RAS"}
    progress : Progress, optional

    Raises
    ------
    ReadError, TransformError, WriteError
    """
    files = [read_transform(path, frame) for path in (first, second)]
    warnings = [
        f"{path.name}: {w}"
        for path, file in zip((first, second), files, strict=True)
        for w in file.warnings
    ]
    found = inter_rater(files[0].transform, files[1].transform, grid, points, progress)
    summary = found.overall
    if summary.n_undefined:
        warnings.append(
            f"{summary.n_undefined} of {summary.n + summary.n_undefined} points lie outside what "
            f"one of the transforms is defined for, and count nowhere"
        )
    if out is not None:
        _write_differences(found, out)
    return found, tuple(warnings)


def write_map(
    kind: MapKind,
    transform: Path,
    grid: Grid,
    out: Path,
    *,
    landmarks: LandmarkSet | None = None,
    frame: AnatomicalFrame = "LPS",
    progress: Progress | None = None,
) -> tuple[SpatialImage, tuple[str, ...]]:
    """Write what can be said of a registration at every voxel of a grid, block by block.

    Parameters
    ----------
    kind : {"jacobian", "fold", "hull", "error", "error68", "error95"}
    transform : Path
        In any format.
    grid : Grid
        In the fixed space.
    out : Path
        ``.ome.zarr``, ``.nii.gz``, ``.nii`` or ``.ome.tif``.
    landmarks : LandmarkSet, optional
        For "hull" and "error" where the transform brings none of its own.
    frame : {"LPS", "RAS"}
    progress : Progress, optional

    Returns
    -------
    SpatialImage, tuple of str
        The lazy image, and what the user should know.

    Raises
    ------
    ReadError, TransformError, WriteError
    """
    check_image_path(out)
    source = read_transform(transform, frame)
    try:
        image = lazy_map(quantity_of(kind, source, landmarks), grid)
    except TransformError as error:
        raise TransformError(f"{transform}: {error}") from error
    write_image(image, out, progress)
    return image, source.warnings


def quantity_of(
    kind: MapKind, source: TransformFile, landmarks: LandmarkSet | None = None
) -> Quantity:
    """What `kind` means for a transform read from a file.

    Raises
    ------
    TransformError
        If it takes landmarks and there are none.
    """
    if kind == "jacobian":
        return JacobianDeterminant(source.transform)
    if kind == "fold":
        return Folding(source.transform)
    pairs = fitted_landmarks(source)
    if pairs is None and landmarks is not None:
        pairs = landmarks.pairs()
    if pairs is None or not len(pairs):
        raise TransformError("it brings no landmarks: give those of the fit with --landmarks")
    if kind == "hull":
        try:
            return OutsideHull(ConvexHull(pairs.fixed_um, source.dimensions))
        except GeometryError as error:
            raise TransformError(str(error)) from error
    model = transform_error(source, landmarks)
    if model is None:
        raise TransformError(
            "it does not say by which model its landmarks were fitted: fit again, or give check "
            "landmarks with --landmarks"
        )
    return PredictedError(model, len(pairs), _LEVELS.get(kind))


def table_quantities(
    kinds: Iterable[str], source: TransformFile, landmarks: LandmarkSet | None = None
) -> dict[str, Quantity]:
    """Columns of a voxel table: all kinds of maps but "error", which it has anyway.

    Raises
    ------
    TransformError
        If "hull" is asked for and there are no landmarks.
    """
    return {
        _COLUMNS[kind]: quantity_of(kind, source, landmarks) for kind in _COLUMNS if kind in kinds
    }


def fitted_landmarks(source: TransformFile) -> LandmarkPairs | None:
    """The landmarks that a transform was fitted to, as far as its file tells."""
    if source.pairs is not None:
        return source.pairs
    spline = source.transform
    if isinstance(spline, ThinPlateSpline):
        ids = tuple(f"L{i + 1}" for i in range(len(spline.fixed_um)))
        return LandmarkPairs(ids, spline.fixed_um, spline.moving_um)
    return None


def _unused(landmarks: LandmarkSet, path: Path) -> list[str]:
    disabled = sum(m.is_pair and not m.enabled for m in landmarks)
    half = sum(not m.is_pair for m in landmarks)
    found = []
    if disabled:
        found.append(f"{path.name}: {_count(disabled, 'disabled pair')} not checked")
    if half:
        found.append(f"{path.name}: {_count(half, 'half pair')} not checked")
    return found


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _listed(names: tuple[str, ...] | list[str], most: int = 8) -> str:
    shown = ", ".join(repr(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _write_differences(found: RaterDifference, out: Path) -> None:
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_DIFFERENCE_COLUMNS)
        for k, row, column, point, difference in found.rows():
            numbers = (*point, *difference, np.linalg.norm(difference))
            cells = ["" if np.isnan(v) else repr(float(v)) for v in numbers]
            writer.writerow([k, row, column, *cells])
