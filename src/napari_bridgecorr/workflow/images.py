"""Images to images: conversion, and warping onto a fixed grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import GeometryError
from ..image import SpatialImage
from ..io.long_run import LongRun
from ..io.writers import check_image_path, write_image, write_images
from ..progress import Progress
from ..resampling import LABEL_INTERPOLATIONS, TOLERANCE_VOXELS, resample
from ..resampling.same_dtype import with_dtype
from ..resampling.sections import section_as_moving
from ..transform import Transform
from .work import device_state, grid_state, image_state, transform_state, with_work

DTYPES = ("float", "same")


def convert(
    image: SpatialImage,
    out: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write `image` to `out` (.ome.zarr, .nii.gz, .nii, .ome.tif), pixels and place unchanged.

    Parameters
    ----------
    image : SpatialImage
    out : Path
    progress : Progress, optional
    run : LongRun, optional
        As for :func:`warp`.

    Raises
    ------
    WriteError
        If the name's ending is unknown or the file cannot be written.
    """
    if run is not None:
        run = with_work(run, **{"the image": image_state(image)})
    write_image(image, out, progress, run)


def convert_all(
    images: Sequence[SpatialImage],
    out: Path,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> None:
    """Write every image of a file to one OME-Zarr `out`, pixels, places and roles unchanged.

    Parameters
    ----------
    images : sequence of SpatialImage
    out : Path
    progress : Progress, optional
    run : LongRun, optional
        As for :func:`warp`.

    Raises
    ------
    WriteError
        If `out` does not end in .ome.zarr or .zarr, or cannot be written.
    """
    if run is not None:
        run = with_work(run, **{"the images": [image_state(image) for image in images]})
    write_images(images, out, progress, run)


def warp(
    fixed: SpatialImage,
    moving: SpatialImage,
    transform: Transform,
    out: Path,
    *,
    channel: str | int | None = None,
    time: int | None = None,
    spacing_um: tuple[float, float, float] | None = None,
    interpolation: str = "auto",
    tolerance_voxels: float = TOLERANCE_VOXELS,
    dtype: str = "float",
    outside: float = 0,
    progress: Progress | None = None,
    run: LongRun | None = None,
) -> SpatialImage:
    """Resample `moving` on the grid of `fixed` and write it.

    Parameters
    ----------
    fixed : SpatialImage
        Only its grid is used.
    moving : SpatialImage
    transform : Transform
        Fixed world to moving world.
    out : Path
        ``.ome.zarr``, ``.nii.gz``, ``.nii`` or ``.ome.tif``.
    channel : str or int, optional
        One channel by name or number; all by default.
    time : int, optional
        One time point; all by default.
    spacing_um : (float, float, float), optional
        Sample the fixed image's extent at this spacing (z, y, x) instead.
    interpolation : str
        See :func:`~napari_bridgecorr.resampling.resample`. Labels keep their type.
    tolerance_voxels : float
        How far a voxel may be fetched from its exact place, in moving voxels; 0: not at all.
    dtype : {"float", "same"}
        ``float``: float32 (float64 where float32 would lose digits), NaN outside the data.
        ``same``: the moving image's own type, integers rounded.
    outside : float
        With ``same``: what stands outside the data, where the type has no NaN.
    progress : Progress, optional
    run : LongRun, optional
        OME-Zarr only: which processes do it; a run that was killed is gone on with when the same
        is asked for again, and what is finished is kept when it is cancelled. By default threads
        of this process do it and nothing is kept.

    Returns
    -------
    SpatialImage
        The lazy result.

    Raises
    ------
    GeometryError, WriteError
    """
    check_image_path(out)
    grid = fixed.grid if spacing_um is None else fixed.grid.at_spacing(spacing_um)
    if dtype not in DTYPES:
        raise GeometryError(f"the type of voxels is one of {', '.join(DTYPES)}, not {dtype!r}")
    if moving.is_labels and interpolation not in (*LABEL_INTERPOLATIONS, "fraction"):
        raise GeometryError(
            f"{moving.name} holds labels, which have no {interpolation} interpolation; leave it at "
            "auto (the nearest or the majority), or ask for the fraction that objects fill"
        )
    if not 0 <= tolerance_voxels < math.inf:
        raise GeometryError(f"the tolerance is 0 or more voxels, not {tolerance_voxels}")
    if dtype == "same" and interpolation == "fraction":
        raise GeometryError("a fraction lies between 0 and 1: write it as float")
    placed, to_moving = section_as_moving(moving, transform, grid)
    result = resample(
        placed,
        to_moving,
        grid,
        interpolation=interpolation,
        tolerance_voxels=tolerance_voxels,
        channels=None if channel is None else [moving.channel_index(channel)],
        times=None if time is None else [time],
    )
    if dtype == "same":
        result = with_dtype(result, moving.dtype, outside)
    if run is not None:
        options: dict[str, Any] = {"channel": channel, "time": time}
        options |= {"interpolation": interpolation, "tolerance_voxels": tolerance_voxels}
        run = with_work(
            run,
            **{
                "the moving image": image_state(moving),
                "the transform": transform_state(transform),
                "the grid": grid_state(grid),
                "options": {**options, "dtype": dtype, "outside": outside},
                **device_state(),
            },
        )
    write_image(result, out, progress, run)
    return result
