"""Two images to a transform, without landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..image import SpatialImage
from ..io.atomic import replacing
from ..io.transform_files import transform_document, write_document
from ..progress import Progress
from ..refine.dense import ElasticResult, refine_elastic
from ..refine.search import StartResult, find_start, structure_pyramids
from ..transform import Affine, Transform

AlignModel = Literal["rigid", "affine", "elastic"]

_PICTURE = 400  # pixels of a chessboard


@dataclass(frozen=True)
class Alignment:
    """Result of :func:`align`.

    Parameters
    ----------
    model : {"rigid", "affine", "elastic"}
        As asked for.
    start : StartResult
    elastic : ElasticResult or None
        None for the linear models, and where the search was stopped early.
    warnings : tuple of str
    """

    model: AlignModel
    start: StartResult
    elastic: ElasticResult | None
    warnings: tuple[str, ...]

    @property
    def transform(self) -> Transform:
        """Fixed to moving world."""
        return self.start.transform if self.elastic is None else self.elastic.transform

    @property
    def is_complete(self) -> bool:
        """Whether nobody stopped it."""
        return self.start.is_complete and (self.elastic is None or self.elastic.is_complete)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "model": self.model,
            "start": self.start.to_dict(),
            "elastic": None if self.elastic is None else self.elastic.to_dict(),
            "warnings": list(self.warnings),
        }


def find_alignment(
    fixed: SpatialImage,
    moving: SpatialImage,
    *,
    model: AlignModel = "elastic",
    mirror: bool = False,
    channels: tuple[str | int | None, str | int | None] = (None, None),
    masks: tuple[SpatialImage | None, SpatialImage | None] = (None, None),
    progress: Progress | None = None,
) -> Alignment:
    """Register two images by their content alone.

    Parameters
    ----------
    fixed, moving : SpatialImage
        Both flat, or both volumes.
    model : {"rigid", "affine", "elastic"}
    mirror : bool
        Also try the moving image turned over.
    channels : (str or int or None, str or int or None)
        Of the fixed and the moving image.
    masks : (SpatialImage or None, SpatialImage or None)
        What counts in either.
    progress : Progress, optional
        Where it cancels, the best so far is the result, if there is one.

    Raises
    ------
    RefineError, Cancelled
    """
    start = find_start(
        fixed,
        moving,
        fixed_channel=channels[0],
        moving_channel=channels[1],
        fixed_mask=masks[0],
        moving_mask=masks[1],
        model="rigid" if model == "rigid" else "affine",
        allow_mirror=mirror,
        progress=progress,
    )
    elastic = None
    if model == "elastic" and start.is_complete:
        elastic = refine_elastic(
            fixed,
            moving,
            start.transform,
            fixed_channel=channels[0],
            moving_channel=channels[1],
            fixed_mask=masks[0],
            moving_mask=masks[1],
            progress=progress,
        )
    return Alignment(model, start, elastic, _warnings(fixed, moving, start))


def align_document(found: Alignment) -> dict[str, Any]:
    """The transform's JSON, and under ``align`` beside it what was found."""
    return {**transform_document(found.transform), "align": found.to_dict()}


def align(
    fixed: SpatialImage,
    moving: SpatialImage,
    out: Path,
    *,
    model: AlignModel = "elastic",
    mirror: bool = False,
    channels: tuple[str | int | None, str | int | None] = (None, None),
    masks: tuple[SpatialImage | None, SpatialImage | None] = (None, None),
    picture: Path | None = None,
    progress: Progress | None = None,
) -> Alignment:
    """:func:`find_alignment`, and write the transform's JSON.

    Parameters
    ----------
    fixed, moving, model, mirror, channels, masks, progress
        As for :func:`find_alignment`.
    out : Path
    picture : Path, optional
        A PNG of both images on a chessboard, before and after.

    Raises
    ------
    RefineError, WriteError, Cancelled
    """
    found = find_alignment(
        fixed,
        moving,
        model=model,
        mirror=mirror,
        channels=channels,
        masks=masks,
        progress=progress,
    )
    write_document(align_document(found), out)
    if picture is not None:
        _draw(fixed, moving, found, channels, picture)
    return found


def _warnings(fixed: SpatialImage, moving: SpatialImage, start: StartResult) -> tuple[str, ...]:
    found = [] if start.is_clear else [start.verdict]
    unknown = [i.name for i in (fixed, moving) if not all(i.voxel_size_known[1:])]
    if unknown:
        found.append(
            f"the voxel size of {' and '.join(unknown)} is not known: the transform is in units "
            f"of 1 um per pixel there"
        )
    return tuple(found)


def _draw(
    fixed: SpatialImage,
    moving: SpatialImage,
    found: Alignment,
    channels: tuple[str | int | None, str | int | None],
    path: Path,
) -> None:
    from ..report.overlay_figure import chessboards

    of_fixed, of_moving = structure_pyramids(fixed, moving, _PICTURE, _PICTURE, channels=channels)[
        0
    ]
    middle = of_fixed.values.shape[0] // 2
    shape = of_fixed.values.shape[1:]
    index = np.indices((1, *shape)).reshape(3, -1).T.astype(np.float64)
    index[:, 0] = middle
    points = of_fixed.grid.to_world(index)
    valid = np.where(of_moving.valid > 0, of_moving.values, np.nan)

    def pulled(transform: Transform) -> NDArray[np.float64]:
        at = of_moving.grid.to_index(transform.map(points)).T
        at = np.where(np.isfinite(at), at, -9.0)
        return np.asarray(
            map_coordinates(valid, at, order=1, mode="constant", cval=np.nan).reshape(shape)
        )

    panels = [("before", pulled(Affine.identity())), ("linear", pulled(found.start.transform))]
    if found.elastic is not None:
        panels.append(("elastic", pulled(found.transform)))
    drawn = chessboards(of_fixed.values[middle], panels)
    with replacing(path) as temporary:
        temporary.write_bytes(drawn)
