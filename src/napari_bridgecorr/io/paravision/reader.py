"""Bruker ParaVision images as spatial images: one per package of slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...errors import GeometryError, ReadError, one_line
from ...image import Channel, Source, SpatialImage
from ..lazy import lazily, plane_chunks
from ..reader import Claim
from .folder import IMAGE, PARAMETERS, image_files
from .frames import Frames, read_frames
from .jcamp import Parameters, read_parameters
from .pixels import PackagePixels
from .place import Package, packages_of

_FORMAT = "ParaVision"
_NAMED_FAULTS = 5
# what a script may want to know of a scan
_NOTED = (
    "VisuCreatorVersion",
    "VisuSubjectType",
    "VisuSubjectPosition",
    "VisuAcquisitionProtocol",
    "VisuAcqSequenceName",
    "VisuAcqEchoTime",
    "VisuAcqRepetitionTime",
    "VisuAcqFlipAngle",
    "VisuAcqDate",
    "VisuCoreFrameType",
)


class ParaVisionReader:
    """Reader of ParaVision folders and 2dseq files (see :class:`~..reader.Reader`)."""

    format_name = _FORMAT
    patterns = (IMAGE,)

    def claim(self, path: Path) -> Claim:
        """Claim a 2dseq file, and folders of one, of an experiment or of a study."""
        try:
            found = image_files(path)
        except OSError as error:
            return Claim(False, f"the folder cannot be listed ({one_line(error)})")
        if found:
            return Claim(True, f"it holds {len(found)} reconstructed images (2dseq)")
        return Claim(False, "it is no 2dseq file and no folder that holds one")

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every reconstructed image; in a study the unreadable ones are left out and told.

        Raises
        ------
        ReadError
            If the image is damaged, or none of a study can be read.
        """
        try:
            files = image_files(path)
        except OSError as error:
            raise ReadError(path, f"cannot be listed ({one_line(error)})", "check it") from error
        images: list[SpatialImage] = []
        faults: list[str] = []
        first: ReadError | None = None
        for file in files:
            try:
                images.extend(_read_image(path, file))
            except ReadError as error:
                first = first or error
                faults.append(f"{_short_name(path, file)} is left out: {error.fault}")
        if not images:
            raise first or ReadError(path, "holds no 2dseq file", "name a ParaVision folder")
        more = len(faults) - _NAMED_FAULTS
        missing = tuple(faults[:_NAMED_FAULTS])
        missing += (f"{more} more images are left out",) if more > 0 else ()
        return tuple(
            replace(
                image,
                source=replace(image.source, image_index=number),
                warnings=image.warnings + missing,
            )
            for number, image in enumerate(images)
        )


def _read_image(opened: Path, file: Path) -> list[SpatialImage]:
    parameters = read_parameters(_parameters_beside(file))
    frames = read_frames(parameters, file)
    try:
        packages = packages_of(parameters, frames)
    except GeometryError as error:
        raise parameters.fault(f"its geometry makes no sense ({one_line(error)})") from error
    return [
        _image(opened, file, parameters, frames, package, number if len(packages) > 1 else 0)
        for number, package in enumerate(packages, 1)
    ]


def _image(
    opened: Path,
    file: Path,
    parameters: Parameters,
    frames: Frames,
    package: Package,
    number: int,
) -> SpatialImage:
    pixels = PackagePixels(frames, package.slices)
    name = one_line(parameters.text("VisuAcquisitionProtocol"))
    where = _short_name(opened, file)
    name = f"{name} ({where})" if name and where != IMAGE else name or where
    t, c, z = (n > 1 for n in pixels.shape[:3])
    return SpatialImage(
        levels=(lazily(pixels, plane_chunks(pixels.shape, pixels.dtype.itemsize)),),
        grids=(package.grid,),
        channels=tuple(Channel(channel) for channel in frames.channel_names),
        source=Source(
            opened,
            _FORMAT,
            0,
            name + (f" package {number}" if number else ""),
            "t" * t + "c" * c + "z" * z + "yx",
        ),
        voxel_size_known=package.known,
        time_step_s=_time_step_s(parameters, frames),
        metadata={key: parameters.text(key) for key in _NOTED if key in parameters},
        warnings=package.warnings + frames.warnings,
    )


def _parameters_beside(file: Path) -> Path:
    beside = file.with_name(PARAMETERS)
    if not beside.is_file():
        raise ReadError(
            file,
            "has no visu_pars beside it, which says what it holds",
            "copy the whole folder; ParaVision 4 and older wrote none: export those as DICOM",
        )
    return beside


def _short_name(opened: Path, file: Path) -> str:
    """``5/pdata/1`` as 5/1 where a study was opened, else what is left of it."""
    parts = file.relative_to(opened).parts if opened in file.parents else (file.name,)
    kept = [part for part in parts[:-1] if part != "pdata"]
    return "/".join(kept) or IMAGE


def _time_step_s(parameters: Parameters, frames: Frames) -> float | None:
    """Seconds between repetitions: the whole scan's time by their number."""
    scan_ms = parameters.numbers("VisuAcqScanTime")
    kinds = [group.kind for group in frames.groups if group.length > 1]
    if frames.n_times < 2 or "FG_MOVIE" in kinds or not scan_ms or not 0 < scan_ms[0] < 1e12:
        return None
    return scan_ms[0] / 1000 / frames.n_times
