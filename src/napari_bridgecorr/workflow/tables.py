"""Two images and a transform to a table of voxels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..fitting import CheckErrorModel, ErrorModel, HeldOutErrorModel, error_model
from ..fitting.noise import ISOTROPIC
from ..fitting.solution import noise_of
from ..image import SpatialImage
from ..io.table_file import check_table_path, write_table
from ..io.transform_files import TransformFile
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..resampling.sections import section_as_moving
from ..transform import Transform
from ..versions import library_versions
from ..voxels import PointColumn, TableOptions, VoxelTable


def transform_error(
    source: TransformFile, landmarks: LandmarkSet | None = None
) -> ErrorModel | None:
    """The error model of a transform read from a file.

    Parameters
    ----------
    source : TransformFile
        With the landmarks of its fit, where it came from one.
    landmarks : LandmarkSet, optional
        Check landmarks: used where the transform brings no landmarks of its own.

    Returns
    -------
    ErrorModel or None
        None if nothing tells how wrong the transform is.
    """
    if source.pairs is not None and source.model is not None:
        noise = ISOTROPIC
        if source.options is not None:
            noise = noise_of(source.pairs, source.options, source.transform)
        return error_model(source.pairs, source.transform, source.model, source.dimensions, noise)
    if source.pairs is not None and source.held_out_um is not None:
        return HeldOutErrorModel(
            source.pairs, source.transform, source.held_out_um, source.dimensions
        )
    pairs = landmarks.pairs() if landmarks is not None else None
    if pairs is not None and len(pairs):
        return CheckErrorModel(pairs, source.transform)
    return None


def tabulate(
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
    out: Path,
    *,
    error: ErrorModel | None = None,
    masks: Mapping[str, SpatialImage] | None = None,
    options: TableOptions | None = None,
    quantities: Mapping[str, PointColumn] | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> VoxelTable:
    """Write one row per fixed voxel to `out` (.parquet, .csv, .csv.gz).

    Parameters
    ----------
    fixed, moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    out : Path
    error : ErrorModel, optional
        Gives ``registration_error_um``; without it the column is NaN.
    masks : mapping of str to SpatialImage, optional
    options : TableOptions, optional
    quantities : mapping, optional
        More columns; see :class:`~napari_bridgecorr.voxels.VoxelTable`.
    metadata : mapping, optional
        Written into the file's metadata with the versions and options.
    progress : Progress, optional

    Raises
    ------
    GeometryError, WriteError
    """
    check_table_path(out)
    chosen = options or TableOptions()
    moving, transform = section_as_moving(moving, transform, fixed.grid)
    table = VoxelTable(
        fixed, moving, transform, error, dict(masks or {}), chosen, dict(quantities or {})
    )
    document = {
        "session": None,
        "versions": library_versions(),
        "options": {
            "spacing_um": chosen.spacing_um,
            "fixed_time": chosen.fixed_time,
            "moving_time": chosen.moving_time,
            "moving_channels": list(table.moving_channels),
            "masks": list(table.masks),
            "quantities": list(table.quantities),
        },
        "fixed": _source(fixed),
        "moving": _source(moving),
        "grid": table.grid.to_dict(),
        **(metadata or {}),
    }
    write_table(table, out, document, progress)
    return table


def _source(image: SpatialImage) -> dict[str, Any]:
    return {"file": image.source.path.name, "image": image.source.image_index, "name": image.name}
