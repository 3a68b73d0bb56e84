"""TIFF, OME-TIFF, ImageJ and vendors' stacks, and folders of planes, as spatial images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ReadError, one_line
from ...geometry import Grid
from ...image import RGBA, Channel, Source, SpatialImage
from ..reader import Claim
from .folder import COMPANION, ENDINGS, companions, open_folder, plane_files
from .imagej import imagej_channels, imagej_scale
from .ome_files import Misfit, OmeSeries, document_of, open_ome, read_xml
from .pixels import Layout, TiffPixels, layouts
from .sampling import are_centred
from .scale import agreeing_grid, base_grid, level_grid, scale_of_tags
from .series import TiffContents, TiffSeries, open_tiff
from .vendor import UNKNOWN
from .write import write_ome_tiff

__all__ = ["TiffReader", "write_ome_tiff"]

_VENDOR_ENDINGS = (".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff", ".bif")
_KIND_NAMES = {
    **{"imagej": "ImageJ TIFF", "lsm": "Zeiss LSM", "stk": "MetaMorph STK", "svs": "Aperio SVS"},
    **{"ndpi": "Hamamatsu NDPI", "scn": "Leica SCN", "scanimage": "ScanImage TIFF"},
    **{"mmstack": "Micro-Manager TIFF", "qpi": "Akoya QPTIFF", "bif": "Roche BIF"},
    **{"philips": "Philips TIFF", "fluoview": "FluoView TIFF", "sis": "Olympus SIS TIFF"},
}


class TiffReader:
    """Reader of TIFF files and of folders of TIFF planes (see :class:`~.reader.Reader`)."""

    format_name = "TIFF"
    patterns = tuple(f"*{ending}" for ending in (*ENDINGS, *_VENDOR_ENDINGS, COMPANION))

    def claim(self, path: Path) -> Claim:
        """Claim by name; a folder, if TIFF files lie in it."""
        if not path.is_dir():
            if path.name.lower().endswith((*ENDINGS, *_VENDOR_ENDINGS, COMPANION)):
                return Claim(True, "the name ends in .tif, or as a vendor's TIFF does")
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

        Images proper come first, labels and previews of a slide after them.

        Raises
        ------
        ReadError
            If a file is damaged, truncated, empty, mislabelled or absurd, or the planes of a
            folder do not fit together.
        """
        if path.is_dir():
            images = _read_folder(path)
        elif path.name.lower().endswith(COMPANION):
            images = _read_companion(path, path)
        else:
            images = _read_file(path)
        ranked = sorted(images, key=lambda image: image.source.role not in ("image", "labels"))
        return tuple(
            replace(image, source=replace(image.source, image_index=number))
            for number, image in enumerate(ranked)
        )


def _read_file(path: Path) -> list[SpatialImage]:
    contents = open_tiff(path)
    if contents.ome_xml is None:
        return _images(path, contents, ())
    try:
        holder, document = document_of(path, contents.ome_xml)
        found = open_ome(holder, document, {path: contents.pages})
    except Misfit as error:
        why = f"{one_line(error)}: only the pixels are used"
        return _images(path, open_tiff(path, believe_ome=False), (why,))
    return [image for series in found for image in _ome_images(path, series)]


def _read_companion(path: Path, place: Path) -> list[SpatialImage]:
    """The images of a companion file; `place` is what the user named."""
    try:
        holder, document = document_of(path, read_xml(path))
        found = open_ome(holder, document, {})
    except Misfit as error:
        raise ReadError(path, str(error), "open the TIFF files themselves") from error
    return [image for series in found for image in _ome_images(place, series)]


def _read_folder(folder: Path) -> list[SpatialImage]:
    try:
        files, described = plane_files(folder), companions(folder)
    except OSError as error:
        raise ReadError(folder, f"cannot be listed ({error})", "check its permissions") from error
    if not files:
        raise ReadError(folder, "holds no TIFF files", "name the folder in which the planes lie")
    if described:
        return [i for file in described for i in _read_companion(file, folder)]
    if len(files) == 1 or _is_described_set(files):
        images = _read_file(files[0])
        return [replace(i, source=replace(i.source, path=folder)) for i in images]
    opened = open_folder(files)
    series = opened.first.series[0]
    images = []
    for layout in layouts(folder, opened.planes):
        pixels = TiffPixels(opened.planes, layout)
        # a plane's own notes are on one plane: they tell nothing of z
        spacing, _, why = _scale(opened.first, series)
        if len(opened.files) > 1 and "Z" in opened.planes.axes:
            spacing = (None, spacing[1], spacing[2])
        grid, known, warnings = base_grid(pixels.shape, spacing, why)
        channels = _channels(pixels, series, layout, {}, ())
        if len(opened.channel_names) == len(channels):
            channels = tuple(
                replace(channel, name=name)
                for channel, name in zip(channels, opened.channel_names, strict=True)
            )
        images.append(
            SpatialImage(
                levels=(pixels.array(),),
                grids=(grid,),
                channels=channels,
                source=Source(folder, "TIFF planes", 0, layout.name, pixels.axes),
                voxel_size_known=known,
                metadata={
                    "first_plane": opened.files[0].name,
                    "last_plane": opened.files[-1].name,
                },
                warnings=opened.warnings + _sparse(opened.planes.n_left_out) + warnings,
            )
        )
    return images


def _is_described_set(files: tuple[Path, ...]) -> bool:
    """Whether the first file's OME-XML says which page of which file is which plane."""
    xml = open_tiff(files[0]).ome_xml
    if xml is None:
        return False
    try:
        _, document = document_of(files[0], xml)
    except Misfit:
        return False
    named = {d.file_name for image in document.images for d in image.data if d.file_name}
    return len(named & {f.name for f in files}) > 1


def _scale(contents: TiffContents, series: TiffSeries) -> tuple[Any, float | None, str]:
    """Spacing, time step, and why a spacing is not believed."""
    said = series.described
    if contents.notes:
        spacing, step = imagej_scale(contents.notes, *series.resolution[:2])
        if contents.kind == "imagej" or spacing != UNKNOWN:
            return spacing, step, ""
    if said is not None and said.spacing_um[1] is not None:
        return said.spacing_um, said.time_step_s, ""
    spacing, why = scale_of_tags(series.resolution)
    if said is not None and said.spacing_um[0] is not None:
        spacing = (said.spacing_um[0], *spacing[1:])
    return spacing, said.time_step_s if said is not None else None, why


def _images(path: Path, contents: TiffContents, warnings: tuple[str, ...]) -> list[SpatialImage]:
    """Images of a file that no OME-XML describes."""
    made = []
    for series in contents.series:
        said = series.described
        spacing, time_step_s, why = _scale(contents, series)
        for layout in layouts(path, series.levels[0]):
            pixels = [TiffPixels(level, layout) for level in series.levels]
            origin = said.origin_um if said is not None else None
            grid, known, more = base_grid(pixels[0].shape, spacing, why, origin)
            channels = _channels(
                pixels[0],
                series,
                layout,
                contents.notes if contents.kind == "imagej" else {},
                said.channels if said is not None else (),
            )
            name = series.name
            if len(contents.series) == 1 and name in ("Baseline", ""):
                name = ""
            made.append(
                SpatialImage(
                    levels=tuple(p.array() for p in pixels),
                    grids=_grids(grid, series, pixels, layout),
                    channels=channels,
                    source=Source(
                        path,
                        _KIND_NAMES.get(contents.kind, "TIFF"),
                        0,
                        " ".join(word for word in (name, layout.name) if word),
                        pixels[0].axes,
                        series.role,
                    ),
                    voxel_size_known=known,
                    time_step_s=time_step_s,
                    metadata={"series_name": series.name}
                    | (dict(said.metadata) if said is not None else {}),
                    warnings=warnings
                    + contents.warnings
                    + series.warnings
                    + (said.warnings if said is not None else ())
                    + _sparse(sum(level.n_left_out for level in series.levels))
                    + more,
                )
            )
    return made


def _ome_images(path: Path, found: OmeSeries) -> list[SpatialImage]:
    """Images that OME-XML describes."""
    said, series = found.said, found.series
    made = []
    for layout in layouts(path, series.levels[0]):
        pixels = [TiffPixels(level, layout) for level in series.levels]
        grid, known, more = base_grid(pixels[0].shape, said.spacing_um, "", said.position_um)
        if said.affine is not None:
            exact = agreeing_grid(grid, said.affine, known)
            if exact is None:
                more += ("the stored position contradicts the voxel size: only the size is used",)
            grid = exact or grid
        well = said.metadata.get("well")
        name = said.name or (f"{well} field {said.metadata['field'] + 1}" if well else "")
        made.append(
            SpatialImage(
                levels=tuple(p.array() for p in pixels),
                grids=_grids(grid, series, pixels, layout),
                channels=_channels(pixels[0], series, layout, {}, said.channels),
                source=Source(path, "OME-TIFF", 0, name, pixels[0].axes, series.role),
                voxel_size_known=known,
                time_step_s=said.time_step_s,
                metadata={"series_name": series.name} | dict(said.metadata),
                warnings=found.warnings
                + _sparse(sum(level.n_left_out for level in series.levels))
                + more,
            )
        )
    return made


def _grids(
    grid: Grid, series: TiffSeries, pixels: list[TiffPixels], layout: Layout
) -> tuple[Grid, ...]:
    is_centred = series.role == "labels" or are_centred(series.levels, layout.first)
    return (grid, *(level_grid(grid, p.shape, is_centred) for p in pixels[1:]))


def _sparse(n_left_out: int) -> tuple[str, ...]:
    if not n_left_out:
        return ()
    return (f"{n_left_out} tiles are left out in the file: background is shown there",)


def _channels(
    pixels: TiffPixels,
    series: TiffSeries,
    layout: Layout,
    imagej: Mapping[str, Any],
    described: tuple[Channel, ...],
) -> tuple[Channel, ...]:
    n_samples = pixels.n_samples
    n_colours = pixels.shape[1] // n_samples
    if series.is_rgb and n_samples <= 4:
        colours = list(RGBA[:n_samples])
        if n_colours == 1:
            return tuple(colours)
        names = [ch.name for ch in described] if len(described) == n_colours else []
        names = names or [f"C{i}" for i in range(n_colours)]
        return tuple(replace(ch, name=f"{name} {ch.name}") for name in names for ch in colours)
    if len(described) == pixels.shape[1]:
        return described
    if imagej:
        t, _, z = layout.lengths
        return imagej_channels(imagej, (t, pixels.shape[1], z))
    return tuple(Channel(f"C{i}") for i in range(pixels.shape[1]))
