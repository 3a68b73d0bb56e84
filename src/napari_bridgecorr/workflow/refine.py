"""Two images and a map, or landmarks, to a refined map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import Cancelled, RefineError
from ..fitting import Fit, FitOptions, fit
from ..image import SpatialImage
from ..io.transform_files import TransformFile, fit_document, transform_document, write_document
from ..landmarks import LandmarkPairs
from ..progress import Progress
from ..refine.global_refinement import MODELS, GlobalRefinement, RefineModel, refine_globally
from ..refine.preparation import MOST_CHANNELS, dimensions_of, working_pair
from ..refine.search import StartResult, find_start
from ..simple_itk.options import METRICS, Metric
from ..transform import Transform
from ..versions import library_versions

_FEWEST_FOR_SPLINE = 8
_MOST_VOXELS = 120_000
_FINER = 5.0
# what an earlier refinement tells of its map
_OF_THE_MAP = ("landmarks", "held_out_error_um")


@dataclass(frozen=True)
class RefineOptions:
    """How to refine.

    Parameters
    ----------
    model : {"auto", "rigid", "affine", "bspline", "displacement"}
    fixed_channel : str or int
    moving_channels : tuple of str or int
        What explains the fixed image, together; the first four by default.
    seed : int
        Same seed, same result.
    metric : {"mi", "correlation"}
        Mutual information or correlation, of SimpleITK's models: all but "auto", which compares
        the images in a way of its own.

    Raises
    ------
    RefineError
        If a choice is impossible.
    """

    model: RefineModel = "auto"
    fixed_channel: str | int = 0
    moving_channels: tuple[str | int, ...] = ()
    seed: int = 0
    metric: Metric = "mi"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise RefineError(f"the model is one of {', '.join(MODELS)}, not {self.model!r}")
        if self.metric not in METRICS:
            raise RefineError(f"the metric is one of {', '.join(METRICS)}, not {self.metric!r}")
        if self.model == "auto" and self.metric != "mi":
            raise RefineError(
                "a metric is chosen for SimpleITK's models; add one of "
                f"--model {', '.join(MODELS[1:])}"
            )


@dataclass(frozen=True, eq=False)
class RefineStart:
    """Where refinement begins.

    Parameters
    ----------
    transform : Transform
    pairs : LandmarkPairs or None
        The soft constraint.
    refit : callable or None
        The same kind of map from some of the landmarks, where it was fitted to them.
    document : dict
        The transform's JSON.
    options : FitOptions or None
        With which it was fitted, where it was.
    search : StartResult or None
        How it was found, where there was neither a map nor landmarks.
    """

    transform: Transform
    pairs: LandmarkPairs | None
    refit: Callable[[LandmarkPairs], Transform] | None
    document: dict[str, Any]
    options: FitOptions | None = None
    search: StartResult | None = None


def start_from(
    source: TransformFile | None, landmarks: LandmarkPairs | None, dimensions: int = 3
) -> RefineStart:
    """The start of a refinement.

    Parameters
    ----------
    source : TransformFile or None
        A map there is, with the landmarks of its fit where it tells them.
    landmarks : LandmarkPairs or None
        Fitted where there is no map; otherwise they replace those that the map tells.
    dimensions : {3, 2}
        Of a fit.

    Raises
    ------
    RefineError
        If there is neither.
    FitError
        If the landmarks do not determine a map.
    """
    if source is None:
        if landmarks is None or not len(landmarks):
            raise RefineError("give a map to start from (--transform) or landmarks (--landmarks)")
        model = "tps" if len(landmarks) >= _FEWEST_FOR_SPLINE else "affine"
        options = FitOptions(model, dimensions=dimensions)
        first = fit(landmarks, options)
        return start_of_fit(first, options)
    document = source.document or transform_document(source.transform)
    same = source.pairs is not None and (landmarks is None or _alike(landmarks, source.pairs))
    if same and source.options is not None:
        asked = document.get("fit", {}).get("smoothing_asked", "auto")
        options = replace(source.options, smoothing=asked)
        return RefineStart(source.transform, source.pairs, _fitter(options), document, options)
    return RefineStart(source.transform, landmarks or source.pairs, None, document)


def start_of_fit(found: Fit, asked: FitOptions) -> RefineStart:
    """A fit as the start of a refinement; folds are fitted as was `asked`."""
    return RefineStart(found.transform, found.pairs, _fitter(asked), fit_document(found), asked)


def search_start(
    fixed: SpatialImage,
    moving: SpatialImage,
    options: RefineOptions | None = None,
    *,
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    progress: Progress | None = None,
) -> RefineStart:
    """The start of a refinement where there is neither a map nor a landmark.

    All rotations and places are tried; how much the best stands out is told in ``search``.

    Raises
    ------
    RefineError
        If the images cannot be compared.
    Cancelled
    """
    chosen = options or RefineOptions()
    found = find_start(
        fixed,
        moving,
        # where none was chosen, all of a colour picture
        fixed_channel=None if chosen.fixed_channel in (0, "0") else chosen.fixed_channel,
        moving_channel=chosen.moving_channels[0] if chosen.moving_channels else None,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        progress=progress,
    )
    if not found.is_complete:
        raise Cancelled
    return RefineStart(
        found.transform, None, None, transform_document(found.transform), search=found
    )


def refine(
    fixed: SpatialImage,
    moving: SpatialImage,
    start: RefineStart,
    options: RefineOptions | None = None,
    *,
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    progress: Progress | None = None,
) -> GlobalRefinement:
    """Refine a map by the images.

    Raises
    ------
    RefineError
        If the images do not overlap, or hold too little to compare.
    GeometryError
        If there is no such channel.
    Cancelled
        If it was cancelled before anything was found that passed the check.
    """
    chosen = options or RefineOptions()
    fixed_image, channels = working_pair(
        fixed,
        moving,
        start.transform,
        fixed_channel=chosen.fixed_channel,
        moving_channels=_channels(moving, chosen.moving_channels),
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        most_voxels=_MOST_VOXELS,
        # SimpleITK takes points, not means: its moving voxels are as large as the fixed ones
        finer=_FINER if chosen.model == "auto" else 1.0,
    )
    return refine_globally(
        fixed_image,
        channels,
        start.transform,
        start.pairs,
        start.refit,
        model=chosen.model,
        metric=chosen.metric,
        dimensions=dimensions_of(fixed, moving),
        seed=chosen.seed,
        progress=progress,
    )


def refine_document(result: GlobalRefinement, start: RefineStart) -> dict[str, Any]:
    """The refined transform's JSON: what was done, and the landmarks that took part, beside it.

    A map that was kept keeps the record of its fit.
    """
    record: dict[str, Any] = {**result.to_dict(), "versions": library_versions()}
    if start.search is not None:
        record["start"] = start.search.to_dict()
    if not result.accepted:
        earlier = start.document.get("refine") or {}
        record.update({k: earlier[k] for k in _OF_THE_MAP if k in earlier})
        return {**start.document, "refine": record}
    if result.pairs is not None:
        record["landmarks"] = {
            "id": list(result.pairs.ids),
            "fixed_um": result.pairs.fixed_um.tolist(),
            "moving_um": result.pairs.moving_um.tolist(),
            "weight": result.pairs.weights.tolist(),
        }
        # tells how wrong the map is: its landmarks' residuals would not
        record["held_out_error_um"] = result.check.after_um.tolist()
    return {**transform_document(result.transform), "refine": record}


def refine_to_file(
    fixed: SpatialImage,
    moving: SpatialImage,
    start: RefineStart,
    out: Path,
    options: RefineOptions | None = None,
    *,
    fixed_mask: SpatialImage | None = None,
    moving_mask: SpatialImage | None = None,
    picture: Path | None = None,
    progress: Progress | None = None,
) -> GlobalRefinement:
    """:func:`refine`, and write the transform's JSON: the start's where it was kept.

    Parameters
    ----------
    fixed, moving, start, options, fixed_mask, moving_mask, progress
        As for :func:`refine`.
    out : Path
    picture : Path, optional
        A PNG of both images before and after; see :func:`.refine_picture.draw_refined`.

    Raises
    ------
    RefineError, GeometryError, WriteError, Cancelled
    """
    result = refine(
        fixed,
        moving,
        start,
        options,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        progress=progress,
    )
    write_document(refine_document(result, start), out)
    if picture is not None:
        from .refine_picture import draw_refined  # loads Matplotlib

        draw_refined(fixed, moving, start.transform, result, picture, options)
    return result


def _fitter(options: FitOptions) -> Callable[[LandmarkPairs], Transform]:
    def refit(pairs: LandmarkPairs) -> Transform:
        return fit(pairs, options).transform

    return refit


def _alike(a: LandmarkPairs, b: LandmarkPairs) -> bool:
    """Whether two sets hold the same places, in any order."""

    def rows(pairs: LandmarkPairs) -> list[tuple[float, ...]]:
        return sorted(
            tuple(float(v) for v in (*f, *m))
            for f, m in zip(pairs.fixed_um.round(3), pairs.moving_um.round(3), strict=True)
        )

    return rows(a) == rows(b)


def _channels(moving: SpatialImage, asked: Sequence[str | int]) -> tuple[str | int, ...]:
    if asked:
        return tuple(asked)
    return tuple(range(min(len(moving.channels), MOST_CHANNELS)))
