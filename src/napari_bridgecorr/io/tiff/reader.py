"""TIFF, OME-TIFF and ImageJ stacks, and folders of TIFF planes, as spatial images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import one_line
from ...image import Channel, Source, SpatialImage
from ..reader import Claim
from .folder import ENDINGS, open_folder, plane_files
from .library import TiffContents, TiffSeries, open_tiff
from .ome_xml import OmeImage, parse_ome
from .pixels import TiffPixels
from .scale import agreeing_grid, base_grid, level_grid, scale_of
from .write import write_ome_tiff

__all__ = ["TiffReader", "write_ome_tiff"]

_RGB = (("R", "#FF0000"), ("G", "#00FF00"), ("B", "#0000FF"), ("A", None))


class TiffReader:
    """Reader of TIFF files and of folders of TIFF planes (see :class:`~.reader.Reader`)."""

    format_name = "TIFF"
    patterns = tuple(f"*{ending}" for ending in ENDINGS)

    def claim(self, path: Path) -> Claim:
        """Claim by name; a folder, if TIFF files lie in it."""
        if not path.is_dir():
            if path.name.lower().endswith(ENDINGS):
                return Claim(True, "the name ends in .tif or .tiff")
            return Claim(False, "the name does not end in .tif or .tiff")
        try:
            planes = plane_files(path)
        except OSError as error:
            return Claim(False, f"the folder cannot be listed ({one_line(error)})")
        if planes:
            return Claim(True, f"the folder holds {len(planes)} TIFF files")
        return Claim(False, "no TIFF files lie in the folder")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every image (series) of a file; a folder is one image, its files the planes.

        Raises
        ------
        ReadError
            If a file is damaged, truncated, empty, mislabelled or absurd, or the planes of a
            folder do not fit together.
        """
        if path.is_dir():
            return (_read_folder(path),)
        contents = open_tiff(path)
        described, warnings = _describe(contents)
        return tuple(
            _image(path, contents, number, described[number], warnings)
            for number in range(len(contents.series))
        )


def _read_folder(folder: Path) -> SpatialImage:
    opened = open_folder(folder)
    series = opened.first.series[0]
    pixels = TiffPixels(folder, opened.planes)
    # a plane's own OME-XML or ImageJ words are on one plane: they tell nothing of z
    spacing, _, why = scale_of(opened.first, series, _describe(opened.first)[0][0])
    spacing = (None if len(opened.files) > 1 else spacing[0], spacing[1], spacing[2])
    grid, known, warnings = base_grid(pixels.shape, spacing, why)
    return SpatialImage(
        levels=(pixels.array(),),
        grids=(grid,),
        channels=_channels(pixels, series, None, None),
        source=Source(folder, "TIFF planes", 0, "", pixels.axes),
        voxel_size_known=known,
        metadata={"first_plane": opened.files[0].name, "last_plane": opened.files[-1].name},
        warnings=opened.warnings + warnings,
    )


def _describe(contents: TiffContents) -> tuple[list[OmeImage | None], tuple[str, ...]]:
    """OME-XML's word on each series, and what the user must know about it."""
    nothing: list[OmeImage | None] = [None] * len(contents.series)
    if contents.ome_xml is None:
        return nothing, ()
    try:
        images = parse_ome(contents.ome_xml)
    except ValueError as error:
        return nothing, (f"{one_line(error)}: only the pixels are used",)
    if len(images) == len(contents.series):
        return list(images), ()
    # files of a set may lack some of the images: go by name where names tell them apart
    by_name = {image.name: image for image in images}
    if len(by_name) == len(images):
        return [by_name.get(series.name) for series in contents.series], ()
    return nothing, (
        f"the OME-XML describes {len(images)} images, the file has {len(contents.series)}: "
        f"only the pixels are used",
    )


def _image(
    path: Path,
    contents: TiffContents,
    number: int,
    ome: OmeImage | None,
    warnings: tuple[str, ...],
) -> SpatialImage:
    series = contents.series[number]
    pixels = [TiffPixels(path, level) for level in series.levels]
    spacing, time_step_s, scale_warning = scale_of(contents, series, ome)
    grid, known, more = base_grid(pixels[0].shape, spacing, scale_warning)
    if ome is not None and ome.affine is not None:
        exact = agreeing_grid(grid, ome.affine, known)
        if exact is None:
            more += ("the stored position contradicts the voxel size: only the size is used",)
        grid = exact or grid
    kind = "OME-TIFF" if contents.ome_xml else "ImageJ TIFF" if contents.imagej else "TIFF"
    return SpatialImage(
        levels=tuple(p.array() for p in pixels),
        grids=tuple(level_grid(grid, p.shape) for p in pixels),
        channels=_channels(pixels[0], series, ome, contents.imagej),
        source=Source(path, kind, number, (ome.name if ome else "") or "", pixels[0].axes),
        voxel_size_known=known,
        time_step_s=time_step_s,
        metadata={"series_name": series.name},
        warnings=warnings + more,
    )


def _channels(
    pixels: TiffPixels, series: TiffSeries, ome: OmeImage | None, imagej: dict[str, Any] | None
) -> tuple[Channel, ...]:
    n_samples = pixels.n_samples
    n_colours = pixels.shape[1] // n_samples
    described = ome.channels if ome is not None else ()
    if series.is_rgb and n_samples <= 4:
        colours = [Channel(*pair) for pair in _RGB[:n_samples]]
        if n_colours == 1:
            return tuple(colours)
        names = [ch.name for ch in described] if len(described) == n_colours else []
        names = names or [f"C{i}" for i in range(n_colours)]
        return tuple(replace(ch, name=f"{name} {ch.name}") for name in names for ch in colours)
    if len(described) == pixels.shape[1]:
        return described
    ranges = (imagej or {}).get("Ranges")
    channels = [Channel(f"C{i}") for i in range(pixels.shape[1])]
    if isinstance(ranges, tuple) and len(ranges) == 2 * len(channels):
        channels = [
            replace(ch, display_range=(float(ranges[2 * i]), float(ranges[2 * i + 1])))
            for i, ch in enumerate(channels)
        ]
    return tuple(channels)
