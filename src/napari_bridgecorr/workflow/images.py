"""Images to images: conversion, and warping onto a fixed grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..image import SpatialImage
from ..io.writers import check_image_path, write_image, write_images
from ..progress import Progress
from ..resampling import resample
from ..transform import Transform


def convert(image: SpatialImage, out: Path, progress: Progress | None = None) -> None:
    """Write `image` to `out` (.ome.zarr, .nii.gz, .nii, .ome.tif), pixels and place unchanged.

    Raises
    ------
    WriteError
        If the name's ending is unknown or the file cannot be written.
    """
    write_image(image, out, progress)


def convert_all(
    images: Sequence[SpatialImage], out: Path, progress: Progress | None = None
) -> None:
    """Write every image of a file to one OME-Zarr `out`, pixels, places and roles unchanged.

    Raises
    ------
    WriteError
        If `out` does not end in .ome.zarr or .zarr, or cannot be written.
    """
    write_images(images, out, progress)


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
    progress: Progress | None = None,
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
    interpolation : {"auto", "linear", "mean", "nearest"}
        See :class:`~napari_bridgecorr.resampling.PullSampler`.
    progress : Progress, optional

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
    result = resample(
        moving,
        transform,
        grid,
        interpolation=interpolation,
        channels=None if channel is None else [moving.channel_index(channel)],
        times=None if time is None else [time],
    )
    write_image(result, out, progress)
    return result
